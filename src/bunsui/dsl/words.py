"""Types and rules of JSON Schema in words: for messages, and for what editors say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bunsui.dsl.fields import DURATION_PATTERN, IDENTIFIER_PATTERN, IDENTIFIER_RULE, PRINTABLE_PATTERN
from bunsui.dsl.problems import quoted
from bunsui.expressions.kinds import NAMES, describe

#: What values of each type are called.
TYPES = {
    "string": NAMES["text"],
    "integer": "a whole number",
    "number": NAMES["number"],
    "boolean": NAMES["boolean"],
    "array": NAMES["list"],
    "object": NAMES["mapping"],
    "null": NAMES["null"],
}
#: What the patterns of the language ask for.
PATTERN_RULES = {
    IDENTIFIER_PATTERN: f"it must be {IDENTIFIER_RULE}",
    DURATION_PATTERN: "it must be more than 0: seconds, or a text such as 15m (ms, s, m, h, d)",
    PRINTABLE_PATTERN: "it must be one line without control characters",
}


def type_names(types: Any) -> str:
    """JSON Schema's type, or list of types, in words."""
    names = [types] if isinstance(types, str) else types
    return " or ".join(TYPES.get(name, name) for name in names)


def place(path: Sequence[str | int]) -> str:
    """A path as messages say it, such as ``tags[1]`` or ``cache.key``; empty for the whole."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def kind(value: object) -> str:
    """What a value of the data is, in words."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {quoted(value)}"
        case None | list() | tuple() | Mapping():
            return describe(value)
        case _:  # In a mapping made in Python, a key may be anything.
            return type(value).__name__
