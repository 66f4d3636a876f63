"""What a job logs with `logging`, in plain data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bunsui.local.results import traceback_text
from bunsui.logging.plain import plain, unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping


def of_failure(error: BaseException) -> dict[str, Any] | None:
    """The record of an attempt's failure, with its traceback; None where that tells nothing new."""
    try:
        text = traceback_text(error)
    except BaseException as broken:  # Foreign code: the attributes and the __str__ of somebody's class.
        text = f"(a traceback that can't be made: {type(broken).__name__})"
    if text is None:
        return None
    return {
        "level": "ERROR",
        "logger": "bunsui.job",
        "message": "the attempt failed",
        "exception": text.removesuffix("\n"),
    }


class CallLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of a call. Unlike its base it leaves ``extra`` as it is given."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """What is logged, as it is."""
        return msg, kwargs


class RecordHandler(logging.Handler):
    """Hands each record on in plain data; see `bunsui.logging.plain`."""

    def __init__(self, take: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        """Hands a record on; it never raises."""
        try:
            found = plain(record)
        except Exception as error:  # As every handler does: what can't be logged must not fail the job.
            found = unwritable(record, error)
        self._take(found)
