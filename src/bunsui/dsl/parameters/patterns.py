"""Regular expressions that a definition brings, matched by RE2: no text takes it for ever.

Python's own matcher tries every way to read a text, and a short pattern can be made to have more of them than
anybody can wait for. RE2's time is linear in the text. What would need more it refuses: look-ahead,
look-behind, references to groups.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

__all__ = ["MAX_LENGTH", "SYNTAX", "BadPattern", "quick", "search", "size"]

#: Longest pattern, in characters.
MAX_LENGTH = 1000
#: Most instructions that a pattern may be compiled to: each may cost time at each character of a text.
MAX_SIZE = 100_000
# Instructions of a pattern that no text can make slow: the worst takes 0.4 ns at each character for each.
_QUICK = 500
#: What to tell the one whose pattern is refused.
SYNTAX = "patterns are RE2's: no look-ahead, no look-behind, no references to groups"
# Bytes that one pattern may take with what is remembered of matching it, and how many patterns are kept.
_MOST_MEMORY = 4 * 2**20
_KEPT = 32


class BadPattern(ValueError):
    """A pattern that can't be used; its text says why."""


def search(pattern: str, text: str) -> bool:
    """Whether a pattern matches somewhere in a text.

    Raises:
        BadPattern: it is no pattern.
    """
    return _compiled(pattern).search(text) is not None


def size(pattern: str) -> int:
    """The number of instructions that a pattern is compiled to.

    Raises:
        BadPattern: it is no pattern.
    """
    return int(_compiled(pattern).programsize)


def quick(pattern: str) -> Callable[[str], bool]:
    """`search` for a pattern that is quick, whatever the text.

    Raises:
        BadPattern: it is no pattern, or not quick.
    """
    if size(pattern) > _QUICK:
        raise BadPattern("it may be slow")
    # By its text: kept patterns may take much memory, so that only so many are.
    return partial(search, pattern)


@lru_cache(maxsize=_KEPT)
def _compiled(pattern: str) -> Any:
    import re2  # noqa: PLC0415 - a definition without patterns does not need it

    if len(pattern) > MAX_LENGTH:
        raise BadPattern(f"it has more than {MAX_LENGTH:,} characters")
    options = re2.Options()
    options.log_errors = False  # On stderr, that is.
    options.never_capture = True
    options.max_mem = _MOST_MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        (reason,) = error.args
        raise BadPattern(reason.decode() if isinstance(reason, bytes) else str(reason)) from error
    if compiled.programsize > MAX_SIZE:
        raise BadPattern("it is too large when its repeats are written out")
    return compiled
