"""Jobs that do not want to end, and the death of those that watch them: nothing survives.

A sample of the rounds runs by default, all of them with ``BUNSUI_FAULTS=full``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bunsui.errors import JobCancelled, JobError, JobTimeout
from bunsui.local import processes as starting
from bunsui.local.identity import _started, is_alive, is_dead, process_of_this_host
from bunsui.local.process import GRACE
from bunsui.local.supervisor import Supervisor
from bunsui.ports.job_type import Command, Function, JobCall
from bunsui.runner.attempts.logs import Logs
from bunsui_tests.attempts import AttemptLogs, Bench
from bunsui_tests.conditions import wait_for

HARNESS = Path(__file__).resolve().parents[1] / "fixtures" / "process_harness.py"
FULL = os.environ.get("BUNSUI_FAULTS") == "full"
#: Marks all that a test starts, however it detaches itself.
MARK = "BUNSUI_TEST_MARK"
#: All processes of a job that hangs; see the harness.
HUNG = ["child", "detached", "leader", "session", "stopped"]
#: Seconds after the end of a runner in which all is gone. A sample runs beside other tests, on busy machines.
AFTER = 2.0 if FULL else 30.0


class Marked:
    """All processes that are started with one mark in their environment."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex

    def call(self, **fields: Any) -> JobCall:
        given = {"environment": {MARK: self.mark}, "workbench": Bench(), **fields}
        return JobCall("s", "p", "a", 1, {}, {}, "k", **given)

    def alive(self) -> list[int]:
        """Those that are no zombies."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                marked = f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marked and state != "Z":
                found.append(int(folder.name))
        return found


@pytest.fixture
def marked() -> Iterator[Marked]:
    marked = Marked()
    yield marked
    for pid in marked.alive():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()


def up(folder: Path) -> list[str]:
    """Which processes of a job that hangs have told that they run."""
    try:
        return sorted((folder / "up").read_text().split())
    except FileNotFoundError:
        return []


#: What the processes of these tests write.
LOGS = AttemptLogs()


def hung_module(folder: Path) -> None:
    """Puts the module `hung` into a folder."""
    program = f"import runpy; print(runpy.run_path({str(HARNESS)!r})['HUNG'])"
    text = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    (folder / "hung.py").write_text(text)


def hang(supervisor: Supervisor, folder: Path, call: JobCall) -> BaseException | None:
    """What a command that hangs comes to."""
    return stopped(supervisor, Command(["python", "-c", "import hung; hung.hang()"], folder), call)


def stopped(supervisor: Supervisor, command: Command, call: JobCall) -> BaseException | None:
    """The error of a command, whose log is in its folder."""
    assert command.folder is not None
    try:
        supervisor.run(command, call, LOGS.of(command.folder))
    except JobError as error:
        return error
    return None


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Starts `work` in a thread; gives what waits for what it comes to."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return lambda: future.result(60)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class TestHungJobs:
    def test_cancelled(self, supervisor: Supervisor, tmp_path: Path) -> None:
        """Nothing is left of jobs that ignore SIGTERM, detach themselves or stop, after their grace."""

        def one(number: int) -> tuple[list[str], type, bool, list[int]]:
            marked, folder = Marked(), tmp_path / str(number)
            folder.mkdir()
            (folder / "hung.py").write_text((tmp_path / "hung.py").read_text())
            call = marked.call()
            outcome = in_thread(lambda: hang(supervisor, folder, call))
            assert wait_for(lambda: up(folder) == HUNG)
            began = time.monotonic()
            call.cancelled.set()
            error = outcome()
            return up(folder), type(error), time.monotonic() - began >= GRACE, marked.alive()

        hung_module(tmp_path)
        rounds = 100 if FULL else 5
        with ThreadPoolExecutor(10) as pool:
            outcomes = list(pool.map(one, range(rounds)))
        assert [(HUNG, JobCancelled, True, [])] * rounds == outcomes

    def test_without_adoption(
        self, supervisor: Supervisor, tmp_path: Path, marked: Marked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The twin: where orphans are not adopted, those survive that have left the process group."""
        monkeypatch.setattr(
            starting,
            "PROGRAM",
            starting.PROGRAM.replace(
                "fork_server.main", "fork_server.adopt_orphans = lambda _: False; fork_server.main"
            ),
        )
        hung_module(tmp_path)
        call = marked.call()
        outcome = in_thread(lambda: hang(supervisor, tmp_path, call))
        assert wait_for(lambda: up(tmp_path) == HUNG)
        call.cancelled.set()
        assert (JobCancelled, 2) == (type(outcome()), len(marked.alive()))

    def test_leader_that_ends_in_its_grace(
        self, supervisor: Supervisor, tmp_path: Path, marked: Marked
    ) -> None:
        """A command that ends at SIGTERM is reported only when what has detached itself is gone, too."""
        script = "(trap '' TERM; exec setsid sleep 600) & echo > up; wait"
        with pytest.raises(JobTimeout):
            supervisor.run(
                Command([script], tmp_path, shell=True),
                marked.call(deadline=time.monotonic() + 1.0),
                LOGS.of(tmp_path),
            )
        assert (True, []) == ((tmp_path / "up").exists(), marked.alive())

    @pytest.mark.parametrize("detach", ["pass", "os.setsid()"])
    def test_forks_while_it_is_killed(
        self, supervisor: Supervisor, tmp_path: Path, marked: Marked, detach: str
    ) -> None:
        """Processes that each fork the next and end, for ever, do not outrun their end."""
        program = (
            "import os, signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "for _ in range(5):\n"
            "    if os.fork() == 0:\n"
            "        break\n"
            "else:\n"
            "    open('up', 'w').close()\n"
            "    time.sleep(600)\n"
            "while True:\n"
            "    if os.fork():\n"
            "        os._exit(0)\n"
            f"    {detach}\n"
        )
        with pytest.raises(JobTimeout):
            supervisor.run(
                Command(["python", "-c", program], tmp_path),
                marked.call(deadline=time.monotonic() + 1.0),
                LOGS.of(tmp_path),
            )
        assert (tmp_path / "up").exists()
        assert marked.alive() == []


