"""Pause, resume and cancel from anywhere, and adopting what nobody drives any more."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.local.identity import is_dead
from bunsui.runner.attempts import results
from bunsui.runner.control import Control
from bunsui.runner.driving import heartbeat
from bunsui.runner.sessions import index
from bunsui.stores.memory import MemoryStore
from bunsui_tests.conditions import until

Job, Pipeline = bunsui.Job, bunsui.Pipeline


class Gate:
    """A job that says that it runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(30)
        return "through"


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[bunsui.Runner]:
    with bunsui.Runner(url, autoload_plugins=False) as made:
        yield made


def three() -> int:
    return 3


def two(gate: Gate) -> Pipeline:
    """The gate, then another job."""
    return Pipeline(
        "p", [Job.from_callable(gate, id="a"), Job.from_callable(three, id="b", depends_on=["a"])]
    )


def last(session: bunsui.Session, kind: type[ev.Event]) -> Any:
    return [event for event in session.events() if isinstance(event, kind)][-1]


# A pause that is taken back


def test_a_pending_pause_is_taken_back(runner: bunsui.Runner, gate: Gate) -> None:
    """Resumed before it rests, the session goes on as if nothing had been asked."""
    session = runner.start(Pipeline("p", [Job.from_callable(gate, id="a"), Job.from_callable(time.time)]))
    assert gate.entered.wait(30)
    session.pause("lunch")
    session.resume()
    gate.opened.set()

    assert "succeeded" == session.wait(30)
    assert {last(session, ev.PauseRequested).request, last(session, ev.ResumeRequested).request}
    assert [] == [event for event in session.events() if isinstance(event, ev.SessionPaused)]


def test_nothing_is_assumed_of_a_pause_that_has_not_come_to_rest(runner: bunsui.Runner, gate: Gate) -> None:
    """What was said is not lost silently: it is refused, and the pause stands."""
    session = runner.start(two(gate))
    assert gate.entered.wait(30)
    session.pause()
    with pytest.raises(bunsui.StateError, match=r"has not come to rest.*until it is paused"):
        session.resume(assume={"a": "rerun"})
    gate.opened.set()
    assert "paused" == session.wait(30)


def test_another_runner_takes_a_pause_back(url: str, runner: bunsui.Runner, gate: Gate) -> None:
    """It asks the one that drives, which goes on; the session stays there."""
    session = runner.start(two(gate))
    assert gate.entered.wait(30)
    session.pause()
    with bunsui.Runner(url, autoload_plugins=False) as other:
        other.session(session.id).resume()
    gate.opened.set()
    assert ("succeeded", 1) == (session.wait(30), session.state.epoch)


def test_a_pause_of_an_orphan_is_taken_back(module: Path, url: str) -> None:
    """Who resumes a session whose runner died while it was pausing means that it goes on."""
    process, (session,) = victim(module, url, "one")
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        handle = runner.session(session)
        handle.pause()
        killed(process)
        (module / "go").touch()
        assert "succeeded" == runner.resume(session).status
        assert last(handle, ev.PauseRequested).request != last(handle, ev.ResumeRequested).request


def test_what_the_user_said_stands_beside_the_reason(runner: bunsui.Runner, gate: Gate) -> None:
    """The reason is a word for programs."""
    session = runner.start(two(gate))
    assert gate.entered.wait(30)
    session.pause("maintenance")
    gate.opened.set()
    session.wait(30)
    assert ("user", "maintenance") == (session.paused_reason, session.state.paused_message)


def test_a_reason_is_a_text(runner: bunsui.Runner, gate: Gate) -> None:
    """Anything else is refused: in the history of a session that nobody drives it would be damage."""
    session = runner.start(two(gate))
    assert gate.entered.wait(30)
    for ask in (session.pause, session.cancel):
        with pytest.raises(bunsui.ConfigError, match="the reason is 3; it is a text, such as 'maintenance'"):
            ask(3)  # type: ignore[arg-type]
    session.pause()
    gate.opened.set()
    session.wait(30)
    with pytest.raises(bunsui.ConfigError, match="the reason is 3"):
        session.cancel(3)  # type: ignore[arg-type]
    assert "paused" == runner.session(session.id).status


