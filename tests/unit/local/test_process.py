"""Commands as processes: what they are given, what they give back, and how they are ended."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bunsui.errors import JobCancelled, JobError, JobTimeout
from bunsui.local import process, processes
from bunsui.local.processes import Process, Processes
from bunsui.ports.job_type import Command
from bunsui_tests.attempts import AttemptLogs, Bench, make_call, said
from bunsui_tests.conditions import is_running, wait_for
from bunsui_tests.held import leaves_nothing

DUMP = "import json, os; json.dump(dict(os.environ), open(os.environ['BUNSUI_OUTPUT'], 'w'))"
NASTY = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "\ntouch pwned\n",
    "-rf",
    "--version",
    "' ; touch pwned #",
    '" ; touch pwned #',
    "| touch pwned",
    "&& touch pwned",
    "\\",
    "%s%n",
    "分水 🏞",
]


#: Shared by all tests of this file.
PROCESSES, LOGS = Processes(), AttemptLogs()


@pytest.fixture(autouse=True, scope="module")
def _processes() -> Iterator[None]:
    """New ones each time: a worker of pytest-xdist may come back to this module after it has left it."""
    here = sys.modules[__name__]
    here.PROCESSES, here.LOGS = Processes(), AttemptLogs()  # type: ignore[attr-defined]
    yield
    PROCESSES.close()
    LOGS.close()


def run(tmp_path: Path, *argv: str, shell: bool = False, **fields: Any) -> Any:
    """What a command in `tmp_path` gives back; its log is that of `said`."""
    with contextlib.closing(LOGS.of(tmp_path)) as log:
        return process.run_command(PROCESSES, Command(argv, tmp_path, shell), make_call(**fields), log)


def python(tmp_path: Path, code: str, **fields: Any) -> Any:
    """What Python code run as a command gives back."""
    return run(tmp_path, "python", "-c", code, **fields)


def code_and_message(caught: pytest.ExceptionInfo[JobError]) -> tuple[str, str, bool]:
    return caught.value.code, caught.value.message, caught.value.retryable


class TestEnvironment:
    def test_parameters_are_variables(self, tmp_path: Path) -> None:
        """Each parameter is a variable: text as it is, all else as compact JSON."""
        parameters = {"text": "a b", "n": 1.5, "flag": True, "none": None, "list-of": [1, {"x": "é"}]}
        environment = python(tmp_path, DUMP, parameters=parameters)
        given = {name: value for name, value in environment.items() if name.startswith("BUNSUI_PARAM_")}
        expected = {
            "BUNSUI_PARAM_TEXT": "a b",
            "BUNSUI_PARAM_N": "1.5",
            "BUNSUI_PARAM_FLAG": "true",
            "BUNSUI_PARAM_NONE": "null",
            "BUNSUI_PARAM_LIST_OF": '[1,{"x":"\\u00e9"}]',
        }
        assert expected == given

    def test_parameters_are_json(self, tmp_path: Path) -> None:
        """All parameters together are JSON in one variable."""
        parameters = {"text": "é", "list": [1, None]}
        environment = python(tmp_path, DUMP, parameters=parameters)
        assert parameters == json.loads(environment["BUNSUI_PARAMETERS"])

    def test_call_variables(self, tmp_path: Path) -> None:
        """A command is told session, job, attempt, idempotency key and further environment."""
        environment = python(tmp_path, DUMP, environment={"TRACEPARENT": "00-1"})
        names = ("SESSION_ID", "JOB_ID", "ATTEMPT", "IDEMPOTENCY_KEY")
        told = [*(environment[f"BUNSUI_{name}"] for name in names), environment["TRACEPARENT"]]
        assert ["s1", "a", "2", "k1", "00-1"] == told

    @pytest.mark.parametrize(("size", "inline"), [(100 * 1024 - 8, True), (100 * 1024 - 7, False)])
    def test_limit_of_inline_parameters(self, tmp_path: Path, size: int, inline: bool) -> None:
        """Exactly 100 KiB of JSON are inline, a byte more is in the file."""
        environment = python(tmp_path, DUMP, parameters={"x": "y" * size})
        variables = ("BUNSUI_PARAMETERS", "BUNSUI_PARAMETERS_FILE")
        assert (inline, not inline) == tuple(name in environment for name in variables)

    def test_large_parameters_are_a_file(self, tmp_path: Path) -> None:
        """5 MB of parameters arrive whole, through a file."""
        code = (
            "import json, os; p = json.load(open(os.environ['BUNSUI_PARAMETERS_FILE']));"
            "json.dump(len(p['x']), open(os.environ['BUNSUI_OUTPUT'], 'w'))"
        )
        assert python(tmp_path, code, parameters={"x": "y" * 5_000_000}) == 5_000_000

    def test_small_parameter_beside_a_large_one(self, tmp_path: Path) -> None:
        """A parameter that fits has its variable, however large another is; the large one has none."""
        environment = python(tmp_path, DUMP, parameters={"table": "daily", "rows": "y" * 200_000})
        given = {name: value for name, value in environment.items() if name.startswith("BUNSUI_PARAM_")}
        assert {"BUNSUI_PARAM_TABLE": "daily"} == given

    def test_a_runner_inside_a_job(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Parameters and output of the job that the runner itself runs in are not handed on."""
        for name in ("BUNSUI_PARAM_OUTER", "BUNSUI_PARAMETERS_FILE", "BUNSUI_OUTPUT_OUTER"):
            monkeypatch.setenv(name, "outer")
        environment = python(tmp_path, DUMP)
        assert [] == [name for name, value in environment.items() if value == "outer"]

    def test_own_environment_is_unchanged(self, tmp_path: Path) -> None:
        """A command's variables are its own: the runner's environment stays as it is."""
        before = dict(os.environ)
        python(tmp_path, DUMP, parameters={"x": 1})
        assert before == dict(os.environ)

    @pytest.mark.parametrize(
        ("name", "variable"),
        [("rows", "BUNSUI_PARAM_ROWS"), ("a-b", "BUNSUI_PARAM_A_B"), ("A=b c", "BUNSUI_PARAM_A_B_C")],
    )
    def test_variable_name(self, name: str, variable: str) -> None:
        """A variable's name is the parameter's in capitals, with underscores for all that may not stand."""
        assert variable == process.variable_name(name)


