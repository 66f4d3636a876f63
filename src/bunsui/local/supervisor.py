"""The worker processes of one runner: started on first use, kept warm, ended with it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import socket
import sys
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from attrs import asdict

from bunsui.errors import JobError
from bunsui.local.process import exit_error, run_command, wait
from bunsui.local.processes import QUIET, NotStarted, Processes, closed, not_started
from bunsui.model.json import Json

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bunsui.local.output import AttemptLog, Streams
    from bunsui.ports.job_type import Command, Function, JobCall


class WorkerProcess:
    """One ``python -m bunsui.local.worker``, for one function; used by one thread at a time.

    Args:
        processes: what starts it.
        function: what it imports, and then calls.
        streams: what its stdout and stderr go to while it imports; None: nowhere.

    Raises:
        JobError: it can't be started (``ProcessNotStarted``).
    """

    def __init__(self, processes: Processes, function: Function, streams: Streams | None = None) -> None:
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as theirs:
            # A socket, since descriptors go over it.
            self._requests, requests = socket.socketpair()
            theirs.callback(requests.close)
            on_failure.callback(self._requests.close)
            self._replies, replies = os.pipe()
            theirs.callback(os.close, replies)
            on_failure.callback(os.close, self._replies)
            descriptors: dict[int, tuple[int, ...]] = {requests.fileno(): (3,), replies: (4,)}
            if streams is not None:
                descriptors |= {streams.stdout: (1,), streams.stderr: (2,)}
            # -P: what lies in the working directory must not shadow what the worker itself imports.
            argv = [sys.executable, "-P", "-m", "bunsui.local.worker", "3", "4"]
            self._process = processes.start(argv, env=processes.inherited(), descriptors=descriptors)
            on_failure.pop_all()
        # A worker that hangs, or whose children hold the pipes after its end, must not hold a thread.
        self._requests.setblocking(False)
        os.set_blocking(self._replies, False)
        self._loaded = False
        #: See `knows_no_more_than`. Not the values: they must not outlive here what they were given for.
        self._given: frozenset[bytes] = frozenset()
        folders = [str(folder) for folder in function.folders]
        load: dict[str, Any] = {
            "target": function.target,
            "folders": folders,
            "style": function.style,
            "sys_path": sys.path,
        }
        load["mark"] = None if streams is None else streams.mark
        try:
            self._send({"load": load})
        except BaseException:  # Only to clean up: it goes on.
            self.close()
            raise

    def load(self, call: JobCall | None = None, streams: Streams | None = None) -> None:
        """Waits until the function is imported; with `call`, not longer than that may take.

        Raises:
            JobError: it can't be (``CallableNotFound``), or the worker ended.
        """
        if not self._loaded:
            self._result(self._reply(call), streams)
            self._loaded = True

    def call(self, call: JobCall, name: str, streams: Streams, secrets: Sequence[str] = ()) -> Json:
        """Calls the function; its output as JSON.

        Args:
            call: what it is called for.
            name: what a binding calls it.
            streams: what its stdout, stderr and log go to.
            secrets: values that its errors must not show.

        Raises:
            JobError: it failed.
        """
        # Attributes that JSON can carry; the workbench is the worker's own.
        fields = asdict(call, recurse=False, filter=lambda a, _: a.name != "workbench")
        fields["started_at"] = None if call.started_at is None else call.started_at.isoformat()
        fields["folder"] = None if call.folder is None else str(call.folder)
        fields["callable_folders"] = [str(folder) for folder in call.callable_folders]
        request = {"call": fields, "name": name, "mark": streams.mark, "secrets": list(secrets)}
        self._given |= _digests(secrets)
        self._send(request, call, (streams.stdout, streams.stderr))
        return self._result(self._reply(call), None if secrets else streams)

    def _send(
        self, request: dict[str, Any], call: JobCall | None = None, descriptors: Sequence[int] = ()
    ) -> None:
        data = memoryview(json.dumps(request).encode() + b"\n")
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # Its end is seen when the reply is read.
            while data:
                try:
                    if descriptors:
                        sent = socket.send_fds(self._requests, [data], list(descriptors), QUIET)
                    else:
                        sent = self._requests.send(data, QUIET)
                    data, descriptors = data[sent:], ()
                except BlockingIOError:
                    self._wait(call, self._requests.fileno(), select.POLLOUT)
                    if self._process.returncode is not None or self._process.gone:
                        return

    def _reply(self, call: JobCall | None) -> bytes | None:
        """The line that answers the last request; None where the worker ended without one."""
        chunks = [b""]
        while not chunks[-1].endswith(b"\n"):
            self._wait(call, self._replies)
            try:
                chunk = os.read(self._replies, 1 << 16)
            except BlockingIOError:  # It has ended, and a child of it holds the pipe.
                chunk = b""
            if not chunk:
                self._wait(call)
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def _wait(self, call: JobCall | None, pipe: int | None = None, events: int = select.POLLIN) -> None:
        try:
            wait(self._process, call, pipe, events)
        except NotStarted as error:
            raise not_started("the worker process", error) from error

    def _result(self, line: bytes | None, streams: Streams | None) -> Json:
        if line is None:
            code = self._process.returncode
            what = "the worker process"
            raise self._process.lost(what) if code is None else exit_error(what, code, streams)
        reply = json.loads(line)
        if (error := reply.get("error")) is not None:
            raise JobError(error["message"], code=error["code"], retryable=error["retryable"])
        return Json(reply["output"] or "null")

    def knows_no_more_than(self, secrets: Sequence[str]) -> bool:
        """Whether all secrets that it was ever given are among these: what it says now shows no others.

        What a call has left in the process, a thread or a module's variable, has them still.
        """
        return self._given <= _digests(secrets)

    @property
    def ready(self) -> bool:
        """Whether it has its function, and can take a call."""
        return self._loaded and self._process.poll() is None and not self._process.gone

    def end(self) -> None:
        """Ends it, with all that it started. From any thread: a call that runs fails by it."""
        self._process.end(0.0)

    def close(self) -> None:
        """Ends it, and closes what leads to it."""
        self.end()
        self._process.close()
        self._requests.close()
        os.close(self._replies)


class Supervisor:
    """The processes of a runner: commands, and workers, of which a call takes an idle one or a new one.

    Args:
        withheld: names of variables that none of them inherits.
    """

    def __init__(self, withheld: Collection[str] = ()) -> None:
        self._lock = threading.Lock()
        self._processes = Processes(withheld)
        self._idle: dict[Function, list[WorkerProcess]] = defaultdict(list)
        self._all: set[WorkerProcess] = set()
        self._importable: set[Function] = set()
        self._closed = False

    def check(self, functions: list[Function]) -> dict[Function, str]:
        """Imports functions in workers, which stay for their calls; the reasons of those that fail."""
        started: dict[Function, WorkerProcess] = {}
        reasons = {}
        with contextlib.ExitStack() as taken:
            for function in dict.fromkeys(functions):
                # Its workers may all be busy: what was imported once needs no further one.
                if function not in self._importable:
                    try:
                        started[function] = worker = self._take(function)
                    except JobError as error:
                        reasons[function] = error.message
                    else:
                        taken.callback(self._give_back, function, worker)
            for function, worker in started.items():
                try:
                    worker.load()
                    self._importable.add(function)
                except JobError as error:
                    reasons[function] = error.message
        return reasons

    def call(
        self, function: Function, call: JobCall, name: str, log: AttemptLog, secrets: Sequence[str] = ()
    ) -> Json:
        """Calls `function` in a worker process; its output as JSON. See `WorkerProcess.call`.

        Raises:
            JobError: it failed, was cancelled or took too long, with all that it had started gone; or its
                process could not be started (``ProcessNotStarted``) or watched (``ProcessLost``).
            StateError: this supervisor is closed.
        """
        with contextlib.ExitStack() as opened:
            try:
                streams = opened.enter_context(log.streams())
            except OSError as error:
                raise not_started("the worker process", error, "its pipes can't be made") from error
            worker = self._take(function, streams, secrets)
            try:
                # The log's last line is what the job wrote: with secrets, it is not quoted.
                worker.load(call, None if secrets else streams)
                return worker.call(call, name, streams, secrets)
            finally:
                # A failed call leaves a good worker; one that was ended, or ended itself, is replaced.
                self._give_back(function, worker)

    def run(self, command: Command, call: JobCall, log: AttemptLog, *, quote_log: bool = True) -> Any:
        """Runs a command; see `bunsui.local.process.run_command`."""
        return run_command(self._processes, command, call, log, quote_log=quote_log)

    def _take(
        self, function: Function, streams: Streams | None = None, secrets: Sequence[str] = ()
    ) -> WorkerProcess:
        while (idle := self._pop(function, secrets)) is not None:
            is_safe = idle.knows_no_more_than(secrets)
            if idle.ready and is_safe:
                return idle
            self._remove(idle)  # It ended while nobody called it, or may show what nobody would mask.
            if not is_safe:
                break  # There was none that is, so this one makes room.
        worker = WorkerProcess(self._processes, function, streams)
        with self._lock:
            if not self._closed:
                self._all.add(worker)
                return worker
        worker.close()
        raise closed()

    def _pop(self, function: Function, secrets: Sequence[str] = ()) -> WorkerProcess | None:
        """An idle worker: one that knows no other secrets, where there is one."""
        with self._lock:
            if self._closed:
                raise closed()
            idle = self._idle[function]
            for i in reversed(range(len(idle))):
                if idle[i].knows_no_more_than(secrets):
                    return idle.pop(i)
            return idle.pop() if idle else None

    def _give_back(self, function: Function, worker: WorkerProcess) -> None:
        with self._lock:
            if worker.ready and not self._closed:
                self._idle[function].append(worker)
                return
        self._remove(worker)

    def _remove(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.close()

    def close(self) -> None:
        """Ends all workers and commands at once, with all that they have started; what runs fails."""
        with self._lock:
            self._closed = True
            idle = [worker for workers in self._idle.values() for worker in workers]
            self._idle.clear()
            self._all.clear()
        self._processes.close()
        # Who called the others closes their pipes: a descriptor that is waited for must not become
        # another file's.
        for worker in idle:
            worker.close()


def _digests(secrets: Sequence[str]) -> frozenset[bytes]:
    return frozenset(hashlib.sha256(value.encode(errors="surrogatepass")).digest() for value in secrets)