def test_a_session_that_runs_elsewhere_can_not_be_resumed(module: Path, url: str) -> None:
    """The error says where it runs, and what would fit."""
    pipeline = Pipeline("p", [Job("a", "custom", callable="waiting:wait")])
    with bunsui.Runner(url, lease=1.0, autoload_plugins=False) as beating:
        session = beating.start(pipeline)
        with (
            bunsui.Runner(url, autoload_plugins=False) as other,
            pytest.raises(bunsui.StateError, match=rf"is driven by a runner on .* \(pid {os.getpid()}\)"),
        ):
            other.resume(session.id)
        (module / "go").touch()
        session.wait(30)


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_an_ended_session_takes_no_request(runner: bunsui.Runner, action: str) -> None:
    """StateError says that it has ended, and what would fit."""
    session = runner.run(Pipeline("p", [Job.from_callable(time.time)]))
    with pytest.raises(bunsui.StateError, match=f"nothing to {action}; to run it again: bunsui"):
        getattr(session, action)()


@pytest.mark.parametrize("action", ["session", "resume", "rerun", "start_rerun"])
@pytest.mark.parametrize("given", ["session", "summary"])
def test_what_is_no_id_of_a_session_is_told(runner: bunsui.Runner, action: str, given: str) -> None:
    """A Session in place of its id, say: ConfigError names what was given, and where the id is."""
    session = runner.run(Pipeline("p", [Job.from_callable(time.time)]))
    wrong: Any = {"session": session, "summary": runner.sessions()[0]}[given]
    with pytest.raises(bunsui.ConfigError, match=f"not by {type(wrong).__name__}; give session.id, or"):
        getattr(runner, action)(wrong)


def test_a_plan_of_what_is_no_id_of_a_session_is_refused(runner: bunsui.Runner) -> None:
    """As a rerun of it is."""
    session: Any = runner.run(Pipeline("p", [Job.from_callable(time.time)]))
    with pytest.raises(bunsui.ConfigError, match="a session is named by its id, a text, not by Session"):
        runner.plan(rerun=session)


def test_an_unknown_session_is_not_found_with_the_nearest(runner: bunsui.Runner) -> None:
    """One letter wrong is told so."""
    session = runner.run(Pipeline("p", [Job.from_callable(time.time)]))
    wrong = session.id[:-1] + ("a" if session.id[-1] != "a" else "b")
    with pytest.raises(bunsui.NotFound, match=f"did you mean '{session.id}'") as caught:
        runner.session(wrong)
    assert ("session", wrong) == (caught.value.kind, caught.value.name)


def test_what_is_no_id_names_no_session(runner: bunsui.Runner) -> None:
    """Such as None, of a request without one."""
    with pytest.raises(bunsui.NotFound, match="there is no session 'None' in"):
        runner.session(None)  # type: ignore[arg-type]


# What can't be stopped


