"""A store that fails when it is told to."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bunsui.errors import ConfigError, StoreError
from bunsui.stores.memory import MemoryStore
from bunsui.testing.fakes.failing import Failing

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence

    from bunsui.ports.store import Append, Appended, Commit, Document
    from bunsui.testing.fakes.clock import FakeClock

#: The methods of a store that can fail.
METHODS = ("append", "read", "put", "get", "delete", "find", "find_prefix", "remove", "changed")


class FakeStore(MemoryStore):
    """A `MemoryStore` that can fail, be away, and be slow. It is a good store as long as it is told nothing.

    Such as::

        from bunsui.testing import FakeStore

        store = FakeStore()
        store.fail_next(method="append", after=True)  # It is appended, and nobody is told.
        with bunsui.Runner(store) as runner:
            print(runner.run(pipeline).status)  # succeeded

    Args:
        clock: by which documents expire, and which a slow call advances; None: they expire by the real time,
            and no call is slow.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        super().__init__(time.time if clock is None else lambda: clock.now().timestamp())
        self._clock = clock
        self._seconds = 0.0
        #: Whether nobody reaches it: every call fails, without effect.
        self.is_away = False
        self._failing = Failing("a store", METHODS)

    @property
    def seconds(self) -> float:
        """How long each call takes, on its clock; 0 or more."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        if not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            raise ConfigError(f"a call can't take {seconds!r} seconds", hint="0 or more")
        if self._clock is None:
            raise ConfigError("a FakeStore without a clock can't be slow", hint="FakeStore(FakeClock())")
        self._seconds = seconds

    @property
    def calls(self) -> Counter[str]:
        """How many times each method was called, whatever came of it."""
        return self._failing.calls

    def fail_next(
        self,
        times: int = 1,
        *,
        method: str | None = None,
        after: bool = False,
        error: StoreError | None = None,
    ) -> None:
        """Has the next calls fail. What was told before comes first.

        Args:
            times: how many; at least 1.
            method: of which method, such as ``append``; None: of any, but for `close`.
            after: whether they fail after their effect: it is there, and the caller can't know. Else without.
            error: what they fail with; None: a `StoreError` that says that it was wanted.

        Raises:
            ConfigError: there is no such method, or `times` is less than 1.
        """
        error = StoreError("this store was told to fail") if error is None else error
        self._failing.tell(times, method, error, after=after)

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        """What happens around a call of a method.

        Raises:
            StoreError: it was told to.
        """
        if self._clock is not None and self._seconds:
            self._clock.advance(self._seconds)
        with self._failing.call(method):
            if self.is_away:
                raise StoreError("this store was told to be away")
            yield

    # The port

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`."""
        with self._call("append"):
            return super().append(appends)

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        """See `Store.read`; it fails where the first commit is asked for."""
        with self._call("read"):
            found = super().read(history, after)
            yield from found

    def put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_at: float | None = None,
        groups: Sequence[tuple[str, str]] = (),
    ) -> int:
        """See `Store.put`."""
        with self._call("put"):
            return super().put(kind, key, value, if_version, expires_at, groups)

    def get(self, kind: str, key: str) -> Document | None:
        """See `Store.get`."""
        with self._call("get"):
            return super().get(kind, key)

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        with self._call("delete"):
            super().delete(kind, key)

    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """See `Store.find`."""
        with self._call("find"):
            return super().find(kind, group, reverse, after, limit)

    def find_prefix(self, kind: str, prefix: str, limit: int = 100) -> list[Document]:
        """See `Store.find_prefix`."""
        with self._call("find_prefix"):
            return super().find_prefix(kind, prefix, limit)

    def remove(self, history: str, document: tuple[str, str] | None = None) -> None:
        """See `Store.remove`."""
        with self._call("remove"):
            super().remove(history, document)

    def changed(self, token: object) -> object:
        """See `Store.changed`."""
        with self._call("changed"):
            return super().changed(token)
