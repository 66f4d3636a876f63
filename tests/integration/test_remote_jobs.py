"""Jobs at a remote service that loses answers, forgets, refuses and takes its time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.performance.retrying import Backoff
from bunsui.ports.hooks import hookimpl
from bunsui.runner.attempts import remotes
from bunsui.runner.driving import driver
from bunsui.stores.memory import MemoryStore
from bunsui_tests.conditions import until


class Service:
    """A service that runs what it is given until it is told what came of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: What runs or ran, by idempotency key.
        self.works: dict[str, Any] = {}
        self.calls: Counter[str] = Counter()
        #: What the next calls of a method do in place of, or after, its work.
        self.faults: dict[str, list[Any]] = {}
        self.stopped: list[str] = []
        #: How many handles each poll had.
        self.polls: list[int] = []

    def fail(self, method: str, *faults: Any) -> None:
        self.faults.setdefault(method, []).extend(faults)

    def enter(self, method: str) -> Any:
        """Counts a call, and does what its fault says: an exception before its effect, else a function."""
        with self.lock:
            self.calls[method] += 1
            planned = self.faults.get(method)
            fault = planned.pop(0) if planned else None
        if isinstance(fault, BaseException):
            raise fault
        return fault

    def finish(self, outcome: Any = bunsui.Succeeded("done")) -> None:  # noqa: B008 - frozen
        """Everything that runs ends so."""
        with self.lock:
            for key, found in self.works.items():
                if isinstance(found, bunsui.Running):
                    self.works[key] = outcome


def after(error: BaseException) -> Callable[[], None]:
    """A fault that comes after the call had its effect: the answer is lost."""

    def fault() -> None:
        raise error

    return fault


class RemoteJob(bunsui.RemoteJobType):
    """``type: remote``"""

    name: ClassVar[str] = "remote"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"what": {"type": "string"}}}
    poll_interval = 0.02

    def __init__(self, service: Service) -> None:
        self.service = service

    def submit(self, call: bunsui.JobCall) -> Any:
        fault = self.service.enter("submit")
        with self.service.lock:
            self.service.works.setdefault(call.idempotency_key, bunsui.Running())
        if fault is not None:
            fault()
        return {"id": call.idempotency_key}

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        self.service.polls.append(len(handles))
        fault = self.service.enter("poll")
        answers = [self.service.works.get(handle["id"], bunsui.CannotTell()) for handle in handles]
        return answers if fault is None else fault(answers)

    def cancel(self, handle: Any) -> None:
        fault = self.service.enter("cancel")
        with self.service.lock:
            self.service.stopped.append(handle["id"])
            if isinstance(self.service.works[handle["id"]], bunsui.Running) and fault is None:
                self.service.works[handle["id"]] = bunsui.Failed("Stopped", "it was stopped")

    def find(self, call: bunsui.JobCall) -> Any:
        fault = self.service.enter("find")
        if fault is not None:
            return fault()
        key = call.idempotency_key
        return bunsui.Found({"id": key}) if key in self.service.works else bunsui.NeverRan()


class Idempotent(RemoteJob):
    resubmit_is_idempotent = True


