"""Plain data that knows where in its text each value stands."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from attrs import field, frozen

from bunsui.dsl.problems import Problem, Span, pointer

# A node's place is start << PLACE_BITS | end, in characters; both fit, as a text has at most 2**24
# of them. A container's is ~(start << PLACE_BITS | index of the first node after it), so that
# siblings are found without visiting what they hold.
PLACE_BITS = 25
_MASK = 2**PLACE_BITS - 1
_BLOCK = 2**16


@frozen(slots=False)
class Source:
    """A decoded text, without byte order mark, that turns offsets into lines and columns."""

    text: str = field(repr=False)
    file: str | None = None

    @cached_property
    def _breaks(self) -> list[int]:
        """Line breaks before each block: a table of all lines could take 2**24 entries."""
        counts = [0]
        for start in range(0, len(self.text), _BLOCK):
            counts.append(counts[-1] + self.text.count("\n", start, start + _BLOCK))
        return counts

    @cached_property
    def _lines(self) -> dict[int, str]:
        """Source lines by offset, so that many problems on one long line share its text."""
        return {}

    def span(self, start: int, end: int) -> Span:
        """What stands from offset `start` to `end`, up to the end of the line."""
        block = start // _BLOCK
        number = self._breaks[block] + self.text.count("\n", block * _BLOCK, start)
        first = self.text.rfind("\n", 0, start) + 1
        length = min(end, first + len(self._line(first))) - start
        return Span(number + 1, start - first + 1, max(length, 1))

    def _line(self, first: int) -> str:
        line = self._lines.get(first)
        if line is None:
            last = self.text.find("\n", first)
            line = self.text[first : len(self.text) if last < 0 else last].removesuffix("\r")
            self._lines[first] = line
        return line

    def problem(self, code: str, message: str, start: int, end: int, **more: Any) -> Problem:
        """A problem from offset `start` to `end`; `more` are fields of `Problem`."""
        span = self.span(start, end)
        line = self._line(start - span.column + 1)
        return Problem(
            code,
            message,
            file=self.file,
            line=span.line,
            column=span.column,
            length=span.length,
            source=line,
            **more,
        )


@frozen
class Places:
    """Where the nodes of a text stand, keys included, in the order of the text."""

    nodes: array[int]
    #: The node that an alias stands for, where that is a container.
    aliases: dict[int, int] = field(factory=dict)
    _children: dict[int, dict[str | int, int]] = field(factory=dict)

    def bounds(self, node: int) -> tuple[int, int]:
        """Offsets of start and end; of a container, of its first character."""
        place = self.nodes[node]
        return (
            (place >> PLACE_BITS, place & _MASK)
            if place >= 0
            else (~place >> PLACE_BITS, (~place >> PLACE_BITS) + 1)
        )

    def after(self, node: int) -> int:
        """The first node that is neither `node` nor inside it."""
        place = self.nodes[node]
        return node + 1 if place >= 0 else ~place & _MASK

    def find(self, node: int, container: dict[str, Any] | list[Any], name: str | int) -> int | None:
        """The node of the item `name` of the container at `node`, or of its key in a mapping."""
        node = self.aliases.get(node, node)
        if node not in self._children:
            self._children[node] = self.items(node, container)
        return self._children[node].get(name)

    def items(self, node: int, container: dict[str, Any] | list[Any]) -> dict[str | int, int]:
        """The nodes of all items so far, by index or key; of a mapping, those of its keys."""
        found: dict[str | int, int] = {}
        child = node + 1
        names: Sequence[str | int] = list(container) if isinstance(container, dict) else range(len(container))
        for name in names:
            found[name] = child
            child = self.after(child)
            if isinstance(container, dict):
                child = self.after(child)
        return found


@frozen(slots=False)
class Document:
    """Plain data, and where in the text each of its values stands."""

    #: dict, list, str, int, float, bool or None. Aliases share one value: read it, don't change it.
    data: Any
    #: Without byte order mark; empty where the data came from Python.
    text: str = field(default="", repr=False)
    #: The name of the file, as it was given.
    file: str | None = None
    _places: Places | Callable[[], Places] | None = field(default=None, repr=False, eq=False)

    @cached_property
    def _source(self) -> Source:
        return Source(self.text, self.file)

    @cached_property
    def _known(self) -> Places | None:
        return self._places() if callable(self._places) else self._places

    def span(self, path: Sequence[str | int], *, key: bool = False) -> Span | None:
        """Where the value at `path` stands, or the nearest parent that exists; its first line only.

        Args:
            path: keys and indexes (from 0) from the root.
            key: the mapping key that leads to the value instead of the value.

        Returns:
            The first character of a list or mapping, all of a scalar; None where there is no text.
        """
        found = self._find(path, key)
        return self._source.span(*found[1]) if found else None

    def problem(
        self,
        code: str,
        message: str,
        path: Sequence[str | int] = (),
        *,
        key: bool = False,
        hint: str | None = None,
        severity: str = "error",
        within: tuple[int, int] | None = None,
    ) -> Problem:
        """A problem with the value at `path`, placed in the text as `span` does.

        Args:
            code: stable, kebab-case.
            message: what is wrong, for a person.
            path: keys and indexes (from 0) from the root; kept as JSON pointer even where it
                does not exist.
            key: underline the mapping key that leads to the value.
            hint: what to do about it.
            severity: ``error`` or ``warning``.
            within: offset and length, in characters, of a part of the text value (or key): only
                that part is underlined, unless line breaks or escapes make it impossible to find.
        """
        more: dict[str, Any] = {"hint": hint, "severity": severity, "path": pointer(path)}
        found = self._find(path, key)
        if not found:
            return Problem(code, message, file=self.file, **more)
        value, (start, end) = found
        raw = self.text[start:end]
        if within and isinstance(value, str) and "\n" not in raw:
            part = value[within[0] : sum(within)]
            whole = raw.rfind(value)
            at = whole + within[0] if whole >= 0 else raw.find(part) if raw.count(part) == 1 else -1
            if at >= 0:
                start, end = start + at, start + at + len(part)
        return self._source.problem(code, message, start, end, **more)

    def _find(self, path: Sequence[str | int], key: bool) -> tuple[Any, tuple[int, int]] | None:
        """The value (or key) at `path` or nearest to it, and its offsets."""
        places = self._known
        if places is None:
            return None
        value, node, name = self.data, 0, None
        for index, part in enumerate(path):
            child = None if isinstance(part, bool) else self._child(places, node, value, part)
            if child is None:
                break
            if isinstance(value, dict):
                name = child if key and index == len(path) - 1 else None
                child = places.after(child)
            value, node = value[part], child
        if name is not None:
            value, node = path[-1], name
        start, end = places.bounds(node)
        # Anchors and tags belong to the event, but the value is what stands after them.
        if before := _PROPERTIES.match(self.text, start):
            start, end = before.end(), max(end, before.end() + 1)
        return value, (start, end)

    @staticmethod
    def _child(places: Places, node: int, value: Any, part: str | int) -> int | None:
        if isinstance(value, dict) and isinstance(part, str):
            return places.find(node, value, part)
        if isinstance(value, list) and isinstance(part, int):
            return places.find(node, value, part)
        return None


_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)+(?=[^\s#])")
