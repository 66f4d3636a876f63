"""The worker processes of one runner: started on first use, kept warm, ended with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from attrs import asdict

from bunsui.errors import JobError
from bunsui.local.process import end, last_line, wait
from bunsui.model.json import Json

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.ports.job_type import Function, JobCall


class WorkerProcess:
    """One ``python -m bunsui.local.worker``, for one function."""

    def __init__(self, function: Function) -> None:
        requests_read, self._requests = os.pipe()
        self._replies, replies_write = os.pipe()
        self._buffer = b""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable,
                    "-m",
                    "bunsui.local.worker",
                    str(requests_read),
                    str(replies_write),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(requests_read, replies_write),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._requests)
            os.close(self._replies)
            raise
        finally:
            os.close(requests_read)
            os.close(replies_write)
        folders = [str(folder) for folder in function.folders]
        self._send(
            {
                "load": {
                    "target": function.target,
                    "folders": folders,
                    "style": function.style,
                    "sys_path": sys.path,
                }
            }
        )
        self._loaded = False

    def load(self) -> None:
        """Waits until the function is imported.

        Raises:
            JobError: it can't be (``CallableNotFound``), or the worker ended.
        """
        if not self._loaded:
            while (newline := self._read()) is None:
                pass
            self._loaded = True
            self._result(newline)

    def call(self, call: JobCall, name: str, log: Path) -> Json:
        """Calls the function; its output as JSON.

        Raises:
            JobError: it failed.
        """
        # Attributes that JSON can carry; the workbench is the worker's own.
        fields = asdict(call, recurse=False, filter=lambda a, _: a.name not in ("workbench", "folder"))
        self._send({"call": fields, "name": name, "log": str(log)})
        while True:
            if b"\n" not in self._buffer:
                wait(self._process, call, self._replies)
            line = self._read()
            if line is not None:
                return self._result(line, log)

    def _send(self, request: dict[str, Any]) -> None:
        data = json.dumps(request).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):  # Its end is seen when the reply is read.
            while data:
                data = data[os.write(self._requests, data) :]

    def _read(self) -> bytes | None:
        """One reply, or None where only a part of it has come; b"" at the end."""
        if b"\n" not in self._buffer:
            chunk = os.read(self._replies, 1 << 16)
            if not chunk:
                return b""
            self._buffer += chunk
        if b"\n" not in self._buffer:
            return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _result(self, line: bytes, log: Path | None = None) -> Json:
        if not line:
            code = self._process.wait()
            said = last_line(log) if log is not None and log.exists() else ""
            raise JobError(
                f"the worker process ended with {code}{f'; it last said: {said}' if said else ''}",
                code=f"ExitCode.{code}" if code >= 0 else f"Signal.{-code}",
            )
        reply = json.loads(line)
        if (error := reply.get("error")) is not None:
            raise JobError(error["message"], code=error["code"], retryable=error["retryable"])
        return Json(reply["output"] or "null")

    @property
    def alive(self) -> bool:
        """Whether it can take another call."""
        return self._process.poll() is None

    def close(self, grace: float = 0.0) -> None:
        """Ends it, with all that it started."""
        with contextlib.suppress(OSError):
            os.close(self._requests)
        end(self._process, grace)
        with contextlib.suppress(OSError):
            os.close(self._replies)


class Supervisor:
    """The workers of a runner: a call takes one that is idle, or a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Function, list[WorkerProcess]] = defaultdict(list)
        self._all: set[WorkerProcess] = set()
        self._closed = False

    def check(self, functions: list[Function]) -> dict[Function, str]:
        """Imports functions in workers, which stay for their calls; the reasons of those that fail."""
        started = {function: self._take(function) for function in dict.fromkeys(functions)}
        reasons = {}
        for function, worker in started.items():
            try:
                worker.load()
            except JobError as error:
                reasons[function] = error.message
                self._remove(worker)
            else:
                self._give_back(function, worker)
        return reasons

    def call(self, function: Function, call: JobCall, name: str, log: Path) -> Json:
        """Calls `function` in a worker process; its output as JSON.

        Raises:
            JobError: it failed, was cancelled or took too long; a worker that was in the middle is gone.
        """
        worker = self._take(function)
        try:
            worker.load()
            return worker.call(call, name, log)
        finally:
            # A failed call leaves a good worker; one that was ended, or ended itself, is replaced.
            self._give_back(function, worker)

    def _take(self, function: Function) -> WorkerProcess:
        with self._lock:
            if self._idle[function]:
                return self._idle[function].pop()
        worker = WorkerProcess(function)
        with self._lock:
            self._all.add(worker)
        return worker

    def _give_back(self, function: Function, worker: WorkerProcess) -> None:
        if worker.alive and not self._closed:
            with self._lock:
                self._idle[function].append(worker)
        else:
            self._remove(worker)

    def _remove(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.close()

    def close(self) -> None:
        """Ends all workers."""
        self._closed = True
        with self._lock:
            workers, self._all = self._all, set()
            self._idle.clear()
        for worker in workers:
            worker.close()
