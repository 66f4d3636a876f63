"""Sessions that lack credentials: they pause, say what to do, and lose nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.cli.main import run
from bunsui.engine import events as ev
from bunsui.performance.retrying import Backoff
from bunsui.ports.hooks import hookimpl
from bunsui.ports.store import Appended
from bunsui.runner.attempts import remotes
from bunsui.stores.memory import MemoryStore
from bunsui_tests.conditions import until

HINT = "log in with 'aws sso login'"
PAUSED = ("paused", "aws-credentials", f"there are no credentials for AWS; {HINT}")


def missing() -> bunsui.AwsError:
    return bunsui.AwsError(
        "there are no credentials for AWS", service="ecs", action="any", kind="credentials", hint=HINT
    )


class Service(bunsui.RemoteJobType):
    """``type: remote``: work that ends when it is told to, at a service that asks who calls."""

    name: ClassVar[str] = "remote"
    schema: ClassVar[dict[str, Any]] = {"type": "object"}
    poll_interval: ClassVar[Any] = 0.02

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.works: dict[str, Any] = {}
        self.submitted: list[str] = []
        self.stopped: list[str] = []
        #: The methods that find no credentials.
        self.lacking: set[str] = set()
        self.calls: list[str] = []

    def enter(self, method: str) -> None:
        with self.lock:
            self.calls.append(method)
        if method in self.lacking:
            raise missing()

    def finish(self) -> None:
        with self.lock:
            self.works = dict.fromkeys(self.works, bunsui.Succeeded("done"))

    def submit(self, call: bunsui.JobCall) -> Any:
        self.enter("submit")
        with self.lock:
            self.submitted.append(call.idempotency_key)
            self.works[call.idempotency_key] = bunsui.Running()
        return call.idempotency_key

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        self.enter("poll")
        return [self.works[handle] for handle in handles]

    def cancel(self, handle: Any) -> None:
        self.enter("cancel")
        self.stopped.append(handle)
        self.works[handle] = bunsui.Failed("Stopped", "it was stopped")

    def find(self, call: bunsui.JobCall) -> Any:
        self.enter("find")
        key = call.idempotency_key
        return bunsui.Found(key) if key in self.works else bunsui.NeverRan()


class Blocking(bunsui.JobType):
    """``type: blocking``: waits in its thread for what a service does."""

    name: ClassVar[str] = "blocking"
    schema: ClassVar[dict[str, Any]] = {"type": "object"}

    def __init__(self, service: Service) -> None:
        self.service = service
        self.keys: list[str] = []

    def run(self, call: bunsui.JobCall) -> Any:
        self.keys.append(call.idempotency_key)
        self.service.enter("run")
        return "done"


class Local(bunsui.JobType):
    """``type: local``: ends when it is told to."""

    name: ClassVar[str] = "local"
    schema: ClassVar[dict[str, Any]] = {"type": "object"}

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.ran: list[str] = []

    def run(self, call: bunsui.JobCall) -> Any:
        self.ran.append(call.job_id)
        assert self.gate.wait(60)
        return "here"


class Plugin:
    def __init__(self) -> None:
        self.service = Service()
        self.blocking, self.local = Blocking(self.service), Local()

    @hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self.service, self.blocking, self.local]


class Store(MemoryStore):
    """Lets so many appends through, and fails those with a word in them for so long."""

    left: int | None = None
    word, times = "", 0

    def append(self, appends: Any) -> list[Appended]:
        if self.left == 0:
            raise bunsui.StoreError("the process is gone")
        if self.left is not None:
            self.left -= 1
        if self.word and self.times and any(self.word in append.commit.body for append in appends):
            self.times -= 1
            return [Appended(error=bunsui.StoreError("away"))] * len(appends)
        return super().append(appends)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not answer is asked again soon, and nobody has much patience."""
    monkeypatch.setattr(remotes, "_AGAIN", Backoff(first=0.01, longest=0.01))
    monkeypatch.setattr(remotes, "PATIENCE", 0.5)


@pytest.fixture
def plugin() -> Plugin:
    return Plugin()


@pytest.fixture
def service(plugin: Plugin) -> Service:
    return plugin.service


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.close()


@pytest.fixture
def open_runner(plugin: Plugin, store: Store) -> Iterator[Callable[..., bunsui.Runner]]:
    made: list[bunsui.Runner] = []

    def make(**more: Any) -> bunsui.Runner:
        made.append(bunsui.Runner(store, plugins=[plugin], autoload_plugins=False, config={}, **more))
        return made[-1]

    yield make
    plugin.local.gate.set()
    for runner in made:
        runner.close(timeout=0)


@pytest.fixture
def runner(open_runner: Callable[..., bunsui.Runner]) -> bunsui.Runner:
    return open_runner()


def pipeline_of(*jobs: dict[str, Any], **fields: Any) -> bunsui.Pipeline:
    definition = {
        "version": "1.0",
        "name": "p",
        "jobs": [{"type": "remote", **job} for job in jobs],
        **fields,
    }
    return bunsui.Pipeline.from_dict(definition, plugins=bunsui.Plugins([Plugin()], autoload=False))