class TestDeathOfTheRunner:
    def start(self, kind: str, folder: Path, marked: Marked) -> subprocess.Popen[bytes]:
        """A runner whose job hangs."""
        environment = {**os.environ, MARK: marked.mark}
        runner = subprocess.Popen([sys.executable, str(HARNESS), kind, str(folder)], env=environment)
        assert wait_for(lambda: up(folder) == HUNG)
        return runner

    @pytest.mark.parametrize("number", range(50 if FULL else 2))
    @pytest.mark.parametrize("kind", ["command", "worker"])
    def test_killed(self, tmp_path: Path, marked: Marked, kind: str, number: int) -> None:
        """Where the runner is killed, nothing of its job is left: with all rounds, 2 s later."""
        runner = self.start(kind, tmp_path, marked)
        before = len(marked.alive())
        runner.kill()
        runner.wait()
        # The runner, its fork server, the keeper, and the job.
        assert (3 + len(HUNG), True) == (before, wait_for(lambda: not marked.alive(), AFTER))

    def test_killed_with_a_forked_child(self, tmp_path: Path, marked: Marked) -> None:
        """Also where a child that the runner has forked holds its sockets, and goes on."""
        runner = self.start("with-child", tmp_path, marked)
        assert wait_for((tmp_path / "forked").exists)
        runner.kill()
        runner.wait()
        only_the_child = wait_for(lambda: len(marked.alive()) == 1, AFTER)
        (tmp_path / "end").touch()
        assert (True, True) == (only_the_child, wait_for(lambda: not marked.alive()))

    @pytest.mark.parametrize("number", range(20 if FULL else 1))
    def test_interrupted_twice(self, tmp_path: Path, marked: Marked, number: int) -> None:
        """Two Ctrl-C end a runner at once, and all of its job with it."""
        runner = self.start("command", tmp_path, marked)
        runner.send_signal(signal.SIGINT)
        time.sleep(0.5)
        runner.send_signal(signal.SIGINT)
        runner.wait(60)
        assert wait_for(lambda: not marked.alive(), AFTER)


