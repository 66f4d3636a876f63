"""What somebody gives to a log, as JSON of a bounded size: making it never fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from datetime import date, time
from typing import Any

from bunsui.model.text import text_of

#: Characters of one text; what is longer is cut, and says by how much. A line of a job's log has as many.
MAX_TEXT = 65_536
#: Characters of all texts of one record's fields, beside its message and its traceback.
MAX_ROOM = 131_072
#: Values of one record's fields, those in lists and tables counted too.
MAX_VALUES = 1_000
#: How deep lists and tables lie in each other; what lies deeper is text.
MAX_DEPTH = 16
#: Stands for what is left out.
LEFT_OUT = "…"
#: Characters that are enough to say how many are left out.
_NOTICE = 40
#: Integers that all readers of JSON take, as 64 bits hold them; others are text.
_LEAST, _MOST = -(2**63), 2**64 - 1


def cut(text: str, most: int = MAX_TEXT) -> str:
    """`text`, or its beginning and how many more characters there were: `most` in all, or `_NOTICE`."""
    if len(text) <= most:
        return text
    kept = max(most - _NOTICE, 0)
    return f"{text[:kept]}{LEFT_OUT} ({len(text) - kept} more characters)"


def cut_within(text: str, most: int = MAX_TEXT) -> str:
    """`text`, or its beginning and its end: that of a traceback says what has happened."""
    if len(text) <= most:
        return text
    head, tail = most // 4, most - most // 4 - _NOTICE
    return f"{text[:head]}{LEFT_OUT}\n({len(text) - head - tail} more characters)\n{text[-tail:]}"


class Fields:
    """Makes JSON of the fields of one record; each value takes from what there is room for.

    Args:
        redact: takes the values of secrets out of a text, before it is cut: half a secret is not known again.
    """

    def __init__(self, redact: Callable[[str], str] | None = None) -> None:
        self._redact = redact
        self._room = MAX_ROOM
        self._values = MAX_VALUES

    def of(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """All fields as JSON; what finds no room any more is `LEFT_OUT`."""
        return {self._text(key): self._value(value, 0) for key, value in fields.items()}

    def _text(self, value: object) -> str:
        text = text_of(value)
        if self._redact is not None:
            text = self._redact(text)
        text = cut(text, min(MAX_TEXT, self._room))
        self._room = max(self._room - len(text), 0)
        return text

    def _value(self, value: Any, depth: int) -> Any:
        try:
            return self._json(value, depth)
        except Exception:  # Foreign code: of somebody's mapping, or a class that lies about what it is.
            return self._text(value)

    def _json(self, value: Any, depth: int) -> Any:
        self._values -= 1
        if self._values < 0:
            return LEFT_OUT
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if depth < MAX_DEPTH and isinstance(value, Mapping):
            return self._table(value, depth)
        if depth < MAX_DEPTH and isinstance(value, list | tuple | Set):
            return self._list(value, depth)
        if isinstance(value, bytes | bytearray):
            return self._text(repr(bytes(value)))
        if isinstance(value, date | time):
            return self._text(value.isoformat())
        if isinstance(value, BaseException):
            return self._text(f"{type(value).__name__}: {text_of(value)}")
        return self._text(value)

    def _number(self, value: float) -> int | float | str:
        plain = int.__int__(value) if isinstance(value, int) else float.__float__(value)
        is_json = _LEAST <= plain <= _MOST if isinstance(plain, int) else math.isfinite(plain)
        if not is_json:
            return self._text(plain)
        # A number may be a secret as a whole, such as a PIN.
        return plain if self._redact is None or self._redact(str(plain)) == str(plain) else self._text(plain)

    def _table(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in value.items():
            if self._values <= 0:
                found[LEFT_OUT] = f"{len(value) - len(found)} more"
                break
            found[self._text(key)] = self._value(item, depth + 1)
        return found

    def _list(self, value: list[Any] | tuple[Any, ...] | Set[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for item in value:
            if self._values <= 0:
                found.append(f"{LEFT_OUT} ({len(value) - len(found)} more)")
                break
            found.append(self._value(item, depth + 1))
        return found
