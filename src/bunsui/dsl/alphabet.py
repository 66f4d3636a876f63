"""The characters that a regular expression tells apart, in kinds: sets of them are bits of a number."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from re import _constants as sre  # type: ignore[attr-defined]
from typing import Any

from attrs import frozen

__all__ = ["Alphabet"]

_ASCII = 128
_END = 0x110000
#: Stretches of so many characters are looked at one by one; of longer ones all is expected.
_LOOKED_AT = 1000
_DIGIT, _LETTER, _SPACE, _OTHER = range(4)
_CATEGORIES = {
    sre.CATEGORY_DIGIT: {_DIGIT},
    sre.CATEGORY_NOT_DIGIT: {_LETTER, _SPACE, _OTHER},
    sre.CATEGORY_WORD: {_DIGIT, _LETTER},
    sre.CATEGORY_NOT_WORD: {_SPACE, _OTHER},
    sre.CATEGORY_SPACE: {_SPACE},
    sre.CATEGORY_NOT_SPACE: {_DIGIT, _LETTER, _OTHER},
}


def _category(char: str) -> int:
    if char.isdecimal():
        return _DIGIT
    if char.isalnum() or char == "_":
        return _LETTER
    return _SPACE if char.isspace() else _OTHER


@frozen
class Alphabet:
    """Kinds of characters: each ASCII character, and stretches of the others, by category.

    A set may be found larger than it is, never smaller: so nothing that is dangerous is overlooked.
    """

    #: Where the stretches begin; the last one ends with Unicode.
    _starts: tuple[int, ...]
    #: Of each kind, the number of its stretch (ASCII: the character) and its category.
    _kinds: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, parsed: Any) -> Alphabet:
        """The kinds that a parsed pattern tells apart."""
        cuts = {_ASCII, *(cut for cut in _cuts(parsed) if cut > _ASCII)}
        starts = tuple(sorted(cuts))
        kinds = [(code, _category(chr(code))) for code in range(_ASCII)]
        for number, start in enumerate(starts):
            end = starts[number + 1] if number + 1 < len(starts) else _END
            few = end - start <= _LOOKED_AT
            found = {_category(chr(code)) for code in range(start, end)} if few else range(4)
            kinds += [(_ASCII + number, category) for category in sorted(found)]
        return cls(starts, tuple(kinds))

    @property
    def everything(self) -> int:
        """Every kind."""
        return (1 << len(self._kinds)) - 1

    def kinds(self, op: Any, value: Any, flags: int) -> int:
        """The kinds that one item of a parsed pattern matches."""
        if op is sre.ANY:
            newline = self._between(10, 10, 0)
            return self.everything if flags & re.DOTALL else self.everything & ~newline
        if op is sre.LITERAL:
            return self._between(value, value, flags)
        if op is sre.NOT_LITERAL:
            return self._negated(self._between(value, value, flags), value >= _ASCII, flags)
        found, negated, wide = 0, False, False
        for inner, detail in value:
            if inner is sre.NEGATE:
                negated = True
            elif inner is sre.CATEGORY:
                found |= self._of_category(detail, flags)
            else:
                low, high = detail if inner is sre.RANGE else (detail, detail)
                wide = wide or high >= _ASCII
                found |= self._between(low, high, flags)
        return self._negated(found, wide, flags) if negated else found

    def _negated(self, found: int, wide: bool, flags: int) -> int:
        # Without case, characters beyond ASCII were taken for everything: nothing is surely excluded.
        return self.everything if wide and flags & re.IGNORECASE else self.everything & ~found

    def _between(self, low: int, high: int, flags: int) -> int:
        if flags & re.IGNORECASE:
            if high >= _ASCII:
                return self.everything
            codes = {ord(c) for code in range(low, high + 1) for c in (chr(code).lower(), chr(code).upper())}
        else:
            codes = set(range(low, min(high, _ASCII - 1) + 1))
        found = sum(1 << code for code in codes)
        if high >= _ASCII:
            first = _ASCII + bisect_left(self._starts, max(low, _ASCII))
            last = _ASCII + bisect_left(self._starts, high + 1)
            for bit, (number, _) in enumerate(self._kinds[_ASCII:], _ASCII):
                if first <= number < last:
                    found |= 1 << bit
        return found

    def _of_category(self, category: Any, flags: int) -> int:
        wanted = _CATEGORIES[category]
        found = 0
        for bit, (number, kind) in enumerate(self._kinds):
            # By the flag, nothing beyond ASCII is a digit, a word or space.
            if (_OTHER if number >= _ASCII and flags & re.ASCII else kind) in wanted:
                found |= 1 << bit
        return found


def _cuts(items: Any) -> Iterator[int]:
    """Where the characters that a pattern names begin, and the next behind them."""
    for op, value in items:
        if op in (sre.LITERAL, sre.NOT_LITERAL):
            yield from (value, value + 1)
        elif op is sre.IN:
            yield from _cuts([item for item in value if item[0] in (sre.LITERAL, sre.RANGE)])
        elif op is sre.RANGE:
            yield from (value[0], value[1] + 1)
        elif op is sre.BRANCH:
            for body in value[1]:
                yield from _cuts(body)
        elif isinstance(value, tuple):
            for part in value:
                if isinstance(part, list) or hasattr(part, "data"):
                    yield from _cuts(part)
        elif hasattr(value, "data"):
            yield from _cuts(value)
