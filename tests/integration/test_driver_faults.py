"""What goes wrong with one session stays with it, and nobody waits for what will not come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.errors import StoreError
from bunsui.ports.store import Append, Appended, Commit
from bunsui.runner.driving.requests import Request, put
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event
from bunsui_tests.held import threads

Job, Pipeline = bunsui.Job, bunsui.Pipeline
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Gate:
    """A job that says that it runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(30)
        return "through"


class Troubled(MemoryStore):
    """A store that goes wrong on demand."""

    def __init__(self) -> None:
        super().__init__()
        #: Called before each append with its entries; what it returns, if not None, is the answer.
        self.trouble: Callable[[Any], list[Appended] | None] = lambda appends: None
        #: How many times somebody has asked for what has changed.
        self.looks = 0

    def changed(self, token: object) -> object:
        self.looks += 1
        return super().changed(token)

    def append(self, appends: Any) -> list[Appended]:
        answer = self.trouble(appends)
        return super().append(appends) if answer is None else answer


def ok() -> str:
    return "ok"


def single(function: Callable[..., Any] = ok, **fields: Any) -> Pipeline:
    """A pipeline of one job, `x`."""
    return Pipeline(name="single", jobs=[Job.from_callable(function, id="x", **fields)])


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def set_aside(runner: bunsui.Runner, session: bunsui.Session, gate: Gate) -> None:
    """Has the driver of a session, whose job waits at the gate, find a history that contradicts itself."""
    live = runner._control.live(session.id)
    assert live is not None
    live.machine.running.clear()
    live.machine.state.jobs.clear()
    gate.opened.set()
    with pytest.raises(bunsui.BunsuiError, match="which the definition does not have"):
        session.wait(30)


