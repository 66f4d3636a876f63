"""Records in plain data, on their way to a line."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

from bunsui.logging.context import CONTEXT
from bunsui.logging.records import LOG
from bunsui.model.log import level_name
from bunsui.model.text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The attribute of a record of `logging` for values whose names are those of attributes that it has itself.
FIELDS: Final = "bunsui_fields"
#: What every record of `logging` has, and what this library adds; all else was given as ``extra``.
USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
    CONTEXT,
    FIELDS,
}


def as_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Each value where it is JSON, else its text; nothing is cut."""
    return {name: _as_json(value) for name, value in fields.items()}


def _as_json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return text_of(value)


def plain(
    record: logging.LogRecord, to_json: Callable[[Mapping[str, Any]], dict[str, Any]] = as_json
) -> dict[str, Any]:
    """A record of `logging` in plain data: ``created``, ``level``, ``logger``, ``message`` and so forth.

    Args:
        record: the record.
        to_json: makes its fields JSON.

    Raises:
        Exception: whatever its arguments raise when they are put into its message.
    """
    found: dict[str, Any] = {
        "created": record.created,
        "level": level_name(record.levelno),
        "logger": str(record.name),
        "message": record.getMessage(),
    }
    fields = {key: value for key, value in vars(record).items() if key not in USUAL}
    fields |= getattr(record, FIELDS, {})
    if record.levelname != found["level"]:
        fields.setdefault("level_name", record.levelname)
    if fields:
        found["fields"] = to_json(fields)
    if record.exc_info and record.exc_info[0] is not None:
        found["exception"] = "".join(traceback.format_exception(*record.exc_info)).removesuffix("\n")
    elif record.exc_text:
        found["exception"] = record.exc_text
    if record.stack_info:
        found["exception"] = "\n".join(filter(None, [found.get("exception"), record.stack_info]))
    return found


def unwritable(record: logging.LogRecord, error: BaseException) -> dict[str, Any]:
    """What is said of a record whose message can't be made. Its arguments may hold secrets: not shown."""
    return {
        "created": record.created,
        "level": level_name(record.levelno),
        "logger": str(record.name),
        "message": f"a log record from {record.filename}:{record.lineno} can't be written:"
        f" {type(error).__name__}",
    }


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """Plain data with each of its texts redacted; a number too, where it is a secret as a whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): redacted(item, redact) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item, redact) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        shown = redact(text)
        return value if shown == text else shown
    return value


def to_record(
    found: Mapping[str, Any], time: str, job: str, attempt: int | None, item: int | None
) -> dict[str, Any]:
    """A record as its line has it, in the line's order; see `bunsui.logging.records`."""
    record: dict[str, Any] = {"time": time, "level": found["level"], "job": job}
    record |= {"item": item} if item is not None else {}
    record |= {"attempt": attempt} if attempt is not None else {}
    record |= {"stream": LOG, "logger": found["logger"], "message": found["message"]}
    return record | {key: found[key] for key in ("fields", "exception") if key in found}
