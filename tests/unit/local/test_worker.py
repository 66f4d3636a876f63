"""Worker processes: functions called in them, over and over, and what becomes of the processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bunsui.errors import JobCancelled, JobError, JobTimeout, StateError
from bunsui.local.processes import Processes
from bunsui.local.supervisor import Supervisor, WorkerProcess
from bunsui.ports.job_type import Function
from bunsui_tests.attempts import AttemptLogs, Bench, make_call, said
from bunsui_tests.conditions import is_running, until, wait_for
from bunsui_tests.held import children, descriptors, leaves_nothing

MODULE = """
import json, logging, os, signal, subprocess, sys, threading, time
import bunsui
from neighbour import WORD

def echo(event, context):
    return event

def size(event, context):
    return len(event["x"])

def pid(event, context):
    return os.getpid()

def told(event, context):
    return context.client_context.custom

def describe(event, context):
    return [context.function_name, context.aws_request_id, context.function_version,
            context.invoked_function_arn, context.log_group_name, context.log_stream_name,
            context.memory_limit_in_mb, context.identity, context.client_context.env]

def remaining(event, context):
    return context.get_remaining_time_in_millis()

def neighbour(event, context):
    return [WORD, os.getcwd()]

def variables(event, context):
    return {name: value for name, value in os.environ.items() if name in event["names"]}

def say(event, context):
    print("printed")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").info("logged")
    bunsui.current_call().logger.warning("told the call")
    subprocess.run(["echo", "from a child"])
    print("at the end", "\\ud800")

def fail(event, context):
    deep(event["message"])

def deep(message):
    raise LookupError(message)

def job_error(event, context):
    raise bunsui.JobError("not today", code="Busy", retryable=False)

def leave(event, context):
    sys.exit(event["code"])

def die(event, context):
    print("last words", flush=True)
    os._exit(event["code"])

def kill(event, context):
    os.kill(os.getpid(), signal.SIGKILL)

def die_with_child(event, context):
    if os.fork() == 0:
        time.sleep(600)
    os._exit(3)

def close_all(event, context):
    os.closerange(3, 64)
    time.sleep(600)

def not_json(event, context):
    return {"when": {1, 2}}

def flood(event, context):
    sys.stdout.write("x" * event["size"])

def make(event, context):
    return "x" * event["size"]

async def later(event, context):
    import asyncio
    await asyncio.sleep(0)
    return bunsui.current_call().job_id

def call_facts(event, context):
    call = bunsui.current_call()
    return [call.parameters, call.attempt, call.cancelled.is_set(), str(call.folder)]

def further(event, context):
    return bunsui.current_call().workbench.run(None, bunsui.current_call())

def hang(event, context):
    open("hangs", "w").close()
    try:
        time.sleep(600)
    finally:
        open("cleaned", "w").close()

