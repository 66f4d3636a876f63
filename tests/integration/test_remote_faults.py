"""Jobs at a remote service: secrets that it shows, types that return junk, and runners that let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.local.identity import this_process
from bunsui.performance.retrying import Backoff
from bunsui.ports.hooks import hookimpl
from bunsui.ports.store import Append, Commit
from bunsui.runner import assembly
from bunsui.runner.attempts import remotes
from bunsui.runner.driving import driver
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event
from bunsui_tests.conditions import until

LATER = datetime(2100, 1, 1, tzinfo=UTC)
#: A canary.
SECRET = "hunter2-hunter2"
JUNK = [None, object(), {"id": float("nan")}]


class Service(bunsui.RemoteJobType):
    """``type: remote``: each method does what a test puts in its place."""

    name: ClassVar[str] = "remote"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"what": {"type": "string"}}}
    poll_interval: ClassVar[Any] = 0.02

    def __init__(self, **methods: Callable[..., Any]) -> None:
        #: The keys that were submitted, in order.
        self.submitted: list[str] = []
        self.stopped: list[Any] = []
        self.outcome: Any = bunsui.Running()
        self.methods = methods

    def submit(self, call: bunsui.JobCall) -> Any:
        if (other := self.methods.get("submit")) is not None:
            return other(call)
        self.submitted.append(call.idempotency_key)
        return {"id": call.idempotency_key}

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        if (other := self.methods.get("poll")) is not None:
            return other(handles)
        return [self.outcome] * len(handles)

    def cancel(self, handle: Any) -> None:
        if (other := self.methods.get("cancel")) is not None:
            other(handle)
        self.stopped.append(handle)
        self.outcome = bunsui.Failed("Stopped", "it was stopped")

    def find(self, call: bunsui.JobCall) -> Any:
        if (other := self.methods.get("find")) is not None:
            return other(call)
        key = call.idempotency_key
        return bunsui.Found({"id": key}) if key in self.submitted else bunsui.NeverRan()

    @hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not answer is asked again soon."""
    again = Backoff(first=0.01, longest=0.01)
    monkeypatch.setattr(remotes, "_AGAIN", again)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that holds the secret."""
    monkeypatch.setenv("REMOTE_SECRET", SECRET)


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with_all = MemoryStore()
    yield with_all
    with_all.close()


def runner_of(service: Service | None, store: Any = "memory://", **more: Any) -> bunsui.Runner:
    plugins = [] if service is None else [service]
    config = {"secrets": {"token": "env:REMOTE_SECRET"}}
    return bunsui.Runner(store, plugins=plugins, autoload_plugins=False, config=config, **more)


def pipeline_of(*jobs: dict[str, Any]) -> bunsui.Pipeline:
    definition = {"version": "1.0", "name": "p", "jobs": [{"type": "remote", **job} for job in jobs]}
    return bunsui.Pipeline.from_dict(definition, plugins=bunsui.Plugins([Service()], autoload=False))


#: A job that is given a secret.
KNOWING = {"id": "a", "parameters": {"password": "${secrets.token}"}}


def is_submitted(session: bunsui.Session) -> bool:
    return any(isinstance(event, ev.JobSubmitted) for event in session.events())


def left_behind(service: Service, store: MemoryStore, *jobs: dict[str, Any]) -> str:
    """A session whose job runs at the service, and whose runner has let go of it."""
    with runner_of(service, store) as runner:
        session = runner.start(pipeline_of(*jobs))
        until(lambda: is_submitted(session))
        runner.close(timeout=0)
    return session.id


def says(session: bunsui.Session) -> str:
    """All that the history holds."""
    return "".join(map(repr, session.events()))


def raising(error: BaseException) -> Callable[..., Any]:
    def method(*_: Any) -> Any:
        raise error

    return method


def claimed_elsewhere(store: MemoryStore, session: str, *events: ev.Event) -> None:
    """Has a runner on another machine, which dies at once, claim a session."""
    *_, last = store.read(session)
    process = {**this_process(), "host": "elsewhere", "boot": "another"}
    claim = ev.RunnerClaimed(LATER, "gone", 2, process, lease=0.3)
    body = body_of([encode_event(event) for event in (claim, *events)])
    (outcome,) = store.append([Append(session, Commit(last.position + 1, "elsewhere", body))])
    assert outcome.ok


# Secrets


@pytest.mark.parametrize(
    "methods",
    [
        {"submit": raising(bunsui.JobError(f"bad password {SECRET}", code="Denied", retryable=False))},
        {"submit": raising(KeyError(f"bad password {SECRET}"))},
        {"poll": raising(ValueError(f"bad password {SECRET}"))},
        {"poll": lambda handles: [bunsui.Failed(SECRET, f"bad password {SECRET}", retryable=False)]},
    ],
    ids=["submit-refuses", "submit-fails", "poll-fails", "work-fails"],
)
def test_what_a_service_says_shows_no_secret(methods: dict[str, Any]) -> None:
    """An error may quote what the service was given: the history holds it without the secret."""
    with runner_of(Service(**methods)) as runner:
        session = runner.run(pipeline_of(KNOWING))
        error = session.jobs["a"].error
        assert error is not None
        assert ("failed", True) == (session.status, "bad password" in error.message)
        assert SECRET not in says(session)


@pytest.mark.parametrize("kind", ["credentials", "open"])
def test_what_a_poll_of_several_says_shows_no_secret_of_any(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the history of a job that was not given it, nor in the program's log."""
    several: list[int] = []

    def poll(handles: Sequence[Any]) -> Sequence[Any]:
        if len(handles) < 2:
            return [bunsui.Running()] * len(handles)
        several.append(len(handles))
        if len(several) <= remotes.SAID_AFTER:
            raise bunsui.AwsError(f"no answer, asked with {SECRET}", service="s3", action="Get", kind=kind)
        return [bunsui.Succeeded("done")] * len(handles)

    caplog.set_level("DEBUG")
    with runner_of(Service(poll=poll)) as runner:
        session = runner.run(pipeline_of(KNOWING, {"id": "b"}))
        assert session.status == ("paused" if kind == "credentials" else "succeeded")
        said = caplog.text if kind == "open" else says(session)
        assert "no answer, asked with ***" in said
        assert SECRET not in says(session) + caplog.text


