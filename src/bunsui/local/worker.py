"""A worker process: calls one Python function, over and over, for the runner that started it.

``python -m bunsui.local.worker REQUESTS REPLIES`` reads one JSON document a line from a socket and writes
one a line to a pipe. With each call come the pipes that are its stdout and stderr from then on: the job's
log. A record of `logging` goes to stderr too, as a line of JSON behind the call's mark. It ends, with all
that it started, when the runner does: the requests then end.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict

from bunsui.concurrency.trace_context import gone_on
from bunsui.errors import JobError
from bunsui.local.callables import call_variables, find, invoke
from bunsui.local.log_records import CallLogger, RecordHandler, of_failure
from bunsui.local.results import encode, failure
from bunsui.ports.job_type import Function, JobCall, current

if TYPE_CHECKING:
    from bunsui.local.redaction import Redactor


class _Bench:
    """The worker's side of a call; what it is asked to run, it runs itself."""

    def __init__(self, call: dict[str, Any], redactor: Redactor | None) -> None:
        #: See `bunsui.logging.context.redactor`.
        self.redactor = redactor
        self.cancelled = threading.Event()  # A worker is ended, not asked; see the signal handler.
        self.logger = CallLogger(logging.getLogger(f"bunsui.job.{call['job_id']}"))

    def run(self, work: Any, call: JobCall) -> Any:
        del work, call
        raise JobError("a function in a worker can't run further work", code="NotSupported")

    begin = run


class _Worker:
    def __init__(self) -> None:
        self._function: Any = None
        self._spec = Function("")
        #: Takes the values of the call's secrets out of a text; None where it has none.
        self.redact: Callable[[str], str] | None = None
        #: What goes before a record in stderr; None: nobody reads that.
        self.mark: str | None = None
        #: Whether the runner has asked it to end.
        self.ending = False

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if "load" in request:
                self._load(request["load"])
                return {"output": None}
            return {"output": self._call(request)}
        except BaseException as error:  # The border: a job's code may raise anything, SystemExit too.
            if (found := of_failure(error)) is not None:
                self.log(found)
            return {"error": asdict(failure(error, self.redact))}
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()

    def log(self, found: Mapping[str, Any]) -> None:
        """Writes a record to stderr, behind what stands there."""
        with contextlib.suppress(OSError, ValueError):  # The job has closed it.
            sys.stderr.flush()
        if self.mark is not None:
            # At once, so that what a child writes does not come in between, if it is short.
            data = memoryview(f"{self.mark}{json.dumps(found)}\n".encode())
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(2, data) :]

    def _load(self, load: dict[str, Any]) -> None:
        self.mark = load["mark"]
        folders = [Path(folder) for folder in load["folders"]]
        sys.path[:] = [*load["folders"], *load["sys_path"]]
        # The folders are on sys.path here, in a process of its own, so that modules beside the
        # function's can be imported too.
        self._spec = Function(load["target"], (), load["style"])
        if folders:
            with contextlib.suppress(OSError):  # It is gone: then so is the module.
                os.chdir(folders[0])
        self._function = find(self._spec)

    def _call(self, request: dict[str, Any]) -> str:
        for number, descriptor in enumerate(request["descriptors"], start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        self.mark = request["mark"]
        self.redact = redactor = None
        if request["secrets"]:
            from bunsui.local.redaction import Redactor  # noqa: PLC0415 - where there are secrets

            redactor = Redactor(request["secrets"])
            self.redact = redactor.redact
        fields = request["call"]
        if fields["started_at"] is not None:
            fields["started_at"] = datetime.fromisoformat(fields["started_at"])
        if fields["folder"] is not None:
            fields["folder"] = Path(fields["folder"])
        fields["callable_folders"] = tuple(map(Path, fields["callable_folders"]))
        call = JobCall(**fields, workbench=_Bench(fields, redactor))
        before = {name: os.environ.get(name) for name in call.environment}
        os.environ.update(call.environment)
        os.environ.update(call_variables(call))
        token = current.set(call)
        try:
            with gone_on(call.environment):
                output = invoke(self._function, self._spec.style, request["name"], call)
                return encode(_complete(output) if hasattr(output, "__await__") else output).text
        finally:
            current.reset(token)
            # The trace of one session is none of the next one's, which may have none.
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def end(self, number: int, frame: object) -> None:
        """Takes SIGTERM: raising lets `finally` blocks of the job run; the runner kills after a grace."""
        del frame
        self.ending = True
        sys.exit(128 + number)


def _complete(awaitable: Any) -> Any:
    """Awaits it in an event loop of its own: there is no other call in this process."""
    import asyncio  # noqa: PLC0415 - 35 ms that other functions do not need

    async def result() -> Any:
        return await awaitable

    return asyncio.run(result())


def _read_requests(connection: socket.socket, requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    data, descriptors = b"", []
    try:
        while True:
            received, given, _, _ = socket.recv_fds(connection, 1 << 16, 2)
            if not received:
                return
            descriptors += given
            *lines, data = (data + received).split(b"\n")
            for line in lines:
                request = json.loads(line)
                # They come with the first bytes of a call, which is answered before the next one is sent.
                request["descriptors"], descriptors = descriptors, []
                for descriptor in request["descriptors"]:
                    os.set_inheritable(descriptor, False)
                requests.put(request)
    finally:
        # The runner has ended: so does this process, in the middle of a call too, and all of its group.
        os.killpg(os.getpgid(0), signal.SIGKILL)


def main(argv: list[str]) -> None:
    """Serves requests until they end."""
    requests_fd, replies_fd = map(int, argv)
    for descriptor in (requests_fd, replies_fd):
        os.set_inheritable(descriptor, False)
    worker = _Worker()
    signal.signal(signal.SIGTERM, worker.end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a job writes is in its log at once, and in the order of stdout and stderr.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    logging.basicConfig(level=logging.INFO, handlers=[RecordHandler(worker.log)])
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(
        target=_read_requests, args=(socket.socket(fileno=requests_fd), requests), daemon=True
    ).start()
    with os.fdopen(replies_fd, "wb") as replies:
        while not worker.ending:
            reply = worker.handle(requests.get())
            if not worker.ending:
                replies.write(json.dumps(reply).encode() + b"\n")
                replies.flush()


if __name__ == "__main__":
    # Under its own name, by which a traceback knows the frames that are not the job's.
    from bunsui.local import worker as itself  # noqa: PLW0406 - this is __main__

    itself.main(sys.argv[1:])
