"""Alerts to a program of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.dsl.problems import printable, quoted
from bunsui.errors import AlertNotTaken
from bunsui.monitoring.channels.texts import MAX_SUMMARY, as_json, shortened
from bunsui.ports.alerts import AlertChannel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bunsui.ports.alerts import Alert
    from bunsui.ports.permissions import Permission, Where

#: Seconds for one run, where nothing else is said; and at most, so that it ends before it is given up.
TIMEOUT, MAX_TIMEOUT = 20.0, 50.0
#: Bytes of the alert in a variable, at most: Linux takes 128 KiB, other systems less (ARG_MAX).
MAX_VARIABLE = 32_000
#: Characters of what a program that failed has written to its standard error, the last ones.
MAX_SAID = 500
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

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        """See `AlertChannel.send`.

        Raises:
            AlertNotTaken: the program could not be run, failed, or took too long; it is ended then, with all
                that it has started in its group.
        """
        seconds = options.get("timeout", TIMEOUT)
        # Files, not pipes: what a program leaves running can't hold their other ends open.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(f"{as_json(alert)}\n".encode())
            given.seek(0)
            code = _run(
                [*options["command"]], _environment(alert, options.get("env", ())), given, said, seconds
            )
            if code == 0:
                return
            name = quoted(options["command"][0])
            what = f"took longer than {seconds:g} seconds" if code is None else f"exited with {code}"
            raise AlertNotTaken(f"the command {name} {what}{_end_of(said)}")

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission]:
        """See `AlertChannel.permissions`: nothing is called at AWS by bunsui."""
        del options, where
        return ()


def _environment(alert: Alert, more: Iterable[str]) -> dict[str, str]:
    found = {name: os.environ[name] for name in (*VARIABLES, *more) if name in os.environ}
    return found | {
        ALERT: as_json(alert, MAX_VARIABLE),
        SUMMARY: shortened(alert.summary, MAX_SUMMARY).encode(errors="replace").decode(),
    }


def _run(
    command: list[str], environment: Mapping[str, str], given: Any, said: Any, seconds: float
) -> int | None:
    """The exit code of a program; None: it took too long.

    Raises:
        AlertNotTaken: it could not be started.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own configuration says which
            command,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=environment,
            start_new_session=True,  # So that it can be ended with what it has started.
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise AlertNotTaken(
            f"the command {quoted(command[0])} could not be run: {reason}",
            hint="name a program that is there, by its path, or on the PATH",
        ) from None
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:  # Also where somebody interrupts the wait.
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _end_of(said: Any) -> str:
    """What a program wrote to its standard error, the end of it."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 4 * MAX_SAID))
    text = printable(" ".join(said.read().decode(errors="replace").split()))
    return f": {text[-MAX_SAID:]}" if text else ""
