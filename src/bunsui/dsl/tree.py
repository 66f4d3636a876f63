"""Builds plain data from its parts, one after the other, within the limits of a definition."""

from __future__ import annotations

import math
import re
from array import array
from typing import Any, NoReturn

from attrs import define

from bunsui.dsl.document import PLACE_BITS, Places, Source
from bunsui.dsl.problems import Problem, pointer, quoted
from bunsui.dsl.words import kind
from bunsui.errors import DefinitionError

#: Deepest nesting of lists and mappings, after aliases are expanded.
MAX_DEPTH = 64
#: Most values and keys, after aliases are expanded.
MAX_NODES = 1_000_000
#: Most characters of text, after aliases are expanded; as many as a text may have bytes.
MAX_CHARACTERS = 16 * 2**20
#: Parsing stops at this many problems.
MAX_PROBLEMS = 100
# Keys that are remembered so that equal ones share memory: those of many mappings are few.
_MOST_NAMES = 10_000
#: Lists of mappings, by their field: the key that comes first in each, and what they are.
_ITEMS = {"jobs": ("id", "job"), "parameters": ("name", "parameter")}


class BadNumber(Exception):
    """A number that does not fit; its text is the message."""


def integer(text: str, base: int = 10) -> int:
    """The signed 64-bit integer that `text` writes in `base`; `BadNumber` beyond that."""
    # int() of thousands of digits is slow, and refuses to print what it made of hexadecimal ones.
    value = int(text, base) if len(text) <= 24 else None
    if value is None:
        digits = text.lstrip("+-").lstrip("0") or "0"
        value = int(digits, base) * (-1 if text[0] == "-" else 1) if len(digits) <= 24 else 2**64
    if not -(2**63) <= value < 2**63:
        raise BadNumber(f"the integer {quoted(text)} does not fit into 64 bits")
    return value


def real(text: str) -> float:
    """The finite float that `text` writes, or `BadNumber`."""
    value = float(text)
    if not math.isfinite(value):
        raise BadNumber(f"the number {quoted(text)} is too large for a float of 64 bits")
    return value


def encodable(text: str) -> bool:
    """Whether `text` is free of unpaired surrogates."""
    return text.isascii() or not _SURROGATE.search(text)


_SURROGATE = re.compile("[\ud800-\udfff]")


@define(eq=False)
class Shared:
    """A value that can be met again: an anchor, or an object of Python."""

    value: Any = None
    #: After expansion; 0 while it is being built.
    nodes: int = 0
    #: Characters of the text that it is written in, after expansion.
    size: int = 0
    #: Levels of lists and mappings, itself included.
    height: int = 0
    #: Where it stands among the places.
    node: int = 0
    #: While it is being built: nodes by aliases and characters before it, and the greatest depth inside it.
    before: tuple[int, int] = (0, 0)
    deepest: int = 0


