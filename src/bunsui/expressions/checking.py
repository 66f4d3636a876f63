"""What is wrong with a condition whatever its references bring: types that can never fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bunsui.expressions.conditions import Condition
from bunsui.expressions.kinds import NAMES, kind_of
from bunsui.expressions.references import Reference
from bunsui.expressions.syntax import Call, Combine, Compare, Items, Literal, Node, Not, Operand, Span

__all__ = ["KindOf", "Mismatch", "compared_values", "mismatches"]

#: What is wrong, where in the condition's text, and what to do.
Mismatch = tuple[str, Span, str | None]
#: The kind of value that a reference brings (see `kind_of`) unless it is null; None where that is not known.
KindOf = Callable[[Reference], str | None]


def mismatches(condition: Condition, kind_of_reference: KindOf) -> Iterator[Mismatch]:
    """The places of a condition where types can never fit."""
    yield from _Checker(kind_of_reference).boolean(condition.root, "a condition")


def compared_values(condition: Condition) -> Iterator[tuple[Reference, Any, Span]]:
    """Each literal that a reference is compared with for equality, or looked for among."""
    stack: list[Node] = [condition.root]
    while stack:
        node = stack.pop()
        match node:
            case Not():
                stack.append(node.of)
            case Combine():
                stack.extend(reversed(node.parts))
            case Items():
                stack.extend(reversed(node.items))
            case Compare():
                stack += [node.right, node.left]
                if node.operator in ("==", "!=", "in", "not in"):
                    yield from _pairs(node)


def _pairs(node: Compare) -> Iterator[tuple[Reference, Any, Span]]:
    for one, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(one, Operand):
            for value in other.items if isinstance(other, Items) else (other,):
                if isinstance(value, Literal):
                    yield one.reference, value.value, value.span


class _Checker:
    def __init__(self, kind_of_reference: KindOf) -> None:
        self._kind_of_reference = kind_of_reference

    def boolean(self, node: Node, what: str) -> Iterator[Mismatch]:
        """What is wrong with `node` where something true or false must stand."""
        kind = self._kind(node)
        if kind not in (None, "boolean"):
            hint = 'compare it with something, as in ${x} == "a"' if isinstance(node, Operand) else None
            yield f"{what} must be true or false, not {_named(kind)}", node.span, hint
            return
        yield from self._inside(node)

    def _inside(self, node: Node) -> Iterator[Mismatch]:
        match node:
            case Not():
                yield from self.boolean(node.of, "what follows 'not'")
            case Combine():
                for part in node.parts:
                    yield from self.boolean(part, f"each side of '{node.operator}'")
            case Items():
                for item in node.items:
                    yield from self._inside(item)
            case Compare():
                yield from self._inside(node.left)
                yield from self._inside(node.right)
                yield from self._compare(node)

    def _compare(self, node: Compare) -> Iterator[Mismatch]:
        left, right = self._kind(node.left), self._kind(node.right)
        operator = node.operator
        if operator in ("==", "!="):
            known = None not in (left, right) and "null" not in (left, right)
            if left != right and known and not _may_both_be_null(node.left, node.right):
                result = "never" if operator == "==" else "always"
                message = f"{_named(left)} is compared with {_named(right)}, so this is {result} true"
                hint = None
                if {left, right} == {"number", "text"}:
                    hint = 'equality never crosses types: 1 and "1" differ'
                yield message, node.span, hint
        elif operator in ("in", "not in"):
            if right not in (None, "list"):
                yield f"'{operator}' takes a list, not {_named(right)}", node.right.span, None
            elif isinstance(node.right, Items) and left is not None and node.right.items:
                kinds = {self._kind(item) for item in node.right.items}
                hopeless = not kinds & {None, "null", left} and left != "null"
                if hopeless and not _may_both_be_null(node.left, *node.right.items):
                    message = f"{_named(left)} is looked for in a list without any, so it is never there"
                    yield message, node.span, None
        else:
            for side, kind in ((node.left, left), (node.right, right)):
                if kind not in (None, "number", "text"):
                    message = f"'{operator}' compares two numbers or two texts, not {_named(kind)}"
                    yield message, side.span, None
                    return
            if left != right and None not in (left, right):
                message = (
                    f"'{operator}' compares two numbers or two texts, not {_named(left)} and {_named(right)}"
                )
                yield message, node.span, None

    def _kind(self, node: Node) -> str | None:
        match node:
            case Literal():
                return kind_of(node.value)
            case Operand():
                return self._kind_of_reference(node.reference)
            case Items():
                return "list"
            case Call() | Not() | Combine() | Compare():
                return "boolean"


def _may_both_be_null(one: Node, *others: Node) -> bool:
    """Whether `one` and another one may be: whatever its type, a parameter that nobody gave is null."""
    return isinstance(one, Operand) and any(isinstance(other, Operand) for other in others)


def _named(kind: str | None) -> str:
    return NAMES[kind or "null"]