class TestCommand:
    def test_folder(self, tmp_path: Path) -> None:
        """A command runs in the folder that it is given."""
        python(tmp_path, "open('here', 'w')")
        assert (tmp_path / "here").exists()

    def test_python_is_the_runners(self, tmp_path: Path) -> None:
        """``python`` means the interpreter of the runner."""
        code = "import json, os, sys; json.dump(sys.executable, open(os.environ['BUNSUI_OUTPUT'], 'w'))"
        assert sys.executable == python(tmp_path, code)

    @pytest.mark.parametrize("text", NASTY)
    def test_argument_is_not_code(self, tmp_path: Path, text: str) -> None:
        """An argument reaches the program as it is, and nothing in it runs."""
        code = "import json, os, sys; json.dump(sys.argv[1], open(os.environ['BUNSUI_OUTPUT'], 'w'))"
        assert (text, False) == (
            run(tmp_path, "python", "-c", code, text),
            (tmp_path / "pwned").exists(),
        )

    @pytest.mark.parametrize("text", NASTY)
    def test_parameter_is_not_code(self, tmp_path: Path, text: str) -> None:
        """A parameter in a shell's script is a value: nothing in it runs."""
        run(tmp_path, 'printf %s "$BUNSUI_PARAM_X"', shell=True, parameters={"x": text})
        assert (text.removesuffix("\n").split("\n"), False) == (said(tmp_path), (tmp_path / "pwned").exists())

    def test_no_shell_unless_asked_for(self, tmp_path: Path) -> None:
        """Without ``shell`` no shell looks at the arguments."""
        run(tmp_path, "echo", "$HOME", "*", ";", "touch", "pwned")
        assert said(tmp_path) == ["$HOME * ; touch pwned"]

    def test_shell_arguments(self, tmp_path: Path) -> None:
        """What follows a shell's script are its arguments, from $1."""
        run(tmp_path, 'printf "%s|" "$0" "$@"', "a b", "$(x)", shell=True)
        assert said(tmp_path) == ["sh|a b|$(x)|"]

    def test_log_holds_both_streams(self, tmp_path: Path) -> None:
        """stdout and stderr are in the log, each in the order in which it was written."""
        code = (
            "import sys\nfor i in range(3):\n"
            "  print('out', i)\n  print('err', i, file=sys.stderr, flush=True)"
        )
        python(tmp_path, code)
        lines = said(tmp_path)
        assert (["out 0", "out 1", "out 2"], ["err 0", "err 1", "err 2"]) == (
            [line for line in lines if line.startswith("out")],
            [line for line in lines if line.startswith("err")],
        )

    def test_log_is_appended_to(self, tmp_path: Path) -> None:
        """A log that is there already is kept."""
        run(tmp_path, "echo", "before")
        run(tmp_path, "echo", "after")
        assert said(tmp_path) == ["before", "after"]

    def test_stdin_is_empty(self, tmp_path: Path) -> None:
        """A command that reads its stdin finds the end at once."""
        run(tmp_path, "cat")
        assert said(tmp_path) == []

    def test_flood_of_output(self, tmp_path: Path) -> None:
        """10 MB of stdout are written to the log, and nothing waits."""
        python(tmp_path, "import sys; sys.stdout.write('x' * 10_000_000)")
        assert sum(map(len, said(tmp_path))) == 10_000_000


