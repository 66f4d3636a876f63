"""Parts of a record as text for people, safe for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bunsui.dsl.problems import printable

#: What stands before each further line of a record, so that none looks like a record of its own.
INDENT = "    "


def fields_text(fields: Mapping[str, Any]) -> str:
    """Named values, each with a space before it; what could be taken for another one stands in quotes."""
    return printable("".join(f" {_simple(name)}={_simple(value)}" for name, value in fields.items()))


def _simple(value: Any) -> str:
    if isinstance(value, str) and value and not any(mark in value for mark in ' ="'):
        return value
    return json.dumps(value, ensure_ascii=False)


def further(lines: Iterable[str]) -> list[str]:
    """Further lines of a record."""
    return [f"{INDENT}{printable(line)}" for line in lines]


def json_text(value: Any) -> str:
    """JSON on one line, in ASCII, with nothing in it that a terminal obeys."""
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")
