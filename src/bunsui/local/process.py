"""Commands as processes of this machine: their environment, their end, and their forced end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import shutil
import signal
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.engine.reasons import overdue
from bunsui.errors import JobCancelled, JobError, JobTimeout
from bunsui.expressions.resolution import render
from bunsui.local.callables import call_variables
from bunsui.local.identity import end_process
from bunsui.local.processes import NotStarted, not_started
from bunsui.model.json import compact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bunsui.local.output import AttemptLog, Streams
    from bunsui.local.processes import Process, Processes
    from bunsui.ports.job_type import Command, JobCall

#: Seconds between the request to end (SIGTERM) and the end (SIGKILL).
GRACE = 5.0
#: Bytes of parameters above which they are put into a file: Linux takes 128 KiB for one variable.
MAX_INLINE_PARAMETERS = 100 * 1024
#: Bytes of an output file that are read; no store takes more in one commit.
MAX_OUTPUT = 16 * 1024 * 1024
#: The file in the folder of a running command that says which process it is.
IDENTITY = "process.json"
#: Bytes of that file that are read.
MAX_IDENTITY = 4096
#: Seconds between two looks at whether an attempt is cancelled.
POLL = 0.2


def variable_name(parameter: str) -> str:
    """The environment variable that holds a job's parameter."""
    return "BUNSUI_PARAM_" + "".join(c if c.isalnum() else "_" for c in parameter).upper()


def clear(folder: Path) -> None:
    """Removes what an attempt whose runner is gone has left: a process that still runs, and its files.

    Args:
        folder: of the attempt's files; it need not exist.
    """
    if folder.exists():
        left = _left_process(folder / IDENTITY)
        if left is not None:
            end_process(left)
        shutil.rmtree(folder, ignore_errors=True)


def run_command(
    processes: Processes, command: Command, call: JobCall, log: AttemptLog, *, quote_log: bool = True
) -> Any:
    """Runs a command until it ends, and returns what it wrote to ``$BUNSUI_OUTPUT``, or None.

    What it has left running when it ends goes on until `processes` are closed.

    Args:
        processes: what starts it.
        command: what to run.
        call: the attempt that it runs for.
        log: what its stdout and stderr go to.
        quote_log: whether the error of one that failed quotes the log's last line.

    Raises:
        JobError: it could not be started (``CommandNotFound``, ``CommandNotStarted``,
            ``ProcessNotStarted``), failed (``ExitCode.N``, ``Signal.NAME``), was ended because what watches
            over it has ended (``ProcessLost``) or wrote something that is not JSON (``OutputNotJson``).
        JobTimeout: it ran longer than the call's deadline. It is gone, with all that it had started.
        JobCancelled: it was stopped. It is gone, likewise.
        StateError: `processes` are closed.
    """
    with contextlib.ExitStack() as opened:
        try:
            folder = log.files
            # What a killed runner has left goes when the attempt runs again, or is given up.
            clear(folder)
            folder.mkdir(mode=0o700)
            opened.callback(shutil.rmtree, folder, ignore_errors=True)
            output = folder / "output.json"
            environment = _environment(processes.inherited(), call, folder, output)
            # Made before the command can make it: nothing that it puts there is written to.
            identity = opened.enter_context((folder / IDENTITY).open("xb", buffering=0))
            streams = opened.enter_context(log.streams())
        except OSError as error:
            raise not_started("the command", error, "its files beside its log can't be made") from error
        process = _start(processes, command, environment, streams, call)
        with contextlib.closing(process):
            try:
                identity.write(json.dumps(process.identity).encode())
            except OSError as error:
                raise not_started("the command", error, "its files beside its log can't be made") from error
            wait(process, call)
        if process.returncode is None:
            raise process.lost("the command")
        if process.returncode != 0:
            raise exit_error("the command", process.returncode, streams if quote_log else None)
        return _read_output(output)


def _argv(command: Command) -> list[str]:
    if command.shell:
        script, *arguments = command.argv
        return ["/bin/sh", "-c", script, "sh", *arguments]
    if command.argv[0] == "python":
        return [sys.executable, *command.argv[1:]]
    return list(command.argv)