class Plugin:
    def __init__(self, kind: bunsui.JobType) -> None:
        self.kind = kind

    @hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self.kind]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not answer is asked again soon, and nobody has much patience."""
    again = Backoff(first=0.01, longest=0.01)
    monkeypatch.setattr(remotes, "_AGAIN", again)


@pytest.fixture
def service() -> Service:
    return Service()


def runner_of(service: Service, store: Any = None, kind: type[RemoteJob] = RemoteJob, **more: Any) -> Any:
    return bunsui.Runner(
        store or "memory://", plugins=[Plugin(kind(service))], autoload_plugins=False, **more
    )


@pytest.fixture
def runner(service: Service) -> Iterator[bunsui.Runner]:
    with runner_of(service) as made:
        yield made


def pipeline_of(*jobs: dict[str, Any]) -> bunsui.Pipeline:
    plugins = bunsui.Plugins([Plugin(RemoteJob(Service()))], autoload=False)
    definition = {"version": "1.0", "name": "p", "jobs": [{"type": "remote", **job} for job in jobs]}
    return bunsui.Pipeline.from_dict(definition, plugins=plugins)


def many(count: int) -> bunsui.Pipeline:
    return pipeline_of(*({"id": f"j{i}"} for i in range(count)))


def one(**fields: Any) -> bunsui.Pipeline:
    return pipeline_of({"id": "a", **fields})


#: Two, and three, attempts without a wait between them.
TWICE, THRICE = {"max_attempts": 2, "delay": 0}, {"max_attempts": 3, "delay": 0}


def started(runner: bunsui.Runner, service: Service, **fields: Any) -> bunsui.Session:
    """A session whose job runs at the service, which the history says."""
    session = runner.start(one(**fields))
    until(lambda: any(isinstance(e, ev.JobSubmitted) for e in session.events()))
    return session


def test_it_is_submitted_watched_and_its_output_kept(runner: bunsui.Runner, service: Service) -> None:
    """The handle stands in the history before the outcome does."""
    session = started(runner, service)
    service.finish(bunsui.Succeeded({"rows": 3}))

    assert "succeeded" == session.wait(30)
    assert {"a": {"rows": 3}} == session.outputs
    (attempt,) = session.jobs["a"].attempts
    assert {"id": next(iter(service.works))} == attempt.handle.value
    assert 1 == service.calls["submit"]


def test_a_failure_is_the_services_and_is_tried_again_under_another_key(
    runner: bunsui.Runner, service: Service
) -> None:
    """What `Failed` says becomes the attempt's error; `retry` works as for any job."""
    session = started(runner, service, retry=TWICE)
    service.finish(bunsui.Failed("Throttled", "too much"))
    until(lambda: len(service.works) == 2)
    service.finish()

    assert "succeeded" == session.wait(30)
    assert ["Throttled", None] == [a.error and a.error.code for a in session.jobs["a"].attempts]


def test_a_lost_answer_starts_nothing_twice(runner: bunsui.Runner, service: Service) -> None:
    """Where the answer to a submission is lost, the service is asked for the work, and has it."""
    service.fail("submit", after(ConnectionError("reset")))
    service.fail("find", ConnectionError("reset"), TimeoutError("slow"))
    session = started(runner, service)
    service.finish()

    assert "succeeded" == session.wait(30)
    assert {"submit": 1, "find": 3} == {k: service.calls[k] for k in ("submit", "find")}
    assert 1 == len(session.jobs["a"].attempts)


def test_a_call_that_never_arrived_is_made_again(runner: bunsui.Runner, service: Service) -> None:
    """A service that is away fails no job: once it says that it never had the work, it gets it."""
    service.fail("submit", *[ConnectionError("away")] * 5)
    session = started(runner, service)
    service.finish()

    assert "succeeded" == session.wait(30)
    assert (6, 1) == (service.calls["submit"], len(session.jobs["a"].attempts))


def test_an_idempotent_service_that_cannot_tell_is_asked_again(service: Service) -> None:
    """The same key is submitted again where that starts the work only once."""
    with runner_of(service, kind=Idempotent) as runner:
        service.fail("submit", after(ConnectionError("reset")))
        service.fail("find", bunsui.CannotTell)
        session = started(runner, service)
        service.finish()
        assert "succeeded" == session.wait(30)
    assert (2, 1) == (service.calls["submit"], len(service.works))


def test_a_refused_submission_fails_the_attempt(runner: bunsui.Runner, service: Service) -> None:
    """A JobError is the service's answer: nobody looks for the work."""
    service.fail("submit", bunsui.JobError("no such function", code="NotThere", retryable=False))
    session = runner.run(one())

    error = session.jobs["a"].error
    assert error is not None
    assert ("failed", "NotThere", 0) == (session.status, error.code, service.calls["find"])


def test_a_fault_of_the_type_after_the_effect_finds_the_work(runner: bunsui.Runner, service: Service) -> None:
    """A KeyError in the answer's parsing says nothing of the work: it is looked for, and followed."""
    service.fail("submit", after(KeyError("arn")))
    session = started(runner, service)
    service.finish()
    assert "succeeded" == session.wait(30)


def test_a_fault_of_the_type_before_the_effect_fails_the_attempt(
    runner: bunsui.Runner, service: Service
) -> None:
    """Where the service says that it never had the work, the fault is the attempt's failure."""
    service.fail("submit", KeyError("arn"))
    session = runner.run(one())
    error = session.jobs["a"].error
    assert error is not None
    assert ("failed", "KeyError", {}) == (session.status, error.code, service.works)


