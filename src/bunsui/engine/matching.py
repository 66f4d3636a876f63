"""Which errors are followed by another attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunsui.model.pipeline import RetryPolicy
    from bunsui.model.session import Failure


def applies(policy: RetryPolicy, failure: Failure) -> bool:
    """Whether a policy is for a failure: by its `on`, else for all that is retryable."""
    if policy.on:
        return any(matches(failure.code, pattern) for pattern in policy.on)
    return failure.retryable


def matches(code: str, pattern: str) -> bool:
    """Whether an error code fits a pattern of ``retry: {on: [...]}``, in which ``*`` stands for any text."""
    head, *parts = pattern.split("*")
    if not parts:
        return code == pattern
    # By hand: a regex of many `.*` takes time that grows with their number as the exponent.
    tail = parts.pop()
    at, end = len(head), len(code) - len(tail)
    if at > end or not (code.startswith(head) and code.endswith(tail)):
        return False
    for part in parts:
        found = code.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
