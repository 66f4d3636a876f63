"""What a line of the application's log in JSON is."""

from __future__ import annotations

import copy
from typing import Any

from bunsui.model.log import LEVELS

_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A line of bunsui's log",
    "description": "One record of `logging`, as bunsui.logging writes it. What says nothing is left out.",
    "type": "object",
    "additionalProperties": False,
    "required": ["time", "level", "logger", "message"],
    "properties": {
        "time": {
            "description": "When it was logged: RFC 3339 in UTC, with microseconds.",
            "type": "string",
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
        },
        "level": {
            "description": "A level of a program's own is the one below it; the field level_name names it.",
            "enum": list(LEVELS),
        },
        "session": {"description": "The id of the session that it is about.", "type": "string"},
        "job": {"description": "The job's id.", "type": "string"},
        "item": {"description": "The index of a fan-out's item.", "type": "integer", "minimum": 0},
        "attempt": {"description": "The attempt's number.", "type": "integer", "minimum": 1},
        "trace_id": {
            "description": "The trace of OpenTelemetry that it was logged in.",
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
        },
        "span_id": {"description": "Its span.", "type": "string", "pattern": "^[0-9a-f]{16}$"},
        "logger": {"description": "The whole name of the logger.", "type": "string"},
        "message": {"type": "string"},
        "fields": {
            "description": "The values that were logged with the message, by their names.",
            "type": "object",
            "minProperties": 1,
        },
        "exception": {"description": "The traceback, with line breaks.", "type": "string"},
    },
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a line of the log in JSON; ``bunsui schema --log`` prints it.

    Fields stand in a line in the order of the schema. Further ones may come in later versions.

    Such as::

        print(list(bunsui.logging.json_schema()["properties"])[:2])  # ['time', 'level']
    """
    return copy.deepcopy(_SCHEMA)
