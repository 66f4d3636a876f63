"""One event of each kind, filled in."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, get_type_hints

import attrs

from bunsui.engine.events import EVENTS, Event, Unknown
from bunsui.model.artifact import Artifact
from bunsui.model.json import Json
from bunsui.model.session import Failure

#: When all of it happened.
AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
KINDS = (*EVENTS, "Unknown")

# What each field holds that is not made from its type alone.
_BY_NAME: dict[str, Any] = {
    "at": AT,
    "job": "load",
    "session_id": "abcdefghijklmnop",
    "digest": "0" * 64,
    "parameters": {"table": "flights", "limit": 10, "tags": ["a", "é水"]},
    "bindings": {"lambda": {"extract": {"callable": "handlers:extract"}}},
    "tags": {"team": "data"},
    "env": {"REGION": "eu-central-1"},
    "reuse": ("extract",),
    "process": {"host": "machine", "pid": 4711},
    "data": {"of": ["a later version"]},
    "error": Failure("Throttled", "too many requests", retryable=True),
    "handle": Json.of({"id": "arn:aws:batch:1"}),
}


def sample(kind: str, *, whole: bool = True) -> Event:
    """An event of a kind.

    Args:
        kind: the name of its class.
        whole: whether fields that have a default are filled in, too.
    """
    cls: type[Event] = Unknown if kind == "Unknown" else EVENTS[kind]
    hints = get_type_hints(cls)
    values = {
        field.name: _value(field.name, hints[field.name])
        for field in attrs.fields(cls)
        if whole or field.default is attrs.NOTHING
    }
    return cls(**values)


def _value(name: str, hint: Any) -> Any:
    if name in _BY_NAME:
        return deepcopy(_BY_NAME[name])
    kinds: dict[type, Any] = {
        int: 1,
        float: 1.5,
        bool: True,
        Json: Json.of({"rows": [1, 2.5, None, "é"]}),
        Artifact: Artifact("0" * 64, 40_000, "job 'load'"),
    }
    for kind, value in kinds.items():
        if hint == kind or hint == kind | None:
            return value
    return None if str not in (hint, *getattr(hint, "__args__", ())) else "text"