def hang_with_child(event, context):
    child = subprocess.Popen(["sleep", "600"])
    with open("pids.new", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename("pids.new", "pids")
    time.sleep(600)

def stubborn(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

class Group:
    @staticmethod
    def member(event, context):
        return "member"

number = 3

def keywords(a, b=2):
    return [a, b]
"""


#: What the processes of these tests write.
LOGS = AttemptLogs()


@pytest.fixture(autouse=True, scope="module")
def _reading() -> Iterator[None]:
    """New each time: a worker of pytest-xdist may come back to this module after it has left it."""
    sys.modules[__name__].LOGS = AttemptLogs()  # type: ignore[attr-defined]
    yield
    LOGS.close()


class Bound:
    """The functions of MODULE, bound in a supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = LOGS.of(folder)
        self.supervisor = Supervisor()
        (folder / "handlers.py").write_text(MODULE)
        (folder / "neighbour.py").write_text("WORD = 'next door'\n")

    def function(self, name: str, module: str = "handlers", style: str = "lambda") -> Function:
        return Function(f"{module}:{name}", (self.folder,), style, isolation="process")

    def call(self, name: str, parameters: Any = None, style: str = "lambda", **fields: Any) -> Any:
        function = self.function(name, style=style)
        return self.supervisor.call(function, make_call(parameters, **fields), "my-function", self.log).value

    def reason(self, module: str, text: str | None, name: str = "f") -> str | None:
        """What `Supervisor.check` says of a function in a module with this text."""
        if text is not None:
            (self.folder / f"{module}.py").write_text(text)
        function = self.function(name, module)
        return self.supervisor.check([function]).get(function)


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Bound]:
    bound = Bound(tmp_path)
    yield bound
    bound.supervisor.close()
    bound.log.close()


def code_and_message(caught: pytest.ExceptionInfo[JobError]) -> tuple[str, str, bool]:
    return caught.value.code, caught.value.message, caught.value.retryable


class TestCall:
    def test_output(self, bound: Bound) -> None:
        """A function gets the parameters as its event, and its output comes back."""
        event = {"a": [1, None, {"é": "\ud800"}], "n": 1.5}
        assert event == bound.call("echo", event)

    def test_warm(self, bound: Bound) -> None:
        """Calls one after the other run in one process, which is not this one."""
        pids = {bound.call("pid") for _ in range(3)}
        assert (1, False) == (len(pids), os.getpid() in pids)

    def test_one_function_a_process(self, bound: Bound) -> None:
        """Each function has a process of its own."""
        assert bound.call("pid") != bound.call("Group.member")

    def test_what_was_given_a_secret_serves_only_who_has_it(self, bound: Bound) -> None:
        """What a call has left in its process may show its secrets, which no other call's log would mask."""
        function = bound.function("pid")

        def pid(*secrets: str) -> Any:
            return bound.supervisor.call(function, make_call(), "f", bound.log, secrets).value

        first = pid()
        assert [first, first] == [pid("one"), pid("two", "one")]
        second = pid("one")
        assert first != second == pid("one", "three")
        third = pid()
        assert third not in (first, second)
        assert third == pid()
        assert not is_running(first)
        assert not is_running(second)

    def test_told(self, bound: Bound) -> None:
        """The context's custom values are the call's variables and its further environment."""
        expected = {
            "BUNSUI_SESSION_ID": "s1",
            "BUNSUI_JOB_ID": "a",
            "BUNSUI_ATTEMPT": "2",
            "BUNSUI_IDEMPOTENCY_KEY": "k1",
            "TRACEPARENT": "00-1",
        }
        assert expected == bound.call("told", environment={"TRACEPARENT": "00-1"})

    def test_context(self, bound: Bound) -> None:
        """The context has the attributes of Lambda's."""
        arn = "arn:aws:lambda:local:000000000000:function:my-function"
        expected = ["my-function", "k1", "$LATEST", arn, "/aws/lambda/my-function", "s1", "128", None, {}]
        assert expected == bound.call("describe")

    @pytest.mark.parametrize(("left", "least", "most"), [(None, 900_000, 900_000), (600.0, 1, 600_000)])
    def test_remaining_time(self, bound: Bound, left: float | None, least: int, most: int) -> None:
        """The remaining time is that until the deadline, and 15 minutes where there is none."""
        deadline = None if left is None else time.monotonic() + left
        assert least <= bound.call("remaining", deadline=deadline) <= most

    def test_neighbour(self, bound: Bound) -> None:
        """A module beside the function's can be imported, and the function runs in that folder."""
        assert ["next door", str(bound.folder.resolve())] == bound.call("neighbour")

    def test_variables(self, bound: Bound) -> None:
        """The call's variables are in the environment, those of the latest call."""
        names = {"names": ["BUNSUI_ATTEMPT", "BUNSUI_JOB_ID"]}
        bound.call("variables", names)
        expected = {"BUNSUI_ATTEMPT": "7", "BUNSUI_JOB_ID": "b"}
        assert expected == bound.call("variables", names, attempt=7, job_id="b")

    def test_current_call(self, bound: Bound) -> None:
        """In a worker, too, the current call is known: parameters, attempt, cancelled, folder."""
        expected = [{"x": 1}, 2, False, "/somewhere"]
        assert expected == bound.call("call_facts", {"x": 1}, folder=Path("/somewhere"))

    def test_async(self, bound: Bound) -> None:
        """A function may be async; the current call is known in it."""
        assert bound.call("later") == "a"

    def test_keywords(self, bound: Bound) -> None:
        """A function of a custom job gets its parameters as keywords."""
        assert [1, 2] == bound.call("keywords", {"a": 1}, style="keywords")

    def test_large(self, bound: Bound) -> None:
        """5 MB of parameters and 5 MB of output pass."""
        sizes = bound.call("size", {"x": "y" * 5_000_000}), len(bound.call("make", {"size": 5_000_000}))
        assert (5_000_000, 5_000_000) == sizes

    def test_concurrent(self, bound: Bound) -> None:
        """Calls at the same time have a worker each, and each gets its own answer."""
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: bound.call("echo", {"n": n}), range(40)))
        assert [{"n": n} for n in range(40)] == answers

    def test_working_directory_shadows_nothing(
        self, bound: Bound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files in the runner's working directory named like modules of Python don't harm the worker."""
        for name in ("queue", "json", "logging", "attrs"):
            (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "plain.py").write_text("def f(event, context):\n    return 1\n")
        monkeypatch.chdir(tmp_path)
        function = Function("plain:f", (tmp_path / "sub",), "lambda", isolation="process")
        assert bound.supervisor.call(function, make_call(), "f", bound.log).value == 1


class TestLog:
    def test_all_that_is_said(self, bound: Bound) -> None:
        """Prints, stderr, logging, the call's logger and children are in the log, each stream in order."""
        bound.call("say")
        stdout = ["printed", "from a child", "at the end \\ud800"]
        stderr = ["to stderr", "INFO mine: logged", "WARNING bunsui.job.a: told the call"]
        found = said(bound.folder)
        assert (sorted(stdout + stderr), stdout, stderr) == (
            sorted(found),
            [text for text in found if text in stdout],
            [text for text in found if text in stderr],
        )

    def test_each_call_has_its_log(self, bound: Bound) -> None:
        """A warm worker writes into the log of the call that runs."""
        function = bound.function("flood")
        for n in (1, 2):
            bound.supervisor.call(function, make_call({"size": n}), "f", LOGS.of(bound.folder, f"n{n}"))
        assert [["x"], ["xx"]] == [said(bound.folder, f"n{n}") for n in (1, 2)]

    def test_flood(self, bound: Bound) -> None:
        """10 MB of stdout go to the log, and nothing waits."""
        bound.call("flood", {"size": 10_000_000})
        assert sum(map(len, said(bound.folder))) == 10_000_000

    def test_words_of_an_import(self, bound: Bound) -> None:
        """What a module says while it is imported for a call is in that call's log."""
        (bound.folder / "loud.py").write_text("print('importing')\ndef f(event, context): pass\n")
        bound.supervisor.call(bound.function("f", "loud"), make_call(), "f", bound.log)
        assert said(bound.folder) == ["importing"]

    def test_traceback_of_an_import(self, bound: Bound) -> None:
        """The traceback of a module that can't be imported is in the log of the call."""
        (bound.folder / "broken.py").write_text("raise ValueError('not ready')\n")
        with pytest.raises(JobError):
            bound.supervisor.call(bound.function("f", "broken"), make_call(), "f", bound.log)
        assert said(bound.folder)[-1] == "ValueError: not ready"


class TestFailure:
    def test_exception(self, bound: Bound) -> None:
        """An exception's name is the code, its text the message."""
        with pytest.raises(JobError) as caught:
            bound.call("fail", {"message": "no such row"})
        assert ("LookupError", "no such row", True) == code_and_message(caught)

    def test_traceback(self, bound: Bound) -> None:
        """The log has the traceback, from the function on: none of the frames around it."""
        with pytest.raises(JobError):
            bound.call("fail", {"message": "no such row"})
        file = bound.folder / "handlers.py"
        first = MODULE.splitlines().index('    deep(event["message"])') + 1
        second = MODULE.splitlines().index("    raise LookupError(message)") + 1
        expected = [
            "ERROR bunsui.job: the attempt failed",
            "Traceback (most recent call last):",
            f'  File "{file}", line {first}, in fail',
            '    deep(event["message"])',
            f'  File "{file}", line {second}, in deep',
            "    raise LookupError(message)",
            "LookupError: no such row",
        ]
        # Python 3.13 marks parts of some lines.
        lines = [line for line in said(bound.folder) if line.strip(" ~^")]
        assert expected == lines

    def test_job_error(self, bound: Bound) -> None:
        """A JobError keeps its code and whether it is retryable, and needs no traceback."""
        with pytest.raises(JobError) as caught:
            bound.call("job_error")
        assert ("Busy", "not today", False, False) == (*code_and_message(caught), said(bound.folder) != [])

    @pytest.mark.parametrize("code", [0, 3])
    def test_sys_exit(self, bound: Bound, code: int) -> None:
        """sys.exit() in a function fails the attempt; the worker goes on."""
        with pytest.raises(JobError) as caught:
            bound.call("leave", {"code": code})
        assert ("SystemExit", str(code), True) == code_and_message(caught)

    def test_failure_leaves_a_warm_worker(self, bound: Bound) -> None:
        """A function that raised is called in the same process again."""
        for _ in range(2):
            with pytest.raises(JobError):
                bound.call("fail", {"message": ""})
        assert len(bound.supervisor._all) == 1

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (3, "the worker process failed with exit code 3; it last said: last words"),
            (0, "the worker process ended with exit code 0; it last said: last words"),
        ],
    )
    def test_exit(self, bound: Bound, code: int, message: str) -> None:
        """A function that ends its process fails with the exit code, 0 too."""
        with pytest.raises(JobError) as caught:
            bound.call("die", {"code": code})
        assert (f"ExitCode.{code}", message, True) == code_and_message(caught)

    def test_next_call_has_a_new_worker(self, bound: Bound) -> None:
        """After a worker's end the next call has another."""
        with pytest.raises(JobError):
            bound.call("die", {"code": 1})
        with pytest.raises(JobError) as caught:
            bound.call("die", {"code": 2})
        assert caught.value.code == "ExitCode.2"

    def test_signal(self, bound: Bound) -> None:
        """A worker that a signal ended fails with the signal's name."""
        with pytest.raises(JobError) as caught:
            bound.call("kill")
        assert ("Signal.SIGKILL", "the worker process was ended by SIGKILL", True) == code_and_message(caught)

    def test_end_of_an_idle_worker(self, bound: Bound) -> None:
        """A worker that ended while nobody called it is replaced, unseen."""
        first = bound.call("pid")
        os.kill(first, signal.SIGKILL)
        # Not before its keeper has noticed: until then its end is the call's.
        assert wait_for(lambda: not Path(f"/proc/{first}").exists())
        assert first != bound.call("pid")

    def test_end_with_a_child_that_holds_the_pipes(self, bound: Bound) -> None:
        """A worker's end is seen also where a forked child of it lives on with its descriptors."""
        with pytest.raises(JobError) as caught:
            bound.call("die_with_child")
        assert caught.value.code == "ExitCode.3"

    def test_closed_descriptors(self, bound: Bound) -> None:
        """A function that closes all descriptors is ended at its timeout."""
        with pytest.raises(JobError) as caught:
            bound.call("close_all", deadline=time.monotonic() + 1.0)
        assert caught.value.code in {"JobTimeout", "Signal.SIGKILL", "ExitCode.1"}

    def test_not_json(self, bound: Bound) -> None:
        """An output that is not JSON fails the attempt."""
        with pytest.raises(JobError) as caught:
            bound.call("not_json")
        reason = "when is of type set; convert it to text, a number, a list or a dict"
        message = f"what the job returned is not JSON: {reason}"
        assert ("OutputNotJson", message, False) == code_and_message(caught)

    def test_further_work(self, bound: Bound) -> None:
        """A function in a worker can't ask for further work."""
        with pytest.raises(JobError) as caught:
            bound.call("further")
        assert ("NotSupported", "a function in a worker can't run further work", True) == code_and_message(
            caught
        )

    def test_import_fails_each_time(self, bound: Bound) -> None:
        """A function that can't be imported fails its second call as its first."""
        errors = []
        for _ in range(2):
            with pytest.raises(JobError) as caught:
                bound.call("missing")
            errors.append(code_and_message(caught))
        message = "callable 'handlers:missing' can't be imported: module 'handlers' has no 'missing'"
        assert [("CallableNotFound", message, False)] * 2 == errors


