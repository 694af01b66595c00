"""Real servers on 127.0.0.1 as session-scoped pytest fixtures.

Every server gets a free port and an own folder, runs in its own process group with a clean
environment (nothing of the tester's, no telemetry), is polled until it answers, and is ended by
its own handle. If it does not come up, the failure shows the end of its log.

The top `conftest.py` loads these modules for all tests, those under ``plugins/`` too.
"""