def test_who_goes_on_with_a_handle_finds_a_secret_in_the_output(store: MemoryStore) -> None:
    """A runner that has not submitted the work itself knows the secrets that it was given, too."""
    service = Service()
    session = left_behind(service, store, KNOWING)
    service.outcome = bunsui.Succeeded({"was": SECRET})
    with runner_of(service, store) as runner:
        resumed = runner.resume(session)
        error = resumed.jobs["a"].error
        assert error is not None
        assert ("SecretInOutput", False) == (error.code, SECRET in says(resumed))


def test_who_goes_on_with_a_handle_shows_no_secret_in_a_refused_stop(store: MemoryStore) -> None:
    """The reason why the work goes on stands in the history without it."""
    service = Service()
    session = left_behind(service, store, KNOWING)
    service.methods["cancel"] = raising(bunsui.JobError(f"no, {SECRET}", code="Denied", retryable=False))
    with runner_of(service, store) as runner:
        handle = runner.session(session)
        handle.cancel()
        assert "cancelled" == handle.wait(30)
        assert ("could not be stopped" in says(handle), SECRET in says(handle)) == (True, False)


def test_who_does_not_know_the_secrets_stops_the_work_and_shows_nothing_of_it(store: MemoryStore) -> None:
    """A session can be cancelled from where its secrets are not configured."""
    service = Service()
    session = left_behind(service, store, KNOWING)
    service.methods["cancel"] = raising(bunsui.JobError(f"no, {SECRET}", code="Denied", retryable=False))
    with bunsui.Runner(store, plugins=[service], autoload_plugins=False) as runner:
        handle = runner.session(session)
        handle.cancel()
        assert "cancelled" == handle.wait(30)
        reason = handle.jobs["a"].reason or ""
        assert ("it may show secrets" in reason, SECRET in says(handle)) == (True, False)


