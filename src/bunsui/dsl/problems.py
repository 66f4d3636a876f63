"""What is wrong with a definition: a value, and how it is shown."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Longest stretch of a source line, or of a quoted value, that a problem shows.
MAX_SHOWN = 160


@frozen
class Span:
    """A stretch of one line of a source text."""

    #: Starts at 1.
    line: int
    #: In characters; starts at 1.
    column: int
    #: In characters; at least 1, and it ends with the line.
    length: int = 1


@frozen
class Problem:
    """One thing that is wrong with a definition or with the parameters given to it."""

    #: Stable; such as ``unknown-job``.
    code: str
    #: What is wrong, for a person; one line.
    message: str
    #: What to do about it.
    hint: str | None = None
    #: The file that the definition came from.
    file: str | None = None
    #: Starts at 1; None where there is no text (a definition made in Python).
    line: int | None = None
    #: In characters, starts at 1.
    column: int | None = None
    #: JSON pointer (RFC 6901) into the data.
    path: str = ""
    #: ``error`` or ``warning``.
    severity: str = "error"
    #: Characters to underline, from `column`.
    length: int = 1
    #: The source line that `line` names.
    source: str | None = field(default=None, repr=False)

    def render(self) -> str:
        """The problem as text: a line with place, code and message, then the source line with carets."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        where = place or self.path
        head = f"{printable(where)}: " if where else ""
        text = f"{head}{self.severity}[{self.code}]: {printable(self.message)}"
        if self.source is None or self.line is None or self.column is None:
            return f"{text}\n    {printable(self.hint)}" if self.hint else text
        number = f"{self.line:>5}"
        start = self.column - 1
        # A window of a long line, so that one minified JSON line does not fill the screen.
        left = max(0, start - MAX_SHOWN // 2) if len(self.source) > MAX_SHOWN else 0
        shown = printable(self.source[left : left + MAX_SHOWN])
        before = display_width(printable(self.source[left:start]))
        marked = self.source[start : start + max(self.length, 1)][: MAX_SHOWN // 2]
        carets = "^" * max(display_width(printable(marked)), 1)
        below = f"{' ' * before}{carets}{' ' + printable(self.hint) if self.hint else ''}"
        return f"{text}\n{number} | {shown}\n{' ' * len(number)} | {below}"

    def sort_key(self) -> tuple[str, int, int, list[str], str]:
        """Orders problems by file, position and path, in which 2 comes before 10."""
        path = [part.zfill(8) if part.isdecimal() else part for part in self.path.split("/")]
        return (self.file or "", self.line or 0, self.column or 0, path, self.code)


def printable(text: str) -> str:
    """`text` with control characters, bidi marks and unpaired surrogates escaped, safe for a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        (c if c == " " or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else ascii(c)[1:-1])
        for c in text
    )


def display_width(text: str) -> int:
    """Columns that `text` takes in a terminal: East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def pointer(path: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def quoted(value: object) -> str:
    """`value` as it may stand in a message: short; text in single quotes, all else as JSON."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN // 2 else text[: MAX_SHOWN // 2 - 1] + "…"


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint that names the candidate nearest to `name`, or None where none is near."""
    import difflib  # noqa: PLC0415 - only where something is wrong

    # get_close_matches is quadratic in the length of its texts.
    close = difflib.get_close_matches(name[:80], [c for c in candidates if len(c) <= 128], 1)
    return f"did you mean '{close[0]}'?" if close else None
