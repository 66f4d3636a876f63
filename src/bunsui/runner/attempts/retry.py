"""How long to wait before another attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from bunsui.model.pipeline import RetryPolicy


def wait_seconds(policy: RetryPolicy, attempt: int, random: Random) -> float:
    """Seconds between the end of `attempt` (which starts at 1) and the start of the next."""
    if not policy.delay:
        return 0.0  # Where the factor overflows, tenacity takes the longest wait, whatever it multiplies.
    # Imported late: 25 ms that a run without failures does not need.
    import tenacity  # noqa: PLC0415 - see above

    state = tenacity.RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = attempt
    longest = tenacity.wait_exponential(
        multiplier=policy.delay, exp_base=policy.backoff, max=policy.max_delay
    )(state)
    return random.uniform(0, longest) if policy.jitter == "full" else longest
