"""`Runner` and `Session` through their public names, on a real store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.errors import StoreError
from bunsui.ports.store import Append, Appended
from bunsui.stores.memory import MemoryStore
from bunsui.stores.sqlite import SqliteStore
from bunsui_tests.held import threads

Job, Pipeline = bunsui.Job, bunsui.Pipeline


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite store on the real disk."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[bunsui.Runner]:
    """A runner that is closed at the end."""
    with bunsui.Runner(url, autoload_plugins=False) as made:
        yield made


class Gate:
    """A job that says that it runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(30)
        return "through"


def double(value: int = 1) -> int:
    return value * 2


def fail() -> None:
    raise ValueError("no")


def gated(gate: Gate, **fields: Any) -> Pipeline:
    """first (the gate) -> second."""
    return Pipeline(
        name="gated",
        jobs=[
            Job.from_callable(gate, id="first"),
            Job.from_callable(double, id="second", depends_on=["first"]),
        ],
        **fields,
    )


class TestRun:
    """What `run` gives back."""

    def test_outputs_flow_from_job_to_job(self, runner: bunsui.Runner) -> None:
        """A reference brings an upstream output, with its type, into a later job."""
        pipeline = Pipeline(
            name="doubling",
            parameters=[bunsui.Parameter("start", type="integer", required=True)],
            jobs=[
                Job.from_callable(double, id="a", parameters={"value": "${start}"}),
                Job.from_callable(double, id="b", depends_on=["a"], parameters={"value": "${jobs.a.output}"}),
            ],
        )
        session = runner.run(pipeline, {"start": 3})

        assert (bunsui.SessionStatus.SUCCEEDED, {"a": 6, "b": 12}) == (session.status, session.outputs)

    def test_a_failure_skips_what_follows_and_nothing_else(self, runner: bunsui.Runner) -> None:
        """Independent branches go on; the session fails when all has come to rest."""
        pipeline = Pipeline(
            name="failing",
            jobs=[
                Job.from_callable(fail, id="bad"),
                Job.from_callable(double, id="after", depends_on=["bad"]),
                Job.from_callable(double, id="apart"),
            ],
        )
        session = runner.run(pipeline)

        assert {"bad": "failed", "after": "skipped", "apart": "succeeded"} == {
            job: str(state.status) for job, state in session.jobs.items()
        }
        assert "failed" == session.status
        error = session.jobs["bad"].error
        assert error is not None
        assert ("ValueError", "no") == (error.code, error.message)
        with pytest.raises(bunsui.SessionFailed) as raised:
            session.raise_for_status()
        assert f"session {session.id} is failed:\n  bad: ValueError: no" == str(raised.value)

    def test_an_output_is_nobody_elses_object(self, runner: bunsui.Runner) -> None:
        """A job that changes its input changes neither the output it came from nor another job's input."""

        def make() -> dict[str, list[int]]:
            return {"items": [1]}

        def spoil(value: dict[str, list[int]]) -> int:
            value["items"].append(2)
            return len(value["items"])

        given = {"value": "${jobs.make.output}"}
        pipeline = Pipeline(
            name="spoiling",
            jobs=[
                Job.from_callable(make, id="make"),
                Job.from_callable(spoil, id="x", depends_on=["make"], parameters=given),
                Job.from_callable(spoil, id="y", depends_on=["make"], parameters=given),
            ],
        )
        session = runner.run(pipeline)

        assert {"make": {"items": [1]}, "x": 2, "y": 2} == session.outputs

    def test_a_missing_path_fails_the_job_and_names_it(self, runner: bunsui.Runner) -> None:
        """A path that is not there at run time is the job's failure, with attempt 0."""
        pipeline = Pipeline(
            name="missing",
            jobs=[
                Job.from_callable(double, id="a"),
                Job.from_callable(
                    double, id="b", depends_on=["a"], parameters={"value": "${jobs.a.output.rows}"}
                ),
            ],
        )
        state = runner.run(pipeline).jobs["b"]

        assert state.error is not None
        assert ("failed", "ReferenceError", 0) == (state.status, state.error.code, len(state.attempts))
        assert "${jobs.a.output.rows}: jobs.a.output has no 'rows'; it is a number" == state.error.message

    def test_an_output_that_the_store_cannot_take_fails_its_job(self) -> None:
        """Beyond max_commit_bytes an output is refused, and the session goes on."""

        class Small(MemoryStore):
            max_commit_bytes = 4096

        def big(size: int) -> str:
            return "x" * size

        pipeline = Pipeline(
            name="big",
            jobs=[
                Job.from_callable(big, id=f"j{size}", parameters={"size": size})
                for size in (2900, 3000, 4000)
            ],
        )
        with bunsui.Runner(Small(), autoload_plugins=False) as runner:
            session = runner.run(pipeline)

        assert ["succeeded", "succeeded", "failed"] == [s.status for s in session.jobs.values()]
        error = session.jobs["j4000"].error
        assert error is not None
        assert ("OutputTooLarge", False) == (error.code, error.retryable)

    def test_max_concurrency_of_the_pipeline_holds(self, runner: bunsui.Runner) -> None:
        """Never more jobs of one session at once than the pipeline says, and as many as that."""
        running, most, lock, three = 0, 0, threading.Lock(), threading.Barrier(3)

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            three.wait(30)
            time.sleep(0.01)  # One too many would come now.
            with lock:
                running -= 1

        jobs = [Job.from_callable(work, id=f"j{i}") for i in range(12)]
        runner.run(Pipeline(name="wide", jobs=jobs, max_concurrency=3)).raise_for_status()

        assert 3 == most

    def test_max_concurrency_of_the_runner_holds_over_all_sessions(self, url: str) -> None:
        """Sessions share the runner's places: never more jobs at once, and as many as that."""
        running, most, lock, two = 0, 0, threading.Lock(), threading.Barrier(2)

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            two.wait(30)
            time.sleep(0.01)
            with lock:
                running -= 1

        pipeline = Pipeline(name="wide", jobs=[Job.from_callable(work, id=f"j{i}") for i in range(8)])
        with bunsui.Runner(url, max_concurrency=2, autoload_plugins=False) as runner:
            sessions = [runner.start(pipeline) for _ in range(3)]
            assert ["succeeded"] * 3 == [session.wait(30) for session in sessions]

        assert 2 == most

    def test_the_same_idempotency_key_gives_the_same_session(self, runner: bunsui.Runner) -> None:
        """Nothing runs twice; another input under the key is a Conflict."""
        pipeline = Pipeline(
            name="once",
            parameters=[bunsui.Parameter("value", type="integer")],
            jobs=[Job.from_callable(double, parameters={"value": "${value}"})],
        )
        first = runner.run(pipeline, {"value": 1}, idempotency_key="monday")
        second = runner.run(pipeline, {"value": 1}, idempotency_key="monday")

        assert (first.id, 1) == (second.id, len(runner.sessions()))
        with pytest.raises(bunsui.Conflict, match="has another definition or other parameters"):
            runner.run(pipeline, {"value": 2}, idempotency_key="monday")

    @pytest.mark.parametrize("key", ["", " ", 3])
    def test_an_idempotency_key_names_something(self, runner: bunsui.Runner, key: Any) -> None:
        """An empty one, as of a variable that is not set, would give the first session for ever."""
        with pytest.raises(
            bunsui.ConfigError, match=f"the idempotency key is {key!r}; it is a text that names"
        ):
            runner.run(Pipeline(name="p", jobs=[Job.from_callable(double)]), idempotency_key=key)
        assert [] == runner.sessions()

    def test_a_closed_runner_starts_nothing(self, url: str) -> None:
        """It says so, and its sessions stay readable."""
        runner = bunsui.Runner(url, autoload_plugins=False)
        session = runner.run(Pipeline(name="p", jobs=[Job.from_callable(double)]))
        runner.close()

        assert {"double": 2} == session.outputs
        assert 5 < len(list(session.events()))
        with pytest.raises(bunsui.StateError, match="this runner is closed"):
            runner.run(Pipeline(name="p", jobs=[Job.from_callable(double)]))


