"""Alerts to a program of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.dsl.problems import printable, quoted
from bunsui.errors import AlertNotTaken
from bunsui.local.redaction import Redactor
from bunsui.monitoring.channels.texts import MAX_SUMMARY, as_json, shortened
from bunsui.ports.alerts import AlertChannel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bunsui.ports.alerts import Alert
    from bunsui.ports.permissions import Permission, Where
    from bunsui.ports.services import Services

#: Seconds for one run, where nothing else is said; and at most, so that it ends before it is given up.
TIMEOUT, MAX_TIMEOUT = 20.0, 50.0
#: Bytes of the alert in a variable, at most: Linux takes 128 KiB, other systems less (ARG_MAX).
MAX_VARIABLE = 32_000
#: Characters of what a program that failed has written to its standard error, the last ones.
MAX_SAID = 500
#: Bytes of that which are kept, and read at once.
KEPT, CHUNK = 4096, 65_536
#: Seconds that are waited for the last of it, once the program has ended.
LINGERS = 0.5
#: The variables of the environment that each program is given. Secrets may stand in any other.
VARIABLES = (
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
)
#: Those in which it finds the alert: the whole as JSON, and what a person reads first.
ALERT, SUMMARY = "BUNSUI_ALERT", "BUNSUI_ALERT_SUMMARY"


class CommandChannel(AlertChannel):
    """Runs a program, without a shell, with the alert on its standard input: it took it if it exits with 0.

    Nothing of an alert is ever an argument: those of a process can be seen by everybody on a machine, and
    what stands in them may be taken for an option.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["command"],
        "properties": {
            "command": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "pattern": r"^[^\x00]+$", "title": "a text"},
                "title": 'a program with its arguments, such as ["/usr/local/bin/page", "--team", "data"]',
            },
            "env": {
                "type": "array",
                "items": {
                    "type": "string",
                    "pattern": r"^[A-Za-z_][A-Za-z0-9_]*(?!\n)$",
                    "title": "the name of a variable, without its value",
                },
                "title": 'a list of names of variables that it is given, too, such as ["PAGER_TEAM"]',
            },
            "timeout": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": MAX_TIMEOUT,
                "default": TIMEOUT,
                "title": f"a number of seconds above 0, at most {MAX_TIMEOUT:g}",
            },
        },
    }
    user_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        """See `AlertChannel.send`.

        Raises:
            AlertNotTaken: the program could not be run, failed, or took too long; it is ended then, with all
                that it has started in its group.
        """
        seconds = options.get("timeout", TIMEOUT)
        more = options.get("env", ())
        # A file, not a pipe: what a program leaves running can't hold its other end open.
        with tempfile.TemporaryFile() as given:
            given.write(f"{as_json(alert)}\n".encode())
            given.seek(0)
            code, said = self._run([*options["command"]], _environment(alert, more), given, seconds)
        if code == 0:
            return
        name = quoted(options["command"][0])
        what = f"took longer than {seconds:g} seconds" if code is None else f"exited with {code}"
        raise AlertNotTaken(f"the command {name} {what}{_shown(said, more)}")

    def for_runner(self, services: Services) -> CommandChannel:
        """See `AlertChannel.for_runner`."""
        del services
        return CommandChannel()

    def close(self) -> None:
        """Ends the programs that still run: nobody would, once the process has ended."""
        with self._lock:
            self._is_closed = True
            running = list(self._running)
        for process in running:
            if process.poll() is None:
                _kill(process)

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission]:
        """See `AlertChannel.permissions`: nothing is called at AWS by bunsui."""
        del options, where
        return ()

    def _run(
        self, command: list[str], environment: Mapping[str, str], given: Any, seconds: float
    ) -> tuple[int | None, bytes]:
        """The exit code of a program, None where it took too long, and the end of what it said.

        Raises:
            AlertNotTaken: it could not be started.
        """
        try:
            with self._lock:
                if self._is_closed:
                    raise AlertNotTaken("the runner is closed")
                process = subprocess.Popen(  # noqa: S603 - the user's own configuration says which
                    command,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,  # So that it can be ended with what it has started.
                )
                self._running.add(process)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise AlertNotTaken(
                f"the command {quoted(command[0])} could not be run: {reason}",
                hint="name a program that is there, by its path, or on the PATH",
            ) from None
        said = _Said(process)
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:  # Also where somebody interrupts the wait.
                _kill(process)
            with self._lock:
                self._running.discard(process)
        return code, b"" if code == 0 else said.end()


class _Said:
    """Reads what a program writes to its standard error, and keeps the end of it: it may be endless."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._from = process.stderr
        self._lock = threading.Lock()
        self._kept = b""
        self._reading = threading.Thread(target=self._read, name="bunsui-alert-stderr", daemon=True)
        self._reading.start()

    def _read(self) -> None:
        if self._from is None:
            return
        with self._from:
            while chunk := os.read(self._from.fileno(), CHUNK):
                with self._lock:
                    self._kept = (self._kept + chunk)[-KEPT:]

    def end(self) -> bytes:
        """The last of it. What the program left running may hold the pipe open: that is not waited for."""
        self._reading.join(LINGERS)
        with self._lock:
            return self._kept


def _environment(alert: Alert, more: Iterable[str]) -> dict[str, str]:
    found = {name: os.environ[name] for name in (*VARIABLES, *more) if name in os.environ}
    return found | {
        ALERT: as_json(alert, MAX_VARIABLE),
        SUMMARY: shortened(alert.summary, MAX_SUMMARY).encode(errors="replace").decode(),
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _shown(said: bytes, variables: Iterable[str]) -> str:
    """The end of what a program wrote, without the values of variables that it was given by name."""
    secret = [os.environ.get(name, "") for name in variables if name not in VARIABLES]
    hidden = Redactor(value for value in secret if value)
    # Before anything is cut or joined: half of a value would not be found.
    text = printable(" ".join(hidden.redact(said.decode(errors="replace")).split()))
    return f": {text[-MAX_SAID:]}" if text else ""
