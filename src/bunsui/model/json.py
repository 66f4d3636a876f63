"""JSON as a value: the text that was committed, decoded when somebody looks."""

from __future__ import annotations

import json
import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Deepest nesting of lists and mappings. Whoever reads a value back may stand deep in a stack of its own.
MAX_DEPTH = 200
#: How many containers of one level are looked at together.
_CHUNK = 1000

_dumps = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, separators=(",", ":"), check_circular=True
).encode


class Json:
    """A JSON document as its compact text.

    A job's output is encoded once, in the thread that made it; the text goes into the history as it
    is. Each `value` is decoded anew, so what one job does to its input can't reach another's.
    """

    __slots__ = ("text",)

    #: Compact, ASCII only.
    text: str

    def __init__(self, text: str) -> None:
        _set_text(self, text)

    def __setattr__(self, name: str, value: object) -> None:
        # Events, and with them all who see them, share it.
        raise AttributeError(f"a {type(self).__name__} can't be changed: its '{name}' neither")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} can't be changed: its '{name}' neither")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return Json, (self.text,)

    @classmethod
    def of(cls, value: object) -> Json:
        """Encodes `value`.

        Raises:
            TypeError: it holds something that is not JSON, or a key that is not text.
            ValueError: it holds NaN or infinity, or it holds itself, or is nested too deeply.
        """
        if value is None:
            return NULL
        check(value)
        try:
            return cls(_dumps(value))
        except (TypeError, ValueError) as error:
            # Which value it was the encoder does not say; its words differ between versions of Python.
            raise _fault(value, "") or error from None

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return len(self.text)

    @property
    def value(self) -> Any:
        """The document, decoded anew at each call."""
        return json.loads(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Json) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Json({self.text[:60]!r}{'...' if len(self.text) > 60 else ''})"


#: What sets the text past `__setattr__`, as the constructor does: as fast as an assignment.
_set_text: Any = Json.__dict__["text"].__set__
NULL = Json("null")


def check(value: object) -> None:
    """Refuses mappings with keys that `json.dumps` would silently turn into text, and deep nesting.

    Raises:
        TypeError: a key is not text.
        ValueError: there are more than `MAX_DEPTH` levels, or `value` holds itself.
    """
    # Depth first, so that no level is held as a whole: 15 MB may have five million lists in one.
    stack = [_containers_in([(value,)])]
    while stack:
        # By identity: what is shared is looked at once, not once for each way that leads to it.
        chunk = {id(container): container for container in islice(stack[-1], _CHUNK)}
        if not chunk:
            stack.pop()
            continue
        if len(stack) > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep, or holds itself")
        stack.append(_containers_in(chunk.values()))


def _containers_in(containers: Iterable[Any]) -> Iterator[Any]:
    """The lists and mappings that stand directly in some others, whose keys it looks at."""
    for container in containers:
        items = container
        if isinstance(container, dict):
            for key in container:
                if not isinstance(key, str):
                    kind = type(key).__name__
                    raise TypeError(f"keys must be text, not {kind} ({key!r}); str() makes it")
            items = container.values()
        for item in items:
            if isinstance(item, dict | list | tuple):
                yield item


def _fault(value: object, path: str) -> TypeError | ValueError | None:
    """Where a value that could not be encoded stands, and what would do in its place; None: all can be.

    Args:
        value: what is looked at; `check` has passed it.
        path: where it stands, as references write it; empty at the top.
    """
    if isinstance(value, dict | list | tuple):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for at, part in parts:
            fault = _fault(part, _below(path, at))
            if fault is not None:
                return fault
        return None
    place = path or "it"
    if isinstance(value, float):
        if math.isfinite(value):
            return None
        remedy = "JSON has no NaN and no infinity; None would do, or text"
        return ValueError(f"{place} is {value!r}, and {remedy}")
    if value is None or isinstance(value, str | int):
        return None
    kind = type(value).__name__
    return TypeError(f"{place} is of type {kind}; convert it to text, a number, a list or a dict")


def _below(path: str, part: str | int) -> str:
    """The path of a part of what stands at a path."""
    if isinstance(part, str) and part.isidentifier():
        return f"{path}.{part}" if path else part
    return f"{path}[{json.dumps(part)}]"


def compact(value: object) -> str:
    """`value` as compact JSON text, ASCII only."""
    return _dumps(value)


def canonical(value: object) -> str:
    """`value` as compact JSON text with sorted keys: equal values have equal texts."""
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))


def copied(value: Any) -> Any:
    """A copy of plain data, faster than `copy.deepcopy`; the nesting must be bounded."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value


def whole(value: Any) -> Any:
    """A copy of plain data in which every float that is a whole number is an integer: 1.0 becomes 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value