class TestControl:
    """Pause, resume and cancel."""

    def test_pause_lets_running_jobs_end_and_starts_nothing(self, runner: bunsui.Runner) -> None:
        """The session rests, paused, and is released; resume finishes it."""
        gate = Gate()
        session = runner.start(gated(gate))
        assert gate.entered.wait(30)
        session.pause("lunch")
        gate.opened.set()

        assert ("paused", "user") == (session.wait(30), session.paused_reason)
        assert {"first": "succeeded", "second": "pending"} == {j: s.status for j, s in session.jobs.items()}
        # `first` exists in this process only; it has ended, so nobody needs it any more.
        assert "succeeded" == runner.resume(session.id).status

    def test_a_callable_of_another_process_is_missed_before_the_session_is_claimed(self, url: str) -> None:
        """ConfigError names the job, and the session stays as it was."""
        gate, later = Gate(), Gate()
        pipeline = Pipeline(
            name="p",
            jobs=[Job.from_callable(gate, id="a"), Job.from_callable(later, id="b", depends_on=["a"])],
        )
        with bunsui.Runner(url, autoload_plugins=False) as runner:
            session = runner.start(pipeline)
            assert gate.entered.wait(30)
            session.pause()
            gate.opened.set()
            assert "paused" == session.wait(30)
            before = list(session.events())
            message = "job 'b' calls 'local:b', a callable of the process"
            with (
                bunsui.Runner(runner.store, autoload_plugins=False) as other,
                pytest.raises(bunsui.ConfigError, match=message),
            ):
                other.resume(session.id)
            assert before == list(session.events())
            later.opened.set()
            # The runner that started it has the callable, as long as somebody has the pipeline.
            assert "succeeded" == runner.resume(session.id).status

    def test_a_folder_that_is_gone_is_missed_before_the_session_is_claimed(
        self, url: str, tmp_path: Path
    ) -> None:
        """The session can be resumed once the folder is back."""
        home = tmp_path / "home"
        home.mkdir()
        (home / "steps.py").write_text(
            "import pathlib, time\n"
            "def first():\n"
            "    while not pathlib.Path(__file__).with_name('go').exists():\n"
            "        time.sleep(0.01)\n"
            "def second():\n"
            "    return 2\n",
            encoding="utf-8",
        )
        (home / "p.yaml").write_text(
            'version: "1.0"\nname: p\njobs:\n'
            "  - {id: a, type: custom, callable: 'steps:first'}\n"
            "  - {id: b, type: custom, callable: 'steps:second', isolation: process, depends_on: [a]}\n",
            encoding="utf-8",
        )
        with bunsui.Runner(url, autoload_plugins=False) as runner:
            session = runner.start(runner.load(home / "p.yaml"))
            session.pause()
            (home / "go").touch()
            assert "paused" == session.wait(30)
            home.rename(tmp_path / "moved")
            with pytest.raises(bunsui.ConfigError, match=f"the folder of the definition, {home}, is gone"):
                runner.resume(session.id)
            (tmp_path / "moved").rename(home)
            (home / "steps.py").rename(home / "hidden.py")
            with pytest.raises(bunsui.ConfigError, match="No module named 'steps'"):
                runner.resume(session.id)
            (home / "hidden.py").rename(home / "steps.py")
            assert 2 == runner.resume(session.id).outputs["b"]

    def test_a_paused_session_is_resumed_by_another_runner(self, url: str, tmp_path: Path) -> None:
        """Whoever reaches the store may continue it."""
        (tmp_path / "steps.py").write_text(
            "import pathlib, time\n"
            "def first():\n"
            "    while not pathlib.Path(__file__).with_name('go').exists():\n"
            "        time.sleep(0.01)\n"
            "    return 1\n"
            "def second(value):\n"
            "    return value + 1\n",
            encoding="utf-8",
        )
        (tmp_path / "pipeline.yaml").write_text(
            'version: "1.0"\nname: steps\njobs:\n'
            "  - {id: first, type: custom, callable: 'steps:first'}\n"
            "  - {id: second, type: custom, callable: 'steps:second', depends_on: [first],\n"
            "     parameters: {value: '${jobs.first.output}'}}\n",
            encoding="utf-8",
        )
        with bunsui.Runner(url, autoload_plugins=False) as one:
            session = one.start(one.load(tmp_path / "pipeline.yaml"))
            session.pause()
            (tmp_path / "go").touch()
            assert "paused" == session.wait(30)
            with bunsui.Runner(url, autoload_plugins=False) as other:
                resumed = other.resume(session.id)
                assert ("succeeded", {"first": 1, "second": 2}) == (resumed.status, resumed.outputs)
        assert "succeeded" == session.status

    def test_another_runner_may_ask(self, url: str) -> None:
        """A pause asked through the store reaches the runner that drives."""
        gate = Gate()
        with bunsui.Runner(url, autoload_plugins=False) as driving:
            session = driving.start(gated(gate))
            assert gate.entered.wait(30)
            with bunsui.Runner(url, autoload_plugins=False) as asking:
                asking.session(session.id).pause()
                assert any(isinstance(e, ev.PauseRequested) for e in session.events())
                assert [] == asking.store.find("request")
            gate.opened.set()
            assert "paused" == session.wait(30)

    def test_cancel_ends_a_running_command(self, runner: bunsui.Runner, tmp_path: Path) -> None:
        """The process is stopped, what has not started is given up, the session is cancelled."""
        pipeline = Pipeline.from_dict(
            {
                "version": "1.0",
                "name": "long",
                "jobs": [
                    {
                        "id": "long",
                        "type": "custom",
                        "command": ["sh", "-c", f"touch {tmp_path}/on; sleep 60"],
                    },
                    {"id": "next", "type": "custom", "command": ["true"], "depends_on": ["long"]},
                ],
            }
        )
        session = runner.start(pipeline)
        deadline = time.monotonic() + 30
        while not (tmp_path / "on").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        session.cancel("wrong day")

        assert "cancelled" == session.wait(30)
        assert {"long": ("cancelled", "wrong day"), "next": ("cancelled", "wrong day")} == {
            job: (state.status, state.reason) for job, state in session.jobs.items()
        }

    def test_a_session_that_nobody_drives_is_cancelled_by_the_one_who_asks(self, url: str) -> None:
        """The asker claims it, commits the request, and lets go."""
        gate = Gate()
        pipeline = Pipeline(
            name="left",
            jobs=[
                Job.from_callable(gate, id="gate"),
                Job("later", "custom", {"command": ["true"]}, ["gate"]),
            ],
        )
        with bunsui.Runner(url, autoload_plugins=False) as first:
            session = first.start(pipeline)
            assert gate.entered.wait(30)
            first.close(timeout=0)
        gate.opened.set()
        # `gate` exists in this process only, so the asker needs no callable to cancel it.
        with bunsui.Runner(url, autoload_plugins=False) as second:
            handle = second.session(session.id)
            assert "running" == handle.status
            handle.cancel()
            assert "cancelled" == handle.wait(30)

    def test_an_ended_session_cannot_be_paused_or_cancelled(self, runner: bunsui.Runner) -> None:
        """StateError says what it is."""
        session = runner.run(Pipeline(name="p", jobs=[Job.from_callable(double)]))

        for ask in (session.pause, session.cancel):
            with pytest.raises(bunsui.StateError, match=f"session {session.id} is succeeded"):
                ask()


