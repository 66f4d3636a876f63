"""What a condition consists of: a tree that is walked, checked, and can be translated to another language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from bunsui.expressions.references import Reference
from bunsui.model.status import JobStatus

#: Longest condition, in characters.
MAX_LENGTH = 4096

__all__ = [
    "CALLS",
    "CALLS_IN_WORDS",
    "MAX_LENGTH",
    "Call",
    "Combine",
    "Compare",
    "Items",
    "Literal",
    "Node",
    "Not",
    "Operand",
    "Span",
]

#: What can be called, each with the status that it asks for of a job; None: it names no job, and is true.
#: A call replaces "all jobs upstream succeeded".
CALLS: Mapping[str, JobStatus | None] = {
    "succeeded": JobStatus.SUCCEEDED,
    "failed": JobStatus.FAILED,
    "always": None,
}
_WRITTEN = [f"{name}({'' if status is None else 'job'})" for name, status in CALLS.items()]
#: The same for a sentence.
CALLS_IN_WORDS = f"{', '.join(_WRITTEN[:-1])} and {_WRITTEN[-1]}"
#: Offset and length in the condition's text, in characters.
Span = tuple[int, int]


@frozen
class Literal:
    """A text, number, true, false or null that is written out."""

    value: Any
    span: Span = field(eq=False)


@frozen
class Operand:
    """A reference."""

    reference: Reference
    span: Span = field(eq=False)


@frozen
class Items:
    """A list that is written out."""

    items: tuple[Node, ...]
    span: Span = field(eq=False)


@frozen
class Call:
    """Such as ``succeeded(job)``; see `CALLS`."""

    function: str
    #: None where it names none.
    job: str | None
    span: Span = field(eq=False)


@frozen
class Not:
    """True where `of` is false."""

    of: Node
    span: Span = field(eq=False)


@frozen
class Combine:
    """Two or more parts, joined by ``and`` or by ``or``; what decides first, decides."""

    operator: str
    parts: tuple[Node, ...]
    span: Span = field(eq=False)


@frozen
class Compare:
    """``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` or ``not in`` between two values."""

    operator: str
    left: Node
    right: Node
    span: Span = field(eq=False)


Node = Literal | Operand | Items | Call | Not | Combine | Compare
