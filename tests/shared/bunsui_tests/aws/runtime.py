"""AWS's own runtime of Python functions, in a process of its own, behind a Runtime API of the tests'.

The protocol is "Using the Lambda runtime API for custom runtimes" in Lambda's guide.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bunsui_tests.aws.environment import environment
from bunsui_tests.aws.functions import FunctionDied
from bunsui_tests.aws.listening import Listener
from bunsui_tests.aws.messages import Reply, Request, encoded

_BASE = "/2018-06-01/runtime"
_OUTCOME = re.compile(rf"{_BASE}/invocation/([^/]+)/(response|error)")
#: Seconds for a function to answer, on a busy machine.
_PATIENCE = 60.0
#: Milliseconds that a function is told to have.
TIMEOUT = 30_000


class Runtime:
    """A function that runs as Lambda runs it, one event after the other; a context manager.

    It skips the test where the runtime is not installed, which is on all systems but Linux.

    Args:
        folder: Has its module.
        handler: ``module.function``.
        paths: Further folders for ``PYTHONPATH``: what is deployed beside it.
        variables: Of its environment.
    """

    def __init__(
        self, folder: Path, handler: str, *paths: Path | str, variables: Mapping[str, str] | None = None
    ) -> None:
        if sys.platform != "linux":
            pytest.skip("AWS's runtime of Python functions (awslambdaric) has wheels for Linux alone")
        self._folder = folder
        self._events: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._listener = Listener(self._answer)
        self._output = (folder / "output.txt").open("w+", encoding="utf-8")
        made = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **environment(),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._listener.port}",
            "AWS_LAMBDA_FUNCTION_NAME": handler,
            "LAMBDA_TASK_ROOT": str(folder),
            "PYTHONPATH": os.pathsep.join(map(str, (folder, *paths))),
            "PYTHONDONTWRITEBYTECODE": "1",
            **(variables or {}),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=folder,
            env=made,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def log(self) -> str:
        """What the function has written and logged so far."""
        return (self._folder / "output.txt").read_text(encoding="utf-8")

    def __call__(self, event: Any, client_context: Any = None) -> Any:
        """What the function returns for an event.

        Raises:
            FunctionDied: It raised, or could not be begun.
        """
        headers = {
            "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + TIMEOUT),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:f",
            "Content-Type": "application/json",
        }
        if client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = json.dumps(client_context)
        self._events.put(Reply(200, encoded(event), headers))
        try:
            kind, body = self._outcomes.get(timeout=_PATIENCE)
        except queue.Empty:
            raise AssertionError(f"the function does not answer: {self.log[-4000:]}") from None
        if kind == "error":
            raise FunctionDied(body["errorType"], body["errorMessage"])
        return body

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._events.put(None)
        self._listener.close()
        self._output.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Reply | None:
        if request.path == f"{_BASE}/invocation/next":
            return self._events.get()
        found = _OUTCOME.fullmatch(request.path)
        self._outcomes.put((found[2] if found else "error", json.loads(request.body)))
        return Reply(202, b"{}")
