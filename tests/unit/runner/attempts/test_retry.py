"""How long to wait before another attempt."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bunsui.model.pipeline import RetryPolicy
from bunsui.runner.attempts.retry import wait_seconds

policies = st.builds(
    RetryPolicy,
    max_attempts=st.just(3),
    delay=st.floats(0, 1e6),
    backoff=st.floats(1, 100),
    max_delay=st.floats(0, 1e6),
    jitter=st.sampled_from(["full", "none"]),
)


def longest(policy: RetryPolicy, attempt: int) -> float:
    """The formula as the documentation has it."""
    try:
        return min(policy.max_delay, policy.delay * policy.backoff ** (attempt - 1))
    except OverflowError:
        return policy.max_delay if policy.delay else 0.0


@example(RetryPolicy(3, delay=0, backoff=14, max_delay=1, jitter="none"), 270, 0)
@given(policies, st.integers(1, 2_000), st.integers())
def test_bounds(policy: RetryPolicy, attempt: int, seed: int) -> None:
    """The wait is between 0 and the formula's; without jitter it is that."""
    wait, most = wait_seconds(policy, attempt, Random(seed)), longest(policy, attempt)
    if policy.jitter == "none":
        assert wait == pytest.approx(most)
    else:
        assert 0 <= wait <= most * (1 + 1e-9)


def test_series_without_jitter() -> None:
    """Waits double from the delay up to the longest."""
    policy = RetryPolicy(5, delay=10, backoff=2, max_delay=60, jitter="none")
    assert [10, 20, 40, 60, 60] == [wait_seconds(policy, n, Random()) for n in range(1, 6)]


def test_jitter_fills_the_range() -> None:
    """Full jitter gives short waits and long ones, over all of the range."""
    random = Random(1)
    waits = [wait_seconds(RetryPolicy(3, delay=8, jitter="full"), 1, random) for _ in range(500)]
    assert {0, 1, 2, 3, 4, 5, 6, 7} == {int(wait) for wait in waits}


def test_same_seed_same_wait() -> None:
    """The only chance is that of the generator that is given."""
    policy = RetryPolicy(3, delay=8)
    assert wait_seconds(policy, 2, Random(7)) == wait_seconds(policy, 2, Random(7))


@pytest.mark.parametrize("jitter", ["full", "none"])
def test_no_delay(jitter: str) -> None:
    """A delay of 0 waits not at all, after however many attempts."""
    assert wait_seconds(RetryPolicy(3, delay=0, jitter=jitter), 5_000, Random()) == 0
