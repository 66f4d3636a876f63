"""Which process this is, in a way that another process of the same host can check."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def this_process() -> dict[str, Any]:
    """Host, boot, pid namespace, pid and start time of this process; None where the system does not say."""
    return {
        "host": socket.gethostname(),
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "pid_namespace": _link("/proc/self/ns/pid"),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def is_dead(process: Mapping[str, Any]) -> bool:
    """Whether it is certain that a process that `this_process` described has ended."""
    here = this_process()
    if any(process.get(key) != here[key] for key in ("host", "pid_namespace")):
        return False  # Another host, or another container: its processes can't be seen from here.
    if process.get("boot") != here["boot"]:
        return here["boot"] is not None and process.get("boot") is not None
    pid = process.get("pid")
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    # The pid may have been given to another process since. A zombie has ended too.
    started, found = process.get("started"), _started(pid)
    # /proc may hide the processes of other users (hidepid): what can't be seen is not certain.
    return None not in (started, found) and (found != started or _state(pid) == "Z")


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
