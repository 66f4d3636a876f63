"""A pipeline's `timeout`: what it ends, and which time it counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, Runner, Session, current_call
from bunsui.engine import events as ev
from bunsui.local.identity import this_process
from bunsui.ports.store import Append, Commit
from bunsui.stores.records import body_of, encode_event

REASON = "the session took longer than its timeout"
#: A command that says who it is, and stays.
STAYING = "echo $$ > pid.new; mv pid.new pid; sleep 600"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A runner that is closed at the end, on the real disk."""
    with Runner(f"sqlite:///{tmp_path}/store.db", autoload_plugins=False) as made:
        yield made


def definition(folder: Path, jobs: Sequence[dict[str, Any]], timeout: Any) -> Path:
    path = folder / "pipeline.json"
    data = {"version": "1.0", "name": "timed", "timeout": timeout, "jobs": jobs}
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def staying(**fields: Any) -> dict[str, Any]:
    """The job `long`, which would take ten minutes."""
    return {"id": "long", "type": "custom", "command": STAYING, "shell": True, **fields}


def after(**fields: Any) -> dict[str, Any]:
    """The job `after`, which waits for it."""
    return {"id": "after", "type": "custom", "command": ["true"], "depends_on": ["long"], **fields}


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestEnd:
    """What the timeout ends."""

    def test_running_work_is_stopped_and_pending_jobs_are_cancelled(
        self, runner: Runner, tmp_path: Path
    ) -> None:
        """The process is gone, and the session says what it is."""
        session = runner.run(runner.load(definition(tmp_path, [staying(), after()], "3000ms")))

        assert "timed_out" == session.status
        assert is_gone(int((tmp_path / "pid").read_text()))
        assert {"long": ("cancelled", REASON), "after": ("cancelled", REASON)} == {
            job: (state.status, state.reason) for job, state in session.jobs.items()
        }
        with pytest.raises(bunsui.SessionFailed, match=f"session {session.id} is timed_out"):
            session.raise_for_status()

    def test_a_timeout_that_is_over_before_the_start(self, runner: Runner, tmp_path: Path) -> None:
        """However short it is, it is not lost."""
        session = runner.run(runner.load(definition(tmp_path, [staying()], 1e-6)))

        assert "timed_out" == session.status

    def test_a_cleanup_does_not_start(self, runner: Runner, tmp_path: Path) -> None:
        """Nothing new starts, whatever its condition says, and allow_failure changes nothing."""
        jobs = [staying(allow_failure=True), after(condition="always()")]
        session = runner.run(runner.load(definition(tmp_path, jobs, 1)))

        assert ("timed_out", "cancelled") == (session.status, session.jobs["after"].status)

    def test_a_callable_in_a_thread_is_asked_to_stop(self, runner: Runner) -> None:
        """What it then returns counts, but the session is timed out all the same."""

        def work() -> bool:
            return current_call().cancelled.wait(60)

        session = runner.run(Pipeline(name="timed", timeout=1, jobs=[Job.from_callable(work, id="a")]))

        assert ("timed_out", "succeeded", True) == (
            session.status,
            session.jobs["a"].status,
            session.jobs["a"].output,
        )

    def test_a_job_that_waits_for_its_next_attempt_is_cancelled(self, runner: Runner) -> None:
        """It is not tried again."""
        runs: list[int] = []

        def fail() -> None:
            runs.append(1)
            raise ValueError("no")

        job = Job.from_callable(
            fail, id="a", retry=bunsui.RetryPolicy(9, delay=600, max_delay=600, jitter="none")
        )
        session = runner.run(Pipeline(name="timed", timeout=1, jobs=[job]))

        assert ("timed_out", "cancelled", 1) == (session.status, session.jobs["a"].status, len(runs))

    def test_items_of_a_fan_out_are_stopped(self, runner: Runner, tmp_path: Path) -> None:
        """Those that run; the others never start."""
        job = staying(for_each=[0, 1, 2], max_concurrency=1)
        state = runner.run(runner.load(definition(tmp_path, [job], 1))).jobs["long"]

        assert state.items is not None
        assert ["cancelled", "pending", "pending"] == [str(item.status) for item in state.items]
        assert ("cancelled", REASON) == (state.status, state.reason)

    def test_a_pause_that_was_asked_for_does_not_hold_it(self, runner: Runner, tmp_path: Path) -> None:
        """A session that waits for running work before it pauses is still running."""
        session = runner.start(runner.load(definition(tmp_path, [staying()], 2)))
        wait_for(tmp_path / "pid")
        session.pause()

        assert "timed_out" == session.wait(60)

    def test_a_session_that_was_cancelled_before_is_cancelled(self, runner: Runner) -> None:
        """Who was first, counts."""
        entered, opened = threading.Event(), threading.Event()

        def work() -> None:
            entered.set()
            assert opened.wait(60)

        pipeline = Pipeline(name="timed", timeout=1, jobs=[Job.from_callable(work, id="a")])
        session = runner.start(pipeline)
        assert entered.wait(30)
        session.cancel("mine")
        time.sleep(1.2)  # The timeout comes while the work still runs.
        opened.set()

        assert "cancelled" == session.wait(60)
        assert not [event for event in session.events() if isinstance(event, ev.TimeoutReached)]

    def test_a_session_in_time_is_not_touched(self, runner: Runner) -> None:
        """It succeeds, and its timer disturbs nobody."""
        pipeline = Pipeline(name="timed", timeout=1, jobs=[Job.from_callable(dict, id="a")])
        first = runner.run(pipeline)
        time.sleep(1.1)
        second = runner.run(Pipeline(name="untimed", jobs=[Job.from_callable(dict, id="a")]))

        assert ("succeeded", "succeeded") == (first.status, second.status)
        assert not [event for event in first.events() if isinstance(event, ev.TimeoutReached)]

    def test_exit_code(self, tmp_path: Path) -> None:
        """`bunsui run` exits with 1, and names the status."""
        definition(tmp_path, [staying(), after()], 1)
        command = [sys.executable, "-m", "bunsui", "run", "pipeline.json"]
        done = subprocess.run(
            [*command, "--store", f"sqlite:///{tmp_path}/s.db"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (1, "") == (done.returncode, done.stderr)
        assert " timed_out in " in done.stdout.splitlines()[-1]


def left(runner: Runner, folder: Path, timeout: float, *events: ev.Event) -> Session:
    """A session that was left behind with this history; its job `a` ran, or runs, and `b` follows."""
    jobs = [
        {"id": "a", "type": "custom", "command": ["true"]},
        (
            {**staying(id="b"), "depends_on": ["a"]}
            if timeout < 3600
            else {**after(id="b"), "depends_on": ["a"]}
        ),
    ]
    pipeline = runner.load(definition(folder, jobs, timeout))
    runner.store.put("definition", pipeline.digest, pipeline.to_dict())
    created = ev.SessionCreated(
        events[0].at, "aaaaaaaaaaaaaaaa", "timed", pipeline.digest, {}, base_dir=str(folder)
    )
    body = body_of([encode_event(event) for event in (created, *events)])
    assert runner.store.append([Append(created.session_id, Commit(1, "c", body))])[0].ok
    return runner.session(created.session_id)


class TestCounting:
    """Which time counts."""

    def history(self, *facts: tuple[float, Any]) -> list[ev.Event]:
        """Facts at seconds since two hours ago, of a runner whose process is dead."""
        began = datetime.now(UTC) - timedelta(hours=2)
        dead = {**this_process(), "started": 1}
        first = [ev.RunnerClaimed(began, "dead", 1, dead), ev.SessionStarted(began)]
        return [*first, *(make(began + timedelta(seconds=at)) for at, make in facts)]

    @staticmethod
    def ran(at: datetime) -> ev.Event:
        return ev.JobStarted(at, "a", 1, "key")

    @staticmethod
    def ended(at: datetime) -> ev.Event:
        return ev.JobSucceeded(at, "a", 1)

    def paused(self, at: float) -> list[tuple[float, Any]]:
        return [
            (at, lambda t: ev.PauseRequested(t, "r")),
            (at, lambda t: ev.SessionPaused(t, "user")),
            (at, lambda t: ev.RunnerReleased(t, 1)),
        ]

    def test_a_pause_does_not_count(self, runner: Runner, tmp_path: Path) -> None:
        """Paused for two hours, after a minute: an hour is not over."""
        events = self.history((0, self.ran), (60, self.ended), *self.paused(60))
        session = left(runner, tmp_path, 3600, *events)

        assert "succeeded" == runner.resume(session.id).status

    def test_what_came_before_the_pause_counts(self, runner: Runner, tmp_path: Path) -> None:
        """Paused three seconds before its time was over: these are left."""
        events = self.history((0, self.ran), (3595, self.ended), *self.paused(3595))
        session = left(runner, tmp_path, 3598, *events)

        assert "timed_out" == runner.resume(session.id).status
        assert is_gone(int((tmp_path / "pid").read_text()))

    def test_a_session_that_used_it_up_ends_at_once(self, runner: Runner, tmp_path: Path) -> None:
        """Nothing more starts."""
        events = self.history((0, self.ran), (3599, self.ended), *self.paused(3599))
        session = left(runner, tmp_path, 3598, *events)

        assert "timed_out" == runner.resume(session.id).status
        assert not (tmp_path / "pid").exists()

    def test_after_a_crash_the_count_goes_on(self, runner: Runner, tmp_path: Path) -> None:
        """What the dead runner has used is used; that nobody drove does not count."""
        session = left(runner, tmp_path, 3598, *self.history((0, self.ran), (3595, self.ended)))

        assert "timed_out" == runner.resume(session.id).status
        assert is_gone(int((tmp_path / "pid").read_text()))

    def test_the_time_after_a_crash_does_not_count(self, runner: Runner, tmp_path: Path) -> None:
        """A runner that died after a minute, two hours ago, has used a minute."""
        session = left(runner, tmp_path, 3600, *self.history((0, self.ran), (60, self.ended)))

        assert "succeeded" == runner.resume(session.id).status

    def test_what_a_crash_has_cut_off_does_not_count(self, runner: Runner, tmp_path: Path) -> None:
        """Nobody knows for how long that ran: it has the whole of the time that was left at its start."""
        session = left(runner, tmp_path, 3600, *self.history((60, self.ran)))

        assert "succeeded" == runner.resume(session.id).status

    def test_a_timeout_that_a_crash_interrupted_is_carried_out(self, runner: Runner, tmp_path: Path) -> None:
        """The fact stands: what ran is not run again."""
        events = self.history((0, self.ran), (3600, ev.TimeoutReached))
        session = runner.resume(left(runner, tmp_path, 3600, *events).id)

        assert ("timed_out", {"a": "cancelled", "b": "cancelled"}) == (
            session.status,
            {job: str(state.status) for job, state in session.jobs.items()},
        )