ONE = pipeline_of({"id": "a"})


def told(session: bunsui.Session) -> tuple[Any, ...]:
    return session.status, session.paused_reason, session.state.paused_message


def kinds(session: bunsui.Session) -> list[str]:
    return [type(event).__name__ for event in session.events()]


def stalled_polls(runner: bunsui.Runner, service: Service, pipeline: bunsui.Pipeline = ONE) -> bunsui.Session:
    """A session that has paused, whose work runs at the service."""
    session = runner.start(pipeline)
    until(lambda: "JobSubmitted" in kinds(session) or "ItemSubmitted" in kinds(session))
    service.lacking = {"poll"}
    session.wait(30)
    return session


def test_work_at_a_service_goes_on_and_is_found_again(runner: bunsui.Runner, service: Service) -> None:
    """The session pauses and says what to do; whoever resumes it goes on with the handle: one submission."""
    session = stalled_polls(runner, service)
    assert PAUSED == told(session)
    assert "running" == session.jobs["a"].status
    service.finish()
    service.lacking = set()
    resumed = runner.resume(session.id)
    assert ("succeeded", "done", 1) == (resumed.status, resumed.jobs["a"].output, len(service.submitted))
    assert 1 == len(resumed.jobs["a"].attempts)
    assert 1 == kinds(session).count("JobStalled")


@pytest.mark.parametrize("retry", [None, {"max_attempts": 3, "delay": 0}])
@pytest.mark.parametrize("type_", ["remote", "blocking"])
def test_what_can_not_begin_begins_later(
    runner: bunsui.Runner, plugin: Plugin, type_: str, retry: Any
) -> None:
    """Under the same number and key, and no retry is used up: after as many pauses as it takes."""
    plugin.service.lacking = {"submit", "run"}
    job = {"id": "a", "type": type_, **({} if retry is None else {"retry": retry})}
    session = runner.run(pipeline_of(job))
    for _ in range(3):
        assert PAUSED == told(session)
        assert ("pending", 1) == (session.jobs["a"].status, len(session.jobs["a"].attempts))
        assert ["JobStarted", "JobStalled", "AttemptLost", "SessionPaused"] == kinds(session)[-5:-1]
        session = runner.resume(session.id)
    plugin.service.lacking = set()
    session.resume()
    until(lambda: "JobSubmitted" in kinds(session) or type_ == "blocking")
    plugin.service.finish()
    assert "succeeded" == session.wait(30)
    assert 1 == len(session.jobs["a"].attempts) == len({*plugin.blocking.keys, *plugin.service.submitted})
    assert {event.key for event in session.events() if isinstance(event, ev.JobStarted)} == {
        *plugin.blocking.keys,
        *plugin.service.submitted,
    }