class Builder:
    """Builds data from leaves and starts and ends of containers; keeps places, limits, problems."""

    def __init__(self, source: Source, *, placed: bool = True) -> None:
        self.source = source
        self._placed = placed
        self.problems: list[Problem] = []
        self.places = Places(array("q"))
        # Of the innermost container. These are attributes of the builder, not of an object for each
        # container, as there may be a million.
        #: What is filled; the outermost is a list for the root.
        self.container: dict[str, Any] | list[Any] = []
        #: Of a mapping: the key whose value comes next.
        self.key: str | None = None
        #: Where it stands among the places.
        self.node = -1
        #: The same of those around it.
        self.stack: list[tuple[dict[str, Any] | list[Any], str | None, int]] = []
        #: Those of them, itself included, that can be met again.
        self._open: list[Shared] = []
        self._nodes = self.places.nodes
        self._record = self._nodes.append
        #: Nodes that aliases add, and how many there may be beside them.
        self._extra = 0
        self._room = MAX_NODES
        #: Characters beyond those of the text.
        self._spent = 0
        #: Keys, so that equal ones share memory.
        self._names: dict[str, str] = {}
        #: What the stand-ins of bad keys are called in paths.
        self._shown: dict[str, str] = {}
        #: The mappings that two items have become, and keys in them that were met again and not reported.
        self._joined: set[int] = set()
        self._unsaid = 0

    def leaf(self, value: Any, start: int, end: int) -> None:
        """Adds a value, or the next key of a mapping."""
        self._record(start << PLACE_BITS | end)
        if len(self._nodes) > self._room:
            self._too_many(start, end)
        container = self.container
        if type(container) is list:
            container.append(value)
        elif self.key is not None:
            container[self.key] = value  # type: ignore[call-overload]
            self.key = None
        else:
            self.key = self._key(value, container, start, end)  # type: ignore[arg-type]

    def _too_many(self, start: int, end: int) -> NoReturn:
        self.fail(
            "too-many-nodes",
            f"more than {MAX_NODES:,} values and keys, counting an alias as what it stands for",
            start,
            end,
            hint="split the definition, or use for_each",
        )

    def _key(self, value: Any, container: dict[str, Any], start: int, end: int) -> str:
        if type(value) is str:
            if value not in container:
                names = self._names
                return names.setdefault(value, value) if len(names) < _MOST_NAMES else names.get(value, value)
            self._repeated(value, container, start, end)
        else:
            raw = self.source.text[start:end]
            hint = f"quote it: '{raw}'" if raw and raw.isprintable() and len(raw) < 40 else None
            self.problem("bad-key", f"a key must be text, but this is {kind(value)}", start, end, hint=hint)
        return self._stand_in(value if type(value) is str else raw)

    def _stand_in(self, name: str) -> str:
        """A key for what can't be a key (again), so that places and items stay in step."""
        stand_in = f"\0{len(self._nodes)}"
        self._shown[stand_in] = name
        return stand_in

    def _repeated(self, name: str, container: dict[str, Any], start: int, end: int) -> None:
        if self.node in self._joined:
            self._unsaid += 1
            if len(self.problems) + self._unsaid >= MAX_PROBLEMS:
                raise self._error()
            return
        first, hint = "", "remove or rename one of them"
        if self._placed:
            node = self.places.find(self.node, container, name)
            assert node is not None  # noqa: S101 - the name is in the container
            span = self.source.span(*self.places.bounds(node))
            first = f"; the first is at line {span.line}, column {span.column}"
        message = f"key {quoted(name)} appears more than once in this mapping{first}"
        key, item = _ITEMS.get(self.stack[1][1] or "", ("", "")) if len(self.stack) == 3 else ("", "")
        if key == name and type(self.stack[2][0]) is list:
            # The '- ' is missing, so all that follows is the next item's.
            self._joined.add(self.node)
            in_braces = self._placed and self.source.text[self._nodes[self.node] >> PLACE_BITS] == "{"
            hint = f"if another {item} begins here, write '{'}, {' if in_braces else '- '}' before it"
        self.problem("duplicate-key", message, start, end, hint=hint, name=name)

    def open(self, container: dict[str, Any] | list[Any], start: int, shared: Shared | None = None) -> None:
        """Starts a list or mapping; what follows goes into it until `close`."""
        key = self.key
        if key is None and type(self.container) is dict:
            what = f"a key must be text, but this is {kind(container)}"
            hint = "quote text that starts with '{' or '['; a reference is written ${name}"
            self.problem("bad-key", what, start, start + 1, hint=hint)
        stack, node = self.stack, len(self._nodes)
        depth = len(stack) + 1
        if depth > MAX_DEPTH:
            self.too_deep(start, start + 1)
        stack.append((self.container, key, self.node))
        self.container, self.key, self.node = container, None, node
        if shared is not None:
            shared.value, shared.node, shared.before = container, node, (self._extra, self._spent)
            self._open.append(shared)
        if self._open:
            self._reach(depth)
        self._record(start << PLACE_BITS)
        if node >= self._room:
            self._too_many(start, start + 1)

    def close(self) -> None:
        """Ends the innermost container and adds it to its parent."""
        nodes, node, inner = self._nodes, self.node, self.container
        if self._open and self._open[-1].node == node:
            self._close_shared(self._open.pop())
        nodes[node] = ~(nodes[node] | len(nodes))
        container, key, self.node = self.stack.pop()
        self.container = container
        if type(container) is list:
            container.append(inner)
            self.key = None
        elif key is not None:
            container[key] = inner  # type: ignore[call-overload]
            self.key = None
        else:
            self.key = self._stand_in("")

    def _reach(self, depth: int) -> None:
        """Notes the depth for what can be met again around here."""
        shared = self._open[-1]
        shared.deepest = max(shared.deepest, depth)

    def _close_shared(self, shared: Shared) -> None:
        extra, spent = shared.before
        shared.nodes = len(self._nodes) - shared.node + self._extra - extra
        shared.height = shared.deepest - len(self.stack) + 1
        if self._open:
            self._reach(shared.deepest)
        shared.size = self._spent - spent
        if self._placed:
            shared.size += self.places.bounds(len(self._nodes) - 1)[1] - self.places.bounds(shared.node)[0]

    def spend(self, characters: int, start: int, end: int) -> None:
        """Counts characters that are not in the text: an alias's, or those of Python data."""
        self._spent += characters
        if self._spent > MAX_CHARACTERS:
            message = f"more than {MAX_CHARACTERS:,} characters, counting an alias as what it stands for"
            self.fail("too-large", message, start, end, hint="split the definition")

    def again(self, shared: Shared, start: int, end: int) -> None:
        """Adds a value that was met before, at the cost of what it holds."""
        value = shared.value
        if not shared.nodes:
            message = "this refers to a list or mapping that it stands in"
            self.problem("cyclic-alias", message, start, end, hint="data can't contain itself")
            value = None
        self.spend(shared.size, start, end)
        if shared.nodes and shared.height:
            self._extra += shared.nodes - 1
            self._room -= shared.nodes - 1
            depth = len(self.stack) + shared.height
            if depth > MAX_DEPTH:
                self.too_deep(start, end)
            if self._open:
                self._reach(depth)
            self.places.aliases[len(self._nodes)] = shared.node
        self.leaf(value, start, end)

    def too_deep(self, start: int, end: int) -> NoReturn:
        """Raises that nesting goes too deep here, with all problems that were noted."""
        self.fail("too-deep", f"lists and mappings are nested more than {MAX_DEPTH} deep", start, end)

    def problem(
        self,
        code: str,
        message: str,
        start: int,
        end: int,
        *,
        hint: str | None = None,
        name: str | None = None,
    ) -> None:
        """Notes a problem with what comes next; `name` is its key where that is not yet known."""
        path: list[str | int] = []
        for container, key, _ in [*self.stack, (self.container, self.key, self.node)][1:]:
            if isinstance(container, list):
                path.append(len(container))
            elif key is not None:
                path.append(self._shown.get(key, key))
        if name is not None:
            path.append(name)
        where = pointer(path)
        if self._placed:
            found = self.source.problem(code, message, start, end, hint=hint, path=where)
        else:
            found = Problem(code, message, hint=hint, file=self.source.file, path=where)
        self.problems.append(found)
        if len(self.problems) >= MAX_PROBLEMS:
            raise self._error()

    def fail(self, code: str, message: str, start: int, end: int, *, hint: str | None = None) -> NoReturn:
        """Notes a problem that ends the parsing, and raises all that were noted."""
        self.problem(code, message, start, end, hint=hint)
        raise self._error()

    def finish(self) -> Any:
        """The data, or DefinitionError with all problems that were noted."""
        if self.problems:
            raise self._error()
        root = self.container
        return root[0] if isinstance(root, list) else None

    def _error(self) -> DefinitionError:
        return DefinitionError(sorted(self.problems, key=Problem.sort_key))
