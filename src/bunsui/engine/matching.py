"""Which error codes a pattern of ``retry: {on: [...]}`` means."""

from __future__ import annotations


def matches(code: str, pattern: str) -> bool:
    """Whether an error code fits a pattern, in which ``*`` stands for any text."""
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