def in_threads(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What `call` returned, or raised, in `count` threads at once."""
    results: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        barrier.wait(30)
        try:
            results[i] = call(i)
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


class TestForeignData:
    """Odd things from jobs, callers and plugins fail what they belong to."""

    @pytest.mark.parametrize(
        "error",
        [
            bunsui.JobError(ValueError("inner")),  # type: ignore[arg-type]
            bunsui.JobError(None),  # type: ignore[arg-type]
            bunsui.JobError("x", code=500),  # type: ignore[arg-type]
            bunsui.JobError("x", retryable="no"),  # type: ignore[arg-type]
        ],
    )
    def test_a_job_error_of_odd_parts_fails_its_job(self, error: bunsui.JobError) -> None:
        """And the runner runs the next one."""

        def bad() -> None:
            raise error

        policy = bunsui.RetryPolicy(max_attempts=2, delay=0, on=("5*",))
        with bunsui.Runner("memory://", autoload_plugins=False) as runner:
            assert "failed" == runner.run(single(bad, retry=policy)).status
            assert "succeeded" == runner.run(single()).status

    def test_tags_are_texts(self) -> None:
        """Anything else is refused before a session exists."""
        with bunsui.Runner("memory://", autoload_plugins=False) as runner:
            with pytest.raises(bunsui.ConfigError, match="tags are texts by text"):
                runner.start(single(), tags={"owner": 7})  # type: ignore[dict-item]
            with pytest.raises(bunsui.ConfigError, match=r"tags is .*; they are texts by text"):
                runner.start(single(), tags=[("owner", "ada")])  # type: ignore[arg-type]
            assert [] == runner.sessions()

    @pytest.mark.parametrize("lease", [0, -1, float("inf"), float("nan")])
    def test_a_lease_is_a_number_of_seconds(self, lease: float) -> None:
        """ConfigError."""
        with pytest.raises(bunsui.ConfigError, match="it is a number of seconds above 0"):
            bunsui.Runner("memory://", lease=lease)

    def test_a_request_that_is_none_is_dropped(self) -> None:
        """A document of another version, or for an earlier claim, neither pauses nor disturbs anything."""
        gate = Gate()
        store = MemoryStore()
        with bunsui.Runner(store, autoload_plugins=False) as runner:
            session = runner.start(single(gate))
            assert gate.entered.wait(30)
            claim = next(e for e in session.events() if isinstance(e, ev.RunnerClaimed))
            for i, value in enumerate(
                (
                    {"session": session.id, "action": "dance", "epoch": 1},
                    {"session": session.id, "action": "pause", "epoch": "1", "more": True},
                    {"session": session.id, "action": "cancel", "epoch": claim.epoch - 1},
                    {},
                )
            ):
                store.put("request", str(i), value, groups=((f"runner:{claim.runner}", str(i)),))
            # By another thread: a store does not tell its writer of its own writes.
            in_threads(1, lambda i: store.put("other", "x", {}))
            wait_until(lambda: store.find("request") == [])
            gate.opened.set()
            assert "succeeded" == session.wait(30)

    def test_a_job_type_that_exits_fails_its_job(self) -> None:
        """SystemExit out of a plugin does not reach the driver."""

        class Leaving(bunsui.JobType):
            name = "leaving"
            schema = {"type": "object", "properties": {"to": {"type": "string"}}}
            binding_field = "to"

            def unavailable(self, options: Any) -> str | None:
                if options["to"] == "x":
                    raise SystemExit(3)
                return None

            def run(self, call: bunsui.JobCall) -> None:
                return None

        class Plugin:
            @bunsui.hookimpl
            def bunsui_job_types(self) -> list[bunsui.JobType]:
                return [Leaving()]

        pipeline = Pipeline(
            name="p", parameters=[bunsui.Parameter("to")], jobs=[Job("a", "leaving", {"to": "${to}"})]
        )
        with bunsui.Runner("memory://", plugins=[Plugin()], autoload_plugins=False) as runner:
            assert "failed" == runner.run(pipeline, {"to": "x"}).status
            assert "succeeded" == runner.run(pipeline, {"to": "y"}).status

    def test_an_observer_that_exits_goes_on_seeing(self) -> None:
        """SystemExit of an observer is logged like any other exception."""
        seen: list[ev.Event] = []

        class Leaving:
            @bunsui.hookimpl
            def bunsui_session_event(self, event: ev.Event) -> None:
                seen.append(event)
                raise SystemExit

        with bunsui.Runner("memory://", plugins=[Leaving()], autoload_plugins=False) as runner:
            session = runner.run(single())

        assert list(session.events()) == seen


class TestFailingStore:
    """Errors of the store."""

    def test_a_store_that_raises_is_tried_again(self) -> None:
        """As one that answers with an error is; any exception counts."""
        store = Troubled()
        left = [StoreError("away"), RuntimeError("foreign")]

        def trouble(appends: Any) -> None:
            if left:
                raise left.pop()

        store.trouble = trouble
        with bunsui.Runner(store, autoload_plugins=False) as runner:
            assert "succeeded" == runner.run(single()).status
        assert [] == left

    def test_a_store_that_raises_anything_ends_no_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not where it is asked for requests, nor where a session that was set aside is given back."""
        store = Troubled()
        gate, other = Gate(), Gate()
        with bunsui.Runner(store, autoload_plugins=False) as runner:
            session, bystander = runner.start(single(gate)), runner.start(single(other))
            assert gate.entered.wait(30)
            assert other.entered.wait(30)
            looked = store.looks

            def changed(token: object) -> object:
                store.looks += 1
                raise RuntimeError("foreign")

            monkeypatch.setattr(store, "changed", changed)
            wait_until(lambda: store.looks >= looked + 2)

            def trouble(appends: list[Append]) -> None:
                if any(append.history == session.id for append in appends):
                    raise RuntimeError("foreign")

            store.trouble = trouble
            set_aside(runner, session, gate)
            other.opened.set()
            assert "succeeded" == bystander.wait(30)

    def test_a_session_that_is_set_aside_while_the_store_fails_is_free_once_it_works(self) -> None:
        """Its runner beats on, so without a release nobody could take it over."""
        store = Troubled()
        gate = Gate()
        with bunsui.Runner(store, lease=1.0, autoload_plugins=False) as runner:
            session = runner.start(single(gate))
            assert gate.entered.wait(30)
            tried: list[Any] = []

            def trouble(appends: list[Append]) -> list[Appended]:
                tried.extend(appends)
                return [Appended(error=StoreError("away")) for _ in appends]

            store.trouble = trouble
            set_aside(runner, session, gate)
            wait_until(lambda: bool(tried))
            store.trouble = lambda appends: None
            wait_until(lambda: isinstance(list(session.events())[-1], ev.RunnerReleased))
            assert "succeeded" == runner.resume(session.id).wait(30)

    def test_a_start_that_can_be_of_no_use_fails_at_once(self) -> None:
        """Where the store has to be mended first, not after a lease; the runner has then let go of it."""
        store = Troubled()
        full = StoreError("full", lasting=True)
        store.trouble = lambda appends: [Appended(error=full) for _ in appends]
        with bunsui.Runner(store, lease=3600, autoload_plugins=False) as runner:
            for _ in range(2):
                with pytest.raises(StoreError, match="full"):
                    runner.start(single())
            store.trouble = lambda appends: None
            assert "succeeded" == runner.run(single()).status
            assert 1 == len(runner.sessions())

    def test_a_claim_that_is_there_though_its_append_failed(self) -> None:
        """It is looked for before it is given up: the session goes on, once."""
        store = Troubled()
        failed: list[Any] = []

        def trouble(appends: list[Append]) -> list[Appended] | None:
            if failed:
                return None
            failed.extend(appends)
            assert all(outcome.ok for outcome in MemoryStore.append(store, appends))
            return [Appended(error=StoreError("full", lasting=True)) for _ in appends]

        store.trouble = trouble
        with bunsui.Runner(store, lease=3600, autoload_plugins=False) as runner:
            session = runner.run(single())
            assert ("succeeded", 1) == (session.status, len(failed))
            assert 1 == len([e for e in session.events() if isinstance(e, ev.JobStarted)])

    def test_a_request_while_the_end_cannot_be_written_harms_nobody(self) -> None:
        """The session ends as it would have; another session of the runner goes on."""
        store = Troubled()
        gate, other = Gate(), Gate()
        with bunsui.Runner(store, autoload_plugins=False) as runner:
            session, bystander = runner.start(single(gate)), runner.start(single(other))
            assert gate.entered.wait(30)
            assert other.entered.wait(30)
            failed = threading.Event()

            def trouble(appends: list[Append]) -> list[Appended] | None:
                if any(append.history == session.id for append in appends) and not failed.is_set():
                    failed.set()
                    return [Appended(error=StoreError("once"))] * len(appends)
                return None

            store.trouble = trouble
            gate.opened.set()
            assert failed.wait(30)
            with pytest.raises(bunsui.StateError, match="there is nothing to cancel"):
                session.cancel()
            other.opened.set()

            assert ("succeeded", "succeeded") == (session.wait(30), bystander.wait(30))

    def test_a_session_that_was_given_up_can_be_resumed_once_the_store_works(self, tmp_path: Path) -> None:
        """Its claim is given back, although the process lives and drives on."""
        store = Troubled()
        (tmp_path / "steps.py").write_text(
            "import pathlib, time\n"
            "def first():\n"
            "    here = pathlib.Path(__file__)\n"
            "    here.with_name('on').touch()\n"
            "    while not here.with_name('go').exists():\n"
            "        time.sleep(0.01)\n",
            encoding="utf-8",
        )
        (tmp_path / "p.yaml").write_text(
            'version: "1.0"\nname: p\njobs:\n'
            '  - {id: a, type: custom, callable: "steps:first"}\n'
            '  - {id: b, type: custom, callable: "steps:first", depends_on: [a]}\n',
            encoding="utf-8",
        )
        busy = Gate()
        with bunsui.Runner(store, lease=1.0, autoload_plugins=False) as runner:
            bystander = runner.start(single(busy))
            session = runner.start(runner.load(tmp_path / "p.yaml"))
            wait_until((tmp_path / "on").exists)
            broken = threading.Event()
            broken.set()
            store.trouble = lambda appends: (
                [Appended(error=StoreError("away")) for _ in appends] if broken.is_set() else None
            )
            (tmp_path / "go").touch()
            with pytest.raises(StoreError, match="away"):
                session.wait(30)
            broken.clear()
            wait_until(lambda: isinstance(list(session.events())[-1], ev.RunnerReleased))
            with bunsui.Runner(store, autoload_plugins=False) as another:
                assert "succeeded" == another.resume(session.id).status
            busy.opened.set()
            assert "succeeded" == bystander.wait(30)

    def test_closing_a_runner_whose_store_fails_leaves_nobody_waiting(self) -> None:
        """Who waits is told, and no handle shows what is not in the history."""
        store = Troubled()
        gate = Gate()
        runner = bunsui.Runner(store, lease=3600, autoload_plugins=False)
        session = runner.start(single(gate))
        assert gate.entered.wait(30)
        failed = threading.Event()

        def trouble(appends: list[Append]) -> list[Appended]:
            failed.set()
            return [Appended(error=StoreError("away")) for _ in appends]

        store.trouble = trouble
        gate.opened.set()
        assert failed.wait(30)
        runner.close(timeout=0)

        with pytest.raises(StoreError, match=r"closed while the store failed.*can be resumed"):
            session.wait(10)
        assert ("running", "running") == (session.status, session.jobs["x"].status)

    def test_nothing_is_recorded_after_a_release(self) -> None:
        """What is asked while the store can't be written to is left for whoever claims the session next."""
        store = Troubled()
        gate = Gate()
        jobs = [Job.from_callable(gate, id="a"), Job.from_callable(ok, id="b", depends_on=["a"])]
        with bunsui.Runner(store, lease=1.0, autoload_plugins=False) as runner:
            session = runner.start(Pipeline(name="p", jobs=jobs))
            claim = next(e for e in session.events() if isinstance(e, ev.RunnerClaimed))
            assert gate.entered.wait(30)
            broken = threading.Event()
            broken.set()
            store.trouble = lambda appends: (
                [Appended(error=StoreError("away")) for _ in appends] if broken.is_set() else None
            )
            gate.opened.set()
            with pytest.raises(StoreError, match="away"):
                session.wait(30)
            request = Request("asked", session.id, "pause", claim.epoch)
            # By another thread: a store does not tell its writer of its own writes.
            in_threads(1, lambda i: put(store, claim.runner, request, AT.replace(year=2100)))
            looked = store.looks
            wait_until(lambda: store.looks >= looked + 3)
            broken.clear()
            wait_until(lambda: any(isinstance(e, ev.RunnerReleased) for e in session.events()))
            wait_until(lambda: runner._control.live(session.id) is None)

            assert isinstance(list(session.events())[-1], ev.RunnerReleased)

    def test_a_session_whose_facts_cannot_be_written_takes_no_further_place(self) -> None:
        """What gets ready in it meanwhile waits; the place is for those whose facts can be written."""
        store = Troubled()
        gates = Gate(), Gate()
        jobs = [
            *(Job.from_callable(gate, id=f"a{i}") for i, gate in enumerate(gates)),
            *(Job.from_callable(ok, id=f"b{i}", depends_on=[f"a{i}"]) for i in range(2)),
        ]
        with bunsui.Runner(store, lease=3600, max_concurrency=2, autoload_plugins=False) as runner:
            session = runner.start(Pipeline(name="p", jobs=jobs))
            assert all(gate.entered.wait(30) for gate in gates)
            failed: list[str] = []

            def trouble(appends: list[Append]) -> list[Appended]:
                outcomes = []
                for append in appends:
                    if append.history == session.id:
                        failed.append(append.history)
                        outcomes.append(Appended(error=StoreError("away")))
                    else:
                        outcomes += MemoryStore.append(store, [append])
                return outcomes

            store.trouble = trouble
            for gate in gates:  # The first start is in the commit that fails; the second would be behind it.
                before = len(failed)
                gate.opened.set()
                wait_until(lambda before=before: len(failed) > before + 1)
            assert "succeeded" == runner.start(single()).wait(30)
            store.trouble = lambda appends: None
            assert "succeeded" == session.wait(30)

    def test_an_answer_that_does_not_come_is_not_a_lost_claim(self) -> None:
        """Between append and start the store is slow, then it is away: the job starts all the same."""

        class Slow(MemoryStore):
            appends = 0

            def append(self, appends: Any) -> list[Appended]:
                self.appends += 1
                if self.appends == 2:  # The one that is to show the claim.
                    return [Appended(error=StoreError("away")) for _ in appends]
                outcomes = super().append(appends)
                if self.appends == 1:
                    time.sleep(0.6)
                return outcomes

        store = Slow()
        with bunsui.Runner(store, lease=1.0, autoload_plugins=False) as runner:
            assert "succeeded" == runner.run(single()).status
        assert 4 <= store.appends

    def test_a_store_that_loses_the_first_answer_of_every_commit(self) -> None:
        """Such as one whose client gives up too early: the session goes on, and its history stays short."""

        class Lossy(MemoryStore):
            told: set[str] = set()

            def append(self, appends: Any) -> list[Appended]:
                outcomes = super().append(appends)
                new = {append.commit.id for append in appends} - self.told
                self.told |= new
                return [
                    Appended(error=StoreError("no answer")) if append.commit.id in new else outcome
                    for append, outcome in zip(appends, outcomes, strict=True)
                ]

        store = Lossy()
        with bunsui.Runner(store, autoload_plugins=False) as runner:
            session = runner.start(single())
            assert "succeeded" == session.wait(20)
            assert 5 > len(list(store.read(session.id)))


class TestDeadDriver:
    """The driver's own thread ends by a fault."""

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_nobody_waits_for_it(self) -> None:
        """Who waits for a session and who comes later are told at once, and it can be closed."""
        gate = Gate()

        def fault() -> None:
            raise SystemError("boom")

        with bunsui.Runner("memory://", autoload_plugins=False) as runner:
            session = runner.start(single(gate))
            assert gate.entered.wait(30)
            runner._control.parts.driver.post(fault)
            for call in (lambda: session.wait(30), lambda: runner.start(single())):
                with pytest.raises(bunsui.BunsuiError, match="the driver failed: SystemError: boom"):
                    call()
            gate.opened.set()


class TestRaces:
    """Several threads, several runners."""

    def test_the_first_two_starts_share_one_driver(self) -> None:
        """Whoever comes first makes the thread."""
        for _ in range(20):
            before = threads()
            with bunsui.Runner("memory://", autoload_plugins=False) as runner:
                sessions = in_threads(4, lambda i, runner=runner: runner.start(single()))
                assert ["succeeded"] * 4 == [session.wait(30) for session in sessions]
                names = [thread.name for thread in threads() - before]
                assert 1 == names.count("bunsui-driver")

    def test_the_same_key_from_several_threads(self) -> None:
        """All get the session, it runs once, and nobody hangs."""
        for _ in range(10):
            ran: list[int] = []

            def job(ran: list[int] = ran) -> None:
                ran.append(1)

            with bunsui.Runner("memory://", autoload_plugins=False) as runner:
                pipeline = single(job)
                sessions = in_threads(
                    4, lambda i, r=runner, p=pipeline: r.run(p, idempotency_key="k")  # type: ignore[misc]
                )
                assert {"succeeded"} == {str(session.status) for session in sessions}
                assert (1, [1]) == (len({session.id for session in sessions}), ran)

    @pytest.mark.parametrize("fails", [False, True])
    def test_who_comes_second_with_a_key_waits_for_the_first(self, fails: bool) -> None:
        """Before its first commit is durable there is no session to follow, nor after it has failed."""
        store, blocked = Troubled(), threading.Event()
        appending, durable = threading.Event(), threading.Event()

        def slow(appends: Any) -> None:
            appending.set()
            assert durable.wait(30)
            if fails:
                raise RuntimeError("no")

        with bunsui.Runner(store, lease=1.0, autoload_plugins=False) as runner:
            assert "succeeded" == runner.run(single()).status  # So that there is a driver.
            driver = runner._control.parts.driver
            driver.post(lambda: [None, blocked.wait(30)][0])
            store.trouble = slow
            pipeline, found = single(), []

            def run(_: int) -> None:
                try:
                    found.append(str(runner.run(pipeline, idempotency_key="k").status))
                except bunsui.BunsuiError as error:
                    found.append(type(error).__name__)

            both = threading.Thread(target=in_threads, args=(2, run))
            both.start()
            wait_until(lambda: driver._mailbox._messages.qsize() == 2)
            blocked.set()
            assert appending.wait(30)
            both.join(0.3)
            assert [] == found
            durable.set()
            both.join(30)
            store.trouble = lambda appends: None
            assert (["StoreError"] if fails else ["succeeded"]) * 2 == found

    def test_a_start_while_the_runner_closes(self) -> None:
        """It runs or is refused; it does not hang."""
        for _ in range(20):
            runner = bunsui.Runner("memory://", autoload_plugins=False)
            runner.run(single())
            started, _ = in_threads(
                2,
                lambda i, runner=runner: runner.start(single()) if i == 0 else runner.close(timeout=0),  # type: ignore[misc]
            )
            if isinstance(started, BaseException):
                assert isinstance(started, bunsui.StateError)
            else:
                started.wait(30)

    def test_a_lost_start_gives_its_place_back(self) -> None:
        """With room for one attempt, a session that another runner claims first blocks nothing."""
        store = Troubled()
        with bunsui.Runner(store, max_concurrency=1, autoload_plugins=False) as runner:

            def trouble(appends: list[Append]) -> None:
                store.trouble = lambda appends: None
                body = body_of([encode_event(ev.SessionCreated(AT, "other", "p", "d", {}))])
                store.append([Append(appends[0].history, Commit(1, "foreign", body))])

            store.trouble = trouble
            lost = runner.start(single())
            assert "succeeded" == runner.run(single()).status
            assert "created" == lost.status

    def test_a_place_that_an_overdue_job_gives_back_is_used(self) -> None:
        """The session that waited for it starts."""
        gate = Gate()
        bindings = {"lambda": {"stuck": lambda event, context: gate()}}
        stuck = Pipeline(name="stuck", jobs=[Job("a", "lambda", {"function": "stuck"}, timeout=0.3)])
        with bunsui.Runner(
            "memory://", max_concurrency=1, bindings=bindings, autoload_plugins=False
        ) as runner:
            first = runner.start(stuck)
            assert gate.entered.wait(30)
            second = runner.start(single())
            assert ("failed", "succeeded") == (first.wait(30), second.wait(30))
            gate.opened.set()

    def test_a_timeout_holds_after_a_command_has_ended(self) -> None:
        """What a job type does after its command is under the timeout, too."""
        gate = Gate()

        class Lingering(bunsui.JobType):
            name = "lingering"
            schema = {"type": "object", "properties": {}}

            def run(self, call: bunsui.JobCall) -> Any:
                from bunsui.ports.job_type import Command

                call.workbench.run(Command(["true"]), call)
                return gate()

        class Plugin:
            @bunsui.hookimpl
            def bunsui_job_types(self) -> list[bunsui.JobType]:
                return [Lingering()]

        with bunsui.Runner("memory://", plugins=[Plugin()], autoload_plugins=False) as runner:
            session = runner.run(Pipeline(name="p", jobs=[Job("a", "lingering", timeout=0.5)]))
            gate.opened.set()

        error = session.jobs["a"].error
        assert error is not None
        assert "JobTimeout" == error.code


class TestIdempotentRun:
    """`run` with a key whose session nobody drives."""

    def test_an_orphan_is_resumed(self, tmp_path: Path) -> None:
        """The natural retry after a crash finishes the session instead of waiting for ever."""
        (tmp_path / "steps.py").write_text("def one():\n    return 1\n", encoding="utf-8")
        (tmp_path / "p.yaml").write_text(
            'version: "1.0"\nname: p\njobs: [{id: a, type: custom, callable: "steps:one"}]\n',
            encoding="utf-8",
        )
        url = f"sqlite:///{tmp_path}/s.db"
        with bunsui.Runner(url, autoload_plugins=False) as runner:
            pipeline = runner.load(tmp_path / "p.yaml")
            session = runner.run(pipeline, idempotency_key="monday")
            events = list(session.events())
        # The same history, as a runner leaves it that dies right after its first commit.
        with bunsui.Runner(f"sqlite:///{tmp_path}/crashed.db", autoload_plugins=False) as runner:
            pipeline = runner.load(tmp_path / "p.yaml")
            runner.store.put("definition", pipeline.digest, pipeline.to_dict())
            claim = next(e for e in events if isinstance(e, ev.RunnerClaimed))
            dead = ev.RunnerClaimed(claim.at, "dead", 1, {**claim.process, "started": 1})
            first = [events[0], dead, *events[2:4]]
            runner.store.append(
                [Append(session.id, Commit(1, "c", body_of([encode_event(event) for event in first])))]
            )
            again = runner.run(pipeline, idempotency_key="monday")

        assert (session.id, "succeeded", {"a": 1}) == (again.id, again.status, again.outputs)


def test_what_was_held_back_while_the_store_failed_starts_once_it_works() -> None:
    """A place that became free meanwhile is not forgotten."""
    entered, opened = threading.Event(), threading.Event()

    def gate() -> None:
        entered.set()
        assert opened.wait(60)

    class Failing(MemoryStore):
        """Fails for all histories but the first one, for a while."""

        first: str | None = None
        failures = 0

        def append(self, appends: Any) -> list[Appended]:
            self.first = self.first or appends[0].history
            outcomes = []
            for entry in appends:
                if entry.history != self.first and self.failures < 2:
                    self.failures += 1
                    opened.set()  # Now the only place becomes free, and nothing may start.
                    outcomes.append(Appended(error=StoreError("away")))
                else:
                    outcomes += super().append([entry])
            return outcomes

    with bunsui.Runner(Failing(), max_concurrency=1, autoload_plugins=False) as runner:
        first = runner.start(bunsui.Pipeline("a", [bunsui.Job.from_callable(gate)]))
        assert entered.wait(30)
        fan = bunsui.Job.from_callable(lambda x: x, id="fan", for_each=[1, 2], parameters={"x": "${item}"})
        second = runner.start(bunsui.Pipeline("b", [fan]))
        assert ("succeeded", "succeeded") == (first.wait(30), second.wait(30))
