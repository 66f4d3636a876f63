"""DuckDB's values as JSON, none of them changed without a word; the README has the table."""

from __future__ import annotations

import base64
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import bunsui


def as_json(value: Any, column: str) -> Any:
    """A value of a result as JSON.

    Args:
        value: as DuckDB's Python client gives it.
        column: where it stands, for messages.

    Raises:
        JobError: it has no form in JSON (``DuckDB.NotJson``).
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case float():
            raise _not_json(column, f"{value}; such as nullif(x, 'nan') makes NULL of it")
        case Decimal() | UUID():
            return str(value)  # A number of JSON would lose digits in many a reader.
        case datetime():  # Before `date`, of which it is one.
            return _timestamp(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case list() | tuple():
            return [as_json(item, column) for item in value]
        case dict():
            return {_key(key, column): as_json(item, column) for key, item in value.items()}
    raise _not_json(column, f"a {type(value).__name__}; CAST(x AS VARCHAR) makes a text of it")


def _timestamp(value: datetime) -> str:
    """With a zone: in UTC, with Z. Without one: without one."""
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _key(key: Any, column: str) -> str:
    """A key of a MAP: names of JSON are texts."""
    found = as_json(key, column)
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return str(found).lower()
    return str(found)


def _not_json(column: str, what: str) -> bunsui.JobError:
    text = f"column {column!r} holds what JSON has not: {what}"
    return bunsui.JobError(text, code="DuckDB.NotJson", retryable=False)