@pytest.mark.parametrize("fault", [ConnectionError("away"), bunsui.JobError("busy", code="Busy")])
def test_a_poll_that_fails_is_no_failure_of_the_job(
    runner: bunsui.Runner, service: Service, fault: BaseException
) -> None:
    """It is made again, ever more seldom."""
    session = started(runner, service)
    service.fail("poll", *[fault] * 4)
    until(lambda: not service.faults["poll"])
    service.finish()
    assert "succeeded" == session.wait(30)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (TypeError("bug"), "TypeError: bug"),
        (lambda answers: answers[:-1], r"poll\(\) gave 0 answers for 1 handles"),
        (lambda answers: ["done"] * len(answers), r"poll\(\) gave str for remote"),
        (lambda answers: None, "TypeError"),
    ],
)
def test_a_type_that_fails_in_poll_fails_its_job(
    runner: bunsui.Runner, service: Service, fault: Any, says: str
) -> None:
    """With PluginError, which says that nobody knows what became of the work."""
    service.fail("poll", *[fault] * 50)
    session = runner.run(one())
    error = session.jobs["a"].error
    assert error is not None
    assert "PluginError" == error.code
    with pytest.raises(bunsui.SessionFailed, match=f"job type 'remote' failed: {says}.*is not known"):
        session.raise_for_status()


def test_one_bad_handle_fails_alone(runner: bunsui.Runner, service: Service) -> None:
    """A poll that fails over several is made for each by itself."""
    session = runner.start(many(5))
    until(lambda: len([e for e in session.events() if isinstance(e, ev.JobSubmitted)]) == 5)
    bad = session.jobs["j2"].attempts[0].handle.value["id"]
    with service.lock:
        service.works[bad] = "bad"

    def choosy(handles: Sequence[Any]) -> Sequence[Any]:
        if any(service.works[handle["id"]] == "bad" for handle in handles):
            raise ValueError("one of them is bad")
        return [service.works[handle["id"]] for handle in handles]

    runner.plugins.job_types["remote"].poll = choosy
    until(lambda: session.jobs["j2"].status == "failed")
    service.finish()
    assert "failed" == session.wait(30)
    assert ["succeeded"] * 4 == [s.status for j, s in session.jobs.items() if j != "j2"]