def test_the_commands_say_what_to_do(
    plugin: Plugin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the plugin, too: what is missing, which job runs on, and how to go on."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with bunsui.Runner(url, plugins=[plugin], autoload_plugins=False, config={}) as runner:
        session = stalled_polls(runner, plugin.service)
    assert 0 == run(["session", "status", session.id, "--store", url])
    out, err = capsys.readouterr()
    assert f"session {session.id} paused (aws-credentials)" in out
    assert "running" in next(line for line in out.splitlines() if line.lstrip().startswith("a "))
    assert f"aws-credentials: there are no credentials for AWS; {HINT}\n" in err
    assert f"bunsui session resume {session.id}" in err


def test_what_runs_here_ends_first_and_nothing_starts(runner: bunsui.Runner, plugin: Plugin) -> None:
    """What can be followed is; what depends on it waits for the resume."""
    pipeline = pipeline_of(
        {"id": "a"}, {"id": "b", "type": "local"}, {"id": "c", "type": "local", "depends_on": ["b"]}
    )
    session = runner.start(pipeline)
    until(lambda: "JobSubmitted" in kinds(session) and plugin.local.ran)
    plugin.service.lacking = {"poll"}
    until(lambda: "JobStalled" in kinds(session))
    assert "running" == session.status
    plugin.local.gate.set()
    session.wait(30)
    assert PAUSED == told(session)
    assert ["running", "succeeded", "pending"] == [state.status for state in session.jobs.values()]
    plugin.service.finish()
    plugin.service.lacking = set()
    assert "succeeded" == runner.resume(session.id).status
    assert (["b", "c"], 1) == (plugin.local.ran, len(plugin.service.submitted))


def test_credentials_that_come_back_in_time(runner: bunsui.Runner, plugin: Plugin) -> None:
    """While something else runs, the work is asked for on, and what it came to is recorded."""
    session = runner.start(pipeline_of({"id": "a"}, {"id": "b", "type": "local"}))
    until(lambda: "JobSubmitted" in kinds(session) and plugin.local.ran)
    plugin.service.lacking = {"poll"}
    until(lambda: "JobStalled" in kinds(session))
    plugin.service.finish()
    plugin.service.lacking = set()
    until(lambda: session.jobs["a"].status == "succeeded")
    plugin.local.gate.set()
    assert session.wait(30) in ("succeeded", "paused")


def test_it_is_cancelled_with_its_work(runner: bunsui.Runner, service: Service) -> None:
    """Who cancels a paused session whose work runs at a service stops that."""
    session = stalled_polls(runner, service)
    service.lacking = set()
    session.cancel("enough")
    assert "cancelled" == session.wait(30)
    assert (service.submitted, "cancelled") == (service.stopped, session.jobs["a"].status)
    assert ["RunnerClaimed", "SessionResumed", "CancelRequested"] == kinds(session)[-5:-2]


def test_it_is_cancelled_without_credentials(runner: bunsui.Runner, service: Service) -> None:
    """The session ends all the same, and says that the work may go on, and why."""
    session = stalled_polls(runner, service)
    service.lacking = {"poll", "cancel"}
    session.cancel("enough")
    assert "cancelled" == session.wait(30)
    reason = session.jobs["a"].reason or ""
    assert ("enough" in reason, "could not be stopped" in reason, HINT in reason) == (True, True, True)


def test_items_stall_likewise(runner: bunsui.Runner, service: Service) -> None:
    """Items whose work runs are found again, each once; the others begin after the resume."""
    pipeline = pipeline_of({"id": "a", "for_each": [1, 2, 3, 4], "max_concurrency": 2})
    session = runner.start(pipeline)
    until(lambda: kinds(session).count("ItemSubmitted") == 2)
    service.lacking = {"poll", "submit"}
    session.wait(30)
    assert PAUSED == told(session)
    items = session.jobs["a"].items or ()
    assert ["running", "running", "pending", "pending"] == [item.status for item in items]
    service.lacking = set()
    session.resume()
    until(lambda: service.finish() is None and session.status == "succeeded")
    assert 4 == len(service.submitted) == len({*service.submitted})
    assert ["done"] * 4 == session.jobs["a"].output


def test_it_stalls_again(runner: bunsui.Runner, service: Service) -> None:
    """A resume without credentials pauses again, and tells it again; nothing is submitted for it."""
    session = stalled_polls(runner, service)
    for count in (2, 3):
        assert PAUSED == told(runner.resume(session.id))
        assert count == kinds(session).count("JobStalled")
    service.finish()
    service.lacking = set()
    assert "succeeded" == runner.resume(session.id).status
    assert 1 == len(service.submitted)


def test_work_that_has_no_handle_is_found_later(runner: bunsui.Runner, service: Service) -> None:
    """After a lost answer there are no credentials to look: it runs on, and is found after the resume."""
    submit = service.submit

    def lost(call: bunsui.JobCall) -> Any:
        submit(call)
        service.lacking = {"find"}
        raise ConnectionError("no answer")

    service.submit = lost  # type: ignore[method-assign]
    session = runner.run(ONE)
    assert PAUSED == told(session)
    service.finish()
    service.lacking = set()
    assert "succeeded" == runner.resume(session.id).status
    assert 1 == len(service.submitted)


def test_nothing_is_recorded_of_it_once_it_is_paused(
    runner: bunsui.Runner, service: Service, store: Store
) -> None:
    """While a store that is away holds the pause up, what the service says comes too late."""
    session = runner.start(ONE)
    until(lambda: "JobSubmitted" in kinds(session))
    store.word, store.times = "SessionPaused", 3
    service.lacking = {"poll"}
    until(lambda: store.times < 3)
    service.finish()
    service.lacking = set()
    assert "paused" == session.wait(30)
    assert "JobSucceeded" not in kinds(session)
    assert "succeeded" == runner.resume(session.id).status


@pytest.mark.parametrize("lacking", [{"submit"}, {"poll"}], ids=str)
@pytest.mark.parametrize("appends", range(1, 6))
def test_a_runner_that_dies_on_the_way(
    open_runner: Callable[..., bunsui.Runner], service: Service, store: Store, appends: int, lacking: set[str]
) -> None:
    """Wherever it dies, the next one finishes the session, and its work runs once."""
    service.lacking = lacking
    dying = open_runner(lease=0.3)
    store.left = appends
    session = dying.start(ONE)
    until(lambda: store.left == 0 or session.status == "paused")
    if session.status != "paused":
        store.left = 0
    dying.close(timeout=0)
    store.left, service.lacking = None, set()
    runner = open_runner(lease=0.3)
    waiting = threading.Thread(target=lambda: until(lambda: service.finish() is None and is_over.is_set()))
    is_over = threading.Event()
    waiting.start()
    try:
        resumed = runner.resume(session.id)
    finally:
        is_over.set()
        waiting.join()
    assert ("succeeded", 1, 1) == (resumed.status, len(service.submitted), len(resumed.jobs["a"].attempts))
