"""All processes that come from this one, however they have detached themselves: found, adopted, killed.

Part of the fork server: it imports little.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two rounds of killing: after the first, and the longest.
ROUNDS = (0.01, 1.0)

_PR_SET_CHILD_SUBREAPER = 36


def prctl_of_system() -> Callable[..., int] | None:
    """The system's prctl(2), or None where it has none."""
    try:
        import ctypes  # noqa: PLC0415 - not every Python has it

        function = ctypes.CDLL(None).prctl
        function.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    except (ImportError, OSError, AttributeError):
        return None
    return function


def adopt_orphans(prctl: Callable[..., int] | None) -> bool:
    """Makes this process the parent of what its descendants leave behind; False where there is no such thing.

    What it forks has to ask for it again.
    """
    return prctl is not None and prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def stat_of(pid: int) -> list[bytes]:
    """The fields of ``/proc/PID/stat`` from the third on, the state; empty where there are none."""
    # The second field is the program's name in parentheses and may hold anything; see proc(5).
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    # Not open(): its first use in a process takes longer than all else that a keeper does.
    data = b""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            while chunk := os.read(descriptor, 1 << 16):
                data += chunk
        finally:
            os.close(descriptor)
    return data


def _listed(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []


def children_of(pid: int) -> list[int]:
    """The children of a process, the ended ones too; it may miss some while others end. See proc(5)."""
    own = os.getpid()
    if os.path.exists(f"/proc/{own}/task/{own}/children"):
        tasks = _listed(f"/proc/{pid}/task")
        return [int(each) for t in tasks for each in _read(f"/proc/{pid}/task/{t}/children").split()]
    # A kernel that was built without such lists.
    pids = [int(name) for name in _listed("/proc") if name.isdigit()]
    return [each for each in pids if stat_of(each)[1:2] == [str(pid).encode()]]


def descendants_of(pid: int) -> list[int]:
    """The children of a process, theirs, and so on."""
    found = children_of(pid)
    for each in found:  # It grows on the way.
        found += children_of(each)
    return found


def groups_of(pids: list[int]) -> set[int]:
    """The process groups of these processes, without this one's own."""
    groups = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            groups.add(os.getpgid(pid))
    return groups - {os.getpgrp()}


def kill_children(children: list[int]) -> None:
    """Kills children of this process, with their groups.

    The pid of a child, and the number of its group, is nobody else's before it is waited for. What a
    child leaves behind comes to this process, and goes in the next round. A fork can't escape the signal
    to its group: the kernel lets one wait for the other.
    """
    for group in groups_of(children):
        send_signal(os.killpg, group, signal.SIGKILL)
    for pid in children:
        send_signal(os.kill, pid, signal.SIGKILL)


def send_signal(send: Callable[[int, int], None], target: int, number: int) -> None:
    """Sends a signal with `os.kill` or `os.killpg`, unless its target is gone or another user's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(target, number)


def wakeup() -> int:
    """A descriptor that becomes readable each time that a child of this process ends."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def drain(descriptor: int) -> None:
    """Takes out what made a descriptor of `wakeup` readable."""
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass
