"""Commands as processes of this machine: their environment, their end, and their forced end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bunsui.errors import JobCancelled, JobError, JobTimeout
from bunsui.expressions.resolution import render
from bunsui.local.callables import call_variables
from bunsui.model.json import compact

if TYPE_CHECKING:
    from bunsui.ports.job_type import Command, JobCall

#: Seconds between the request to end (SIGTERM) and the end (SIGKILL).
GRACE = 5.0
#: Bytes of parameters above which they are put into a file: Linux takes 128 KiB for one variable.
MAX_INLINE_PARAMETERS = 100 * 1024
#: Bytes of an output file that are read; no store takes more in one commit.
MAX_OUTPUT = 16 * 1024 * 1024
#: Seconds between two looks at whether an attempt is cancelled.
POLL = 0.2


def variable_name(parameter: str) -> str:
    """The environment variable that holds a job's parameter."""
    return "BUNSUI_PARAM_" + "".join(c if c.isalnum() else "_" for c in parameter).upper()


def files_of(log: Path) -> Path:
    """The folder of a running command's input and output: beside its log, under the attempt's own name."""
    return log.with_suffix(".files")


def run_command(command: Command, call: JobCall, log: Path, *, quote_log: bool = True) -> Any:
    """Runs a command until it ends, and returns what it wrote to ``$BUNSUI_OUTPUT``, or None.

    Args:
        command: what to run.
        call: the attempt that it runs for.
        log: the file that its stdout and stderr are appended to.
        quote_log: whether the error of one that failed quotes the log's last line.

    Raises:
        JobError: it could not be started (``CommandNotFound``, ``CommandNotStarted``), failed
            (``ExitCode.N``, ``Signal.NAME``) or wrote something that is not JSON (``OutputNotJson``).
        JobTimeout: it ran longer than the call's deadline. All of its process group is gone.
        JobCancelled: it was stopped. All of its process group is gone.
    """
    # What a killed runner has left goes when the attempt runs again, or is given up.
    folder = files_of(log)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        output = folder / "output.json"
        environment = _environment(call, folder, output)
        argv = _argv(command)
        with log.open("ab") as sink:
            process = _start(argv, command, environment, sink)
            wait(process, call)
        if process.returncode != 0:
            raise exit_error("the command", process.returncode, log if quote_log else None)
        return _read_output(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _argv(command: Command) -> list[str]:
    if command.shell:
        script, *arguments = command.argv
        return ["/bin/sh", "-c", script, "sh", *arguments]
    if command.argv[0] == "python":
        return [sys.executable, *command.argv[1:]]
    return list(command.argv)


def inherited() -> dict[str, str]:
    """The environment of this process, as far as it is a job's.

    A runner may itself run in a job, whose own parameters and output are not those of a job of the runner.
    """
    return {k: v for k, v in os.environ.items() if not k.startswith(("BUNSUI_PARAM", "BUNSUI_OUTPUT"))}


def _environment(call: JobCall, folder: Path, output: Path) -> dict[str, str]:
    environment = {
        **inherited(),
        **call.environment,
        **call_variables(call),
        "BUNSUI_OUTPUT": str(output),
    }
    # A command's output is read as it runs, so that its log is too.
    environment.setdefault("PYTHONUNBUFFERED", "1")
    parameters = compact(call.parameters)
    if len(parameters) > MAX_INLINE_PARAMETERS:
        file = folder / "parameters.json"
        file.touch(0o600)
        file.write_text(parameters, encoding="utf-8")
        environment["BUNSUI_PARAMETERS_FILE"] = str(file)
    else:
        environment["BUNSUI_PARAMETERS"] = parameters
    for name, value in call.parameters.items():
        encoded = compact(value)
        if len(encoded) <= MAX_INLINE_PARAMETERS:
            environment[variable_name(name)] = render(value)
    return environment


def _start(
    argv: list[str], command: Command, environment: dict[str, str], sink: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - running commands is what this is for
            argv,
            cwd=command.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        # Popen names what the error is about: the folder, or the program.
        about_folder = command.folder is not None and error.filename == command.folder
        missing = isinstance(error, FileNotFoundError) and not about_folder
        raise JobError(
            f"command {argv[0]!r} can't be started{f' in {command.folder}' if command.folder else ''}:"
            f" {'the folder: ' if about_folder else ''}{error.strerror}",
            code="CommandNotFound" if missing else "CommandNotStarted",
            retryable=False,
        ) from error
    except ValueError as error:  # A NUL in an argument or variable.
        raise JobError(
            f"command {argv[0]!r} can't be started: {error}",
            code="CommandNotStarted",
            retryable=False,
        ) from error


def wait(
    process: subprocess.Popen[bytes],
    call: JobCall | None,
    pipe: int | None = None,
    events: int = select.POLLIN,
) -> None:
    """Waits until the process ends or, where `pipe` is given, until one of the `events` comes to it.

    Raises:
        JobTimeout: the deadline came first; the process and its group are gone.
        JobCancelled: the attempt was cancelled first; likewise.
    """
    deadline = None if call is None else call.deadline
    cancelled = None if call is None else call.cancelled
    with _ending(process) as ended:
        poll = select.poll()
        if ended is not None:
            poll.register(ended, select.POLLIN)
        if pipe is not None:
            poll.register(pipe, events)
        while process.poll() is None:
            remaining = POLL if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                end(process)
                raise JobTimeout("the attempt took longer than its timeout and was ended")
            if cancelled is not None and cancelled.is_set():
                end(process)
                raise JobCancelled("the attempt was stopped")
            # Without a pidfd (before Linux 5.3, macOS) the end is seen at the next look.
            pause = min(remaining, POLL if ended is not None else POLL / 10)
            if any(source == pipe for source, _ in poll.poll(pause * 1000)):
                return


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Any:
    """A file descriptor that becomes readable when the process ends, or None where there is no such thing."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def end(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Ends a process that leads its group, and the group: SIGTERM, after `grace` seconds SIGKILL."""
    deadline = time.monotonic() + grace
    with contextlib.suppress(ProcessLookupError, PermissionError):  # The group is gone.
        os.killpg(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGCONT)  # A stopped one takes SIGTERM only when it goes on.
        # The leader may end before the others do: they have the same time.
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(POLL / 10)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def exit_error(what: str, code: int, log: Path | None) -> JobError:
    """What the exit code of a process says, with the last line of its log.

    Args:
        what: the process, as a message begins with it.
        code: as `subprocess` gives it: below 0 the signal that ended it.
        log: the file that its stdout and stderr went to.
    """
    last = "" if log is None else last_line(log)
    said = f"; it last said: {last}" if last else ""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return JobError(f"{what} was ended by {name}{said}", code=f"Signal.{name}")
    verb = "failed" if code else "ended"
    return JobError(f"{what} {verb} with exit code {code}{said}", code=f"ExitCode.{code}")


def last_line(log: Path, most: int = 300) -> str:
    """The last line of a file that is not blank, at most `most` characters of it; "" without a file."""
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        lines = file.read().decode("utf-8", "replace").splitlines()
        return next((line.strip()[:most] for line in reversed(lines) if line.strip()), "")
    return ""


def _read_output(path: Path) -> Any:
    try:
        # Without waiting for whoever would write to a FIFO, and not through a link.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _bad_output(f"can't be read: {error.strerror}") from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise _bad_output("is not a regular file")
        if about.st_size > MAX_OUTPUT:
            raise _bad_output(f"has {about.st_size} bytes; at most {MAX_OUTPUT} are read", "OutputTooLarge")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            text = file.read(MAX_OUTPUT)
    finally:
        os.close(descriptor)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _bad_output(f"is not JSON: {error}") from error


def _bad_output(wrong: str, code: str = "OutputNotJson") -> JobError:
    return JobError(f"the file named by BUNSUI_OUTPUT {wrong}", code=code, retryable=False)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