class TestOutput:
    def write(self, tmp_path: Path, data: bytes) -> Any:
        (tmp_path / "data").write_bytes(data)
        return run(tmp_path, 'cp data "$BUNSUI_OUTPUT"', shell=True)

    def test_absent(self, tmp_path: Path) -> None:
        """A command that writes no output has null."""
        assert run(tmp_path, "true") is None

    @pytest.mark.parametrize("value", [None, 0, "é\ud800", [], {"a": [1.5, {"b": None}]}])
    def test_json(self, tmp_path: Path, value: Any) -> None:
        """The output is the JSON that was written."""
        assert value == self.write(tmp_path, json.dumps(value).encode())

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "Expecting value: line 1 column 1 (char 0)"),
            (b"rows: 3", "Expecting value: line 1 column 1 (char 0)"),
            (b'{"a": 1} x', "Extra data: line 1 column 10 (char 9)"),
            (b'{"a": NaN}', "NaN is not JSON"),
            (b"[-Infinity]", "-Infinity is not JSON"),
            (b'"\xff"', "'utf-8' codec can't decode byte 0xff in position 1: invalid start byte"),
        ],
    )
    def test_junk(self, tmp_path: Path, data: bytes, reason: str) -> None:
        """What is not JSON fails the attempt, saying why."""
        with pytest.raises(JobError) as caught:
            self.write(tmp_path, data)
        remedy = "write JSON, in which text stands in quotes"
        message = f"the file named by BUNSUI_OUTPUT is not JSON: {reason}; {remedy}"
        assert ("OutputNotJson", message, False) == code_and_message(caught)
        assert caught.value.__cause__ is None

    def test_bottomless(self, tmp_path: Path) -> None:
        """A nesting too deep to read fails the attempt, not the runner."""
        with pytest.raises(JobError) as caught:
            self.write(tmp_path, b"[" * 200_000)
        assert caught.value.code == "OutputNotJson"

    def test_directory(self, tmp_path: Path) -> None:
        """A directory in the place of the output fails the attempt as what it is."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, 'mkdir "$BUNSUI_OUTPUT"', shell=True)
        message = "the file named by BUNSUI_OUTPUT is not a regular file"
        assert ("OutputNotJson", message, False) == code_and_message(caught)

    def test_huge(self, tmp_path: Path) -> None:
        """5 MB of output are read whole."""
        assert len(self.write(tmp_path, b'"' + b"x" * 5_000_000 + b'"')) == 5_000_000

    def test_output_of_a_failed_command(self, tmp_path: Path) -> None:
        """A command that fails has failed, whatever it wrote before."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, 'echo 1 > "$BUNSUI_OUTPUT"; exit 4', shell=True)
        assert caught.value.code == "ExitCode.4"

    def test_files_are_removed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither parameters nor output stay behind as files."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        self.write(tmp_path, b"1")
        assert list((tmp_path / "temporary").iterdir()) == []


