"""Plain data that knows where in its text each value stands."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen

from bunsui.dsl.problems import Problem, Span, pointer
from bunsui.model.lazy import cached_property

# A node's place is start << PLACE_BITS | end, in characters; both fit, as a text has at most 2**24
# of them. A container's is ~(start << PLACE_BITS | index of the first node after it), so that
# siblings are found without visiting what they hold.
PLACE_BITS = 25
_MASK = 2**PLACE_BITS - 1
_BLOCK = 2**16
# Characters of a long line that a problem keeps on each side of its place.
_AROUND = 500


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

    def span(self, start: int, end: int) -> Span:
        """What stands from offset `start` to `end`, up to the end of the line."""
        block = start // _BLOCK
        number = self._breaks[block] + self.text.count("\n", block * _BLOCK, start)
        first, last = self._line(start)
        return Span(number + 1, start - first + 1, max(min(end, last) - start, 1))

    def _line(self, at: int) -> tuple[int, int]:
        """Where the line begins that offset `at` stands in, and where it ends."""
        last = self.text.find("\n", at)
        last = len(self.text) if last < 0 else last
        return self.text.rfind("\n", 0, at) + 1, last - 1 if self.text[last - 1 : last] == "\r" else last

    def problem(self, code: str, message: str, start: int, end: int, **more: Any) -> Problem:
        """A problem from offset `start` to `end`; `more` are fields of `Problem`."""
        span = self.span(start, end)
        first, last = self._line(start)
        # Many problems on one line of megabytes must not each hold it.
        left, right = max(first, start - _AROUND), min(last, start + _AROUND)
        if last - first <= _AROUND:
            left, right = first, last
        return Problem(
            code,
            message,
            file=self.file,
            line=span.line,
            column=span.column,
            length=span.length,
            source=self.text[left:right],
            skipped=left - first,
            **more,
        )


@frozen
class Places:
    """Where the nodes of a text stand, keys included, in the order of the text."""

    nodes: array[int]
    #: The node that an alias stands for, where that is a container.
    aliases: dict[int, int] = field(factory=dict)
    #: Of containers, the nodes of their first items, as far as they were asked for; of a mapping, the keys'.
    _children: dict[int, array[int]] = field(factory=dict)
    #: The keys of mappings that were asked for. Lists and arrays take a third of what a dictionary would.
    _keys: dict[int, list[str]] = field(factory=dict)

    def bounds(self, node: int) -> tuple[int, int]:
        """Offsets of start and end; of a container, of its first character."""
        place = self.nodes[node]
        if place < 0:
            start = ~place >> PLACE_BITS
            return start, start + 1
        # A container that is not closed yet has no end.
        start, end = place >> PLACE_BITS, place & _MASK
        return start, end or start + 1

    def after(self, node: int) -> int:
        """The first node that is neither `node` nor inside it."""
        place = self.nodes[node]
        return node + 1 if place >= 0 else ~place & _MASK

    def find(self, node: int, container: dict[str, Any] | list[Any], name: str | int) -> int | None:
        """The node of the item `name` of the container at `node`, or of its key in a mapping."""
        node = self.aliases.get(node, node)
        if isinstance(container, dict):
            if name not in container:
                return None
            keys = self._keys.get(node)
            if keys is None or len(keys) < len(container):
                keys = self._keys[node] = list(container)
            return self._item(node, keys.index(str(name)), 2)
        if not isinstance(name, int) or not 0 <= name < len(container):
            return None
        return self._item(node, name, 1)

    def _item(self, node: int, number: int, step: int) -> int:
        """The node of an item of a container; each takes `step` nodes and what is in them."""
        found = self._children.get(node)
        if found is None:
            found = self._children[node] = array("i", [node + 1])
        child = found[-1]
        while len(found) <= number:
            for _ in range(step):
                child = self.after(child)
            found.append(child)
        return found[number]


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

    def value(self, path: Sequence[str | int]) -> Any:
        """The value at `path`, or None where there is none."""
        value = self.data
        for step in path:
            if not isinstance(value, dict | list):
                return None
            try:
                value = value[step]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                return None
        return value

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
                that part is underlined, unless escapes make it impossible to find.
        """
        more: dict[str, Any] = {"hint": hint, "severity": severity, "path": pointer(path)}
        found = self._find(path, key)
        if not found:
            return Problem(code, message, file=self.file, **more)
        value, (start, end) = found
        raw = self.text[start:end]
        if within and isinstance(value, str):
            part = value[within[0] : sum(within)]
            whole = raw.rfind(value)
            at = whole + within[0] if whole >= 0 else raw.find(part)
            if whole >= 0 or (part and at >= 0 and raw.find(part, at + 1) < 0):
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
