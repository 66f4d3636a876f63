"""Questions to AWS: how often they are asked, and when they are given up."""

from __future__ import annotations

from random import Random
from threading import Event

import pytest

import bunsui
from bunsui.aws.asking import TRIES, ask
from bunsui.aws.connections import Caller, Connections
from bunsui.aws.settings import AwsSettings


class Asked:
    """A question whose first answers are errors of a kind."""

    def __init__(self, kind: str, times: int) -> None:
        self.count = 0
        self._kind = kind
        self._times = times

    def __call__(self) -> int:
        self.count += 1
        if self.count <= self._times:
            raise bunsui.AwsError("no", service="ecs", action="Ask", kind=self._kind)  # type: ignore[arg-type]
        return self.count


def answer(
    question: Asked, caller: Caller | None = None, settings: AwsSettings | None = None
) -> tuple[int, list[float]]:
    """The answer, and the seconds that were waited for it."""
    waits: list[float] = []

    def wait(_: Event, seconds: float) -> bool:
        waits.append(seconds)
        return False

    return ask(Connections(settings, random=Random(0), wait=wait), "ecs", caller or Caller(), question), waits


@pytest.mark.parametrize("kind", ["busy", "open"])
def test_it_is_asked_again(kind: str) -> None:
    """Where AWS was busy, or gave no answer: a question has no effect. Each time it is waited before."""
    found, waits = answer(Asked(kind, TRIES - 1))

    assert (TRIES, TRIES - 1) == (found, len(waits))
    assert all(0 <= seconds <= 60 for seconds in waits)


def test_it_is_given_up() -> None:
    """The last error is what is said."""
    question = Asked("busy", TRIES)
    with pytest.raises(bunsui.AwsError, match=r"^no$"):
        answer(question)
    assert TRIES == question.count


@pytest.mark.parametrize("kind", ["refused", "credentials"])
def test_it_is_asked_once(kind: str) -> None:
    """Where the answer is known, another try gives no other."""
    question = Asked(kind, 1)
    with pytest.raises(bunsui.AwsError):
        answer(question)
    assert 1 == question.count


def test_a_role_that_is_not_allowed() -> None:
    """Nothing is asked in it."""
    question = Asked("busy", 0)
    with pytest.raises(bunsui.PermissionDenied, match="aws_allowed_roles"):
        answer(question, Caller(role="arn:aws:iam::123456789012:role/etl"), AwsSettings(allowed_roles=()))
    assert 0 == question.count
