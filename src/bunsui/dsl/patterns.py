"""Which regular expressions a definition may bring: those that can't take for ever to match.

Python's matcher backtracks: where a text can be read in many ways, it may try them all. A pattern is taken
apart by Python's own parser, made into an automaton with one state for each character that it names, and
refused where the ways to read a text grow too fast with its length: see `bunsui.dsl.ambiguity`. Nothing is
compiled here, as that alone can take seconds.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from attrs import frozen

from bunsui.dsl.alphabet import Alphabet
from bunsui.dsl.ambiguity import EXPONENTIAL, Automaton, TooLarge, growth, ways

__all__ = ["MAX_COST", "MAX_LENGTH", "cost", "why_refused"]

#: Longest pattern, in characters.
MAX_LENGTH = 1000
#: A text may be searched where that `cost`s no more, which takes 0.4 s at most: 16 MiB for most patterns,
#: 4,472 characters where the steps grow with the square of the length, 271 where they grow with the cube.
MAX_COST = 20_000_000
#: Steps may grow with this power of a text's length, as they do for ``^\\S+@\\S+\\.\\S+$``.
_MOST_DEGREE = 3
#: Ways to read a text that loops have no part in.
_MOST_WAYS = 1000
#: States of the automaton, and the ways between them.
_MOST_STATES = 1500
_MOST_EDGES = 100_000
#: A repeat such as {2,9} is written out where its bounds are so close; else it counts as one without end.
_CLOSE = 16
_MOST_COPIES = 256
#: Levels of groups; Python's parser is recursive.
_MOST_NESTING = 50
#: Characters of a range whose case is ignored: Python looks at each when it compiles it.
_MOST_FOLDED = 1000

_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_NAMES = {
    sre.GROUPREF: "a reference to a group, such as \\1,",
    sre.GROUPREF_EXISTS: "a condition on a group, such as (?(1)a|b),",
}


class _Refused(Exception):
    """Why; its text is for the user."""


def why_refused(pattern: str) -> str | None:
    """Why a regular expression can't be used, for a message; None: it can, for texts that `cost` allows."""
    return _judged(pattern).refused


def cost(pattern: str, length: int) -> int:
    """The steps that searching a text of so many characters for an accepted pattern may take at most."""
    judged = _judged(pattern)
    return int(judged.ways * length**judged.degree)


@frozen
class _Judgement:
    #: Why the pattern can't be used; None: it can.
    refused: str | None
    #: The power of the text's length that the steps grow with, and their factor.
    degree: int = 0
    ways: int = 1


@lru_cache(maxsize=1024)
def _judged(pattern: str) -> _Judgement:
    if len(pattern) > MAX_LENGTH:
        return _Judgement(f"it has more than {MAX_LENGTH:,} characters")
    if _nesting(pattern) > _MOST_NESTING:
        return _Judgement("its groups are nested too deep")
    try:
        parsed = _parsed(pattern)
        flags = parsed.state.flags
        builder = _Builder(Alphabet.of(parsed))
        degree = builder.degree(_without_end(list(parsed)), flags, searched=True)
    except _Refused as refused:
        return _Judgement(str(refused))
    except TooLarge:
        return _Judgement("it is too large to tell how long it takes to match")
    if degree > _MOST_DEGREE:
        reason = (
            "too many of its repeats can match the same text, which can take very long; let fewer overlap"
        )
        return _Judgement(reason if pattern.startswith("^") else f"{reason}, or begin with '^'")
    return _Judgement(None, degree, builder.ways)


def _nesting(pattern: str) -> int:
    """How deep its groups are nested, or more, where it holds brackets that are none."""
    depth = deepest = 0
    for bracket in re.findall(r"\\.|[()]", pattern):
        depth += {"(": 1, ")": -1}.get(bracket, 0)
        deepest = max(deepest, depth)
    return deepest