class TestClaims:
    """At most one runner drives a session."""

    def test_a_stale_runner_stands_down(self, url: str, tmp_path: Path) -> None:
        """After another claim the first runner writes nothing more, and follows what the other does."""
        gate = Gate()
        pipeline = gated(gate)
        store = SqliteStore(tmp_path / "store.db")
        with bunsui.Runner(store, autoload_plugins=False) as first:
            session = first.start(pipeline)
            assert gate.entered.wait(30)
            live = first._control.live(session.id)
            assert live is not None
            # Another runner claims, as it may after a lease without a sign of life.
            from bunsui.ports.store import Commit
            from bunsui.stores.records import body_of, encode_event

            claimed = ev.RunnerClaimed(live.at(datetime.now(UTC)), "other", 2)
            commit = Commit(live.position + 1, "foreign", body_of([encode_event(claimed)]))
            assert store.append([Append(session.id, commit)])[0].ok
            gate.opened.set()
            assert live.done.wait(30)

            assert live.lost
            assert commit.id == list(store.read(session.id))[-1].id
        store.close()

    def test_a_runner_does_not_resume_what_it_drives(self, runner: bunsui.Runner) -> None:
        """StateError, at once."""
        gate = Gate()
        session = runner.start(gated(gate))
        with pytest.raises(bunsui.StateError, match="by this runner already; wait for it: "):
            runner.resume(session.id)
        gate.opened.set()
        session.wait(30)

    def test_an_unknown_session_is_not_found(self, runner: bunsui.Runner) -> None:
        """NotFound carries what was looked for."""
        with pytest.raises(bunsui.NotFound) as raised:
            runner.resume("nothing")
        assert ("session", "nothing") == (raised.value.kind, raised.value.name)


