"""A record of the application's log as a line of JSON, or as text for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bunsui.dsl.problems import printable
from bunsui.logging.context import CONTEXT, IDS, ids, redactor
from bunsui.logging.plain import plain, redacted, unwritable
from bunsui.logging.text import fields_text, further, json_text
from bunsui.logging.values import Fields, cut, cut_within
from bunsui.model.times import to_text


def described(record: logging.LogRecord) -> dict[str, Any]:
    """A record of any logger in plain data: what `bunsui.logging.json_schema` says, in its order.

    It never raises for what a program has logged.
    """
    redact = redactor()
    try:
        found = plain(record, Fields(redact).of)
    except Exception as error:  # Foreign code: a message's arguments. The record is shown all the same.
        found = unwritable(record, error)
    if redact is not None:
        found = redacted(found, redact)
    about = getattr(record, CONTEXT, None)
    if not isinstance(about, Mapping):  # No filter of ours has seen it.
        about = ids()
    told = {
        "time": to_text(_time(record.created)),
        "level": found["level"],
        **{name: about[name] for name in IDS if name in about},
        "logger": found["logger"],
        "message": cut(found["message"]),
    }
    if "fields" in found:
        told["fields"] = found["fields"]
    if "exception" in found:
        told["exception"] = cut_within(found["exception"])
    return told


def _time(created: Any) -> datetime:
    try:
        return datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError, TypeError):  # Somebody has tampered with it.
        return datetime.now(UTC)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON in ASCII; `bunsui.logging.json_schema` says what it has.

    For handlers of the program's own: `configure` has one.

    Such as::

        import logging

        record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "levelno": 20, "msg": "rows"})
        print(bunsui.logging.JsonFormatter().format(record)[-33:])  # ,"logger":"app","message":"rows"}
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break."""
        return json_text(described(record))


class TextFormatter(logging.Formatter):
    r"""A record as one line for people, and an indented one for each line of its traceback.

    What could control a terminal is escaped, line breaks in a message too: none looks like a record.

    Such as::

        import logging

        record = logging.makeLogRecord({"name": "app", "levelname": "INFO", "levelno": 20, "msg": "a\nb"})
        print(bunsui.logging.TextFormatter().format(record)[28:])  # INFO     app: a\nb
    """

    def format(self, record: logging.LogRecord) -> str:
        """The lines, without the last line break."""
        found = described(record)
        logger, message = printable(found["logger"]), printable(found["message"])
        about = fields_text({name: found[name] for name in IDS if name in found})
        fields = fields_text(found.get("fields", {}))
        lines = [f"{found['time']} {found['level']:<8} {logger}: {message}{about}{fields}"]
        if "exception" in found:
            lines += further(found["exception"].split("\n"))
        return "\n".join(lines)


#: By what `configure` calls them.
FORMATS: Mapping[str, type[logging.Formatter]] = {"json": JsonFormatter, "text": TextFormatter}