def _environment(inherited: Mapping[str, str], call: JobCall, folder: Path, output: Path) -> dict[str, str]:
    environment = {
        **inherited,
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
    processes: Processes, command: Command, environment: dict[str, str], streams: Streams, call: JobCall
) -> Process:
    argv = _argv(command)
    try:
        process = processes.start(
            argv,
            env=environment,
            folder=command.folder,
            descriptors={streams.stdout: (1,), streams.stderr: (2,)},
        )
        try:
            wait(process, call, until_started=True)
        except BaseException:  # Only to let go of it: it goes on.
            process.close()
            raise
    except NotStarted as error:
        if error.about == "keeper":  # The command has no part in it.
            raise not_started("the command", error) from error
        about_folder = error.about == "folder"
        missing = error.errno == errno.ENOENT and not about_folder
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
    return process


def wait(
    process: Process,
    call: JobCall | None,
    pipe: int | None = None,
    events: int = select.POLLIN,
    *,
    until_started: bool = False,
) -> None:
    """Waits until the process ends or, where `pipe` is given, until one of the `events` comes to it.

    Args:
        process: what is waited for. Where it has no exit code after this, its keeper has ended.
        call: whose deadline and cancelling end it; None: nothing does.
        pipe: a descriptor that is waited for as well.
        events: what is to come to it.
        until_started: whether it is waited for only until it is known to have started.

    Raises:
        NotStarted: it could not be started.
        JobTimeout: the deadline came first; the process is gone, with all that it had started.
        JobCancelled: the attempt was cancelled first; likewise.
    """
    deadline = None if call is None else call.deadline
    cancelled = None if call is None else call.cancelled
    poll = select.poll()
    poll.register(process.fileno(), select.POLLIN)
    if pipe is not None:
        poll.register(pipe, events)
    while process.poll() is None and not process.gone and not (until_started and process.pid is not None):
        remaining = POLL if deadline is None else deadline - time.monotonic()
        if remaining <= 0:
            process.end(GRACE)
            raise JobTimeout(overdue(None if call is None else call.timeout, " and was ended"))
        if cancelled is not None and cancelled.is_set():
            process.end(GRACE)
            raise JobCancelled("the attempt was stopped")
        if any(source == pipe for source, _ in poll.poll(min(remaining, POLL) * 1000)):
            return
    if process.reason is not None:
        raise process.reason


def exit_error(what: str, code: int, streams: Streams | None) -> JobError:
    """What the exit code of a process says, with the last line that it wrote.

    Args:
        what: the process, as a message begins with it.
        code: as `subprocess` gives it: below 0 the signal that ended it.
        streams: what it wrote to; None: nothing is quoted.
    """
    last = "" if streams is None else streams.last_line()
    said = f"; it last said: {last}" if last else ""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return JobError(f"{what} was ended by {name}{said}", code=f"Signal.{name}")
    verb = "failed" if code else "ended"
    return JobError(f"{what} {verb} with exit code {code}{said}", code=f"ExitCode.{code}")


def _read_output(path: Path) -> Any:
    try:
        text = _read_regular(path, MAX_OUTPUT)
        return None if text is None else json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        raise _bad_output(f"can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        # No cause: the log would show the inside of a decoder as if the job had called it.
        raise _bad_output(f"is not JSON: {error}; write JSON, in which text stands in quotes") from None


def _read_regular(path: Path, most: int) -> bytes | None:
    """What is in a file that a job has written; None where there is none."""
    try:
        # Without waiting for whoever would write to a FIFO, and not through a link.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise _bad_output("is not a regular file")
        if about.st_size > most:
            raise _bad_output(f"has {about.st_size} bytes; at most {most} are read", "OutputTooLarge")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def _left_process(path: Path) -> dict[str, Any] | None:
    """The process that a runner has noted, unless its job has put something else there."""
    try:
        noted = json.loads(_read_regular(path, MAX_IDENTITY) or "null")
    except (OSError, ValueError, RecursionError, JobError):
        return None
    return noted if isinstance(noted, dict) else None


def _bad_output(wrong: str, code: str = "OutputNotJson") -> JobError:
    return JobError(f"the file named by BUNSUI_OUTPUT {wrong}", code=code, retryable=False)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