def _parsed(pattern: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return _parser.parse(pattern)
    except (re.error, OverflowError, ValueError) as error:
        raise _Refused(f"it is no regular expression of Python: {error}") from error
    except Warning as warning:
        raise _Refused(f"it is not clear: {warning}") from warning


def _without_end(items: list[Any]) -> list[Any]:
    """The same without the repeat of one character at its end: matching has succeeded where that begins."""
    while items:
        op, value = items[-1]
        if op in _REPEATS and len(value[2]) == 1 and _is_one_character(value[2][0]):
            least, _, body = value
            return [*items[:-1], (op, (least, least, body))] if least else _without_end(items[:-1])
        if op is sre.SUBPATTERN:
            return [*items[:-1], (op, (*value[:3], _without_end(list(value[3]))))]
        return items
    return items


def _is_one_character(item: Any) -> bool:
    return item[0] in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)


@frozen
class _Part:
    """A part of a pattern: how many ways it has to be empty, and the states that begin and end it."""

    empty: int
    #: How many ways lead to each.
    first: dict[int, int]
    last: dict[int, int]


_NOTHING = _Part(1, {}, {})


def _times(states: dict[int, int], count: int) -> dict[int, int]:
    return {state: ways * count for state, ways in states.items()} if count else {}


def _plus(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    found = dict(one)
    for state, count in other.items():
        found[state] = found.get(state, 0) + count
    return found


class _Builder:
    """Makes automata of a parsed pattern."""

    def __init__(self, alphabet: Alphabet) -> None:
        self._alphabet = alphabet
        self._reads: list[int] = []
        self._follow: list[dict[int, int]] = []
        self._edges = 0
        #: How the steps of what looks ahead grow.
        self._ahead = 0
        #: The greatest number of ways to read a text that loops have no part in.
        self.ways = 1

    def degree(self, items: list[Any], flags: int, *, searched: bool = False) -> int:
        """How the steps of matching `items` grow with the text.

        Args:
            items: parsed.
            flags: of `re`, that hold for them.
            searched: whether they may begin anywhere, and not at one place only.
        """
        outer = self._reads, self._follow, self._ahead
        self._reads, self._follow, self._ahead = [0], [{}], 0
        # What stands behind ^ is tried once.
        begins = _begins(items, flags)
        once, rest = _ahead_of_all(items) if begins or not searched else ([], items)
        part = self._sequence(rest, flags)
        if searched and not begins:
            self._reads[0] = self._alphabet.everything
            self._follow[0][0] = 1
        for state, count in part.first.items():
            self._add(0, state, count)
        automaton, ahead = Automaton(self._reads, self._follow), self._ahead
        self._reads, self._follow, self._ahead = outer
        power = growth(automaton)
        if power == EXPONENTIAL:
            raise _Refused(
                "a repeated part of it can match the same text in several ways, which can take for ever"
            )
        self.ways = max(self.ways, ways(automaton, _MOST_WAYS))
        if self.ways > _MOST_WAYS:
            raise _Refused("it has too many ways to match the same text, which can take very long")
        # What looks ahead may do so at every step.
        return max([power + ahead, *(self.degree(_without_end(list(body)), flags) for body in once)])

    def _add(self, state: int, after: int, count: int) -> None:
        follow = self._follow[state]
        self._edges += 1
        if self._edges > _MOST_EDGES:
            raise TooLarge
        follow[after] = follow.get(after, 0) + count

    def _sequence(self, items: Any, flags: int) -> _Part:
        part = _NOTHING
        for op, value in items:
            part = self._then(part, self._item(op, value, flags))
        return part

    def _then(self, one: _Part, other: _Part) -> _Part:
        for state, count in one.last.items():
            for after, times in other.first.items():
                self._add(state, after, count * times)
        return _Part(
            min(one.empty * other.empty, _MOST_WAYS + 1),
            _plus(one.first, _times(other.first, one.empty)),
            _plus(other.last, _times(one.last, other.empty)),
        )

    def _item(self, op: Any, value: Any, flags: int) -> _Part:
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            if op is sre.IN and flags & re.IGNORECASE and any(_is_wide(*inner) for inner in value):
                raise _Refused("a range of so many characters is slow to compile without regard to case")
            return self._character(self._alphabet.kinds(op, value, flags))
        if op is sre.SUBPATTERN:
            _, added, removed, body = value
            return self._sequence(body, (flags | added) & ~removed)
        if op is sre.ATOMIC_GROUP:
            return self._sequence(value, flags)
        if op is sre.BRANCH:
            parts = [self._sequence(body, flags) for body in value[1]]
            return _either(parts)
        if op in _REPEATS:
            least, most, body = value
            return self._repeat(least, most, body, flags)
        if op is sre.AT:
            return _NOTHING
        if op in (sre.ASSERT, sre.ASSERT_NOT):
            direction, body = value
            if direction > 0:
                self._ahead = max(self._ahead, self.degree(_without_end(list(body)), flags))
            elif len(set(body.getwidth())) > 1:  # Python finds that out only when it compiles it.
                raise _Refused("it is no regular expression of Python: look-behind needs a fixed width")
            return _NOTHING
        raise _Refused(f"{_NAMES.get(op, str(op).lower())} can take for ever to match")

    def _character(self, reads: int) -> _Part:
        if len(self._reads) >= _MOST_STATES:
            raise _Refused("it is too large when its repeats are written out")
        state = len(self._reads)
        self._reads.append(reads)
        self._follow.append({})
        return _Part(0, {state: 1}, {state: 1})

    def _repeat(self, least: int, most: Any, body: Any, flags: int) -> _Part:
        if most == 0:
            return _NOTHING
        endless = most is sre.MAXREPEAT or most - least > _CLOSE or most > _MOST_COPIES
        part = _NOTHING
        for _ in range(min(least, _MOST_COPIES) - (1 if endless and least else 0)):
            part = self._then(part, self._sequence(body, flags))
        if endless:
            return self._then(part, self._loop(body, flags, at_least_once=least > 0))
        rest = _NOTHING
        for _ in range(most - least):
            whole = self._then(self._sequence(body, flags), rest)
            rest = _Part(whole.empty + 1, whole.first, whole.last)
        return self._then(part, rest)

    def _loop(self, body: Any, flags: int, *, at_least_once: bool) -> _Part:
        part = self._sequence(body, flags)
        if part.empty:
            raise _Refused("it repeats what may be empty, such as (a*)*, which can take for ever")
        for state, count in part.last.items():
            for after, times in part.first.items():
                self._add(state, after, count * times)
        return part if at_least_once else _Part(1, part.first, part.last)


def _either(parts: list[_Part]) -> _Part:
    empty = 0
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for part in parts:
        empty, first, last = empty + part.empty, _plus(first, part.first), _plus(last, part.last)
    return _Part(empty, first, last)


def _is_wide(op: Any, value: Any) -> bool:
    return op is sre.RANGE and value[1] - value[0] > _MOST_FOLDED


def _begins(items: Any, flags: int) -> bool:
    """Whether it can match at the start of a text only."""
    for op, value in items:
        if op is sre.AT:
            if value is sre.AT_BEGINNING_STRING or (value is sre.AT_BEGINNING and not flags & re.MULTILINE):
                return True
        elif op is sre.SUBPATTERN:
            return _begins(value[3], (flags | value[1]) & ~value[2])
        elif op is sre.BRANCH:
            return all(_begins(body, flags) for body in value[1])
        elif op not in (sre.ASSERT, sre.ASSERT_NOT):
            return False
    return False


def _ahead_of_all(items: list[Any]) -> tuple[list[Any], list[Any]]:
    """What looks ahead before anything else, and the rest."""
    once = []
    for k, (op, value) in enumerate(items):
        if op in (sre.ASSERT, sre.ASSERT_NOT) and value[0] > 0:
            once.append(value[1])
        elif op is not sre.AT:
            return once, items[k:]
    return once, []
