"""`ConnectionPool`: connections by key, each made when it is first asked for and shared from then on."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from attrs import frozen

from bunsui.concurrency.notice import Notice
from bunsui.errors import StateError
from bunsui.performance.arguments import counted

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")

#: Seconds between two looks of one who waits for a connection that another thread opens: what would tell it
#: may have been interrupted.
LOOK = 0.5


@frozen
class PoolStatistics:
    """What a `ConnectionPool` has done in this process."""

    #: Connections made.
    opened: int = 0
    #: Times that one was asked for and was there, or was being made by another thread.
    reused: int = 0
    #: Connections that it has under a key, now.
    open: int = 0


@frozen(eq=False)
class _Kept(Generic[C]):
    """A connection that the pool has under a key."""

    #: Counts the connections of the process, in the order in which they were opened.
    number: int
    connection: C


class _Opening(Generic[C]):
    """A connection that a thread opens, for those that wait for it."""

    def __init__(self) -> None:
        self.landed = Notice()
        self.kept: _Kept[C] | None = None
        self.error: Exception | None = None


class _State(Generic[K, C]):
    """What the pool has in one process."""

    def __init__(self, closed: bool, before: _State[K, C] | None = None) -> None:
        self.pid = os.getpid()
        #: That of the process which forked this one. It is kept, so that the garbage collector does not close
        #: here what is in use there.
        self.before = before
        #: Those of the processes that this one forks, each in its own; see `ConnectionPool._here`.
        self.after: dict[int, _State[K, C]] = {}
        self.lock = threading.Lock()
        #: The least recently asked for comes first.
        self.kept: OrderedDict[K, _Kept[C]] = OrderedDict()
        self.opening: dict[K, _Opening[C]] = {}
        #: What was forgotten and may be in use, by the number of its opening.
        self.forgotten: list[tuple[int, weakref.ref[C]]] = []
        self.closed = closed
        #: What is left to be closed, by the number of its opening.
        self.left: dict[int, C] = {}
        self.opened = self.reused = 0

    def forget(self, key: K) -> None:
        """Leaves a connection to those who use it. Who holds the lock calls this."""
        kept = self.kept.pop(key)
        # Nobody tells the pool who still uses it, so it can't be closed now; and to hold it until the pool is
        # closed would be no limit. Once the last of its users has let go, the garbage collector has it, with
        # its sockets; until then it is known here, for `close`.
        self.forgotten = [each for each in self.forgotten if each[1]() is not None]
        try:
            self.forgotten.append((kept.number, weakref.ref(kept.connection)))
        except TypeError:  # Of a class that can't be referred to weakly: it is its users' alone.
            return


class ConnectionPool(Generic[K, C]):
    """Connections by key, such as the clients of a service by region; from any thread.

    One is made when its key is first asked for: by one thread, while others that ask for the same key wait
    for it, and those with other keys do not. All who ask share it.

    After a fork the child begins with an empty pool: what the parent has open is neither used nor closed
    there.

    Such as::

        from io import StringIO

        from bunsui.performance import ConnectionPool

        pool = ConnectionPool(StringIO, StringIO.close, limit=8)
        print(pool.get("eu-west-1") is pool.get("eu-west-1"))  # True
        print(pool.statistics())  # PoolStatistics(opened=1, reused=1, open=1)
        pool.close()

    Args:
        open: makes the connection of a key. It may ask the pool for those of other keys, in no circle.
        close: closes a connection.
        limit: how many are kept; at least 1. Beyond that the one that was least recently asked for is
            forgotten: who uses it can go on, and when nobody does it is garbage.

    Raises:
        ConfigError: the limit is wrong.
    """

    def __init__(
        self,
        open: Callable[[K], C],  # noqa: A002 - it stands beside `close`; the function is not used here
        close: Callable[[C], None],
        limit: int = 64,
    ) -> None:
        self._open = open
        self._close = close
        self._limit = counted("limit", limit, 64)
        self._state: _State[K, C] = _State(closed=False)

    def get(self, key: K) -> C:
        """The connection of a key, made where there is none.

        What `open` raises reaches all who wait for it; the next one to ask tries anew.

        Raises:
            StateError: the pool is closed.
        """
        state = self._here()
        own: _Opening[C] | None = None
        try:
            while True:
                with state.lock:
                    if state.closed:
                        raise _closed(key)
                    kept = state.kept.get(key)
                    if kept is not None:
                        state.kept.move_to_end(key)
                        state.reused += 1
                        return kept.connection
                    opening = state.opening.get(key)
                    if opening is None:
                        own = _Opening()
                        state.opening[key] = own
                if own is not None:
                    return self._opened(state, key, own)
                assert opening is not None  # noqa: S101 - else it is its own
                while not opening.landed.wait(LOOK) and state.opening.get(key) is opening:
                    pass
                if opening.error is not None:
                    raise opening.error
                if opening.kept is not None:
                    with state.lock:
                        state.reused += 1
                    return opening.kept.connection
        finally:
            if own is not None:
                # An interrupt may keep one of the two from being done; those who wait look for either, and
                # where it left them neither a connection nor an error, one of them opens one.
                try:
                    if state.opening.get(key) is own:
                        del state.opening[key]
                finally:
                    own.landed.set()

    def _opened(self, state: _State[K, C], key: K, own: _Opening[C]) -> C:
        try:
            connection = self._open(key)
        except Exception as error:  # Foreign code; all who wait for it get what it raised.
            own.error = error
            raise
        with state.lock:
            state.opened += 1
            if not state.closed:
                while len(state.kept) >= self._limit:
                    state.forget(next(iter(state.kept)))
                own.kept = state.kept[key] = _Kept(state.opened, connection)
                return connection
        # It was closed meanwhile, and whoever closed it knows nothing of this one.
        own.error = _closed(key)
        self._close(connection)
        raise own.error

    def discard(self, key: K, connection: C | None = None) -> bool:
        """Forgets a connection, such as one whose credentials have expired: who asks next makes another.

        Who uses it can go on.

        Args:
            key: its key.
            connection: which one; where it is not, or not any more, the one of this key, nothing happens.
                None: whichever there is.

        Returns:
            Whether it was forgotten.
        """
        state = self._here()
        with state.lock:
            kept = state.kept.get(key)
            found = kept is not None and (connection is None or kept.connection is connection)
            if found:
                state.forget(key)
            return found

    def statistics(self) -> PoolStatistics:
        """What it has done so far in this process."""
        state = self._here()
        with state.lock:
            return PoolStatistics(opened=state.opened, reused=state.reused, open=len(state.kept))

    def close(self) -> None:
        """Closes all connections of this process, the last to be opened first; all, also where one fails.

        Also those that were forgotten and are in use. One that is being opened is closed by who opens it. A
        pool may be closed again, which closes what an interrupt has left open.

        Raises:
            Exception: the first of those that `close` raised, with the others as its notes.
        """
        state = self._here()
        with state.lock:
            state.closed = True
            state.left.update((kept.number, kept.connection) for kept in state.kept.values())
            living = ((number, refer()) for number, refer in state.forgotten)
            state.left.update((number, connection) for number, connection in living if connection is not None)
            state.kept.clear()
            state.forgotten = []
        first: Exception | None = None
        while True:
            with state.lock:
                if not state.left:
                    break
                connection = state.left.pop(max(state.left))
            try:
                self._close(connection)
            except Exception as error:  # Foreign code; it goes on up once all are closed.
                if first is None:
                    first = error
                else:
                    first.add_note(f"another connection could not be closed either: {error!r}")
        if first is not None:
            raise first

    def _here(self) -> _State[K, C]:
        """The state of this process: a new one, where it was forked since the last call."""
        state = self._state
        pid = os.getpid()
        if state.pid != pid:
            # Several threads of the child may come here at once, and no lock is known to be free: a thread
            # of the parent may have held it at the fork. `setdefault` lets one of them win without any.
            state = state.after.setdefault(pid, _State(closed=state.closed, before=state))
            self._state = state
        return state


def _closed(key: object) -> StateError:
    return StateError(f"there is no connection for {key!r} any more: the pool is closed")