class Failing(MemoryStore):
    """A store whose appends fail while it is told to; a failed one may be durable all the same."""

    def __init__(self, durable: bool) -> None:
        super().__init__()
        self.durable = durable
        self.failing = 0

    def append(self, appends: Any) -> list[Appended]:
        if not self.failing:
            return super().append(appends)
        self.failing -= 1
        if self.durable:
            super().append(appends)
        return [Appended(error=StoreError("disk I/O error")) for _ in appends]


class TestFailingStore:
    """A store that fails stops the start of work, not the session."""

    @pytest.mark.parametrize("durable", [False, True])
    def test_an_append_that_fails_is_tried_again(self, durable: bool) -> None:
        """Also where it was durable in spite of its error: nothing is there twice."""
        store = Failing(durable)
        gate = Gate()
        with bunsui.Runner(store, autoload_plugins=False) as runner:
            session = runner.start(gated(gate))
            assert gate.entered.wait(30)
            store.failing = 2
            gate.opened.set()

            assert "succeeded" == session.wait(30)
        started = [e.job for e in session.events() if isinstance(e, ev.JobStarted)]
        assert ["first", "second"] == started

    def test_after_one_lease_run_raises_and_the_session_can_be_resumed(self) -> None:
        """StoreError; the history is as it was, and another runner finishes."""
        store = Failing(durable=False)
        pipeline = Pipeline(name="p", jobs=[Job("a", "custom", {"callable": "builtins:dict"})])
        with bunsui.Runner(store, lease=1.0, autoload_plugins=False) as runner:
            gate = Gate()
            session = runner.start(gated(gate))
            assert gate.entered.wait(30)
            store.failing = 1000
            gate.opened.set()
            with pytest.raises(StoreError, match="disk I/O error"):
                session.wait(30)
            store.failing = 0
            assert "running" == session.status
            assert "succeeded" == runner.run(pipeline).status