class TestFailure:
    def test_exit_code(self, tmp_path: Path) -> None:
        """An exit code is the error's code; the message ends with the last line of the log."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, "echo first; echo no such table >&2; echo; exit 3", shell=True)
        message = "the command failed with exit code 3; it last said: no such table"
        assert ("ExitCode.3", message, True) == code_and_message(caught)

    def test_silent_exit_code(self, tmp_path: Path) -> None:
        """A command that said nothing has a message without its words."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, "exit 1", shell=True)
        assert caught.value.message == "the command failed with exit code 1"

    def test_log_removed_by_the_command(self, tmp_path: Path) -> None:
        """A command that fails and has removed its log fails with its exit code all the same."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, "rm -r logs; exit 7", shell=True)
        assert caught.value.code == "ExitCode.7"

    @pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
    def test_signal(self, tmp_path: Path, name: str) -> None:
        """A command that a signal ended has the signal's name as code."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, f"echo bye; kill -{name[3:]} $$", shell=True)
        message = f"the command was ended by {name}; it last said: bye"
        assert (f"Signal.{name}", message, True) == code_and_message(caught)

    def test_signal_without_a_name(self, tmp_path: Path) -> None:
        """A real-time signal has its number as name."""
        with pytest.raises(JobError) as caught:
            python(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 5)")
        assert f"Signal.{signal.SIGRTMIN + 5}" == caught.value.code

    def test_not_found(self, tmp_path: Path) -> None:
        """A program that does not exist is named."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, "no-such-program")
        message = f"command 'no-such-program' can't be started in {tmp_path}: No such file or directory"
        assert ("CommandNotFound", message, False) == code_and_message(caught)

    def test_not_executable(self, tmp_path: Path) -> None:
        """A file that is no program is named."""
        (tmp_path / "notes.txt").write_text("not a program")
        with pytest.raises(JobError) as caught:
            run(tmp_path, "./notes.txt")
        message = f"command './notes.txt' can't be started in {tmp_path}: Permission denied"
        assert ("CommandNotStarted", message, False) == code_and_message(caught)

    def test_folder_gone(self, tmp_path: Path) -> None:
        """A folder that is gone is the reason, not the program."""
        command = Command(["true"], tmp_path / "gone")
        with pytest.raises(JobError) as caught:
            process.run_command(PROCESSES, command, make_call(), LOGS.of(tmp_path))
        folder = tmp_path / "gone"
        message = f"command 'true' can't be started in {folder}: the folder: No such file or directory"
        assert ("CommandNotStarted", message, False) == code_and_message(caught)

    def test_no_files(self, tmp_path: Path) -> None:
        """Where its files can't be made beside its log, it is said so, and that it is worth another try."""
        taken = tmp_path / "logs"
        taken.touch()
        with pytest.raises(JobError) as caught:
            run(tmp_path, "true")
        message = "the command can't be started: its files beside its log can't be made: File exists"
        message += f": {taken}"
        assert ("ProcessNotStarted", message, True) == code_and_message(caught)

    def test_no_descriptors(self, tmp_path: Path) -> None:
        """Where too many files are open it says what helps."""
        run(tmp_path, "true")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        # Room for the file that says whose process it is, and not for its pipes.
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        try:
            with pytest.raises(JobError) as caught:
                run(tmp_path, "true")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        message = (
            "the command can't be started: its files beside its log can't be made: Too many open files; allow"
            " more with 'ulimit -n', or have fewer run at once"
        )
        assert ("ProcessNotStarted", message, True) == code_and_message(caught)

    def test_no_descriptors_for_its_keeper(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the process that watches over it may open no more, it is said so, too."""
        changes = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))"
        serve = "fork_server.main"
        program = processes.PROGRAM.replace(serve, f"exec({changes!r}); {serve}")
        monkeypatch.setattr(processes, "PROGRAM", program)
        monkeypatch.setattr(sys.modules[__name__], "PROCESSES", own := Processes())
        with contextlib.closing(own), pytest.raises(JobError) as caught:
            run(tmp_path, "true")
        message = (
            "the command can't be started: Too many open files; allow more with 'ulimit -n', or have fewer"
            " run at once"
        )
        assert ("ProcessNotStarted", message, True) == code_and_message(caught)

    def test_a_locale_without_the_characters(self, tmp_path: Path) -> None:
        """Words and parameters go in UTF-8 where the locale lacks them; what was given, as it is."""
        code = r"""
import sys
from bunsui import Job, Pipeline, Runner

script = 'printf \'["%s", "%s", "%s"]\' "$1" "$BUNSUI_PARAM_X" "$GIVEN" > "$BUNSUI_OUTPUT"'
command = ["sh", "-c", script, "sh", "\u5206"]
pipeline = Pipeline("p", [Job("a", "custom", command=command, parameters={"x": "na\u00efve"})])
with Runner("memory://", autoload_plugins=False, config={}) as runner:
    print(sys.getfilesystemencoding(), ascii(runner.run(pipeline).outputs["a"]))
"""
        locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "GIVEN": "\u00fc"}
        argv, env = [sys.executable, "-c", code], {**os.environ, **locale}
        done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
        expected = ascii(["\u5206", "na\u00efve", "\u00fc"])
        assert f"ascii {expected}\n" == done.stdout

    def test_nul_in_an_argument(self, tmp_path: Path) -> None:
        """A NUL can't be given to a program: the command does not start."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, "echo", "a\0b")
        message = "command 'echo' can't be started: embedded null byte"
        assert ("CommandNotStarted", message, False) == code_and_message(caught)

    def test_nul_in_a_parameter(self, tmp_path: Path) -> None:
        """A NUL can't be in a variable: the command does not start."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, "env", parameters={"x": "a\0b"})
        message = "command 'env' can't be started: embedded null byte"
        assert ("CommandNotStarted", message, False) == code_and_message(caught)

    def test_too_many_arguments(self, tmp_path: Path) -> None:
        """What the system refuses is an error of the job."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, "echo", "x" * 200_000)
        message = f"command 'echo' can't be started in {tmp_path}: Argument list too long"
        assert ("CommandNotStarted", message, False) == code_and_message(caught)

    @pytest.mark.parametrize(
        ("data", "line"),
        [
            (b"", ""),
            (b"\n \n\t\n", ""),
            (b"one\ntwo  \n\n", "two"),
            (b"x" * 1000, "x" * 300),
            (b"\xff\xfe", "��"),
            (b"first\n" + b"\n" * 5000, "first"),
        ],
    )
    def test_last_line(self, tmp_path: Path, data: bytes, line: str) -> None:
        """The last line is the last that is not blank, and short."""
        with LOGS.of(tmp_path).streams() as streams:
            os.write(streams.stdout, data)
            assert line == streams.last_line()


FORKING = """
import os, signal, sys, time
if os.fork() == 0:
    {child}
    open("child.new", "w").write(str(os.getpid()))
    os.rename("child.new", "child")
    time.sleep(600)
{parent}
while not os.path.exists("child"):
    time.sleep(0.01)
open("parent.new", "w").write(str(os.getpid()))
os.rename("parent.new", "parent")
time.sleep(600)
"""
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


class TestEnd:
    def start(self, tmp_path: Path, child: str = "", parent: str = "") -> Process:
        """A process with a child; the files ``child`` and ``parent`` hold their pids."""
        code = FORKING.format(child=child or "pass", parent=parent)
        argv = [sys.executable, "-c", code]
        started = PROCESSES.start(argv, env=dict(os.environ), folder=tmp_path, descriptors={})
        assert wait_for((tmp_path / "parent").exists)
        return started

    @pytest.mark.parametrize(("child", "parent"), [("", ""), (IGNORE, ""), ("", IGNORE), (IGNORE, IGNORE)])
    def test_whole_group(self, tmp_path: Path, child: str, parent: str) -> None:
        """A process is gone with its child, whichever of them ignores SIGTERM."""
        with contextlib.closing(self.start(tmp_path, child, parent)) as started:
            pids = [int((tmp_path / name).read_text()) for name in ("child", "parent")]
            started.end(grace=0.2)
        assert not any(map(is_running, pids))

    def test_children_may_clean_up(self, tmp_path: Path) -> None:
        """A child has its time after SIGTERM also where the leader ends at once."""
        child = (
            "def clean(*_):\n"
            "        time.sleep(0.3); open('clean', 'w'); os._exit(0)\n"
            "    signal.signal(signal.SIGTERM, clean)"
        )
        with contextlib.closing(self.start(tmp_path, child)) as started:
            started.end(grace=20)
        assert (tmp_path / "clean").exists()

    def test_process_that_has_ended(self) -> None:
        """Ending what has ended does nothing."""
        with contextlib.closing(PROCESSES.start(["true"], env={}, descriptors={})) as started:
            process.wait(started, None)
            started.end(grace=20)
            assert started.returncode == 0

    def test_timeout(self, tmp_path: Path) -> None:
        """A command that takes longer than its deadline is gone, with its children."""
        script = "sleep 600 & echo $! > child; echo $$ > parent; wait"
        with pytest.raises(JobTimeout) as caught:
            run(tmp_path, script, shell=True, deadline=time.monotonic() + 1.0)
        pids = [int(file.read_text()) for file in (tmp_path / "child", tmp_path / "parent")]
        assert ("the attempt took longer than its timeout and was ended", False) == (
            caught.value.message,
            any(map(is_running, pids)),
        )

    def test_deadline_that_is_over(self, tmp_path: Path) -> None:
        """A deadline that is over before the start ends the command all the same."""
        with pytest.raises(JobTimeout):
            run(tmp_path, "sleep", "600", deadline=time.monotonic() - 1)

    def test_command_within_its_deadline(self, tmp_path: Path) -> None:
        """A command that ends before its deadline succeeds."""
        assert run(tmp_path, "true", deadline=time.monotonic() + 600) is None

    def test_cancel(self, tmp_path: Path) -> None:
        """A command that is cancelled while it runs is gone, with its children."""
        bench = Bench()
        outcome: list[BaseException] = []

        def attempt() -> None:
            try:
                python(tmp_path, FORKING.format(child="pass", parent=""), workbench=bench)
            except JobError as error:
                outcome.append(error)

        thread = threading.Thread(target=attempt)
        thread.start()
        assert wait_for((tmp_path / "parent").exists)
        bench.cancelled.set()
        thread.join()
        pids = [int(file.read_text()) for file in (tmp_path / "child", tmp_path / "parent")]
        assert (JobCancelled, "the attempt was stopped", False) == (
            type(outcome[0]),
            str(outcome[0]),
            any(map(is_running, pids)),
        )

    def test_nothing_is_left(self, tmp_path: Path) -> None:
        """Many runs, failed and timed out ones too, leave no descriptor, child or thread behind."""

        def some() -> None:
            for argv in (["true"], ["false"], ["no-such-program"], ["sleep", "600"]):
                deadline = time.monotonic() + 0.02 if argv[0] == "sleep" else None
                try:
                    run(tmp_path, *argv, deadline=deadline)
                except JobError:
                    continue

        some()
        with leaves_nothing():
            for _ in range(15):
                some()


class TestOddOutputs:
    """What else may stand in the place of the output file."""

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            ('mkfifo "$BUNSUI_OUTPUT"', "is not a regular file"),
            ('ln -s /dev/zero "$BUNSUI_OUTPUT"', "can't be read: Too many levels of symbolic links"),
            ('truncate -s 3G "$BUNSUI_OUTPUT"', f"has {3 * 2**30} bytes; at most {16 * 2**20} are read"),
        ],
    )
    def test_it_neither_blocks_nor_fills_the_memory(self, tmp_path: Path, script: str, said: str) -> None:
        """A FIFO, a device and a huge file fail the attempt at once."""
        with pytest.raises(JobError) as caught:
            run(tmp_path, script, shell=True)
        assert f"the file named by BUNSUI_OUTPUT {said}" == caught.value.message


def test_what_a_killed_runner_left_goes_with_the_next_run(tmp_path: Path) -> None:
    """The folder of the output has the attempt's own name, and is gone after it."""
    left = tmp_path / "logs" / "s" / "a.1.files"
    left.mkdir(parents=True)
    (left / "output.json").write_text('"old"', encoding="utf-8")
    assert run(tmp_path, "true", shell=True) is None
    assert not left.exists()
