"""What is wrong with a definition: a value, and how it is shown."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from attrs import field, frozen

#: Longest stretch of a source line that a problem shows, in columns; of a quoted value, half of it.
MAX_SHOWN = 160
#: Longest message, and longest hint or place, that a problem shows, in characters.
MAX_MESSAGE = 400
MAX_HINT = 240
# Names that are compared one by one to suggest one of them; of more, those that are most alike.
_COMPARED = 20
_LOOKED_AT = 2000


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
    """One thing that is wrong with a definition or with the parameters given to it.

    Such as::

        try:
            bunsui.Pipeline("Load", [bunsui.Job("load", "lambda", function="f", depends_on=["laod"])])
        except bunsui.DefinitionError as error:
            problem = error.problems[0]
        print(problem.code, problem.path)  # unknown-job /jobs/0/depends_on/0
    """

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
    #: The source line that `line` names; of a long one, a stretch around `column`.
    source: str | None = field(default=None, repr=False)
    #: Characters of the line before `source`.
    skipped: int = field(default=0, repr=False)

    @property
    def where(self) -> str:
        """File, line and column as far as they are known, else the path; empty for the whole definition."""
        place = "".join(f":{part}" for part in (self.line, self.column) if part is not None)
        where = f"{_short(self.file, MAX_HINT)}{place}" if self.file else place[1:]
        return where or _short(self.path, MAX_HINT)

    def render(self) -> str:
        """The problem as text: a line with place, code and message, then the source line with carets.

        Such as::

            problem = bunsui.Problem("cycle", "a waits for itself", file="p.yaml", line=3, column=5)
            print(problem.render())  # p.yaml:3:5: error[cycle]: a waits for itself
        """
        head = f"{self.where}: " if self.where else ""
        text = f"{head}{self.severity}[{self.code}]: {_short(self.message, MAX_MESSAGE)}"
        hint = _short(self.hint, MAX_HINT) if self.hint else ""
        if self.source is None or self.line is None or self.column is None:
            return f"{text}\n    {hint}" if hint else text
        number = f"{self.line:>5}"
        start = self.column - 1 - self.skipped
        # A window of a long line, so that one minified JSON line does not fill the screen.
        is_long = len(_fitting(self.source, MAX_SHOWN)) < len(self.source)
        before = _fitting(self.source[:start][::-1], MAX_SHOWN // 2 if is_long else MAX_SHOWN)[::-1]
        shown = printable(_fitting(self.source[start - len(before) :], MAX_SHOWN))
        marked = _fitting(self.source[start : start + max(self.length, 1)], MAX_SHOWN // 2)
        carets = "^" * max(display_width(printable(marked)), 1)
        below = f"{' ' * display_width(printable(before))}{carets}{' ' + hint if hint else ''}"
        return f"{text}\n{number} | {shown}\n{' ' * len(number)} | {below}"

    def sort_key(self) -> tuple[str, int, int, list[str], str]:
        """Orders problems by file, position and path, in which 2 comes before 10.

        Such as::

            problems = [bunsui.Problem("cycle", "...", path=f"/jobs/{job}") for job in (10, 9)]
            print(sorted(problems, key=bunsui.Problem.sort_key)[0].path)  # /jobs/9
        """
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


def _short(text: str, most: int) -> str:
    """`text` as it is printed, cut to `most` characters."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _fitting(text: str, columns: int) -> str:
    """As much of the beginning of `text` as is printed in so many columns."""
    text = text[:columns]
    if text.isascii() and text.isprintable():
        return text
    width = 0
    for number, char in enumerate(text):
        width += display_width(printable(char))
        if width > columns:
            return text[:number]
    return text


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
    most = MAX_SHOWN // 2
    if isinstance(value, str):
        text = repr(value[: most + 1])
    else:
        text = ""
        for piece in _json(value, most):
            text += piece
            if len(text) > most:
                break
    return text if len(text) <= most else text[: most - 1] + "…"


def _json(value: object, most: int) -> Iterator[str]:
    """`value` as JSON, piece by piece, each made when it is asked for; texts are cut to `most` characters."""
    if isinstance(value, Mapping):
        comma = "{"
        for key, item in value.items():
            yield f"{comma}{json.dumps(str(key)[: most + 1], ensure_ascii=False)}: "
            yield from _json(item, most)
            comma = ", "
        yield "}" if value else "{}"
    elif isinstance(value, list | tuple):
        comma = "["
        for item in value:
            yield comma
            yield from _json(item, most)
            comma = ", "
        yield "]" if value else "[]"
    else:
        cut = value[: most + 1] if isinstance(value, str) else value
        yield json.dumps(cut, ensure_ascii=False, default=str)


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint that names the candidate nearest to `name`, or None where none is near."""
    import difflib  # noqa: PLC0415 - only where something is wrong

    # get_close_matches is quadratic in the length of its texts.
    name = name[:80]
    compared = [c for c in islice(candidates, _LOOKED_AT) if len(c) <= 128]
    if len(compared) > _COMPARED:
        first, last, size = name[:2], name[-2:], len(name)
        compared = [c for c in compared if -3 < len(c) - size < 3 and (c[:2] == first or c[-2:] == last)]
        # The last letters differ where names are numbered.
        compared.sort(key=lambda c: c[-3:] != name[-3:])
    close = difflib.get_close_matches(name, compared[:_COMPARED], 1)
    return f"did you mean '{close[0]}'?" if close else None