class TestListing:
    """`Runner.sessions`."""

    def test_newest_first_filtered_and_paged(self, runner: bunsui.Runner) -> None:
        """By pipeline, by status, and behind a cursor."""
        good = Pipeline(name="good", jobs=[Job.from_callable(double)])
        bad = Pipeline(name="bad", jobs=[Job.from_callable(fail)])
        ids = [runner.run(pipeline).id for pipeline in (good, bad, good, bad)]

        assert ids[::-1] == [s.session_id for s in runner.sessions()]
        assert [ids[2], ids[0]] == [s.session_id for s in runner.sessions(pipeline="good")]
        assert [ids[3], ids[1]] == [s.session_id for s in runner.sessions(status="failed")]
        newest = runner.sessions(limit=1)
        assert [ids[3]] == [s.session_id for s in newest]
        assert ids[2::-1] == [s.session_id for s in runner.sessions(after=newest[0].cursor)]
        assert {"failed": 1} == newest[0].jobs


class TestObservers:
    """Plugins see committed events."""

    def test_an_observer_sees_every_event_in_order(self, url: str) -> None:
        """What it saw is what the history holds."""
        seen: list[ev.Event] = []

        class Observer:
            @bunsui.hookimpl
            def bunsui_session_event(self, session_id: str, event: ev.Event) -> None:
                seen.append(event)

        with bunsui.Runner(url, plugins=[Observer()], autoload_plugins=False) as runner:
            session = runner.run(Pipeline(name="p", jobs=[Job.from_callable(double)]))

        assert list(session.events()) == seen

    def test_an_observer_that_raises_changes_nothing(self, url: str, caplog: Any) -> None:
        """It is logged with its name, and the session succeeds."""

        class Bad:
            @bunsui.hookimpl
            def bunsui_session_event(self, event: ev.Event) -> None:
                raise RuntimeError("observer")

        with bunsui.Runner(url, plugins=[Bad()], autoload_plugins=False) as runner:
            session = runner.run(Pipeline(name="p", jobs=[Job.from_callable(double)]))

        assert "succeeded" == session.status
        assert "observer 'Bad' failed on SessionCreated" in caplog.text


class TestClose:
    """`Runner.close`."""

    def test_running_jobs_end_within_the_timeout(self, url: str) -> None:
        """What ends in time is recorded, what has not started is left, the claim is released."""
        gate = Gate()
        runner = bunsui.Runner(url, autoload_plugins=False)
        session = runner.start(gated(gate))
        assert gate.entered.wait(30)
        threading.Timer(0.3, gate.opened.set).start()
        runner.close(timeout=30)

        assert {"first": "succeeded", "second": "pending"} == {j: s.status for j, s in session.jobs.items()}
        assert isinstance(list(session.events())[-1], ev.RunnerReleased)

    def test_a_runner_that_ran_nothing_leaves_nothing(self, tmp_path: Path) -> None:
        """No file, no thread."""
        before = threads()
        with bunsui.Runner(f"sqlite:///{tmp_path}/store.db", autoload_plugins=False) as runner:
            assert [] == runner.sessions()

        assert (set(), []) == (threads() - before, list(tmp_path.iterdir()))
