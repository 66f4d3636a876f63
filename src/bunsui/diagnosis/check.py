"""What a check found."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    #: Works, but should be looked at.
    WARNING = "warning"
    #: Does not work.
    PROBLEM = "problem"


@frozen
class Check:
    """One thing that was looked at."""

    #: What was looked at, such as ``store``.
    name: str
    status: Status
    #: What was found.
    what: str
    #: What to do about it; None where nothing is to be done.
    remedy: str | None = None


def ok(name: str, what: str) -> Check:
    """All is well."""
    return Check(name, Status.OK, what)


def warning(name: str, what: str, remedy: str) -> Check:
    """It works, but should be looked at."""
    return Check(name, Status.WARNING, what, remedy)


def problem(name: str, what: str, remedy: str) -> Check:
    """It does not work."""
    return Check(name, Status.PROBLEM, what, remedy)


def failed(name: str, error: Exception, remedy: str) -> Check:
    """An error as a problem, with its own hint where it has one."""
    return problem(name, getattr(error, "message", str(error)), getattr(error, "hint", None) or remedy)
