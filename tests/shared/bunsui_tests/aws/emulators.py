"""Emulators of AWS that others have made, each in a process of its own with its own folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bunsui_tests.aws.environment import ACCESS_KEY, REGION, client, environment
from bunsui_tests.conditions import wait_for

#: Seconds for an emulator to start, on a busy machine.
_START = 60.0
#: Runs a module as a program that is ended with who has started it, where the system can do that.
_PROGRAM = """\
import ctypes, os, runpy, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("nobody waits for it any more")
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Emulator:
    """An emulator that runs.

    Args:
        folder: Where its files and its output are.
        module: What is run.
        arguments: Its arguments; ``{port}`` is its port.
        variables: Its variables, likewise.
        health: A path that answers when it has started.
        reset: The path by which it forgets everything.
    """

    #: Statuses beside 200 by which it shows that it has started.
    _healthy: tuple[int, ...] = ()

    def __init__(
        self,
        folder: Path,
        module: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        health: str,
        reset: str,
    ) -> None:
        self._folder = folder
        self._health, self._reset = health, reset
        self._output = folder / "output.txt"
        # Another process may be given the port before the emulator has it: then it is tried again.
        for _ in range(5):
            if self._start(module, arguments, dict(variables or {})):
                return
        raise AssertionError(f"{module} does not start: {self._output.read_text()[-4000:]}")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of processes that are to use it; its URL is not in it."""
        return environment()

    @property
    def pid(self) -> int:
        """The process that it runs in."""
        return self._process.pid

    def client(self, service: str, *, access_key: str = ACCESS_KEY, region: str = REGION, **more: Any) -> Any:
        """A boto3 client for it that does not try again; ``more`` goes to botocore's Config."""
        return client(service, self.url, access_key=access_key, region=region, **more)

    def reset(self) -> None:
        """It forgets everything."""
        self.post(self._reset)

    def post(self, path: str, body: Any = None) -> None:
        """Tells it something that is not of AWS."""
        data = b"" if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", data, {"Content-Type": "application/json"}, method="POST"
        )
        with _direct().open(request, timeout=60) as answer:
            answer.read()

    def close(self) -> None:
        """Stops it and all that it has started."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _program(self, module: str) -> list[str]:
        """What is started, before its arguments."""
        return [sys.executable, "-c", _PROGRAM, str(os.getpid()), module]

    def _start(self, module: str, arguments: tuple[str, ...], variables: dict[str, str]) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        program = [*self._program(module), *(each.format(port=port) for each in arguments)]
        own = {name: value.format(port=port) for name, value in variables.items()}
        paths = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
        }
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                program,
                cwd=self._folder,
                env={**paths, **environment(), **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        answers = wait_for(lambda: self._process.poll() is not None or self._answers(), _START)
        if answers and self._process.poll() is None:
            return True
        self.close()
        return False

    def _answers(self) -> bool:
        try:
            with _direct().open(f"{self.url}{self._health}", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return error.code in self._healthy
        except OSError:
            return False


class Moto(Emulator):
    """moto's server: breadth, and states that ECS tasks go through."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            "moto.server",
            "-H", "127.0.0.1", "-p", "{port}",
            health="/moto-api/data.json",
            reset="/moto-api/reset",
        )  # fmt: skip
        self._transitions: set[str] = set()

    def reset(self) -> None:
        """It forgets everything; functions are not run, but answer what they are given."""
        super().reset()
        for name in self._transitions:
            self.post("/moto-api/state-manager/unset-transition", {"model_name": name})
        self._transitions.clear()
        self.post("/moto-api/config", {"lambda": {"use_docker": False}, "batch": {"use_docker": False}})

    def transition(self, name: str, progression: str = "manual", **more: Any) -> None:
        """How things of a kind go on, until the next reset.

        Args:
            name: The kind, such as ``ecs::task``.
            progression: ``manual`` with ``times`` (a step after so many descriptions), ``time`` with
                ``seconds``, or ``immediate``.
            more: What goes with it.
        """
        self._transitions.add(name)
        body = {"model_name": name, "transition": {"progression": progression, **more}}
        self.post("/moto-api/state-manager/set-transition", body)


class Ministack(Emulator):
    """ministack: Lambda functions that really run, S3, logs and more.

    Args:
        folder: Where its files and its output are.
        enforces: Whether signatures and the policies of IAM count. The access key ``test`` may do anything.
    """

    def __init__(self, folder: Path, *, enforces: bool = False) -> None:
        variables = {
            "AUTH": str(enforces).lower(),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": "{port}",
            # These have ports of their own, over which two of them on a machine would fall out.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        super().__init__(
            folder, "ministack", variables=variables, health="/_ministack/ready", reset="/_ministack/reset"
        )


def _direct() -> urllib.request.OpenerDirector:
    """Goes through no proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