def test_a_thread_that_ignores_a_cancellation_is_named(
    runner: bunsui.Runner, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds the session ends without it, and says that it goes on."""
    monkeypatch.setattr(results, "STOPPING", 0.2)
    session = runner.start(two(gate))
    assert gate.entered.wait(30)
    session.cancel("enough")
    assert "cancelled" == session.wait(30)
    assert "enough; its thread can't be ended and goes on" == session.jobs["a"].reason
    gate.opened.set()


def test_a_thread_that_ended_after_its_timeout_is_tried_again(runner: bunsui.Runner) -> None:
    """Once it has come back there can be another attempt."""

    class Slow(bunsui.JobType):
        name = "slow"
        schema = {"type": "object", "properties": {}}

        def run(self, call: bunsui.JobCall) -> Any:
            if call.attempt == 1:
                assert call.cancelled.wait(60)
            return call.attempt

    class Plugin:
        @bunsui.hookimpl
        def bunsui_job_types(self) -> list[bunsui.JobType]:
            return [Slow()]

    retry = {"max_attempts": 2, "delay": 0.5, "jitter": "none"}
    definition = {"version": "1.0", "name": "p", "jobs": [{"id": "a", "type": "slow", "timeout": 0.5}]}
    definition["jobs"][0]["retry"] = retry  # type: ignore[index]
    with bunsui.Runner(runner.store, plugins=[Plugin()], autoload_plugins=False) as other:
        session = other.run(Pipeline.from_dict(definition, plugins=other.plugins))
    assert ("succeeded", 2) == (session.status, session.outputs["a"])
    assert ["JobTimeout", None] == [a.error and a.error.code for a in session.jobs["a"].attempts]


# Orphans

#: Starts sessions whose jobs wait, says their ids, and waits to be killed. With a lease that no test would
#: outlive: whoever waits for it, fails.
VICTIM = """
import sys, time
import bunsui
import waiting
runner = bunsui.Runner(sys.argv[1], lease=float(sys.argv[2]), autoload_plugins=False)
ids = []
for name in sys.argv[3:]:
    pipeline = bunsui.Pipeline(name, [bunsui.Job("a", "custom", callable="waiting:wait")])
    ids.append(runner.start(pipeline).id)
while len(list(waiting.HERE.glob("ran-*"))) < len(ids):
    time.sleep(0.01)
print(" ".join(ids), flush=True)
time.sleep(600)
"""
WAITING = """
import bunsui, pathlib, time
HERE = pathlib.Path(__file__).parent

def wait():
    call = bunsui.current_call()
    (HERE / f"ran-{call.session_id}-{time.monotonic_ns()}").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return "done"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of jobs that wait for the file `go`."""
    (tmp_path / "waiting.py").write_text(WAITING, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    (tmp_path / "go").touch()
    sys.modules.pop("waiting", None)


def victim(
    folder: Path, url: str, *names: str, lease: float = 3600
) -> tuple[subprocess.Popen[str], list[str]]:
    """A process that drives a session for each name."""
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, url, str(lease), *names],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.timeout(120)
def test_recover_adopts_what_a_dead_process_left(module: Path, url: str) -> None:
    """Both sessions are driven to their end here, without a wait for a lease."""
    process, ids = victim(module, url, "one", "two")
    killed(process)
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        adopted = runner.recover()
        assert ids == [session.id for session in adopted]
        (module / "go").touch()
        assert ["succeeded"] * 2 == [session.wait(30) for session in adopted]
        assert [] == runner.recover()


def test_recover_of_one_pipeline_leaves_the_others(module: Path, url: str) -> None:
    """A session of another pipeline is not claimed."""
    process, (one, two_) = victim(module, url, "one", "two")
    killed(process)
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        assert [two_] == [session.id for session in runner.recover("two")]
        assert 1 == runner.session(one).state.epoch
        (module / "go").touch()
        runner.session(two_).wait(30)


def test_recover_leaves_the_living_alone(module: Path, url: str) -> None:
    """A session whose runner lives is not touched: the runner's process says so by its heartbeat."""
    process, (session,) = victim(module, url, "one", lease=9)
    try:
        with bunsui.Runner(url, autoload_plugins=False) as runner:
            # The victim beats every 3 s: so long it takes to see that it lives.
            found: list[Any] = []
            thread = threading.Thread(target=lambda: found.append(runner.recover()))
            thread.start()
            thread.join(60)
            assert [[]] == found
            assert 1 == runner.session(session).state.epoch
    finally:
        killed(process)


def test_recover_leaves_what_moved_before_it_was_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that was silent for a lease, and drives on before the claim, lives: nothing starts twice."""
    shared = MemoryStore()
    silent = threading.Event()
    entered: list[str] = []

    class Silent(MemoryStore):
        def __init__(self) -> None:
            vars(self).update(vars(shared))

        def put(self, kind: str, key: str, value: Any, *more: Any, **named: Any) -> int:
            if silent.is_set() and kind == heartbeat.KIND:
                raise bunsui.StoreError("away")
            return super().put(kind, key, value, *more, **named)

    gates = [Gate(), Gate()]

    def call(number: int) -> str:
        entered.append(f"{number}")
        return gates[number]()

    first_job = Job.from_callable(lambda: call(0), id="first")
    second_job = Job.from_callable(lambda: call(1), id="second", depends_on=["first"])
    pipeline = Pipeline("p", [first_job, second_job])
    taking_over = Control.taking_over

    def late(*given: Any, **named: Any) -> Any:
        silent.clear()
        gates[0].opened.set()
        assert gates[1].entered.wait(30)
        return taking_over(*given, **named)

    with (
        bunsui.Runner(Silent(), lease=1.0, autoload_plugins=False) as first,
        bunsui.Runner(shared, lease=1.0, autoload_plugins=False) as second,
    ):
        second._control.know(pipeline)
        session = first.start(pipeline)
        assert gates[0].entered.wait(30)
        silent.set()
        monkeypatch.setattr(Control, "taking_over", late)
        try:
            assert [] == second.recover()
        finally:
            gates[1].opened.set()
        assert ("succeeded", ["0", "1"]) == (session.wait(30), entered)


def test_recover_leaves_paused_sessions_alone(runner: bunsui.Runner, gate: Gate) -> None:
    """Whoever paused one, resumes it."""
    session = runner.start(two(gate))
    assert gate.entered.wait(30)
    session.pause()
    gate.opened.set()
    assert "paused" == session.wait(30)
    assert [] == runner.recover()
    assert "paused" == session.status


def test_recover_leaves_what_can_not_run_here(
    module: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A session whose callable can't be found is left to others, and the log says why."""
    process, (session,) = victim(module, url, "one")
    killed(process)
    (module / "waiting.py").unlink()
    sys.modules.pop("waiting", None)
    with bunsui.Runner(url, autoload_plugins=False) as runner, caplog.at_level(logging.WARNING):
        assert [] == runner.recover()
        assert 1 == runner.session(session).state.epoch
    assert f"session {session} is not adopted: job 'a'" in caplog.text


def test_of_two_recoveries_one_adopts(module: Path, url: str) -> None:
    """Each session is driven by one of them."""
    process, ids = victim(module, url, *"abcdef")
    killed(process)
    runners = [bunsui.Runner(url, autoload_plugins=False) for _ in range(3)]
    adopted: list[str] = []
    threads = [
        threading.Thread(target=lambda each=each: adopted.extend(s.id for s in each.recover()))
        for each in runners
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ids) == sorted(adopted)
    (module / "go").touch()
    assert ["succeeded"] * 6 == [runners[0].session(session).wait(30) for session in ids]
    for each in runners:
        each.close()
    assert {2} == {runners[0].session(session).state.epoch for session in ids}


@pytest.fixture
def pids(tmp_path: Path, url: str) -> Path:
    """A file with the pid of a command, which waits for the file `go`; its session's runner was killed."""
    script = 'echo $$ >> pids; while [ ! -e go ]; do sleep 0.02; done; echo 1 > "$BUNSUI_OUTPUT"'
    definition = {
        "version": "1.0",
        "name": "p",
        "jobs": [{"id": "a", "type": "custom", "command": ["sh", "-c", script]}],
    }
    (tmp_path / "p.json").write_text(json.dumps(definition), encoding="utf-8")
    start = (
        "import bunsui, sys, time; r = bunsui.Runner(sys.argv[1]); r.start(r.load('p.json')); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", start, url], cwd=tmp_path)
    file = tmp_path / "pids"
    until(lambda: file.exists() and len(file.read_text().split()) == 1)
    process.kill()
    process.wait()
    return file


