"""How fast streams are made, and how long somebody waits for what is sent."""

from __future__ import annotations

import pytest

from bunsui.logging.cloudwatch.pace import STREAMS_A_SECOND, Pace, Patience


class Clock:
    """Time that passes by waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def made(pace: Pace, clock: Clock, count: int) -> list[float]:
    """When calls were made."""
    found = []
    for _ in range(count):
        pace.wait()
        found.append(clock.now)
    return found


def test_pace() -> None:
    """Within any second no more than AWS takes, also after a rest; a few come at once."""
    clock = Clock()
    pace = Pace(STREAMS_A_SECOND, clock.monotonic, clock.sleep)
    times = made(pace, clock, 200)
    assert 10 <= times.count(0.0) <= 11
    clock.now += 100
    times += made(pace, clock, 200)
    assert max(sum(0 <= other - each < 1 for other in times) for each in times) <= 50


def test_slower() -> None:
    """AWS may say so many times at once; it is as fast again when it takes them."""
    clock = Clock()
    pace = Pace(40, clock.monotonic, clock.sleep)
    for _ in range(8):
        pace.slower()
    assert pytest.approx(0.05) == made(pace, clock, 1)[0]
    for _ in range(30):
        clock.now += 1
        pace.slower()
    begin = clock.now
    assert pytest.approx(2.0) == made(pace, clock, 2)[1] - begin
    for _ in range(100):
        pace.faster()
    begin = clock.now
    assert made(pace, clock, 40)[-1] - begin < 1.01


def test_patience() -> None:
    """As long as something gets through, up to a limit."""
    patience = Patience(100.0, 10.0)
    expected = {float("-inf"): 110.0, 90.0: 110.0, 105.0: 115.0, 145.0: 155.0, 159.0: 160.0}
    assert expected == {sent_at: patience.until(sent_at) for sent_at in expected}
