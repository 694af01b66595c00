"""Moving objects: list both sides in order, diff, act, confirm, journal, report.

The way of the data, one module for each step: ``options`` (what was asked), ``listing`` and
``merge`` (what differs), ``plan`` (what to do about it), ``engine`` (who does it, how many at
once), ``verify`` (was it done), ``journal`` (what survives a crash), ``report`` (what is told).
"""
