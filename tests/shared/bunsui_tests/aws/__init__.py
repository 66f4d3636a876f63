"""AWS for tests, over real HTTP on this machine: an endpoint of our own, and the emulators of others.

What an emulator does right is tested against one: see fixtures.py. `FakeAws` in endpoint.py is for what none
of them does: idempotent starts, failures beside tasks, containers that fail, errors by their own type,
throttling, lost responses, outages, credentials that expire.
"""
