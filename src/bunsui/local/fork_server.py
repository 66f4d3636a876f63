r"""The fork server: starts the processes of one runner, and ends all that they have started.

A program of its own, which imports little, so that it starts fast and what it forks is small: no attrs, and
of bunsui its own three modules. It forks *keepers*, one for each process that runs::

    runner ---- requests -----> fork server
       \                            | forks
        \-- a socket each ----> keeper -- starts --> process --> all that this one starts

A keeper adopts what its process leaves behind (PR_SET_CHILD_SUBREAPER, see prctl(2)), however that has
detached itself. It keeps one process at a time, so that there is never a doubt about whose it is, and takes
the next when nothing of the last one is left. The fork server adopts in the same way what a killed keeper
leaves, and kills it. Everything is killed when the runner ends: its sockets then do.

To the fork server goes one byte for each keeper, with the descriptor of its socket. Over that go, from the
runner, the length of a document in 8 bytes, big-endian, with the descriptors that the process is given, and
the document: ``argv``, ``env``, ``folder`` and ``targets``, bytes as Latin-1. Later lines of seconds may
follow: end it, with so much time between SIGTERM and SIGKILL; after such a line a keeper gets no further
process. Back come lines of JSON: ``keeper`` (its pid); ``started`` (the pid of the process) and ``at`` (the
ticks from boot to its start), or ``error`` and ``about`` (whose it is: that of the ``program``, of the
``folder``, or of the ``keeper``, which the system has denied something); ``exit``; and ``gone`` when nothing
is left.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket

from bunsui.local.descendants import (
    ROUNDS,
    adopt_orphans,
    children_of,
    drain,
    kill_children,
    prctl_of_system,
    wakeup,
)
from bunsui.local.keeper import Keeper

#: What only asks a process to end, or to do something else, is not for those that watch.
IGNORED = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGTSTP")


class ForkServer:
    """Forks a keeper for each request, until the runner ends.

    Args:
        requests: where the requests come from.
        runner: the pid of the runner, which must be this process's parent.
    """

    def __init__(self, requests: socket.socket, runner: int) -> None:
        self._requests = requests
        self._runner = runner
        self._prctl = prctl_of_system()
        self._keepers: set[int] = set()
        self._alive, self._lives = os.pipe()
        #: Whether something is to be killed that no keeper keeps.
        self._strangers = False

    def run(self) -> None:
        """Serves; when it returns, the runner is gone, and all that it has started."""
        adopt_orphans(self._prctl)
        gc.freeze()  # Keepers share what they do not touch.
        ended = wakeup()
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        served = select.poll()
        served.register(ended, select.POLLIN)
        served.register(self._requests, select.POLLIN)
        # A child that the runner has forked may hold the other end of the socket, and outlive it.
        process = self._open_runner()
        if process is not None:
            served.register(process, select.POLLIN)
        while os.getppid() == self._runner:
            pause = ROUNDS[0] if self._strangers else None if process is not None else ROUNDS[1]
            events = dict(served.poll(None if pause is None else pause * 1000))
            if ended in events or self._strangers:
                drain(ended)
                self._reap()
            requested = events.get(self._requests.fileno(), 0)
            # At its end, what the runner asked for last is not begun any more.
            if process in events or requested & (select.POLLHUP | select.POLLERR):
                break
            if requested and not self._serve():
                break
        self._requests.close()
        os.close(self._lives)  # By which the keepers know.
        while self._reap():
            poll.poll(ROUNDS[0] * 1000 if self._strangers else None)
            drain(ended)

    def _open_runner(self) -> int | None:
        try:
            return os.pidfd_open(self._runner)
        except (AttributeError, OSError):  # Before Linux 5.3, macOS.
            return None

    def _serve(self) -> bool:
        """Forks a keeper; False where there are no more requests."""
        data, descriptors, _, _ = socket.recv_fds(self._requests, 1, 1)
        # Without it (too many files are open) the runner sees the end of its socket.
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as runner:
                self._fork(runner)
        return bool(data)

    def _fork(self, runner: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            runner.send(json.dumps({"error": error.errno, "about": "keeper"}).encode() + b"\n")
            return
        if pid:
            self._keepers.add(pid)
            return
        code = 1
        try:  # The life of a keeper.
            self._requests.close()
            os.close(self._lives)
            os.set_inheritable(runner.fileno(), False)
            Keeper(runner, self._alive, adopt_orphans(self._prctl)).run()
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> bool:
        """Whether there are children, after waiting for all that have ended, and killing strangers."""
        orphans = self._strangers
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._strangers = False
                return False
            if pid == 0:
                break
            # A keeper that was killed leaves what it kept, and so does each of those.
            orphans |= pid not in self._keepers or status != 0
            self._keepers.discard(pid)
        if orphans:
            strangers = [pid for pid in children_of(os.getpid()) if pid not in self._keepers]
            kill_children(strangers)
            self._strangers = bool(strangers)
        return True


def main(argv: list[str]) -> None:
    """Serves one runner until it ends."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for name in IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    requests, runner = map(int, argv)
    os.set_inheritable(requests, False)
    ForkServer(socket.socket(fileno=requests), runner).run()
