"""References in texts, parsed: ``${parameters.x}``, ``${jobs.extract.output.rows}`` and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from attrs import frozen

__all__ = [
    "BadReference",
    "Marked",
    "Path",
    "Reference",
    "escaped",
    "marked",
    "one_reference",
    "parse",
    "read_reference",
    "references",
    "references_in",
]

#: First names that are not parameters; ``${parameters.NAME}`` reaches a parameter of such a name.
ROOTS = frozenset(
    {
        "parameters",
        "jobs",
        "session",
        "pipeline",
        "env",
        "secrets",
        "item",
        "item_index",
        "inputs",
    }
)
#: Longest reference, in characters.
MAX_LENGTH = 1024
# Longest text of which very many are remembered with their parts, in characters.
_REMEMBERED = 256
#: Most references in one text.
MAX_IN_A_TEXT = 10_000

_START = re.compile(r"\$?\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r"""\.(?P<name>[A-Za-z0-9_-]+)|\[(?P<index>[0-9]{1,9})\]|\["(?P<key>[^"\\]*)"\]""")


@frozen
class Reference:
    """One ``${...}``."""

    #: As it stands between the braces.
    text: str
    #: ``parameters``, ``jobs``, ``session`` or another of `ROOTS`; ``${x}`` is ``parameters`` and ``x``.
    root: str
    #: Names and list indexes, from the root.
    path: tuple[str | int, ...]


class BadReference(ValueError):
    """A ``${`` that is not a reference.

    Attributes:
        offset: where it starts in its text. length: how many characters it takes.
    """

    def __init__(self, message: str, offset: int, length: int) -> None:
        super().__init__(message)
        self.offset = offset
        self.length = length


#: Keys and indexes from the root of a value.
Path = tuple[str | int, ...]
#: A text that holds ``${``: the path to it, the text, and whether it is a key.
Marked = tuple[Path, str, bool]
#: A text in parts: literal text, and references with their offset in the whole.
Parts = tuple[str | tuple[Reference, int, int], ...]


def parse(text: str) -> Parts:
    """A text in parts: literals, and (reference, offset, length). ``$${`` is a literal ``${``.

    Raises:
        BadReference: a ``${`` does not begin a reference, or there are more than `MAX_IN_A_TEXT`.
    """
    # What is made of a long text takes much memory: only the last ones are kept, as they are asked for again.
    return _remembered(text) if len(text) <= _REMEMBERED else _recent(text)


@lru_cache(maxsize=4096)
def _remembered(text: str) -> Parts:
    return _parse(text)


@lru_cache(maxsize=4)
def _recent(text: str) -> Parts:
    return _parse(text)


def _parse(text: str) -> Parts:
    parts: list[str | tuple[Reference, int, int]] = []
    literal = ""
    at = count = 0
    while found := _START.search(text, at):
        literal += text[at : found.start()]
        if len(found.group()) == 3:
            literal += "${"
            at = found.end()
            continue
        reference, end = read_reference(text, found.start())
        count += 1
        if count > MAX_IN_A_TEXT:
            message = f"a text with more than {MAX_IN_A_TEXT:,} references"
            raise BadReference(message, found.start(), end - found.start())
        if literal:
            parts.append(literal)
            literal = ""
        parts.append((reference, found.start(), end - found.start()))
        at = end
    literal += text[at:]
    if literal or not parts:
        parts.append(literal)
    return tuple(parts)


def read_reference(text: str, start: int) -> tuple[Reference, int]:
    """The reference whose ``${`` begins at `start`, and the offset behind it.

    Raises:
        BadReference: none begins there.
    """
    end = text.find("}", start)
    length = (end if end >= 0 else len(text)) - start + 1
    if end < 0:
        raise BadReference("'${' without '}'", start, length - 1)
    if length > MAX_LENGTH:
        raise BadReference(f"a reference of more than {MAX_LENGTH:,} characters", start, length)
    return _reference(text[start + 2 : end], start, length), end + 1


def _reference(text: str, offset: int, length: int) -> Reference:
    inner = text.strip()
    name = _NAME.match(inner)
    if name is None:
        raise BadReference(
            "a reference is a name and its path, such as ${parameters.x} or ${jobs.ID.output.x};"
            " for a literal '${' write '$${'",
            offset,
            length,
        )
    path: list[str | int] = [name.group()]
    at = name.end()
    while at < len(inner):
        step = _STEP.match(inner, at)
        if step is None:
            raise BadReference(
                f"'{inner[at : at + 20]}' is not a step of a path: write .name, [0] or [\"key\"]",
                offset,
                length,
            )
        if step["index"] is not None:
            path.append(int(step["index"]))
        else:
            path.append(step["name"] if step["name"] is not None else step["key"])
        at = step.end()
    first = name.group()
    if first in ROOTS:
        return Reference(inner, first, tuple(path[1:]))
    return Reference(inner, "parameters", tuple(path))


def marked(value: Any, path: Path = ()) -> Iterator[Marked]:
    """Every text in `value`, keys included, that holds ``${``, in the order of the value."""
    # The iterators of the containers around, and the steps to them: a value may be large.
    around: list[Iterator[tuple[str | int, Any]]] = []
    steps = list(path)
    if isinstance(value, str):
        if "${" in value:
            yield path, value, False
    elif (inside := _items(value)) is not None:
        around.append(inside)
    while around:
        for step, item in around[-1]:
            if type(step) is str and "${" in step:
                yield (*steps, step), step, True
            if isinstance(item, str):
                if "${" in item:
                    yield (*steps, step), item, False
            elif (inside := _items(item)) is not None:
                around.append(inside)
                steps.append(step)
                break
        else:
            around.pop()
            if around:
                steps.pop()


def _items(value: Any) -> Iterator[tuple[str | int, Any]] | None:
    """The items of a container with their keys or indexes; None: it is none."""
    if type(value) is dict or isinstance(value, Mapping):
        return iter(value.items())
    return enumerate(value) if isinstance(value, list | tuple) else None


def escaped(value: Any) -> Any:
    """A copy of plain data as a definition writes it that means just that: a literal ``${`` is ``$${``."""
    # Recursion is bounded: definitions, and what they bring in, have a greatest depth.
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list | tuple) else value


def one_reference(value: Any) -> Reference | None:
    """The reference that a text consists of, or None where it is anything else."""
    if not isinstance(value, str) or "${" not in value:
        return None
    try:
        parts = parse(value)
    except BadReference:
        return None
    return parts[0][0] if len(parts) == 1 and not isinstance(parts[0], str) else None


def references(value: Any, path: Path = ()) -> Iterator[tuple[Path, int, int, Reference | BadReference]]:
    """Every reference in the texts of `value`, as (path to the text, offset, length, reference)."""
    for where, text, is_key in marked(value, path):
        if not is_key:
            yield from ((where, *found) for found in references_in(text))


def references_in(text: str) -> Iterator[tuple[int, int, Reference | BadReference]]:
    """Every reference in a text, as (offset, length, reference); what is none ends it."""
    try:
        parts = parse(text)
    except BadReference as bad:
        yield bad.offset, bad.length, bad
        return
    for part in parts:
        if not isinstance(part, str):
            reference, offset, length = part
            yield offset, length, reference