def test_what_a_dead_runner_left_goes_where_its_session_ends(tmp_path: Path, url: str, pids: Path) -> None:
    """Who cancels an orphan ends what runs of it on this machine, and removes its files."""
    left = tmp_path / "store.db-logs"
    assert [each.name for each in left.rglob("process.json")]
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        (summary,) = runner.sessions()
        session = runner.session(summary.session_id)
        session.cancel()
        assert "cancelled" == session.wait(30)
    assert [] == [each.name for each in left.rglob("process.json")]
    assert not Path(f"/proc/{pids.read_text().split()[0]}").exists()


def test_who_loses_a_claim_leaves_the_winners_process_alone(tmp_path: Path, url: str, pids: Path) -> None:
    """Two see that nobody drives a session: what the first one begins is not what the dead one left."""
    with (
        bunsui.Runner(url, autoload_plugins=False) as late,
        bunsui.Runner(url, autoload_plugins=False) as first,
    ):
        (summary,) = late.sessions()
        seen = late._control.load(summary.session_id)
        session = first.session(summary.session_id)
        session.resume()
        until(lambda: len(pids.read_text().split()) == 2)
        lost = late._control.take_over(summary.session_id, loaded=seen)
        assert lost.lost
        (tmp_path / "go").touch()
        assert "succeeded" == session.wait(30)
        assert [1] == [attempt.number for attempt in session.jobs["a"].attempts]
        assert 2 == len(pids.read_text().split())


