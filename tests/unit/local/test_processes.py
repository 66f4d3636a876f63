"""Processes through the fork server: what they are given, how many share what, and what is left behind."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bunsui import Job, Pipeline, Runner
from bunsui.errors import JobError, StateError
from bunsui.local import processes as starting
from bunsui.local.keeper import FIRST_FREE
from bunsui.local.process import wait
from bunsui.local.processes import NotStarted, Process, Processes
from bunsui_tests import held
from bunsui_tests.conditions import is_running, wait_for

TELL = "import json, os, signal, sys; json.dump({what}, open('told', 'w'))"


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.close()


def run(processes: Processes, *argv: str, folder: Path | None = None, **env: str) -> int | None:
    """The exit code of a process without open files."""
    environment = {"PATH": os.environ["PATH"], **env}
    with contextlib.closing(processes.start(argv, env=environment, folder=folder, descriptors={})) as process:
        wait(process, None)
        return process.returncode


def told(processes: Processes, folder: Path, what: str, *arguments: str, **env: str) -> Any:
    """What a Python expression is in a process."""
    assert run(processes, sys.executable, "-c", TELL.format(what=what), *arguments, folder=folder, **env) == 0
    return json.loads((folder / "told").read_text())


def sleeping(processes: Processes) -> Process:
    """A process that has started, and sleeps."""
    process = processes.start(["sleep", "600"], env={"PATH": os.environ["PATH"]}, descriptors={})
    wait(process, None, until_started=True)
    return process


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    """Other tests in this process may have left something that is on its way to its end."""
    BEFORE.update(held.children())
    yield
    BEFORE.clear()


BEFORE: set[int] = set()


def children() -> list[int]:
    """The children that this process has got in the test."""
    return [*(held.children() - BEFORE)]


class TestWhatAProcessHas:
    def test_open_files(self, processes: Processes, tmp_path: Path) -> None:
        """A process has its stdin, stdout and stderr open, and nothing of the runner or the fork server."""
        held = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(held, True)
        names = told(processes, tmp_path, "[os.readlink(f'/proc/self/fd/{n}') for n in range(3)]")
        (tmp_path / "told").unlink()
        assert run(processes, "sh", "-c", "ls /proc/self/fd > told", folder=tmp_path) == 0
        os.close(held)
        # ls itself opens the folder that it lists, as 3.
        listed = (tmp_path / "told").read_text().split()
        assert (["/dev/null"] * 3, ["0", "1", "2", "3"]) == (names, listed)

    def test_given_files(self, processes: Processes, tmp_path: Path) -> None:
        """A process has the descriptors that it is given under the numbers that were asked for."""
        with (tmp_path / "a").open("wb") as a, (tmp_path / "b").open("wb") as b:
            script = "echo out; echo err >&2; echo five >&5; echo six >&6; ls /proc/self/fd >&5"
            descriptors = {a.fileno(): (5,), b.fileno(): (1, 2, 6)}
            argv = ["sh", "-c", script]
            with contextlib.closing(processes.start(argv, env={}, descriptors=descriptors)) as process:
                wait(process, None)
        texts = [(tmp_path / name).read_text().split() for name in "ab"]
        assert [["five", "0", "1", "2", "3", "5", "6"], ["out", "err", "six"]] == texts

    def test_signals(self, processes: Processes, tmp_path: Path) -> None:
        """A process ignores and blocks no signal, whatever the runner does."""
        before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            for number in before:
                signal.signal(number, signal.SIG_IGN)
            run(processes, "sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status > told", folder=tmp_path)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            for number, handler in before.items():
                signal.signal(number, handler)
        name, mask, other, ignored = (tmp_path / "told").read_text().split()
        # 32 and 33 are the C library's own, which no program can set.
        own = 1 << 31 | 1 << 32
        assert ("SigBlk:", 0, "SigIgn:", 0) == (name, int(mask, 16), other, int(ignored, 16) & ~own)

    def test_session(self, processes: Processes) -> None:
        """A process leads a session and a group of its own: a terminal's Ctrl-C does not reach it."""
        with contextlib.closing(sleeping(processes)) as process:
            assert process.pid is not None
            ids = os.getsid(process.pid), os.getpgid(process.pid)
            process.end(0.0)
        assert (process.pid, process.pid) == ids

    def test_bytes(self, processes: Processes, tmp_path: Path) -> None:
        """Words, variables and folders arrive byte for byte, also where they are no UTF-8."""
        folder = tmp_path / os.fsdecode(b"f\xff\xc3")
        folder.mkdir()
        word, value = os.fsdecode(b"w\xff\xe9 \n"), os.fsdecode(b"v\xfe=\xe9")
        what = (
            "[[w.hex() for w in map(os.fsencode, sys.argv[1:])], os.environb[b'X'].hex(), os.getcwdb().hex()]"
        )
        found = told(processes, folder, what, word, "", "分水", X=value)
        expected = [
            [b"w\xff\xe9 \n".hex(), "", "分水".encode().hex()],
            b"v\xfe=\xe9".hex(),
            os.fsencode(folder).hex(),
        ]
        assert expected == found

    @pytest.mark.parametrize(("variables", "size"), [(1, 100 * 1024), (12, 100 * 1024)])
    def test_large_environment(self, processes: Processes, tmp_path: Path, variables: int, size: int) -> None:
        """Variables of 100 KiB arrive whole, also more than fit into a socket at once."""
        env = {f"X{number}": "y" * size for number in range(variables)}
        assert told(
            processes, tmp_path, "sum(len(v) for v in os.environ.values() if v[:2] == 'yy')", **env
        ) == (variables * size)

    @pytest.mark.parametrize(
        ("argv", "env", "said"),
        [
            (["true", "\0"], {}, "embedded null byte"),
            (["true"], {"A\0": ""}, "embedded null byte"),
            (["true"], {"A": "\0"}, "embedded null byte"),
            (["true"], {"A=B": ""}, "illegal environment variable name"),
        ],
    )
    def test_impossible(self, processes: Processes, argv: list[str], env: dict[str, str], said: str) -> None:
        """What no program can be given is refused, and nothing is started for it."""
        before = children()
        with pytest.raises(ValueError, match=said):
            processes.start(argv, env=env, descriptors={})
        assert before == children()

    def test_working_directory(
        self, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a folder a process runs where the runner is now, not where it was at its first process."""
        run(processes, "true")
        monkeypatch.chdir(tmp_path)
        run(processes, "touch", "here")
        (tmp_path / "folder").mkdir()
        run(processes, "touch", "there", folder=Path("folder"))
        assert (True, True) == ((tmp_path / "here").exists(), (tmp_path / "folder" / "there").exists())

    def test_working_directory_that_is_gone(
        self, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the runner's folder was removed, a process starts all the same."""
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        assert run(processes, "true") == 0

    def test_path(self, processes: Processes, tmp_path: Path) -> None:
        """A program is looked for in the PATH that the process gets; what may not be run is passed over."""
        for name, mode in (("first", 0o600), ("second", 0o700)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "program").write_text("#!/bin/sh\nexit 7\n")
            (tmp_path / name / "program").chmod(mode)
        path = f"{tmp_path}/none:{tmp_path}/first:{tmp_path}/second"
        assert run(processes, "program", PATH=path) == 7

    @pytest.mark.parametrize(
        ("program", "code"), [("no-such-program", 2), ("./no/such", 2), ("/dev/null", 13), ("/", 13)]
    )
    def test_not_started(self, processes: Processes, program: str, code: int) -> None:
        """What can't be started has the system's reason; the keeper goes on to the next."""
        with pytest.raises(NotStarted) as caught:
            run(processes, program)
        assert (code, "program", 0) == (caught.value.errno, caught.value.about, run(processes, "true"))

    @pytest.mark.parametrize("least", [FIRST_FREE, FIRST_FREE + 1])
    def test_no_numbers_for_what_it_is_given(
        self, processes: Processes, least: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the keeper may not have that many files open, it says so, and lives."""
        changes = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({least}, {least}))"
        serve = "fork_server.main"
        monkeypatch.setattr(
            starting, "PROGRAM", starting.PROGRAM.replace(serve, f"exec({changes!r}); {serve}")
        )
        with Path(os.devnull).open("wb") as nowhere:
            given = {nowhere.fileno(): (1,), sys.__stdin__.fileno(): (0,)}
            env = {"PATH": os.environ["PATH"]}
            with contextlib.closing(processes.start(["true"], env=env, descriptors=given)) as process:
                with pytest.raises(NotStarted) as caught:
                    wait(process, None)
                keeper = process.keeper
        assert (errno.EMFILE, "keeper") == (caught.value.errno, caught.value.about)
        with contextlib.closing(processes.start(["true"], env=env, descriptors={})) as other:
            wait(other, None)
            assert (keeper, 0) == (other.keeper, other.returncode)


class TestSharing:
    def test_one_fork_server_and_keeper(self, processes: Processes) -> None:
        """Processes one after the other share a fork server and a keeper."""
        before = len(children())
        parents = set()
        for _ in range(5):
            with contextlib.closing(sleeping(processes)) as process:
                assert process.pid is not None
                parents.add(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])
                os.kill(process.pid, signal.SIGTERM)
                wait(process, None)
        assert (1, 1) == (len(parents), len(children()) - before)

    def test_many_at_once(self, processes: Processes) -> None:
        """200 processes from 32 threads all end with their own exit codes."""
        with ThreadPoolExecutor(32) as pool:
            codes = list(pool.map(lambda n: run(processes, "sh", "-c", f"exit {n}"), range(200)))
        assert list(range(200)) == codes

    def test_keeper_of_what_is_left_takes_no_more(self, processes: Processes, tmp_path: Path) -> None:
        """A process that ends and leaves another has ended; what it left goes on until the end."""
        run(processes, "sh", "-c", "setsid sleep 600 & echo $! > left", folder=tmp_path)
        left = int((tmp_path / "left").read_text())
        with contextlib.closing(sleeping(processes)) as other:
            other.end(0.0)
        alive = is_running(left)
        processes.close()
        assert (True, False) == (alive, is_running(left))

    def test_thread_jobs_need_no_process(self) -> None:
        """A runner that only calls functions in its threads starts no process."""
        before = children()
        with Runner("memory://") as runner:
            session = runner.run(Pipeline("p", jobs=[Job.from_callable(children, id="a")]))
            assert (before, before) == (session.outputs["a"], children())

    def test_forked_child(self, processes: Processes) -> None:
        """A child that this process has forked has a fork server of its own, and does not end this one's."""
        with contextlib.closing(sleeping(processes)) as process:
            with warnings.catch_warnings():
                # From Python 3.12 on, where there are threads: the child runs little, and then ends.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    own = run(processes, "true") == 0 and len(children()) == 1
                    processes.close()
                    code = 0 if own and not children() else 2
                finally:
                    os._exit(code)
            assert (0, True) == (os.waitpid(pid, 0)[1], is_running(process.pid))
            process.end(0.0)


class TestEnd:
    def test_close(self, processes: Processes) -> None:
        """Closing kills what runs, and nothing can be started after it."""
        with contextlib.closing(sleeping(processes)) as process:
            processes.close()
            running = is_running(process.pid)
            wait(process, None)
        with pytest.raises(StateError) as caught:
            run(processes, "true")
        assert (False, None, "this runner is closed") == (running, process.returncode, caught.value.message)

    def test_close_of_a_frozen_fork_server(
        self, processes: Processes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A fork server that does not react is killed, and with it all that was started."""
        monkeypatch.setattr(starting, "CLOSING", 0.2)
        with contextlib.closing(sleeping(processes)) as process:
            (server,) = children()
            os.kill(server, signal.SIGSTOP)
            processes.close()
            assert (False, True) == (is_running(server), wait_for(lambda: not is_running(process.pid)))

    def test_letting_go_kills(self, processes: Processes) -> None:
        """A process that is let go of before it has ended is killed."""
        process = sleeping(processes)
        process.close()
        process.close()
        assert wait_for(lambda: not is_running(process.pid))

    def test_end_from_two_threads(self, processes: Processes, tmp_path: Path) -> None:
        """The shorter grace counts, and both calls return."""
        argv = ["sh", "-c", "trap '' TERM; touch up; while :; do sleep 600; done"]
        env = {"PATH": os.environ["PATH"]}
        process = processes.start(argv, env=env, folder=tmp_path, descriptors={})
        with contextlib.closing(process):
            assert wait_for((tmp_path / "up").exists)
            long = threading.Thread(target=process.end, args=(600.0,))
            long.start()
            process.end(0.1)
            long.join(60)
            assert (False, True, -signal.SIGKILL) == (long.is_alive(), process.gone, process.returncode)

    def test_forgotten(self) -> None:
        """Processes that nobody holds any more leave neither a child nor an open file, and no warning."""
        with held.leaves_nothing():
            processes = Processes()
            run(processes, "true")
            del processes

    def test_end_of_the_interpreter(self, tmp_path: Path) -> None:
        """A program that ends while a process runs ends without a word, and the process with it."""
        program = (
            "import os, sys\n"
            "from bunsui.local.processes import Processes\n"
            "from bunsui.local.process import wait\n"
            "processes = Processes()\n"
            "process = processes.start(['sleep', '600'], env=dict(os.environ), descriptors={})\n"
            "wait(process, None, until_started=True)\n"
            "print(process.pid)\n"
        )
        argv = [sys.executable, "-c", program]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert ("", False) == (done.stderr, is_running(int(done.stdout)))

    def test_no_descriptors(self, processes: Processes) -> None:
        """A runner that may not open more files gets an error that says so, and recovers."""
        run(processes, "true")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.closing(sleeping(processes)) as process:
            # The lowest number that is free: what other tests have left may have gaps.
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            try:
                with pytest.raises(JobError) as caught:
                    processes.start(["true"], env={}, descriptors={})
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            process.end(0.0)
        message = (
            "the server that starts processes can't be started: Too many open files; allow more with"
            " 'ulimit -n', or have fewer run at once"
        )
        assert ("ProcessNotStarted", message, True, 0) == (
            caught.value.code,
            caught.value.message,
            caught.value.retryable,
            run(processes, "true"),
        )


#: What a system may lack, as changes to the fork server's program.
LACKING = {
    "pidfd": "import os; del os.pidfd_open",
    "prctl": "fork_server.prctl_of_system = lambda: None",
    "setsid": (
        "import os; spawn = os.posix_spawn\n"
        "def without(*args, setsid=False, **rest):\n"
        "    if setsid: raise NotImplementedError\n"
        "    return spawn(*args, **rest)\n"
        "os.posix_spawn = without\n"
    ),
}


@pytest.mark.parametrize("lacking", [["pidfd"], ["prctl"], ["pidfd", "prctl", "setsid"]])
class TestOtherSystems:
    """What is promised also where the system has less than Linux has: for the process and its group."""

    @pytest.fixture(autouse=True)
    def _program(self, lacking: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        changes = "\n".join(LACKING[name] for name in lacking)
        serve = "fork_server.main"
        program = starting.PROGRAM.replace(serve, f"exec({changes!r}); {serve}")
        monkeypatch.setattr(starting, "PROGRAM", program)

    def script(self, folder: Path) -> list[str]:
        return [
            "sh",
            "-c",
            f"trap '' TERM; sleep 600 & echo $! > {folder}/new; mv {folder}/new {folder}/pid; wait",
        ]

    def test_group(self, processes: Processes, tmp_path: Path) -> None:
        """A process is ended with its group."""
        env = {"PATH": os.environ["PATH"]}
        with contextlib.closing(processes.start(self.script(tmp_path), env=env, descriptors={})) as process:
            assert wait_for((tmp_path / "pid").exists)
            process.end(0.2)
        assert not is_running(int((tmp_path / "pid").read_text()))

    def test_closing(self, processes: Processes, tmp_path: Path) -> None:
        """What runs is killed with its group when its runner is closed."""
        env = {"PATH": os.environ["PATH"]}
        with contextlib.closing(processes.start(self.script(tmp_path), env=env, descriptors={})) as process:
            assert wait_for((tmp_path / "pid").exists)
            processes.close()
            assert process.poll() is None
        assert not is_running(int((tmp_path / "pid").read_text()))

    def test_exit_code(self, processes: Processes) -> None:
        """The end of a process is seen, with its exit code."""
        assert run(processes, "sh", "-c", "exit 3") == 3
