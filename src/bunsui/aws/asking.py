"""Questions to AWS, which have no effect: they are asked again where no answer came."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from bunsui.errors import AwsError

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections

T = TypeVar("T")

#: How often a question is asked, where AWS is busy or gives no answer.
TRIES = 5


def ask(connections: Connections, service: str, caller: Caller, question: Callable[[], T]) -> T:
    """The answer to a question.

    Args:
        connections: by which it is asked.
        service: as boto3 calls it; who asks it again shares its budget.
        caller: as whom, and where.
        question: asks once; it may be called in vain.

    Raises:
        AwsError: it was refused, there are no credentials, or there was no answer at the last try either.
        PermissionDenied: the role is none that jobs may name.
    """
    budget = connections.budget(service, caller)
    budget.earn()
    for tries in range(1, TRIES):
        try:
            return question()
        except AwsError as error:
            if error.kind not in ("busy", "open"):
                raise
        connections.wait(Event(), budget.wait(tries))
    return question()
