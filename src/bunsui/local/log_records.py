"""What a job logs with `logging`, in plain data."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

from bunsui.local.results import traceback_text
from bunsui.model.log import level_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

#: What every record of `logging` has; all else was given as ``extra``.
_USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


def plain(record: logging.LogRecord) -> dict[str, Any]:
    """A record of `logging` in plain data: ``created``, ``level``, ``logger``, ``message`` and so forth.

    Raises:
        Exception: whatever its arguments raise when they are put into its message.
    """
    found: dict[str, Any] = {
        "created": record.created,
        "level": level_name(record.levelno),
        "logger": str(record.name),
        "message": record.getMessage(),
    }
    fields = {key: _as_json(value) for key, value in vars(record).items() if key not in _USUAL}
    if record.levelname != found["level"]:
        fields.setdefault("level_name", record.levelname)
    if fields:
        found["fields"] = fields
    if record.exc_info and record.exc_info[0] is not None:
        found["exception"] = "".join(traceback.format_exception(*record.exc_info)).removesuffix("\n")
    elif record.exc_text:
        found["exception"] = record.exc_text
    if record.stack_info:
        found["exception"] = "\n".join(filter(None, [found.get("exception"), record.stack_info]))
    return found


def _as_json(value: Any) -> Any:
    """`value` where it is JSON, else its text."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return str(value)


def unwritable(record: logging.LogRecord, error: BaseException) -> dict[str, Any]:
    """What is said of a record whose message can't be made. Its arguments may hold secrets: not shown."""
    return {
        "created": record.created,
        "level": level_name(record.levelno),
        "logger": str(record.name),
        "message": f"a log record from {record.filename}:{record.lineno} can't be written:"
        f" {type(error).__name__}",
    }


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
    """Hands each record on in plain data; see `plain`."""

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