class TestCheck:
    def test_good(self, bound: Bound) -> None:
        """Functions that can be imported have no reason against them, and their workers stay warm."""
        functions = [bound.function("pid"), bound.function("Group.member")]
        reasons = bound.supervisor.check(functions)
        warm = {worker._process.pid for worker in bound.supervisor._all}
        assert ({}, True) == (reasons, bound.call("pid") in warm)

    def test_known(self, bound: Bound) -> None:
        """A function that was imported once needs no worker for another look."""
        bound.supervisor.check([bound.function("pid")] * 2)
        before = bound.supervisor._pop(bound.function("pid"))
        assert before is not None
        bound.supervisor.check([bound.function("pid")])
        workers = len(bound.supervisor._all)
        bound.supervisor._give_back(bound.function("pid"), before)
        assert workers == 1

    @pytest.mark.parametrize(
        ("module", "text", "name", "reason"),
        [
            ("gone", None, "f", "ModuleNotFoundError: No module named 'gone'"),
            ("empty", "", "f", "module 'empty' has no 'f'"),
            ("number", "f = 3", "f", "it is int, which can't be called"),
            ("wrong", "def f(:", "f", "SyntaxError: invalid syntax (wrong.py, line 1)"),
            ("raises", "1 / 0", "f", "ZeroDivisionError: division by zero"),
            ("needs", "import absent", "f", "ModuleNotFoundError: No module named 'absent'"),
            ("leaves", "import sys; sys.exit(2)", "f", "SystemExit: 2"),
        ],
    )
    def test_reasons(self, bound: Bound, module: str, text: str | None, name: str, reason: str) -> None:
        """A function that can't be imported has the reason against it."""
        expected = f"callable '{module}:{name}' can't be imported: {reason}"
        assert expected == bound.reason(module, text, name)

    def test_end_while_importing(self, bound: Bound) -> None:
        """A module that ends the process is a reason too."""
        reason = bound.reason("ends", "import os; os._exit(5)")
        assert reason == "the worker process failed with exit code 5"

    def test_no_worker_of_a_failed_import(self, bound: Bound) -> None:
        """The worker of a function that can't be imported is gone."""
        bound.reason("empty", "")
        assert bound.supervisor._all == set()

    def test_folder_gone(self, bound: Bound) -> None:
        """A folder that is gone is as one without the module."""
        function = Function("handlers:f", (bound.folder / "gone",), "lambda", isolation="process")
        expected = "callable 'handlers:f' can't be imported: ModuleNotFoundError: No module named 'handlers'"
        assert {function: expected} == bound.supervisor.check([function])


