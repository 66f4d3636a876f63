"""The kinds of values that JSON has, and what each is called: at load and at run time by the same word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NAMES", "describe", "kind_of"]

#: What a value of each kind is called in messages.
NAMES = {
    "null": "null",
    "boolean": "true or false",
    "number": "a number",
    "text": "text",
    "list": "a list",
    "mapping": "a mapping",
}


def kind_of(value: Any) -> str:
    """The kind of a value: null, boolean, number, text, list or mapping."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "mapping" if isinstance(value, Mapping) else "list"


def describe(value: Any) -> str:
    """A value for a message, without what it holds: that may be long, or nobody's business."""
    return NAMES[kind_of(value)]
