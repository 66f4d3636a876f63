"""The processes of one runner, started through its fork server: see `bunsui.local.fork_server`."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.errors import JobError, StateError
from bunsui.local.descendants import send_signal
from bunsui.local.identity import end_process, process_of_this_host
from bunsui.local.start_request import start_request

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Collection, Mapping, Sequence

#: What the fork server runs; its arguments are the folder to import from, its socket, and the runner's pid.
PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from bunsui.local import fork_server;"
    " fork_server.main(sys.argv[2:])"
)
#: Most keepers that wait for a further process; each has 1.5 MB of its own.
MAX_IDLE = 8
#: Seconds that the fork server has to take what it is sent.
PATIENCE = 30.0
#: Seconds after SIGKILL that a process is waited for; one that waits for a disk may take longer.
LAST_WAIT = 5.0
#: Seconds in which the fork server ends when it is closed, before it is killed.
CLOSING = 5.0
#: Seconds between two looks by a thread that waits for what another may read.
POLL = 0.2
#: What helps where the system gives no more.
_REMEDIES = {
    errno.EMFILE: "; allow more with 'ulimit -n', or have fewer run at once",
    errno.ENOSPC: "; make room on that disk",
}
#: A host may have set SIGPIPE back to what it is by default. macOS has no such flag.
QUIET = getattr(socket, "MSG_NOSIGNAL", 0)


class NotStarted(OSError):
    """A process could not be started; `errno` says why.

    Attributes:
        about: whose the reason is: the ``program``'s, its ``folder``'s or the ``keeper``'s.
    """

    about = "program"


class Process:
    """A process that runs under a keeper, and all that it has started. Any thread may use it.

    Args:
        connection: the socket to the keeper.
        keeper: the pid of the keeper; None: it will tell.
        give_back: takes both in `close`, where nothing is left of the process; else the socket is closed.
    """

    def __init__(
        self,
        connection: socket.socket,
        keeper: int | None,
        give_back: Callable[[socket.socket, int | None], None],
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._descriptor = connection.fileno()
        self._give_back = give_back
        #: Whether the keeper can take another process when this one is gone.
        self._reusable = True
        #: Whether the keeper ended before it said that nothing is left.
        self._cut = False
        self._lock = threading.Lock()
        self._received = b""
        #: Why it could not be started.
        self.reason: NotStarted | None = None
        #: Its pid; None before it is known to have started.
        self.pid: int | None = None
        #: When it started, in the system's ticks since boot; None where the system does not say.
        self.started: int | None = None
        #: The pid of its keeper; None before it has begun.
        self.keeper = keeper
        #: Its exit code, below 0 the signal that ended it; None while it runs.
        self.returncode: int | None = None
        #: Whether nothing of it is left, nor of what it has started.
        self.gone = False

    def fileno(self) -> int:
        """What becomes readable when there is news; -1 once it is closed."""
        return self._descriptor

    def poll(self) -> int | None:
        """Its exit code; None while it runs, and where it could not be started or its keeper has ended."""
        with self._lock:
            while not self.gone and self.fileno() != -1:
                try:
                    data = self._connection.recv(4096)
                except BlockingIOError:
                    break
                except ConnectionResetError:  # The keeper was killed, and had not read everything.
                    data = b""
                if not data:
                    self.gone, self._reusable, self._cut = True, False, True
                *lines, self._received = (self._received + data).split(b"\n")
                for line in lines:
                    self._hear(json.loads(line))
        return self.returncode

    def _hear(self, message: dict[str, Any]) -> None:
        if "started" in message:
            self.pid, self.started = message["started"], message["at"]
        elif "keeper" in message:
            self.keeper = message["keeper"]
        elif "error" in message:
            self.reason = NotStarted(message["error"], os.strerror(message["error"]))
            self.reason.about = message["about"]
            self.gone = True
        else:
            self.returncode = message.get("exit", self.returncode)
            self.gone = message["gone"]

    @property
    def identity(self) -> dict[str, Any]:
        """It, in a way that a later process of this host can check; see `bunsui.local.identity`."""
        return process_of_this_host(self.pid, self.started)

    def end(self, grace: float) -> None:
        """Ends it with all that it has started, and waits: SIGTERM, after `grace` seconds SIGKILL.

        Another thread's call with a shorter grace, or the end of the fork server, shortens the wait. What
        can't be killed (it waits for a disk) is waited for no longer than twice `LAST_WAIT`.
        """
        with self._lock:
            descriptor = self.fileno()
            if self.gone or descriptor == -1:
                return
            # The keeper may be waiting for another process by now, and take this for the request.
            self._reusable = False
            with contextlib.suppress(OSError):  # It was killed.
                self._connection.send(f"{grace}\n".encode(), QUIET)
        if not self._is_gone_in(descriptor, grace + LAST_WAIT) and self.keeper is not None:
            # It was stopped, or something waits for a disk. What has no keeper is the fork server's.
            send_signal(os.kill, self.keeper, signal.SIGKILL)
            self._is_gone_in(descriptor, LAST_WAIT)
        if self._cut:
            end_process(self.identity)

    def _is_gone_in(self, descriptor: int, seconds: float) -> bool:
        """Whether nothing of it is left, or it is closed, before so many seconds are over."""
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while (remaining := deadline - time.monotonic()) > 0:
            self.poll()
            if self.gone or self.fileno() == -1:
                return True
            # Not longer: another thread may have read the news, or closed the socket.
            poll.poll(min(remaining, POLL) * 1000)
        return False

    def lost(self, what: str) -> JobError:
        """The error of a process whose keeper, or fork server, has ended; what is left of it is killed."""
        end_process(self.identity)
        return JobError(
            f"{what} was ended, because what watches over the processes of this runner has ended",
            code="ProcessLost",
        )

    def close(self) -> None:
        """Lets go: it is killed, unless it has ended; then what it left goes on until the runner ends."""
        with self._lock:
            if self._descriptor == -1:
                return
            self._descriptor = -1
            if self.gone and self._reusable:
                self._give_back(self._connection, self.keeper)
                return
            with contextlib.suppress(OSError):
                # A child that the host has forked may have a copy, and hide a mere close() from the keeper.
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()


class _Server:
    """A fork server that runs.

    Args:
        env: its variables. They can be read by what runs under it.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        import subprocess  # noqa: PLC0415 - 10 ms, for those runners only that start processes

        self.connection, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(self.connection.close)
            self.connection.settimeout(PATIENCE)
            number = str(theirs.fileno())
            process = subprocess.Popen(  # noqa: S603 - our own program
                # Neither the user's site nor the working directory has a say in what it imports.
                [sys.executable, "-I", "-S", "-c", PROGRAM, str(_root()), number, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=env,
            )
            on_failure.pop_all()
        #: The process that has started it: in a forked child of that one it is not to be used.
        self.runner = os.getpid()
        self.pid = process.pid
        #: The sockets to those of its keepers that keep nothing, with their pids.
        self.idle: list[tuple[socket.socket, int | None]] = []
        late = subprocess.TimeoutExpired  # By then it may be too late to import it.
        finalizer = weakref.finalize(self, _close, self.connection, self.idle, process, self.runner, late)
        # Not itself when the interpreter ends: before the runner's own close, what it ends would look lost.
        # Where nobody closes the runner, the end of the socket tells it.
        finalizer.atexit = False
        #: Ends it, and what it keeps, at once; also when this object is forgotten.
        self.close: Callable[[], None] = finalizer

    def keeper(self) -> tuple[socket.socket, int | None]:
        """The socket to a keeper that keeps nothing, and its pid, unless it has yet to tell.

        Raises:
            OSError: it has ended, or takes nothing; or the system gives no more descriptors.
        """
        while self.idle:
            idle, pid = self.idle.pop()
            if not _readable(idle):
                return idle, pid
            idle.close()  # An idle one says nothing: it has ended.
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            socket.send_fds(self.connection, [b"k"], [theirs.fileno()], QUIET)
            on_failure.pop_all()
        return ours, None


def _root() -> Path:
    return Path(__file__).parent.parent.parent


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _close(
    connection: socket.socket,
    idle: list[tuple[socket.socket, int | None]],
    process: subprocess.Popen[bytes],
    runner: int,
    late: type[subprocess.TimeoutExpired],
) -> None:
    if os.getpid() == runner:
        with contextlib.suppress(OSError):
            # Copies of the socket, in forked children, would keep a mere close() from being seen.
            connection.shutdown(socket.SHUT_RDWR)
        try:
            process.wait(CLOSING)
        except late:  # It is frozen, or waits for a disk.
            process.kill()  # The keepers know by that, too.
            with contextlib.suppress(late):
                process.wait(CLOSING)
    process.returncode = process.returncode or 0  # Else its destructor warns.
    for each in (connection, *(keeper for keeper, _ in idle)):
        each.close()


class Processes:
    """Starts processes through a fork server, which is started on first use, and anew where it has ended.

    Args:
        withheld: names of variables that no process inherits.
    """

    def __init__(self, withheld: Collection[str] = ()) -> None:
        self._withheld = frozenset(withheld)
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._closed = False

    def inherited(self) -> dict[str, str]:
        """The environment of this process, as far as it is a job's.

        A runner may itself run in a job, whose own parameters and output are not those of the runner's jobs.
        """
        own = ("BUNSUI_PARAM", "BUNSUI_OUTPUT")
        around = os.environ.items()
        return {k: v for k, v in around if k not in self._withheld and not k.startswith(own)}

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: str | os.PathLike[str] | None = None,
        descriptors: Mapping[int, Sequence[int]],
    ) -> Process:
        """Starts a process in a session of its own; whether it has started, `Process.poll` tells later.

        Args:
            argv: the program, looked for in the PATH of `env`, and its arguments.
            env: all its variables.
            folder: where it runs; None: where this process does.
            descriptors: what it has open, to the numbers that it sees; else 0 to 2 are ``/dev/null``.

        Raises:
            ValueError: there is a NUL in a word or variable, or a ``=`` in the name of one.
            JobError: what starts processes can't be started, or does not answer (``ProcessNotStarted``).
            StateError: this is closed.
        """
        request = start_request(argv, env, folder, list(descriptors.values()))
        try:
            server, keeper, pid = self._keeper()
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(keeper.close)
                keeper.settimeout(PATIENCE)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `Process.gone` says so.
                    sent = socket.send_fds(keeper, [request], list(descriptors), QUIET)
                    keeper.sendall(memoryview(request)[sent:], QUIET)
                on_failure.pop_all()
        except OSError as error:
            raise not_started("the server that starts processes", error) from error
        return Process(keeper, pid, partial(self._take_back, server))

    def _keeper(self) -> tuple[_Server, socket.socket, int | None]:
        with self._lock:
            if self._closed:
                raise closed()
            if self._server is not None and self._server.runner == os.getpid():
                try:
                    return self._server, *self._server.keeper()
                except (BrokenPipeError, ConnectionResetError, TimeoutError):
                    self._server.close()
            self._server = _Server(self.inherited())
            return self._server, *self._server.keeper()

    def _take_back(self, server: _Server, keeper: socket.socket, pid: int | None) -> None:
        with self._lock:
            if server is self._server and len(server.idle) < MAX_IDLE:
                server.idle.append((keeper, pid))
            else:
                keeper.close()

    def close(self) -> None:
        """Ends at once all that was started and is not gone; nothing can be started any more."""
        with self._lock:
            self._closed = True
            server, self._server = self._server, None
        if server is not None:
            server.close()


def not_started(what: str, error: OSError, step: str | None = None) -> JobError:
    """The error of an attempt whose process can't be started for no reason of its own.

    Args:
        what: the process.
        error: what the system says.
        step: what could not be done for it; None: it was to be started.
    """
    where = "" if step is None or error.filename is None else f": {error.filename}"
    why = f"{error.strerror or error}{where}{_REMEDIES.get(error.errno or 0, '')}"
    text = f"{what} can't be started: {'' if step is None else f'{step}: '}{why}"
    return JobError(text, code="ProcessNotStarted")


def closed() -> StateError:
    """The error of what is asked of a closed runner."""
    return StateError("this runner is closed", hint="make another one")