class TestEnd:
    def test_timeout(self, bound: Bound) -> None:
        """A call that takes longer than its deadline is ended, after its `finally` blocks."""
        bound.call("pid")
        bound.supervisor.check([bound.function("hang")])
        with pytest.raises(JobTimeout):
            bound.call("hang", deadline=time.monotonic() + 0.5)
        hang = [w for w in bound.supervisor._all if not w.ready]
        assert (True, []) == ((bound.folder / "cleaned").exists(), hang)

    def test_timeout_needs_no_grace(self, bound: Bound) -> None:
        """A worker ends at SIGTERM by itself: it is not killed after the grace."""
        bound.supervisor.check([bound.function("hang")])
        (worker,) = bound.supervisor._all
        with pytest.raises(JobTimeout):
            bound.call("hang", deadline=time.monotonic() + 0.5)
        assert worker._process.returncode == 0

    def test_timeout_of_an_import(self, bound: Bound) -> None:
        """A module that hangs while it is imported for a call is ended at the call's timeout."""
        (bound.folder / "hanging.py").write_text("import time; time.sleep(600)\n")
        with pytest.raises(JobTimeout):
            bound.supervisor.call(
                bound.function("f", "hanging"), make_call(deadline=time.monotonic() + 0.5), "f", bound.log
            )

    def test_timeout_of_a_frozen_worker(self, bound: Bound) -> None:
        """A worker that does not read its request is ended at the call's timeout."""
        pid = bound.call("pid")
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(JobTimeout):
            bound.call("pid", {"x": "y" * 1_000_000}, deadline=time.monotonic() + 0.2)
        assert not is_running(pid)

    def test_cancel(self, bound: Bound) -> None:
        """A cancelled call is ended with the children of its worker."""
        bench = Bench()
        outcome: list[type[BaseException]] = []

        def attempt() -> None:
            try:
                bound.call("hang_with_child", workbench=bench)
            except JobError as error:
                outcome.append(type(error))

        thread = threading.Thread(target=attempt)
        thread.start()
        assert wait_for((bound.folder / "pids").exists)
        bench.cancelled.set()
        thread.join()
        pids = list(map(int, (bound.folder / "pids").read_text().split()))
        assert ([JobCancelled], False) == (outcome, any(map(is_running, pids)))

    def test_close(self, bound: Bound) -> None:
        """Closing ends every worker."""
        with ThreadPoolExecutor(3) as pool:
            pids = set(pool.map(lambda _: bound.call("pid"), range(12)))
        bound.supervisor.close()
        assert not any(map(is_running, pids))

    def test_close_while_a_call_runs(self, bound: Bound) -> None:
        """Closing ends the worker of a running call; the call fails, and nothing of it is left."""
        before = descriptors()
        bound.supervisor.check([bound.function("hang_with_child")])
        of_the_worker = descriptors() - before
        outcome: list[str] = []

        def attempt() -> None:
            try:
                bound.call("hang_with_child")
            except JobError as error:
                outcome.append(error.code)

        thread = threading.Thread(target=attempt)
        thread.start()
        assert wait_for((bound.folder / "pids").exists)
        bound.supervisor.close()
        thread.join()
        pids = list(map(int, (bound.folder / "pids").read_text().split()))
        # The two pipes and the socket of the one worker, and the fork server's socket. What was killed takes
        # a moment to be gone, and until then the log's pipes, which the child has as well, stay open.
        assert (["ProcessLost"], 4) == (outcome, len(of_the_worker))
        until(lambda: not any(map(is_running, pids)))
        until(lambda: descriptors() <= before)

    def test_closed(self, bound: Bound) -> None:
        """A closed supervisor takes no call."""
        bound.supervisor.close()
        with pytest.raises(StateError) as caught:
            bound.call("pid")
        assert caught.value.message == "this runner is closed"

    def test_closed_while_a_worker_starts(self, bound: Bound) -> None:
        """A worker whose start met the closing is ended, and its call fails."""

        class ClosingLog:
            """A log that is opened at the very moment at which the supervisor is closed."""

            def streams(self) -> Any:
                bound.supervisor.close()
                return bound.log.streams()

        before = children()
        with pytest.raises(StateError):
            bound.supervisor.call(bound.function("pid"), make_call(), "f", ClosingLog())  # type: ignore[arg-type]
        assert children() <= before

    def test_closed_twice(self, bound: Bound) -> None:
        """Closing again does nothing, and closes nobody else's descriptors."""
        bound.call("pid")
        bound.supervisor.close()
        reader, writer = os.pipe()  # They get the numbers that the worker's pipes had.
        bound.supervisor.close()
        os.write(writer, b"x")
        assert os.read(reader, 1) == b"x"
        os.close(reader)
        os.close(writer)

    def test_nothing_is_left(self, bound: Bound) -> None:
        """Workers that ended, were ended or failed to import leave no descriptor, child or thread."""

        def some() -> None:
            supervisor = Supervisor()
            for name, parameters in (
                ("die", {"code": 1}),
                ("missing", {}),
                ("pid", {}),
                ("leave", {"code": 1}),
            ):
                with contextlib.suppress(JobError):
                    supervisor.call(bound.function(name), make_call(parameters), name, bound.log)
            with contextlib.suppress(JobTimeout):
                deadline = time.monotonic() + 0.1
                supervisor.call(bound.function("hang"), make_call(deadline=deadline), "hang", bound.log)
            supervisor.close()

        some()  # From here on the log is open, and the thread that reads for it runs.
        with leaves_nothing():
            for _ in range(2):
                some()

    def test_no_descriptor_of_a_failed_start(self, bound: Bound, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that can't be started leaves no descriptor open."""
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        with leaves_nothing(), pytest.raises(JobError) as caught:
            WorkerProcess(Processes(), bound.function("pid"))
        message = "the server that starts processes can't be started: No such file or directory"
        assert ("ProcessNotStarted", message, True) == code_and_message(caught)

    def test_end_of_the_runner(self, bound: Bound) -> None:
        """Where the runner is killed, its workers end, in the middle of a call too, with their children."""
        program = (
            "import sys; from pathlib import Path; from bunsui.local.supervisor import Supervisor\n"
            "from bunsui.ports.job_type import Function, JobCall\n"
            "import threading\n"
            "class Bench: cancelled = threading.Event()\n"
            "folder = Path(sys.argv[1])\n"
            "call = JobCall('s', 'p', 'a', 1, {}, {}, 'k', workbench=Bench())\n"
            "function = Function('handlers:hang_with_child', (folder,), 'lambda')\n"
            "from bunsui.runner.attempts.logs import Logs\n"
            "Supervisor().call(function, call, 'f', Logs(folder / 'logs').attempt('s', 'a', 1))\n"
        )
        runner = subprocess.Popen([sys.executable, "-c", program, str(bound.folder)])
        assert wait_for((bound.folder / "pids").exists)
        pids = list(map(int, (bound.folder / "pids").read_text().split()))
        alive = [is_running(pid) for pid in pids]
        runner.kill()
        runner.wait()
        assert ([True, True], True) == (alive, wait_for(lambda: not any(map(is_running, pids))))