def test_a_session_that_kills_its_runners_is_set_aside(tmp_path: Path, url: str) -> None:
    """Ten processes die of it; the eleventh is told so, and a resumption by hand tries again."""
    (tmp_path / "deadly.py").write_text("import os\ndef kill():\n    os._exit(9)\n", encoding="utf-8")
    script = (
        "import sys, bunsui\n"
        "with bunsui.Runner(sys.argv[1], autoload_plugins=False) as runner:\n"
        "    if len(sys.argv) > 2:\n"
        "        session = runner.resume(sys.argv[2])\n"
        "    else:\n"
        "        pipeline = bunsui.Pipeline('p', [bunsui.Job('a', 'custom', callable='deadly:kill')])\n"
        "        session = runner.run(pipeline)\n"
        "    print(session.status, session.paused_reason, session.state.paused_message)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, url, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert 9 == run().returncode
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        session = runner.sessions()[0].session_id
    for _ in range(9):
        assert 9 == run(session).returncode
    done = run(session)
    assert 0 == done.returncode, done.stderr
    text = "10 runners in a row died, and no job came to its end; when the last one did, 'a' ran"
    assert f"paused crash-loop {text}" == done.stdout.strip()
    assert 9 == run(session).returncode  # Resumed by hand, it is tried again.


def test_a_session_whose_runner_died_is_shown_as_orphaned(module: Path, url: str) -> None:
    """In listings and in its status, while its status is still the one that its history tells."""
    process, (session,) = victim(module, url, "one")
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        assert (False, [False]) == orphaned(runner, session)
        killed(process)
        assert (True, [True]) == orphaned(runner, session)
        listed = command(module, url, "session", "list")
        assert "running (orphaned)" in listed.stdout
        shown = command(module, url, "session", "status", session)
        assert f"nobody drives it; continue it with: bunsui session resume {session}" in shown.stderr
        assert f"session {session} running (orphaned)\n" in shown.stdout
        assert '"running"' in command(module, url, "session", "list", "--format", "json").stdout
        runner.session(session).cancel()
        runner.session(session).wait(30)
        assert (False, [False]) == orphaned(runner, session)


def test_a_session_that_ends_while_it_is_looked_at(
    url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is gone a moment after it was seen to run: it has ended, it is no orphan."""

    def ends(process: Mapping[str, Any]) -> bool:
        gate.opened.set()
        assert "succeeded" == driven.wait(30)
        return is_dead({**process, "pid": gone.pid})

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        for look in (
            lambda session: runner.session(session).is_orphaned,
            lambda session: runner.sessions(limit=1)[0].is_orphaned,
            lambda session: runner.sessions(limit=1, status="running") != [],
        ):
            gate.entered.clear()
            gate.opened.clear()
            with bunsui.Runner(url, autoload_plugins=False) as driver, monkeypatch.context() as patch:
                driven = driver.start(two(gate))
                assert gate.entered.wait(30)
                patch.setattr(index, "is_dead", ends)
                assert not look(driven.id)


def test_a_session_that_its_runner_let_go_of_is_orphaned(url: str, gate: Gate) -> None:
    """As after Ctrl-C."""
    first = bunsui.Runner(url, autoload_plugins=False)
    session = first.start(two(gate)).id
    assert gate.entered.wait(30)
    first.close(timeout=0)
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        assert (True, [True]) == orphaned(runner, session)


def orphaned(runner: bunsui.Runner, session: str) -> tuple[bool, list[bool]]:
    """What a handle says, and what a listing does."""
    return runner.session(session).is_orphaned, [each.is_orphaned for each in runner.sessions()]


# The command line


def command(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bunsui", *arguments, "--store", url],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_pause_and_cancel_from_the_command_line(module: Path, url: str) -> None:
    """Another process asks; the one that drives answers, and the command's exit code is 0."""
    process, (session,) = victim(module, url, "one")
    try:
        paused = command(module, url, "session", "pause", session, "--reason", "lunch")
        assert (0, "") == (paused.returncode, paused.stdout), paused.stderr
        assert f"session {session} is pausing: running jobs end\n" == paused.stderr
        back = f"take that back with: bunsui session resume {session} --store {url}\n"
        shown = command(module, url, "session", "status", session)
        assert f"it is pausing: running jobs end; {back}" == shown.stderr
        cancelled = command(module, url, "session", "cancel", session)
        assert 0 == cancelled.returncode, cancelled.stderr
        shown = command(module, url, "session", "status", session)
        assert "it is being cancelled: what runs is stopped\n" == shown.stderr
        (module / "go").touch()
        with bunsui.Runner(url, autoload_plugins=False) as runner:
            assert runner.session(session).wait(30) in ("cancelled", "succeeded")
            assert "lunch" == last(runner.session(session), ev.PauseRequested).reason
    finally:
        killed(process)


def test_an_orphan_is_paused_and_cancelled_by_who_asks(module: Path, url: str) -> None:
    """Nobody drives it: the command does, until it rests."""
    process, (session,) = victim(module, url, "one")
    killed(process)
    paused = command(module, url, "session", "pause", session)
    assert (0, f"session {session} is paused\n") == (paused.returncode, paused.stderr)
    cancelled = command(module, url, "session", "cancel", session)
    assert (0, f"session {session} is cancelled\n") == (cancelled.returncode, cancelled.stderr)
    again = command(module, url, "session", "pause", session)
    assert 5 == again.returncode
    assert f"session {session} is cancelled: there is nothing to pause" in again.stderr


def test_assume_from_the_command_line(tmp_path: Path, url: str) -> None:
    """A job with `on_lost: unknown` whose runner was killed waits for somebody's word."""
    (tmp_path / "p.yaml").write_text(
        'version: "1.0"\nname: p\njobs:\n'
        "  - {id: pay, type: custom, on_lost: unknown, command: [python, wait.py]}\n"
        "  - {id: tell, type: custom, depends_on: [pay], command: [python, -c, pass]}\n",
        encoding="utf-8",
    )
    (tmp_path / "wait.py").write_text(
        "import pathlib, time\npathlib.Path('runs').touch()\ntime.sleep(600)\n", encoding="utf-8"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "bunsui", "run", "p.yaml", "--store", url],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until((tmp_path / "runs").exists)
    process.kill()
    process.wait()
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        session = runner.sessions()[0].session_id
    resumed = command(tmp_path, url, "session", "resume", session)
    assert 7 == resumed.returncode
    assert "\npay   unknown    attempt 1" in resumed.stdout
    asked = (
        "unknown-job: it can't be told what became of 'pay'\n"
        f"continue it with: bunsui session resume {session} --store {url} --assume WORD pay\n"
        "where WORD says what became of it: succeeded, failed, rerun\n"
    )
    assert (asked, asked) == (resumed.stderr, command(tmp_path, url, "session", "status", session).stderr)
    assert 5 == command(tmp_path, url, "session", "resume", session).returncode
    wrong = command(tmp_path, url, "session", "resume", session, "--assume", "succeeded", "pya")
    assert (3, True) == (wrong.returncode, "did you mean 'pay'" in wrong.stderr)
    both = ("--assume", "succeeded", "pay", "--assume", "failed", "pay")
    torn = command(tmp_path, url, "session", "resume", session, *both)
    assert (2, True) == (torn.returncode, "'pay' both succeeded and failed; say one of them" in torn.stderr)
    done = command(
        tmp_path, url, "session", "resume", session, "--assume", "succeeded", "pay", "--format", "json"
    )
    assert 0 == done.returncode, done.stderr
    assert "succeeded" == json.loads(done.stdout)["status"]
