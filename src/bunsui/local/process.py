"""Commands as processes of this machine: their environment, their end, and their forced end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bunsui.errors import JobCancelled, JobError, JobTimeout
from bunsui.local.callables import call_variables
from bunsui.model.json import compact

if TYPE_CHECKING:
    from bunsui.ports.job_type import Command, JobCall

#: Seconds between the request to end (SIGTERM) and the end (SIGKILL).
GRACE = 5.0
#: Bytes of parameters above which they are put into a file: Linux takes 128 KiB for one variable.
MAX_INLINE_PARAMETERS = 100 * 1024
#: Seconds between two looks at whether an attempt is cancelled.
POLL = 0.2


def variable_name(parameter: str) -> str:
    """The environment variable that holds a job's parameter."""
    return "BUNSUI_PARAM_" + "".join(c if c.isalnum() else "_" for c in parameter).upper()


def run_command(command: Command, call: JobCall, log: Path) -> Any:
    """Runs a command until it ends, and returns what it wrote to ``$BUNSUI_OUTPUT``, or None.

    Args:
        command: what to run.
        call: the attempt that it runs for.
        log: the file that its stdout and stderr are appended to.

    Raises:
        JobError: it could not be started (``CommandNotFound``), failed (``ExitCode.N``,
            ``Signal.NAME``) or wrote something that is not JSON (``OutputNotJson``).
        JobTimeout: it ran longer than the call's deadline. All of its process group is gone.
        JobCancelled: it was stopped. All of its process group is gone.
    """
    folder = Path(tempfile.mkdtemp(prefix="bunsui-"))
    try:
        output = folder / "output.json"
        environment = _environment(call, folder, output)
        argv = _argv(command)
        with log.open("ab") as sink:
            process = _start(argv, command, environment, sink)
            wait(process, call)
        _check_exit(process.returncode, log)
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


def _environment(call: JobCall, folder: Path, output: Path) -> dict[str, str]:
    environment = {
        **os.environ,
        **call.environment,
        **call_variables(call),
        "BUNSUI_OUTPUT": str(output),
    }
    # A command's output is read as it runs, so that its log is too.
    environment.setdefault("PYTHONUNBUFFERED", "1")
    parameters = compact(call.parameters)
    if len(parameters) > MAX_INLINE_PARAMETERS:
        file = folder / "parameters.json"
        file.write_text(parameters, encoding="utf-8")
        environment["BUNSUI_PARAMETERS_FILE"] = str(file)
        return environment
    environment["BUNSUI_PARAMETERS"] = parameters
    for name, value in call.parameters.items():
        environment[variable_name(name)] = value if isinstance(value, str) else compact(value)
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
        raise JobError(
            f"command {argv[0]!r} can't be started in {command.folder or Path.cwd()}:" f" {error.strerror}",
            code="CommandNotFound" if isinstance(error, FileNotFoundError) else "CommandNotStarted",
            retryable=False,
        ) from error
    except ValueError as error:  # A NUL in an argument or variable.
        raise JobError(
            f"command {argv[0]!r} can't be started: {error}",
            code="CommandNotStarted",
            retryable=False,
        ) from error


def wait(process: subprocess.Popen[bytes], call: JobCall, readable: int | None = None) -> None:
    """Waits until the process ends or, where `readable` is given, until that has something to read.

    Raises:
        JobTimeout: the deadline came first; the process and its group are gone.
        JobCancelled: the attempt was cancelled first; likewise.
    """
    cancelled = call.cancelled
    with _ending(process) as ended:
        poll = select.poll()
        for source in (ended, readable):
            if source is not None:
                poll.register(source, select.POLLIN | select.POLLHUP)
        while process.poll() is None:
            remaining = POLL if call.deadline is None else call.deadline - time.monotonic()
            if remaining <= 0:
                end(process)
                raise JobTimeout("the attempt took longer than its timeout and was ended")
            if cancelled.is_set():
                end(process)
                raise JobCancelled("the attempt was stopped")
            # Without a pidfd (before Linux 5.3, macOS) the end is seen at the next look.
            pause = min(remaining, POLL if ended is not None else POLL / 10)
            if poll.poll(pause * 1000) and readable is not None and process.poll() is None:
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
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace)
    # Also where the leader has ended: others of its group may have ignored SIGTERM.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _check_exit(code: int, log: Path) -> None:
    if code == 0:
        return
    last = last_line(log)
    said = f"; it last said: {last}" if last else ""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        raise JobError(f"the command was ended by {name}{said}", code=f"Signal.{name}")
    raise JobError(f"the command failed with exit code {code}{said}", code=f"ExitCode.{code}")


def last_line(log: Path, most: int = 300) -> str:
    """The last line of a file that is not blank, at most `most` characters of it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return next((line.strip()[:most] for line in reversed(lines) if line.strip()), "")


def _read_output(path: Path) -> Any:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise JobError(
            f"the file named by BUNSUI_OUTPUT is not JSON: {error}",
            code="OutputNotJson",
            retryable=False,
        ) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
