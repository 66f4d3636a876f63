"""Work at a service: what is polled together, how often, and what one group costs another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.runner.attempts.remotes import STOPPED
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


# Services that have no time


def error_of(kind: Any) -> bunsui.AwsError:
    return bunsui.AwsError("AWS says so", service="ecs", action="RunTask", code="Throttling", kind=kind)


class Throttling(Service):
    """Throttles some calls, or all of them, until a time."""

    poll_batch: ClassVar[int] = 1000

    def __init__(self, followed: Followed, share: float, until: float = float("inf")) -> None:
        super().__init__(followed.calls)
        self.clock = followed.clock
        self.share, self.until, self.random = share, until, Random(1)
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.error: Exception = error_of("busy")

    def enter(self, method: str) -> None:
        with self.lock:
            self.counts[method] += 1
            if self.clock.monotonic() < self.until and self.random.random() < self.share:
                raise self.error

    def submit(self, call: Any) -> Any:
        self.enter("submit")
        handle = super().submit(call)
        self.ended.add(handle)
        return handle

    def poll(self, handles: Any) -> Any:
        self.enter("poll")
        return super().poll(handles)

    def find(self, call: Any) -> Any:
        self.enter("find")
        return super().find(call)


def test_a_third_that_is_throttled_costs_no_more_than_half(followed: Followed) -> None:
    """2,000 submissions of which 30% are throttled all get through, with at most 3,000 calls, and no find."""
    service = Throttling(followed, 0.3)
    for i in range(2000):
        followed.remotes.submit(followed.work(service, what=f"a:{i}"))
    followed.pass_time(3600, lambda: len(followed.ends) == 2000)
    assert {i: f"a:{i}" for i in range(2000)} == followed.ends
    assert 2000 < service.counts["submit"] <= 3000
    assert 0 == service.counts["find"]


def test_it_is_said_what_a_service_does_not_take(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    """After five calls in vain, and again after as many more: nobody waits without knowing for what."""
    service = Throttling(followed, 1.0, until=1800)
    followed.remotes.submit(followed.work(service, what="a:0"))
    followed.pass_time(60)
    first, *_ = caplog.messages
    assert first.startswith("job 'j0' of session s1: ECS.Throttling: ")
    assert "; it is asked again (5 times so far)" in first
    assert len(caplog.messages) == service.counts["submit"] // 5


def test_it_is_said_what_a_service_does_not_tell(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    """Of polls once for all of their work."""
    service = Throttling(followed, 0.0)
    for i in range(10):
        followed.remotes.submit(followed.work(service, what=f"a:{i}"))
    followed.settle()
    service.share, service.until = 1.0, followed.clock.monotonic() + 1800
    followed.pass_time(120)
    assert "it is asked again (5 times so far)" in caplog.messages[0]
    assert len(caplog.messages) <= service.counts["poll"] // 5


@pytest.mark.parametrize("error", [error_of("busy"), error_of("open"), ConnectionError("away")], ids=str)
def test_half_an_hour_without_the_service_fails_nothing(followed: Followed, error: Exception) -> None:
    """The calls stay few: at most those of the first time, what the budget adds, and one a minute for each.

    100 first calls (and as many of `find`, which is asked after a lost answer) earn half a token each, 10 are
    there from the beginning, and whoever has none waits for a minute: 30 times in half an hour.
    """
    service = Throttling(followed, 1.0, until=1800)
    service.error = error
    for i in range(100):
        followed.remotes.submit(followed.work(service, what=f"a:{i}"))
    followed.pass_time(1800)
    assert {} == followed.ends
    assert service.counts.total() <= 200 + (10 + 200 * 0.5) + 100 * 30
    followed.pass_time(300, lambda: len(followed.ends) == 100)
    assert {i: f"a:{i}" for i in range(100)} == followed.ends


def test_half_an_hour_without_answers_to_polls(followed: Followed) -> None:
    """What was submitted before is asked for about once a minute, all of it in one call."""
    service = Throttling(followed, 0.0)
    for i in range(100):
        followed.remotes.submit(followed.work(service, what=f"a:{i}"))
    followed.settle()
    service.share, service.until = 1.0, followed.clock.monotonic() + 1800
    followed.pass_time(1800)
    # 160 tokens at most, of which each call takes one, after waits that soon are half a minute on average.
    assert (0, True) == (len(followed.ends), service.counts["poll"] < 100)
    followed.pass_time(300)
    assert 100 == len(followed.ends)


def test_what_is_refused_fails(followed: Followed) -> None:
    """It has no effect the next time either: the attempt fails with what AWS said."""
    service = Throttling(followed, 1.0)
    service.error = error_of("refused")
    followed.submit(service, what="a:1")
    failure = followed.ends[0]
    assert ("Throttling" in failure.code, failure.retryable) == (True, False)
    assert 1 == service.counts.total()


def test_a_submission_that_waits_ends_at_once_when_it_is_stopped(followed: Followed) -> None:
    """The service has none of it: there is nothing to ask for, or to stop there."""
    service = Throttling(followed, 1.0)
    work = followed.submit(service, what="a:1")
    followed.remotes.stop(work, STOPPED)
    assert {0: STOPPED} == followed.ends
    followed.pass_time(300)
    assert Counter(submit=1) == service.counts


def test_a_submission_that_waits_keeps_to_the_deadline(followed: Followed) -> None:
    """However long the service has no time, an attempt whose timeout is over is not submitted any more."""
    service = Throttling(followed, 1.0, until=1000)
    work = followed.work(service, what="a:1")
    work.timeout, work.deadline = 30.0, 30.0
    followed.remotes.submit(work)
    followed.pass_time(2000)
    assert "JobTimeout" == followed.ends[0].code


def test_what_may_run_all_the_same_is_not_given_up_at_once(followed: Followed) -> None:
    """A service that forgets, but takes a key twice, may have what is about to be submitted again."""
    service = Throttling(followed, 0.0)
    service.resubmit_is_idempotent = True  # type: ignore[misc]
    service.find = lambda call: bunsui.CannotTell()  # type: ignore[method-assign]
    service.share, service.until, service.error = 1.0, 0.1, TimeoutError("no answer")
    work = followed.submit(service, what="a:1")
    followed.remotes.stop(work, STOPPED)
    assert {} == followed.ends


class Late(Service):
    """Loses the first answer, and shows what it has after a time."""

    shown_at = 5.0

    def __init__(self, followed: Followed) -> None:
        super().__init__(followed.calls)
        self.clock = followed.clock
        self.submitted: list[Any] = []
        self.cancelled: list[Any] = []
        self.refuses = False

    def submit(self, call: Any) -> Any:
        if self.refuses:
            raise bunsui.JobError("not any more")
        self.submitted.append(super().submit(call))
        if len(self.submitted) == 1:
            raise TimeoutError("no answer")
        return self.submitted[0]

    def find(self, call: Any) -> Any:
        if self.clock.monotonic() < self.shown_at:
            return bunsui.NeverRan(is_certain=False)
        return bunsui.Found(self.submitted[0])

    def cancel(self, handle: Any) -> None:
        self.cancelled.append(handle)
        super().cancel(handle)


def test_what_is_not_shown_yet_is_submitted_again_under_its_key(followed: Followed) -> None:
    """The service takes it for the same work."""
    service = Late(followed)
    followed.submit(service, what="a:1")
    followed.pass_time(4)
    assert ["a:1"] * 2 == service.submitted
    service.ended.add("a:1")
    followed.pass_time(4)
    assert {0: "a:1"} == followed.ends


def test_what_is_stopped_before_it_shows_is_stopped_once_it_does(followed: Followed) -> None:
    """It may run: so it is looked for, and nothing is submitted any more."""
    service = Late(followed)
    work = followed.submit(service, what="a:1")
    followed.remotes.stop(work, STOPPED)
    followed.pass_time(30)
    assert (["a:1"], ["a:1"]) == (service.submitted, service.cancelled)
    assert ({0: "a:1"}, None) == (followed.ends, work.goes_on)


def test_what_never_shows_may_run_on(followed: Followed) -> None:
    """Whoever has stopped it is told so, after a minute."""
    service = Late(followed)
    service.shown_at = 1000.0
    work = followed.submit(service, what="a:1")
    followed.remotes.stop(work, STOPPED)
    followed.pass_time(59)
    assert {} == followed.ends
    followed.pass_time(1)
    assert {0: STOPPED} == followed.ends
    assert "its service may have it, and does not show it" in (work.goes_on or "")


def test_what_is_refused_the_second_time_may_run_on(followed: Followed) -> None:
    """It is not certain that the first time had no effect: then no other attempt runs beside it."""
    service = Late(followed)
    work = followed.submit(service, what="a:1")
    service.refuses = True
    followed.pass_time(4)
    assert ("JobError", "what became of it is not known: JobError: not any more") == (
        followed.ends[0].code,
        work.goes_on,
    )


# Without credentials


def test_a_submission_without_credentials_is_given_back(followed: Followed) -> None:
    """It had no effect, and is not made again by this runner: somebody has to give what is missing."""
    service = Throttling(followed, 1.0)
    service.error = error_of("credentials")
    work = followed.submit(service, what="a:1")
    followed.pass_time(300)
    assert ([(0, "AWS says so")], [work], {}) == (followed.stalls, followed.lost_works, followed.ends)
    assert Counter(submit=1) == service.counts


def test_a_poll_without_credentials_is_told_once_and_made_again(followed: Followed) -> None:
    """Of each of the works that it was for; where there are credentials again, all goes on."""
    service = Throttling(followed, 0.0)
    for i in range(3):
        followed.submit(service, what=f"a:{i}")
    service.error, service.share, service.until = error_of("credentials"), 1.0, 100.0
    followed.pass_time(99)
    assert [(i, "AWS says so") for i in range(3)] == followed.stalls
    assert 1 < service.counts["poll"] < 40
    followed.pass_time(100)
    assert {i: f"a:{i}" for i in range(3)} == followed.ends
    assert 3 == len(followed.stalls)


def test_a_look_without_credentials_is_told_once_and_made_again(followed: Followed) -> None:
    """Of what may run at the service, or not, nothing is given up."""
    service = Throttling(followed, 1.0, until=0.1)
    service.error = TimeoutError("no answer")
    work = followed.work(service, what="a:1")
    found = service.find
    answers = [error_of("credentials")] * 3

    def find(call: Any) -> Any:
        if answers:
            raise answers.pop()
        found(call)
        return bunsui.Found(call.options["what"])

    service.find = find  # type: ignore[method-assign]
    followed.remotes.submit(work)
    service.ended.add("a:1")
    followed.pass_time(600)
    assert ([(0, "AWS says so")], {0: "a:1"}) == (followed.stalls, followed.ends)


def test_a_stop_without_credentials_is_named(followed: Followed) -> None:
    """What can't be stopped within a minute goes on, and it is said that nobody could ask for it."""
    service = Service(followed.calls)
    work = followed.submit(service, what="a:1")

    def cancel(handle: Any) -> None:
        raise error_of("credentials")

    service.cancel = cancel  # type: ignore[method-assign]
    followed.remotes.stop(work, STOPPED)
    followed.pass_time(61)
    assert {0: STOPPED} == followed.ends
    expected = "could not be stopped: for 60 seconds it could not be asked to: ECS.Throttling: AWS says so"
    assert (work.goes_on or "").endswith(expected)


def test_a_stop_while_a_submission_is_throttled_ends_it(followed: Followed) -> None:
    """Also where the answer comes after it."""
    service = Throttling(followed, 1.0)
    work = followed.work(service, what="a:1")
    followed.remotes.submit(work)
    followed.calls.settle()  # The answer is there, but has not been taken in.
    followed.remotes.stop(work, STOPPED)
    followed.settle()
    assert {0: STOPPED} == followed.ends
