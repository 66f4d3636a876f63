"""Work at a service: what is polled together, how often, and what one group costs another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.runner.attempts.watching import ALONE
from bunsui_tests.followed import Followed, Service


class Adaptive(Service):
    poll_interval: ClassVar[Any] = 4.0
    poll_interval_max: ClassVar[Any] = 60.0


@pytest.fixture
def followed() -> Iterator[Followed]:
    made = Followed()
    yield made
    made.calls.close()


def gaps(followed: Followed, service: Service, seconds: float) -> list[float]:
    """The seconds between the polls within a time."""
    times: list[float] = []
    end = followed.clock.monotonic() + seconds

    def noted() -> bool:
        times.extend([followed.clock.monotonic()] * (len(service.polls) - len(times)))
        return False

    service.polls.clear()
    followed.pass_time(end - followed.clock.monotonic(), noted)
    noted()
    return [after - before for before, after in pairwise(times)]


# Groups


def test_a_group_that_never_answers_holds_up_no_other(followed: Followed) -> None:
    """The other one is polled each second, and what ended there is known, however much hangs."""
    service = Service(followed.calls)
    service.deaf = {"tokyo"}
    stuck = [followed.submit(service, what=f"tokyo:{i}") for i in range(40)]
    followed.pass_time(100)
    followed.submit(service, what="paris:1")
    service.polls.clear()
    followed.pass_time(60)
    assert 60 == sum(["paris:1"] == handles for handles in service.polls)
    service.ended.add("paris:1")
    followed.pass_time(1)
    assert {40: "paris:1"} == followed.ends
    assert ALONE + 1 == followed.calls.hanging < len(stuck)


def test_what_hangs_is_asked_on_when_others_of_its_group_answer_again(followed: Followed) -> None:
    """Those that had to wait, as too many hung, are polled in the end."""
    service = Service(followed.calls)
    service.deaf = {"tokyo"}
    for i in range(40):
        followed.submit(service, what=f"tokyo:{i}")
    followed.pass_time(100)
    service.deaf = set()
    service.ended |= {f"tokyo:{i}" for i in range(40)}
    followed.calls.free()
    followed.pass_time(100, lambda: len(followed.ends) == 40)
    assert {i: f"tokyo:{i}" for i in range(40)} == followed.ends


def test_a_poll_has_handles_of_one_group_only(followed: Followed) -> None:
    """Each group has calls of its own."""
    service = Service(followed.calls)
    for what in ("a:1", "b:1", "a:2", "b:2"):
        followed.submit(service, what=what)
    followed.pass_time(1)
    assert [["a:1", "a:2"], ["b:1", "b:2"]] == sorted(service.polls)


def test_a_group_backs_off_by_itself(followed: Followed) -> None:
    """What one group does not answer is asked ever more seldom; the other keeps its pace."""

    class Away(Service):
        def poll(self, handles: Any) -> Any:
            answers = super().poll(handles)
            if "away" in handles[0]:
                raise ConnectionError("away")
            return answers

    service = Away(followed.calls)
    for what in ("away:1", "here:1"):
        followed.submit(service, what=what)
    followed.pass_time(600)
    asked = [handles[0] for handles in service.polls]
    assert (600, True) == (asked.count("here:1"), asked.count("away:1") < 60)


def test_no_group_is_kept_that_has_no_work(followed: Followed) -> None:
    """A runner that lives for long does not remember each account that it has seen."""
    service = Service(followed.calls)
    for i in range(5):
        followed.submit(service, what=f"g{i}:1")
    service.ended |= {f"g{i}:1" for i in range(5)}
    followed.pass_time(1)
    assert (5, {}, False) == (len(followed.ends), followed.remotes._watched, bool(followed.remotes))


@pytest.mark.parametrize(
    ("attribute", "junk", "says"),
    [
        ("poll_group", lambda handle: handle.nosuch, "poll_group of job type 'remote' raised AttributeError"),
        ("poll_group", lambda handle: 7, "poll_group of job type 'remote' is 7; it gives a text"),
        ("poll_batch", 0, "poll_batch of job type 'remote' is 0; it is the number of handles"),
        ("poll_interval_max", "9", "poll_interval_max of job type 'remote' is 9; it is the most seconds"),
    ],
    ids=["raises", "no-text", "batch", "longest"],
)
def test_a_type_that_says_junk_of_its_polls(followed: Followed, attribute: str, junk: Any, says: str) -> None:
    """It is a fault of the type, which names what is wrong: whoever drives sets the session aside by it."""
    service = Service(followed.calls)
    setattr(service, attribute, junk)
    with pytest.raises(bunsui.PluginError, match=says):
        followed.submit(service, what="a:1")


# Batches


@pytest.mark.parametrize(("batch", "calls"), [(1000, [1000]), (400, [400, 400, 200]), (None, [100] * 10)])
def test_the_size_of_a_batch_is_the_types(followed: Followed, batch: Any, calls: list[int]) -> None:
    """1,000 handles are one call where the service takes so many; 100 each where the type does not say."""
    service = Service(followed.calls)
    if batch is not None:
        service.poll_batch = batch  # type: ignore[misc]
    for i in range(1000):
        followed.remotes.submit(followed.work(service, what=f"a:{i}"))
    followed.pass_time(1)
    assert calls == sorted(map(len, service.polls), reverse=True)


# Pace


def test_a_pace_is_fixed_where_nothing_else_is_said(followed: Followed) -> None:
    """The seconds between two polls are the interval, to the last bit."""
    service = Service(followed.calls)
    followed.submit(service, what="a:1")
    assert [1.0] * 299 == gaps(followed, service, 300)


def test_a_pace_grows_while_nothing_ends(followed: Followed) -> None:
    """By half each time, up to the longest, each time with 20% more or less."""
    service = Adaptive(followed.calls)
    followed.submit(service, what="a:1")
    found = gaps(followed, service, 600)
    expected, pace = [], 4.0
    for _ in found:
        pace = min(pace * 1.5, 60.0)
        expected.append(pace)
    assert [] == [pair for pair in zip(found, expected, strict=True) if not 0.8 <= pair[0] / pair[1] <= 1.2]
    assert len(set(found)) == len(found) > 12


def test_a_pace_falls_back_when_something_ends(followed: Followed) -> None:
    """Where one has ended, others may soon: the next poll comes after the interval."""
    service = Adaptive(followed.calls)
    for what in ("a:1", "a:2"):
        followed.submit(service, what=what)
    followed.pass_time(600)
    service.ended.add("a:1")
    followed.pass_time(100, lambda: bool(followed.ends))
    ended_at = followed.clock.monotonic()
    followed.pass_time(100, lambda: service.polls[-1] == ["a:2"])
    assert 4.0 * 0.8 <= followed.clock.monotonic() - ended_at <= 4.0 * 1.2


def test_a_pace_falls_back_when_more_is_watched(followed: Followed) -> None:
    """What was just submitted may end soon, however long the others take."""
    service = Adaptive(followed.calls)
    followed.submit(service, what="a:1")
    followed.pass_time(600)
    began = followed.clock.monotonic()
    followed.submit(service, what="a:2")
    service.polls.clear()
    followed.pass_time(100, lambda: ["a:1", "a:2"] in service.polls)
    assert 4.0 * 0.8 <= followed.clock.monotonic() - began <= 4.0 * 1.2


def test_runners_do_not_poll_in_step() -> None:
    """Two that began at the same moment poll at different times."""
    found = []
    for seed in (1, 2):
        followed = Followed(seed)
        service = Adaptive(followed.calls)
        followed.submit(service, what="a:1")
        found.append(gaps(followed, service, 600))
        followed.calls.close()
    assert not {*found[0]} & {*found[1]}