class TestDeathOfAWatcher:
    """The fork server or a keeper is killed in the middle of a job."""

    LOST = "the command was ended, because what watches over the processes of this runner has ended"

    @pytest.mark.parametrize("victims", ["server", "keeper", "both"])
    def test_job(self, supervisor: Supervisor, tmp_path: Path, marked: Marked, victims: str) -> None:
        """The attempt fails with a code of its own, and nothing of it is left; the next job runs."""
        hung_module(tmp_path)
        outcome = in_thread(lambda: hang(supervisor, tmp_path, marked.call()))
        assert wait_for(lambda: up(tmp_path) == HUNG)
        (leader,) = [pid for pid in marked.alive() if os.getsid(pid) == pid and is_keeper(parent_of(pid))][:1]
        keeper = parent_of(leader)
        server = parent_of(keeper)
        # Stopped first: both are to be killed before either can see the other's end.
        for pid in (server, keeper) if victims == "both" else ():
            os.kill(pid, signal.SIGSTOP)
        for name, pid in (("server", server), ("keeper", keeper)):
            if victims in (name, "both"):
                os.kill(pid, signal.SIGKILL)
        error = outcome()
        # Where nobody watches any more, the job's own process group is all that the runner can find.
        left = 2 if victims == "both" else 0
        gone = wait_for(lambda: len(marked.alive()) == left, AFTER)
        again = supervisor.run(Command(["true"], tmp_path), marked.call(), LOGS.of(tmp_path))
        assert isinstance(error, JobError)
        assert ("ProcessLost", self.LOST, True, True, None) == (
            error.code,
            error.message,
            error.retryable,
            gone,
            again,
        )

    def test_stopped_keeper(
        self, supervisor: Supervisor, tmp_path: Path, marked: Marked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A job that stops its keeper is ended all the same, though later."""
        monkeypatch.setattr(starting, "LAST_WAIT", 0.5)
        script = 'kill -STOP "$PPID"; touch up; exec sleep 600'
        call = marked.call()
        outcome = in_thread(lambda: stopped(supervisor, Command([script], tmp_path, shell=True), call))
        assert wait_for((tmp_path / "up").exists)
        call.cancelled.set()
        assert (JobCancelled, True) == (type(outcome()), wait_for(lambda: not marked.alive(), AFTER))

    def test_worker(self, supervisor: Supervisor, tmp_path: Path, marked: Marked) -> None:
        """A call fails likewise, and the next one has a new worker."""
        (tmp_path / "calls.py").write_text(
            "import os, time\n"
            "def hang():\n"
            "    open('new', 'w').write(str(os.getpid())); os.rename('new', 'pid'); time.sleep(600)\n"
            "def pid():\n    return os.getpid()\n"
        )
        hanging = Function("calls:hang", (tmp_path,), "custom", isolation="process")

        def call() -> BaseException | None:
            try:
                supervisor.call(hanging, marked.call(), "hang", LOGS.of(tmp_path))
            except JobError as error:
                return error
            return None

        outcome = in_thread(call)
        assert wait_for((tmp_path / "pid").exists)
        worker = int((tmp_path / "pid").read_text())
        os.kill(parent_of(worker), signal.SIGKILL)
        error = outcome()
        assert isinstance(error, JobError)
        other = supervisor.call(
            Function("calls:pid", (tmp_path,), "custom", isolation="process"),
            marked.call(),
            "pid",
            LOGS.of(tmp_path),
        )
        assert ("ProcessLost", True, False) == (
            error.code,
            wait_for(lambda: not Path(f"/proc/{worker}").exists(), AFTER),
            other.value == worker,
        )


def is_keeper(pid: int) -> bool:
    """Whether a process is a keeper or a fork server."""
    return b"fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes()


class TestRecovery:
    """A command that outlived its runner and all that watched it, and the runner that takes over."""

    def test_noted(self, supervisor: Supervisor, tmp_path: Path, marked: Marked) -> None:
        """A command that runs is noted beside its log, so that another process knows it."""
        script = "echo $$ > new; mv new pid; exec sleep 600"
        call = marked.call()
        outcome = in_thread(lambda: stopped(supervisor, Command([script], tmp_path, shell=True), call))
        assert wait_for((tmp_path / "pid").exists)
        noted = LOGS.of(tmp_path).files / "process.json"
        assert wait_for(noted.read_text)
        record = json.loads(noted.read_text())
        alive = is_alive(record)
        call.cancelled.set()
        assert (JobCancelled, int((tmp_path / "pid").read_text()), True, True) == (
            type(outcome()),
            record["pid"],
            alive,
            is_dead(record),
        )

    def left(self, folder: Path, marked: Marked) -> tuple[Logs, Path, subprocess.Popen[bytes]]:
        """Logs in which an attempt has left a process that runs, and what the attempt noted of it."""
        logs = Logs(folder / "logs")
        noted = logs.attempt("s", "a", 1).files / "process.json"
        noted.parent.mkdir()
        process = subprocess.Popen(
            ["sleep", "600"], env={MARK: marked.mark, "PATH": os.environ["PATH"]}, start_new_session=True
        )
        return logs, noted, process

    def note(self, noted: Path, process: subprocess.Popen[bytes], **changes: Any) -> None:
        record = process_of_this_host(process.pid, _started(process.pid))
        noted.write_text(json.dumps({**record, **changes}))

    def test_killed(self, tmp_path: Path, marked: Marked) -> None:
        """It is killed before its files are removed."""
        logs, noted, process = self.left(tmp_path, marked)
        self.note(noted, process)
        logs.clear("s", "a", 1, None)
        assert (-signal.SIGKILL, False) == (process.wait(60), noted.parent.exists())

    @pytest.mark.parametrize("change", ["started", "boot", "host", "pid_namespace"])
    def test_another(self, tmp_path: Path, marked: Marked, change: str) -> None:
        """A process that only has the same pid is left alone: of another start, boot, host or container."""
        logs, noted, process = self.left(tmp_path, marked)
        self.note(noted, process, **{change: 1 if change == "started" else "another"})
        logs.clear("s", "a", 1, None)
        assert (None, False) == (process.poll(), noted.parent.exists())
        process.kill()
        process.wait()

    @pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1}', '{"pid": -1}', "[" * 100_000])
    def test_junk(self, tmp_path: Path, marked: Marked, text: str) -> None:
        """What a job has put into the place of the note is not followed."""
        logs, noted, process = self.left(tmp_path, marked)
        noted.write_text(text)
        logs.clear("s", "a", 1, None)
        assert (None, False) == (process.poll(), noted.parent.exists())
        process.kill()
        process.wait()
