"""What a condition says, by walking its tree. Nothing is converted: whatever does not fit fails the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bunsui.errors import JobError
from bunsui.expressions.kinds import describe, kind_of
from bunsui.expressions.resolution import Scope, evaluate
from bunsui.expressions.syntax import CALLS, Call, Combine, Compare, Items, Literal, Node, Not, Operand

__all__ = ["ConditionFailed", "holds", "same"]


class ConditionFailed(JobError):
    """A condition that can't be evaluated."""

    default_code = "ConditionError"
    default_retryable = False


def holds(condition: Node, scope: Scope) -> bool:
    """Whether a condition is true.

    Raises:
        ConditionFailed: a value in it has a type that does not fit.
        ReferenceFailed: a reference in it names something that is not there.
    """
    return _truth(condition, scope, "the condition")


def _truth(node: Node, scope: Scope, what: str) -> bool:
    value = _value(node, scope)
    if not isinstance(value, bool):
        raise ConditionFailed(f"{what} must be true or false, not {describe(value)}{_named(node)}")
    return value


def _value(node: Node, scope: Scope) -> Any:
    # Recursion is bounded: a condition has a limited depth.
    match node:
        case Literal():
            return node.value
        case Operand():
            return evaluate(node.reference, scope)
        case Items():
            return [_value(item, scope) for item in node.items]
        case Call():
            return _called(node, scope)
        case Not():
            return not _truth(node.of, scope, "what follows 'not'")
        case Combine():
            decisive = node.operator == "or"
            for part in node.parts:
                if _truth(part, scope, f"each side of '{node.operator}'") is decisive:
                    return decisive
            return not decisive
        case Compare():
            return _compared(node, _value(node.left, scope), _value(node.right, scope))


def _called(call: Call, scope: Scope) -> bool:
    if call.job is None:
        return True
    return scope.jobs[call.job].status is CALLS[call.function]


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _compared(node: Compare, left: Any, right: Any) -> bool:
    operator = node.operator
    if operator in ("==", "!="):
        return same(left, right) is (operator == "==")
    if operator in ("in", "not in"):
        if not isinstance(right, list):
            raise ConditionFailed(f"'{operator}' takes a list, not {describe(right)}{_named(node.right)}")
        return any(same(left, item) for item in right) is (operator == "in")
    kinds = kind_of(left), kind_of(right)
    if kinds == ("text", "text"):
        return _ORDERS[operator](_utf16(left), _utf16(right))
    if kinds != ("number", "number"):
        raise ConditionFailed(
            f"'{operator}' compares two numbers or two texts, not {describe(left)}{_named(node.left)}"
            f" and {describe(right)}{_named(node.right)}"
        )
    return _ORDERS[operator](left, right)


def _utf16(text: str) -> bytes:
    """Orders texts by UTF-16 code units, as JSONata and JavaScript do."""
    return text.encode("utf-16-be", "surrogatepass")


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal; values of different types never are, but 1 and 1.0 are both numbers."""
    kind = kind_of(left)
    if kind != kind_of(right):
        return False
    if kind == "list":
        return len(left) == len(right) and all(map(same, left, right))
    if kind == "mapping":
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def _named(node: Node) -> str:
    return f" (${{{node.reference.text}}})" if isinstance(node, Operand) else ""