def test_polls_keep_to_their_interval(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """However seldom the runner would wake up else."""
    monkeypatch.setattr(driver, "TICK", 3600.0)
    with runner_of(service) as runner:
        session = runner.start(one())
        until(lambda: len(service.polls) > 5)
        service.finish()
        assert "succeeded" == session.wait(30)


def test_work_that_is_submitted_holds_no_thread(service: Service) -> None:
    """200 jobs at the service take few threads, and few polls."""
    before = threading.active_count()
    with runner_of(service, max_concurrency=200) as runner:
        session = runner.start(many(200))
        until(lambda: len([e for e in session.events() if isinstance(e, ev.JobSubmitted)]) == 200)
        assert 50 > threading.active_count() - before
        service.finish()
        assert "succeeded" == session.wait(30)
    assert RemoteJob.poll_batch == max(service.polls)


def test_it_counts_for_max_concurrency(service: Service) -> None:
    """A submitted job holds its place until it has ended."""
    with runner_of(service, max_concurrency=2) as runner:
        session = runner.start(many(6))
        for round_ in (1, 2, 3):
            until(lambda: len(service.works) == 2 * round_)  # noqa: B023
            time.sleep(0.1)
            assert 2 * round_ == len(service.works)
            service.finish()
        assert "succeeded" == session.wait(30)


# Recovery


def test_another_runner_goes_on_with_the_handle(service: Service) -> None:
    """Nothing is submitted twice, and nobody needs to be asked where the work is."""
    store = MemoryStore()
    with runner_of(service, store) as first:
        session = started(first, service)
        first.close(timeout=0)
    service.finish()
    with runner_of(service, store) as second:
        assert "succeeded" == second.resume(session.id).status
    assert (1, 0) == (service.calls["submit"], service.calls["find"])


def without_handle(service: Service, store: MemoryStore, *, has_it: bool, **fields: Any) -> str:
    """A session whose runner went away while its job was being submitted."""
    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        go_on.wait(30)
        raise ConnectionError("nobody is there any more")

    class Slow(RemoteJob):
        def submit(self, call: bunsui.JobCall) -> Any:
            if has_it:
                service.works[call.idempotency_key] = bunsui.Running()
            hang()

    runner = runner_of(service, store, Slow)
    session = runner.start(one(**fields))
    assert hangs.wait(30)
    runner.close(timeout=0)
    go_on.set()
    return session.id


def test_another_runner_finds_what_has_no_handle(service: Service) -> None:
    """It asks the service for the work under its key, and follows it."""
    store = MemoryStore()
    session = without_handle(service, store, has_it=True)
    with runner_of(service, store) as runner:
        handle = runner.session(session)
        handle.resume()
        until(lambda: any(isinstance(e, ev.JobSubmitted) for e in handle.events()))
        service.finish()
        assert "succeeded" == handle.wait(30)
    assert (0, 1, 1) == (service.calls["submit"], service.calls["find"], len(service.works))


def test_another_runner_starts_what_never_ran(service: Service) -> None:
    """Under the number and key that it had."""
    store = MemoryStore()
    session = without_handle(service, store, has_it=False)
    with runner_of(service, store) as runner:
        handle = runner.session(session)
        handle.resume()
        until(lambda: service.works)
        service.finish()
        assert "succeeded" == handle.wait(30)
    keys = {e.key for e in handle.events() if isinstance(e, ev.JobStarted)}
    assert {*service.works} == keys
    assert 1 == len(handle.jobs["a"].attempts)


def unknown(service: Service, store: MemoryStore, runner: bunsui.Runner) -> bunsui.Session:
    """A session that is paused since nobody can tell what became of its job."""
    session = without_handle(service, store, has_it=True)
    service.fail("find", bunsui.CannotTell)
    resumed = runner.resume(session)
    assert ("paused", "unknown-job") == (resumed.status, resumed.paused_reason)
    return resumed


@pytest.mark.parametrize(
    ("word", "status", "job"), [("succeeded", "succeeded", "succeeded"), ("failed", "failed", "failed")]
)
def test_where_nobody_can_tell_somebody_is_asked(service: Service, word: str, status: str, job: str) -> None:
    """The session pauses, and goes on with what is said."""
    store = MemoryStore()
    with runner_of(service, store) as runner:
        session = unknown(service, store, runner)
        assert "unknown" == session.jobs["a"].status
        resumed = runner.resume(session.id, assume={"a": word})
        assert (status, job, None) == (resumed.status, resumed.jobs["a"].status, resumed.outputs["a"])


def test_an_unknown_job_may_be_run_again(service: Service) -> None:
    """Under its own key; the service is not asked again."""
    store = MemoryStore()
    with runner_of(service, store) as runner:
        session = unknown(service, store, runner)
        (key,) = service.works
        service.works.clear()
        before = service.calls["find"]
        session.resume(assume={"a": "rerun"})
        until(lambda: service.works)
        service.finish()
        assert ("succeeded", [key]) == (session.wait(30), [*service.works])
        assert before == service.calls["find"]


@pytest.mark.parametrize(
    ("assume", "error", "says"),
    [
        (None, bunsui.StateError, "it can't be told what became of 'a'; find out and say it: --assume"),
        ({}, bunsui.StateError, "it can't be told what became of 'a'"),
        ({"aa": "rerun"}, bunsui.NotFound, "the session has no job 'aa'; did you mean 'a'"),
        ({"a": "done"}, bunsui.ConfigError, "say one of succeeded, failed, rerun"),
        ({"a[1]": "rerun"}, bunsui.StateError, r"'a\[1\]' is not unknown"),
        ({f"a[{'9' * 5000}]": "rerun"}, bunsui.NotFound, r"the session has no job 'a\[99999"),
        ({1: "rerun"}, bunsui.ConfigError, "a key is a job's id"),
        ("a", bunsui.ConfigError, "assume is str, not a mapping"),
    ],
)
def test_what_is_said_must_make_sense(service: Service, assume: Any, error: Any, says: str) -> None:
    """Else nothing changes, and the error says what would fit."""
    store = MemoryStore()
    with runner_of(service, store) as runner:
        session = unknown(service, store, runner)
        before = [*session.events()]
        with pytest.raises(error, match=says):
            runner.resume(session.id, assume=assume)
        assert before == [*session.events()]


@pytest.mark.parametrize(
    ("on_lost", "status", "code"), [("fail", "failed", "JobLost"), ("rerun", "succeeded", None)]
)
def test_on_lost_decides(service: Service, on_lost: str, status: str, code: str | None) -> None:
    """`fail` fails the job with JobLost, `rerun` submits it again under its key."""
    store = MemoryStore()
    session = without_handle(service, store, has_it=False, on_lost=on_lost)
    service.fail("find", bunsui.CannotTell)
    with runner_of(service, store) as runner:
        handle = runner.session(session)
        handle.resume()
        if status == "succeeded":
            until(lambda: service.works)
            service.finish()
        assert status == handle.wait(30)
    error = handle.jobs["a"].error
    assert code == (error and error.code)


# Ends


def test_cancel_stops_it_at_the_service(runner: bunsui.Runner, service: Service) -> None:
    """And waits until the service says that it has ended."""
    session = started(runner, service)
    service.fail("cancel")
    session.cancel("enough")
    assert ("cancelled", "enough") == (session.wait(30), session.jobs["a"].reason)
    assert 1 == len(service.stopped)


def test_what_can_not_be_stopped_is_named(
    runner: bunsui.Runner, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends all the same, and its history says what goes on."""
    monkeypatch.setattr(remotes, "PATIENCE", 0.3)
    service.fail("cancel", lambda: None)  # It is asked to, and does not.
    session = started(runner, service)
    session.cancel("enough")
    assert "cancelled" == session.wait(30)
    reason = session.jobs["a"].reason or ""
    assert reason.startswith('enough; remote {"id":"')
    assert "could not be stopped: it had not ended 0.3 seconds after it was asked to" in reason


def test_a_refused_stop_is_named(runner: bunsui.Runner, service: Service) -> None:
    """With the service's reason."""
    service.fail("cancel", bunsui.JobError("not yours", code="Denied", retryable=False))
    session = started(runner, service)
    session.cancel()
    assert "cancelled" == session.wait(30)
    assert "could not be stopped: Denied: not yours" in (session.jobs["a"].reason or "")


def test_a_stop_whose_answer_is_lost_is_asked_for_again(runner: bunsui.Runner, service: Service) -> None:
    """A service that is away for a moment stops the work when it is back."""
    service.fail("cancel", ConnectionError("away"), ConnectionError("away"))
    session = started(runner, service)
    session.cancel()
    assert ("cancelled", "the session was cancelled") == (session.wait(30), session.jobs["a"].reason)
    assert 3 == service.calls["cancel"]


def test_a_timeout_stops_it_and_another_attempt_follows(runner: bunsui.Runner, service: Service) -> None:
    """JobTimeout, once the work has ended at the service."""
    service.fail("submit", None, service.finish)  # The second one's work has ended at once.
    session = started(runner, service, timeout=0.5, retry=TWICE)
    assert "succeeded" == session.wait(30)
    assert ["JobTimeout", None] == [a.error and a.error.code for a in session.jobs["a"].attempts]


def test_work_that_outlives_its_timeout_is_not_tried_again(
    runner: bunsui.Runner, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two attempts never run at once."""
    monkeypatch.setattr(remotes, "PATIENCE", 0.2)
    service.fail("cancel", lambda: None)
    session = runner.run(one(timeout=0.2, retry=THRICE))
    assert ("failed", 1, 1) == (session.status, len(session.jobs["a"].attempts), len(service.works))
    assert "could not be stopped" in session.jobs["a"].error.message


def test_an_orphan_is_cancelled_with_its_work(service: Service) -> None:
    """Who cancels a session that nobody drives stops its work at the service himself."""
    store = MemoryStore()
    with runner_of(service, store) as first:
        session = started(first, service).id
        first.close(timeout=0)
    with runner_of(service, store) as second:
        handle = second.session(session)
        handle.cancel("enough")
        assert "cancelled" == handle.wait(30)
    assert [*service.works] == service.stopped
