"""One record of a job's log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

#: The levels, and the numbers that Python's `logging` has for them.
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


def level_name(number: int) -> str:
    """The level at or below a number of `logging`; the lowest for what is below all."""
    return next((name for name, least in reversed(LEVELS.items()) if number >= least), "DEBUG")


@frozen
class LogRecord:
    """One record of a job's log.

    Such as::

        record = next(session.logs(job="extract_data"))
        print(record.level, record.message)  # INFO reading flights
    """

    #: When it was logged, or read from the process that wrote it; in UTC.
    time: datetime
    #: ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``. A line of stdout is ``INFO``, one of
    #: stderr ``WARNING``. A level of your own counts as the one below it, and is named by ``level_name``.
    level: str
    #: The job's id.
    job: str
    #: What was logged, or the line that was written; without the values of secrets.
    message: str
    #: ``stdout``, ``stderr`` or, of what went through `logging`, ``log``. What a service tells of work that
    #: was submitted to it is ``stdout``.
    stream: str = "log"
    #: Starts at 1; None where the record is about no attempt.
    attempt: int | None = None
    #: The index of a fan-out's item; starts at 0.
    item: int | None = None
    #: The name of the logger.
    logger: str | None = None
    #: What was given as ``extra``.
    fields: Mapping[str, Any] = field(factory=dict)
    #: The traceback.
    exception: str | None = None
    #: Whether the line was too long for one record, and goes on in the next one of its stream.
    continues: bool = False
    #: Whether it can't be read: then the message is what stands in the file, and most else is a guess.
    damaged: bool = False
