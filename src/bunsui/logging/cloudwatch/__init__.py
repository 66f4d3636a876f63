"""Logs in CloudWatch Logs: those of jobs, written by one process and read from any, and a program's own.

::

    events    what an event may be, and how many of them a call takes
    queue     what is sent when: no thread, no clock
    writer    the thread that sends it; pace, failures and sending are its parts
    calls     the calls of CloudWatch Logs, with what they make on demand
    jobs      a session's log store; logs, that of a runner; reading, both read back
    handler   a program's own log

Nothing is imported with this package: who uses none of it pays for none.
"""
