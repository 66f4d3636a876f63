"""No fork finds SQLite in the middle of a call, or a file open.

SQLite notes in memory which locks its process holds on a file. A forked child inherits the note, but not
the locks (https://www.sqlite.org/howtocorrupt.html, 2.6): a connection of its own to the same file takes the
locks for held, and takes none. Whoever is the last to close the file elsewhere then deletes the log that the
child still writes to, and what the child has committed is lost. And a lock that another thread had in the
middle of a call at the fork is never given back in the child.

So a fork waits until no thread of this process is in a call, and files are closed before it. The next call
opens them anew, in the parent as in the child.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class File(Protocol):
    """What is closed before a fork."""

    def let_go(self) -> None:
        """Closes all connections; the next call opens one anew."""


class Gate:
    """A thread's own: it is in a call while it holds this, which it may do more than once."""

    __slots__ = ("__weakref__", "_depth", "_turnstile", "lock")

    def __init__(self, turnstile: threading.Lock) -> None:
        self.lock = threading.RLock()
        self._turnstile = turnstile
        self._depth = 0

    def __enter__(self) -> None:
        if not self._depth:
            # Else threads that make one call after the other would never let a fork through.
            with self._turnstile:
                self.lock.acquire()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.lock.release()


class _Forks:
    """The gates of this process, and the files that are closed before it forks."""

    def __init__(self) -> None:
        self._files: weakref.WeakSet[File] = weakref.WeakSet()
        self._registered = False
        self._begin()

    def _begin(self) -> None:
        self._gates: weakref.WeakSet[Gate] = weakref.WeakSet()
        self._thread = threading.local()
        #: Held while a gate or a file is added, and during a fork: then nobody begins a call.
        self._turnstile = threading.Lock()
        self._held: list[Gate] = []

    def add(self, file: File) -> None:
        with self._turnstile:
            self._files.add(file)
            # A program that opens no file forks as if there were no bunsui.
            if not self._registered and hasattr(os, "register_at_fork"):  # Elsewhere there are no forks.
                self._registered = True
                os.register_at_fork(
                    before=self.before, after_in_parent=self.in_parent, after_in_child=self.in_child
                )

    def gate(self) -> Gate:
        gate: Gate | None = getattr(self._thread, "gate", None)
        if gate is None:
            gate = Gate(self._turnstile)
            with self._turnstile:
                self._gates.add(gate)
            self._thread.gate = gate
        return gate

    def before(self) -> None:
        self._turnstile.acquire()
        for gate in [*self._gates]:
            gate.lock.acquire()
            self._held.append(gate)
        for file in [*self._files]:
            file.let_go()

    def in_parent(self) -> None:
        while self._held:
            self._held.pop().lock.release()
        self._turnstile.release()

    def in_child(self) -> None:
        # Its only thread is the one that has forked: the gates of the others are nobody's.
        self._begin()


# One for the process, as a fork is: whatever store a file belongs to.
_forks = _Forks()


def gate() -> Gate:
    """This thread's gate: no fork happens while it is held."""
    return _forks.gate()


def close_before_forks(file: File) -> None:
    """Has a file closed before each fork, as long as there is one."""
    _forks.add(file)