@pytest.mark.parametrize("outcome", [bunsui.Succeeded(SECRET), bunsui.Failed(SECRET, SECRET)])
def test_what_ends_before_it_is_stopped_shows_nothing_to_who_does_not_know_the_secrets(
    store: MemoryStore, outcome: Any
) -> None:
    """Its output can't be looked through, so it is not kept."""
    service = Service()
    session = left_behind(service, store, KNOWING)
    service.outcome = outcome
    service.methods["cancel"] = raising(ConnectionError("away"))
    with bunsui.Runner(store, plugins=[service], autoload_plugins=False) as runner:
        handle = runner.session(session)
        handle.cancel()
        assert ("cancelled", False) == (handle.wait(30), SECRET in says(handle))


def test_work_whose_secrets_are_gone_is_unknown(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who resumes it is asked what became of it, and told why."""
    session = left_behind(service := Service(), store, KNOWING)
    monkeypatch.delenv("REMOTE_SECRET")
    with runner_of(service, store) as runner:
        resumed = runner.resume(session)
    assert ("paused", "unknown-job") == (resumed.status, resumed.paused_reason)
    assert "secret 'token' is not available" in (resumed.jobs["a"].reason or "")


# Types that are wrong


@pytest.mark.parametrize("junk", JUNK, ids=["None", "object", "nan"])
def test_a_find_that_finds_junk_leaves_the_attempt_unknown(junk: Any) -> None:
    """It is the type's fault, and that of its job alone: the session pauses, and asks."""
    methods = {"submit": raising(ConnectionError("reset")), "find": lambda call: bunsui.Found(junk)}
    with runner_of(Service(**methods)) as runner:
        session = runner.run(pipeline_of({"id": "a"}))
        assert ("paused", "unknown-job") == (session.status, session.paused_reason)
        assert "find() of job type 'remote' found" in says(session)


def test_a_type_that_can_not_be_followed_ends_no_other_session(store: MemoryStore) -> None:
    """What goes wrong when a handle is taken over stays with its session."""
    session = left_behind(Service(), store, {"id": "a"})

    class Odd(Service):
        pass

    with runner_of(Odd(), store) as runner:
        Odd.poll_interval = "1"  # type: ignore[assignment] # After it was registered: that would refuse it.
        gate = threading.Event()
        job = bunsui.Job.from_callable(lambda: gate.wait(30), id="x")
        other = runner.start(bunsui.Pipeline(name="other", jobs=[job]))
        with pytest.raises(bunsui.BunsuiError, match="poll_interval of job type 'remote' is 1"):
            runner.resume(session)
        gate.set()
        assert "succeeded" == other.wait(30)


# Services that hang


@pytest.mark.parametrize("method", ["submit", "poll"])
def test_a_service_that_hangs_holds_up_no_other_one(method: str) -> None:
    """Also where more calls hang than there are threads for its type."""
    end = threading.Event()

    def hang(what: Any) -> Any:
        end.wait(60)
        raise bunsui.JobError("it took too long", retryable=False)

    class Other(Service):
        """``type: other``."""

        name = "other"

    hanging, other = Service(**{method: hang}), Other()
    other.outcome = bunsui.Succeeded(1)
    both = [hanging, other]
    with bunsui.Runner(max_concurrency=64, store="memory://", plugins=both, autoload_plugins=False) as runner:
        many = {"version": "1.0", "name": "p", "jobs": [{"id": f"j{i}", "type": "remote"} for i in range(40)]}
        stuck = runner.start(bunsui.Pipeline.from_dict(many, plugins=runner.plugins))
        until(lambda: any(job.status == "running" for job in stuck.jobs.values()))
        one = {"version": "1.0", "name": "p", "jobs": [{"id": "a", "type": "other"}]}
        session = runner.start(bunsui.Pipeline.from_dict(one, plugins=runner.plugins))
        assert "succeeded" == session.wait(30)
        assert "running" == stuck.status
        stuck.cancel()
        end.set()


def test_a_handle_whose_poll_hangs_holds_up_no_other_one() -> None:
    """Each handle of a poll that hangs is polled by itself; the one that hangs then is not asked again."""
    end, asked = threading.Event(), []

    def poll(handles: Sequence[Any]) -> Sequence[Any]:
        asked.append(list(handles))
        if "stuck" in handles:
            end.wait(60)
        return [bunsui.Succeeded(handle) for handle in handles]

    class Patient(Service):
        poll_patience = 0.3

    # Both are submitted before the first poll, which so has both handles.
    both = threading.Barrier(2, timeout=30)

    def submit(call: bunsui.JobCall) -> Any:
        both.wait()
        return call.options["what"]

    service = Patient(poll=poll, submit=submit)
    service.poll_interval = 0.5  # type: ignore[misc]
    with bunsui.Runner("memory://", plugins=[service], autoload_plugins=False, config={}) as runner:
        stuck = runner.start(pipeline_of({"id": "a", "what": "stuck"}))
        other = runner.start(pipeline_of({"id": "b", "what": "other"}))
        assert "succeeded" == other.wait(30)
        later = runner.start(pipeline_of({"id": "c", "what": "later"}, {"id": "d", "what": "latest"}))
        assert "succeeded" == later.wait(30)
        assert "running" == stuck.status
        assert [["stuck"]] == [handles for handles in asked if "stuck" in handles and len(handles) == 1]
        end.set()
        assert "succeeded" == stuck.wait(30)


def test_a_poll_that_hangs_is_noticed_at_the_end_of_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the runner happens to wake up next."""
    monkeypatch.setattr(driver, "TICK", 3600.0)
    end = threading.Event()

    def poll(handles: Sequence[Any]) -> Sequence[Any]:
        if "stuck" in handles:
            end.wait(60)
        return [bunsui.Succeeded(handle) for handle in handles]

    class Patient(Service):
        poll_patience = 0.1

    service = Patient(poll=poll, submit=lambda call: call.options["what"])
    service.poll_interval = 0.2  # type: ignore[misc] # So that the first poll has both.
    with bunsui.Runner("memory://", plugins=[service], autoload_plugins=False, config={}) as runner:
        session = runner.start(pipeline_of({"id": "a", "what": "stuck"}, {"id": "b", "what": "other"}))
        until(lambda: session.jobs["b"].status == "succeeded")
        assert "running" == session.jobs["a"].status
        end.set()
        assert "succeeded" == session.wait(30)


# Runners that let go


def test_nothing_is_submitted_by_a_runner_that_has_let_go(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for a thread when the session is released is not submitted any more: another may do it."""
    monkeypatch.setattr(assembly, "CALLS", 1)
    entered, go_on, released = threading.Event(), threading.Event(), threading.Event()

    class Watching:
        @hookimpl
        def bunsui_session_event(self, event: ev.Event) -> None:
            # Closing a runner waits for its observers, before its threads take no further call.
            if isinstance(event, ev.RunnerReleased):
                released.set()
                go_on.set()
                time.sleep(0.5)  # Time enough for a call to be made that must not be.

    submitted: list[str] = []

    def submit(call: bunsui.JobCall) -> Any:
        submitted.append(call.job_id)
        entered.set()
        assert go_on.wait(30)
        return {"id": call.job_id}

    service = Service(submit=submit)
    with bunsui.Runner(store, plugins=[service, Watching()], autoload_plugins=False) as runner:
        runner.start(pipeline_of({"id": "a"}, {"id": "b"}))
        assert entered.wait(30)
        runner.close(timeout=0)
    assert released.is_set()
    assert 1 == len(submitted)


def test_who_pauses_an_orphan_without_its_job_type_forgets_no_work(store: MemoryStore) -> None:
    """What became of the attempt is asked: it is not run again while it may go on at the service."""
    service = Service()
    session = left_behind(service, store, {"id": "a"})
    with runner_of(None, store) as runner:
        handle = runner.session(session)
        handle.pause()
        assert ("paused", "unknown-job") == (handle.wait(30), handle.paused_reason)
    assert "does not know the job type 'remote'" in (handle.jobs["a"].reason or "")
    assert 1 == len(service.submitted)


def test_what_can_not_be_prepared_again_is_not_run_again(store: MemoryStore) -> None:
    """Where a type refuses to look for its work here, the work may go on: the job's `on_lost` decides."""

    class Choosy(Service):
        binding_field = "what"

        def unavailable(self, options: Any) -> str | None:
            return self.reason

        reason: str | None = None

    service = Choosy()
    session = left_behind(service, store, {"id": "a", "what": "x"})
    service.reason = "there are no credentials here"
    with runner_of(service, store) as runner:
        resumed = runner.resume(session)
    assert ("paused", "unknown-job") == (resumed.status, resumed.paused_reason)
    assert "there are no credentials here" in (resumed.jobs["a"].reason or "")


class Bindable(Service):
    """One that can be bound by what it is."""

    binding_field = "what"


def test_who_pauses_an_orphan_asks_no_service_for_what_was_bound(store: MemoryStore) -> None:
    """What was bound ran on its runner's machine, also for a process that can't call what it was bound to."""
    gate, running = threading.Event(), threading.Event()

    def bound() -> None:
        running.set()
        gate.wait(30)

    asked: list[str] = []
    service = Bindable(find=lambda call: asked.append(call.job_id) or bunsui.CannotTell())
    with runner_of(service, store, bindings={"remote": {"x": bound}}) as runner:
        session = runner.start(pipeline_of({"id": "a", "what": "x"}))
        assert running.wait(30)
        claimed_elsewhere(store, session.id)
        gate.set()
    with runner_of(service, store) as runner:
        handle = runner.session(session.id)
        handle.pause()
        assert ("paused", "user", []) == (handle.wait(30), handle.paused_reason, asked)


def test_a_pause_that_is_taken_back_for_a_dead_runner_finds_the_bindings(store: MemoryStore) -> None:
    """Who takes a session over by that can start what follows as any other runner."""
    done: list[str] = []
    bindings = {"remote": {"x": lambda: done.append("x")}}
    service = Bindable()
    gate, running = threading.Event(), threading.Event()

    def first() -> None:
        running.set()
        gate.wait(30)

    with runner_of(service, store, bindings={"remote": {**bindings["remote"], "first": first}}) as runner:
        session = runner.start(
            pipeline_of({"id": "a", "what": "first"}, {"id": "b", "what": "x", "depends_on": ["a"]})
        )
        assert running.wait(30)
        claimed_elsewhere(store, session.id, ev.PauseRequested(LATER, "asked"))
        gate.set()
    bindings["remote"]["first"] = lambda: done.append("first")
    with runner_of(service, store, bindings=bindings) as runner:
        assert "succeeded" == runner.resume(session.id).status
    assert (["first", "x"], []) == (done, service.submitted)


def test_a_runner_that_has_lost_its_claim_stops_nothing_of_its_successor(store: MemoryStore) -> None:
    """A process that was frozen for long finds timeouts that are over: first it looks who drives."""
    service = Service()
    with runner_of(service, store, lease=0.4) as runner:
        session = runner.start(pipeline_of({"id": "a", "timeout": 1.0}))
        until(lambda: is_submitted(session))
        claimed_elsewhere(store, session.id)
        until(lambda: not session.is_driven_here)
    assert [] == service.stopped
