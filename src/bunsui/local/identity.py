"""Which process this is, in a way that another process of the same host can check."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def this_process() -> dict[str, Any]:
    """Host, boot, pid namespace, pid and start time of this process; None where the system does not say."""
    return process_of_this_host(os.getpid(), _started(os.getpid()))


def process_of_this_host(pid: int | None, started: int | None) -> dict[str, Any]:
    """The same of another process in this pid namespace, whose pid and start time are known."""
    return {
        "host": socket.gethostname(),
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "pid_namespace": _link("/proc/self/ns/pid"),
        "pid": pid,
        "started": started,
    }


def is_dead(process: Mapping[str, Any]) -> bool:
    """Whether it is certain that a process that `this_process` described has ended."""
    return _lives(process) is False


def is_alive(process: Mapping[str, Any]) -> bool:
    """Whether it is certain that a process that `this_process` described runs."""
    return _lives(process) is True


def _lives(process: Mapping[str, Any]) -> bool | None:
    """Whether a process that was described runs; None where that is not certain."""
    here = this_process()
    if any(process.get(key) != here[key] for key in ("host", "pid_namespace")):
        return None  # Another host, or another container: its processes can't be seen from here.
    if process.get("boot") != here["boot"]:
        return None if here["boot"] is None or process.get("boot") is None else False
    pid = process.get("pid")
    if type(pid) is not int or pid < 1:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    except OverflowError:  # More than a pid can be: nobody here wrote that.
        return None
    # The pid may have been given to another process since. A zombie has ended too.
    started, found = process.get("started"), _started(pid)
    if None in (started, found):
        return None  # /proc may hide the processes of other users (hidepid).
    return found == started and _state(pid) != "Z"


def end_process(process: Mapping[str, Any], patience: float = 5.0) -> bool:
    """Kills a process that was described, with its group where it leads one, and waits until it is gone.

    Nothing happens to another process that has its pid by now, nor where it is not certain which it is.

    Args:
        process: as `process_of_this_host` described it.
        patience: seconds that it is waited for at most; one that waits for a disk may take longer.

    Returns:
        Whether there was such a process.
    """
    if not is_alive(process) or process["pid"] == os.getpid():
        return False
    pid = process["pid"]
    with contextlib.suppress(ProcessLookupError, PermissionError):
        leads = os.getpgid(pid) == pid
        (os.killpg if leads else os.kill)(pid, signal.SIGKILL)
    deadline = time.monotonic() + patience
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.005)
    return True


def _stat(pid: int) -> list[str]:
    text = _read(f"/proc/{pid}/stat")
    # The second field is the program's name in parentheses and may hold anything; see proc(5).
    return text.rpartition(")")[2].split() if text else []


def _started(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _state(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[0] if fields else None


def _read(path: str) -> str | None:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    return None


def _link(path: str) -> str | None:
    with contextlib.suppress(OSError):
        return str(Path(path).readlink())
    return None
