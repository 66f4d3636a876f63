"""A keeper: one process at a time, and all that it starts. See `bunsui.local.fork_server`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

from bunsui.local.descendants import (
    ROUNDS,
    children_of,
    descendants_of,
    drain,
    groups_of,
    kill_children,
    send_signal,
    stat_of,
    wakeup,
)

if TYPE_CHECKING:
    from typing import Any


#: Most descriptors that a process is given.
MAX_DESCRIPTORS = 16
#: Received descriptors are moved to here, out of the way of the numbers that the process shall see.
FIRST_FREE = MAX_DESCRIPTORS


class Keeper:
    """Starts processes, one after the other, each when all that the last one has started is gone.

    Since it keeps one at a time, everything that comes to it belongs to that one.

    Args:
        runner: the socket to the runner.
        alive: a pipe that ends with the fork server.
        adopts: whether orphans come to this process.
    """

    def __init__(self, runner: socket.socket, alive: int, adopts: bool) -> None:
        self._runner = runner
        self._alive = alive
        self._adopts = adopts
        self._ended = wakeup()
        #: Whether anybody hears what is told, and asks for more.
        self._wanted = True
        self._leader = 0
        #: Whether its end has been told.
        self._told = False
        #: When everything is killed, on the monotonic clock; None: it is not to end.
        self._kill_at: float | None = None
        self._lines = b""
        self._poll = select.poll()
        for descriptor in (runner.fileno(), alive, self._ended):
            self._poll.register(descriptor, select.POLLIN)

    def run(self) -> None:
        """Does all of it; when it returns, nothing is left."""
        self._tell({"keeper": os.getpid()})  # Before a process can stop this one.
        while self._wanted and (received := self._receive()) is not None:
            request, given = received[0], list[int]()
            about = "keeper"
            try:
                given = _moved(received[1], len(request["targets"]))
                about = "folder"
                if request["folder"] is not None:
                    os.chdir(request["folder"].encode("latin-1"))
                about = "program"
                self._leader = start(request, given)
            except OSError as error:
                self._tell({"error": error.errno, "about": about})
                continue
            finally:
                for descriptor in given:
                    os.close(descriptor)
                os.chdir("/")  # The folder can be unmounted while this waits.
            self._told, self._kill_at, self._lines = False, None, b""
            started = stat_of(self._leader)
            self._tell({"started": self._leader, "at": int(started[19]) if started else None})
            self._watch()

    def _receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next request, with its descriptors; None where there is nobody who waits for its outcome."""
        events: dict[int, int] = {}
        while self._runner.fileno() not in events:
            events = dict(self._poll.poll())
            if self._alive in events:
                return None
            drain(self._ended)
        self._runner.setblocking(True)
        given: list[int] = []
        try:
            header, given, _, _ = socket.recv_fds(self._runner, 8, MAX_DESCRIPTORS)
            size = int.from_bytes(header + self._read(8 - len(header)), "big")
            text = self._read(size)
        except (ConnectionResetError, EOFError):
            return None
        self._runner.setblocking(False)
        # What a runner asks for at its end is not begun any more.
        if any(event & select.POLLHUP for _, event in self._poll.poll(0)):
            return None
        return json.loads(text), given

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._runner.recv(size - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def _tell(self, message: dict[str, Any]) -> None:
        # What is killed for want of the fork server has not ended by itself: the runner sees the end of the
        # socket, and nothing before it.
        if not self._wanted:
            return
        with contextlib.suppress(OSError):  # Nobody listens any more.
            self._runner.send(json.dumps(message).encode() + b"\n")

    def _watch(self) -> None:
        first, longest = ROUNDS
        pause = first
        while self._reap():
            # Without adoption nothing tells that a group is gone: it has to be looked at.
            timeout = None if self._adopts else longest
            if self._kill_at is not None:
                timeout = self._kill_at - time.monotonic()
                if timeout <= 0:
                    self._kill()
                    timeout, pause = pause, min(pause * 2, longest)
                elif not self._adopts:
                    timeout = min(timeout, first)
            for descriptor, _ in self._poll.poll(None if timeout is None else timeout * 1000):
                if descriptor == self._ended:
                    drain(self._ended)
                elif descriptor == self._alive:
                    self._poll.unregister(self._alive)
                    self._wanted = False
                    self._kill_at = 0.0
                else:
                    self._hear()

    def _reap(self) -> bool:
        """Whether anything is left, after waiting for all that has ended, and telling of it."""
        code: int | None = None
        left = True
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                left = not self._adopts and self._group_lives()
                break
            if pid == 0:
                break
            if pid == self._leader:
                code = os.waitstatus_to_exitcode(status)
        if code is not None:
            self._told = True
            self._tell({"exit": code, "gone": not left})
        elif not left:
            self._tell({"gone": True})
        return left

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._leader, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # Also said of a group whose last member is a zombie (macOS).
            return False
        return True

    def _hear(self) -> None:
        try:
            data = self._runner.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._poll.unregister(self._runner)
            self._wanted = False
            # A runner that has heard of the end lets go; one that has not is gone itself.
            if not self._told:
                self._kill_at = 0.0
            return
        *lines, self._lines = (self._lines + data).split(b"\n")
        for line in lines:
            if self._kill_at is None:
                self._ask()
            at = time.monotonic() + float(line)
            self._kill_at = at if self._kill_at is None else min(self._kill_at, at)

    def _ask(self) -> None:
        groups = groups_of(descendants_of(os.getpid())) if self._adopts else {self._leader}
        for group in groups:
            send_signal(os.killpg, group, signal.SIGTERM)
            send_signal(os.killpg, group, signal.SIGCONT)  # A stopped one takes SIGTERM only when it goes on.

    def _kill(self) -> None:
        if self._adopts:
            kill_children(children_of(os.getpid()))
        else:
            send_signal(os.killpg, self._leader, signal.SIGKILL)


def start(request: dict[str, Any], given: list[int]) -> int:
    """Starts a process in a session of its own, and returns its pid.

    Args:
        request: what it is, as the runner sent it.
        given: descriptors; it has each under the numbers of ``targets``, and no others but 0 to 2.

    Raises:
        OSError: it can't be started; the reason is the system's.
    """
    argv = [word.encode("latin-1") for word in request["argv"]]
    env = {name.encode("latin-1"): value.encode("latin-1") for name, value in request["env"].items()}
    actions = [
        (os.POSIX_SPAWN_DUP2, descriptor, number)
        for descriptor, numbers in zip(given, request["targets"], strict=True)
        for number in numbers
    ]
    options = {
        "file_actions": actions,
        "setsigmask": (),
        "setsigdef": signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    }
    # As execvp(3) looks: the first that exists and may not be run is the reason, if no other can be.
    reason: OSError | None = None
    missing = FileNotFoundError(2, os.strerror(2))
    for path in _candidates(argv[0], env):
        try:
            os.stat(path)  # It costs a twentieth of a start.
            return _spawn(path, argv, env, options)
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error  # type: ignore[assignment]
        except OSError as error:
            reason = reason or error
    raise reason or missing


def _moved(given: list[int], expected: int) -> list[int]:
    """The descriptors under numbers that are out of the way of those that the process shall see.

    Raises:
        OSError: too many files are open; none of them is left.
    """
    too_many = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    moved: list[int] = []
    try:
        if len(given) < expected:  # The system has left out what is too much.
            raise too_many
        for descriptor in given:
            found = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
            moved.append(found)
    except OSError as error:
        for descriptor in moved:
            os.close(descriptor)
        # EINVAL: no number from FIRST_FREE on is allowed, see fcntl(2).
        raise (too_many if error.errno == errno.EINVAL else error) from None
    finally:
        for descriptor in given:
            os.close(descriptor)
    return moved


def _candidates(program: bytes, env: dict[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    folders = env.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [os.path.join(folder, program) for folder in folders]


def _spawn(path: bytes, argv: list[bytes], env: dict[bytes, bytes], options: dict[str, Any]) -> int:
    try:
        return os.posix_spawn(path, argv, env, setsid=True, **options)
    except NotImplementedError:  # An old macOS: a group of its own, then.
        return os.posix_spawn(path, argv, env, setpgroup=0, **options)
