"""What this process holds: descriptors, threads and children; and whether a test leaves any of them behind.

Other tests of the process may have left something that is on its way to its end, and the kernel and the
threads of the code under test take a moment. So what goes away does not count, only what is new, and is not
soon gone: never compare two counts.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

from bunsui_tests.conditions import wait_for


def descriptors() -> set[tuple[str, str]]:
    """The open descriptors, each as its number and what it leads to; none where there is no /proc."""
    found = set()
    folder = Path("/proc/self/fd")
    for each in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # That of the listing itself, or closed meanwhile.
            found.add((each.name, str(each.readlink())))
    return found


def children() -> set[int]:
    """The pids of the children; none where there is no /proc."""
    found: set[int] = set()
    folder = Path("/proc/self/task")
    for task in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # The thread has ended.
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def threads() -> set[threading.Thread]:
    """The threads."""
    return set(threading.enumerate())


def held() -> set[object]:
    """All descriptors, threads and children."""
    return {*descriptors(), *children(), *threads()}


@contextlib.contextmanager
def leaves_nothing(seconds: float = 30.0) -> Iterator[None]:
    """What the block opens and starts is gone at its end, or soon after it."""
    before = held()
    yield
    gc.collect()
    assert wait_for(lambda: held() <= before, seconds), held() - before
