"""What a condition consists of: a tree that is walked, checked, and can be translated to another language."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from bunsui.expressions.references import Reference

__all__ = ["Call", "Combine", "Compare", "Items", "Literal", "Node", "Not", "Operand", "Span"]

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
    """``succeeded(job)``, ``failed(job)`` or ``always()``."""

    function: str
    #: None for ``always``.
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
