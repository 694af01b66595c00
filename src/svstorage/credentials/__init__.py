"""Credentials: where they come from, how long they hold, and how they are renewed.

Each module of this package that talks to a source of credentials is a plugin; ``base`` is what
they share.
"""
