"""`CacheManager`: values by key for a while, in memory and in a store, each computed once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.concurrency.notice import Notice
from bunsui.errors import ConfigError, StoreError
from bunsui.model.artifact import INLINE
from bunsui.model.json import Json
from bunsui.performance.arguments import counted
from bunsui.performance.claims import Claims
from bunsui.performance.memory import Memory
from bunsui.ports.store import Store

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Document

#: The kind of the documents that hold entries.
KIND = "cache"
#: Seconds for which what this process has seen of a key is not looked up in the store again.
FRESH = 1.0
#: Bytes that a value's JSON may have, documents of a store being small: what an output in a history may have,
#: and a little about it.
MAX_VALUE = INLINE + 1024
#: Seconds between two looks at a value that another process computes: at first, and at most.
LOOK, RARELY = 0.02, 0.5


@frozen
class CacheStatistics:
    """What a `CacheManager` of this process has done since it was made."""

    #: Lookups that found a value; `memory_hits` and `store_hits` together.
    hits: int = 0
    misses: int = 0
    memory_hits: int = 0
    store_hits: int = 0
    sets: int = 0
    #: Entries that the memory tier dropped for want of room; the store still has them.
    evictions: int = 0
    #: In the memory tier, now.
    entries: int = 0
    #: Of their JSON, in the memory tier, now.
    bytes: int = 0


class _Clock:
    """The time of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class _Flight:
    """A computation under way, for the threads of this process that wait for it."""

    def __init__(self) -> None:
        self.landed = Notice()
        self.value: Json | None = None


class CacheManager:
    """JSON values by key, each for a time; from any thread.

    Two tiers: memory, bounded, the least recently used goes first; and the documents of a store, shared by
    all processes that use it with the same namespace. What another process sets or deletes is seen after at
    most `FRESH` (1) seconds.

    Such as::

        cache = bunsui.CacheManager(runner.store, max_entries=100)  # Without a store: this process alone.
        cache.set("rate", 1.09, ttl=60)
        print(cache.get("rate"), cache.get("tax"))  # 1.09 None
        print(cache.get_or_compute("tax", lambda: 0.19), cache.get("tax"))  # 0.19 0.19

    Args:
        store: such as ``runner.store``; None: memory only.
        max_entries: of the memory tier; at least 1.
        max_bytes: of the memory tier, counted as JSON; at least 1.
        namespace: keeps keys of different uses apart.
        clock: where times come from; None: this machine.

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        max_entries: int = 1000,
        max_bytes: int = 16 * 2**20,
        namespace: str = "default",
        clock: Clock | None = None,
    ) -> None:
        if store is not None and not isinstance(store, Store):
            raise ConfigError(f"store is {store!r}", hint="it is a Store, such as runner.store, or None")
        for name, count in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            counted(name, count, 1000)
        if not isinstance(namespace, str) or not namespace:
            raise ConfigError(f"namespace is {namespace!r}", hint="it is a text, such as 'reports'")
        self._store = store
        self._namespace = namespace
        self._clock = clock or _Clock()
        self._lock = threading.Lock()
        self._memory = Memory(max_entries, max_bytes)
        self._flights: dict[str, _Flight] = {}
        self._claims = None if store is None else Claims(store, lambda: self._clock.now().timestamp())
        self._misses = self._memory_hits = self._store_hits = self._sets = 0

    def get(self, key: str) -> Any | None:
        """The value of a key, a copy each time; None where there is none (any more).

        Raises:
            ConfigError: the key is no text.
            StoreError: the store failed.
        """
        found = self._find(_checked(key))
        return None if found is None else found.value

    def set(self, key: str, value: Any, ttl: float = 3600) -> None:
        """Keeps a value.

        Args:
            key: a text, of any length.
            value: JSON of at most `MAX_VALUE` bytes (33 KiB), and not None, which would look like a miss.
            ttl: seconds for which it is good; more than 0.

        Raises:
            ConfigError: an argument is wrong.
            StoreError: the store failed; this process has the value all the same, for `FRESH` seconds.
        """
        self._set(_checked(key), _encoded(value), _seconds(ttl))

    def delete(self, key: str) -> None:
        """Forgets a key, if it is there.

        Such as::

            cache = bunsui.CacheManager()
            cache.set("rate", 1.09)
            cache.delete("rate")
            cache.clear()
            print(cache.get("rate"), cache.statistics().misses)  # None 1

        Raises:
            ConfigError: the key is no text.
            StoreError: the store failed.
        """
        _checked(key)
        with self._lock:
            self._memory.drop(key)
        if self._store is not None:
            self._store.delete(KIND, self._name(key))

    def clear(self) -> None:
        """Forgets all keys of the namespace.

        Raises:
            StoreError: the store failed; some may be left.
        """
        with self._lock:
            self._memory.clear()
        if self._store is None:
            return
        while found := self._store.find(KIND, group=self._namespace, limit=500):
            for document in found:
                self._store.delete(KIND, document.key)

    def statistics(self) -> CacheStatistics:
        """What it has done so far in this process."""
        with self._lock:
            self._memory.expire(self._clock.monotonic())
            return CacheStatistics(
                hits=self._memory_hits + self._store_hits,
                misses=self._misses,
                memory_hits=self._memory_hits,
                store_hits=self._store_hits,
                sets=self._sets,
                evictions=self._memory.evictions,
                entries=len(self._memory),
                bytes=self._memory.bytes,
            )

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], Any],
        ttl: float = 3600,
        *,
        on_wait: Callable[[], None] | None = None,
    ) -> Any:
        """The value of a key, computed where there is none: once, however many ask for it at the same time.

        Threads of this process wait for the one that computes, other processes for its value in the store.
        What `compute` raises reaches its own caller, and one of those who wait computes next. If a process
        dies over it, another one computes after `claims.CLAIM` (30) seconds; beside a process that is frozen
        for that long it may be computed a second time. A store that fails never keeps it from being computed.

        Args:
            key: a text.
            compute: gives the value; None, or more than `MAX_VALUE` bytes, is returned and not kept.
            ttl: seconds for which the value is good, from its computation on.
            on_wait: called now and then, at least twice a second, while another one computes; what it raises
                ends the waiting.

        Raises:
            ConfigError: an argument is wrong, or the value is not JSON.
        """
        seconds = _seconds(ttl)
        _checked(key)
        own: _Flight | None = None
        try:
            while True:
                with self._lock:
                    flight = self._flights.get(key)
                    if flight is None:
                        own = _Flight()
                        self._flights[key] = own
                if own is not None:
                    own.value = self._made(key, compute, seconds, on_wait)
                    return own.value.value
                assert flight is not None  # noqa: S101 - else it is its own
                while not flight.landed.wait(RARELY) and self._flights.get(key) is flight:
                    if on_wait is not None:
                        on_wait()
                if flight.value is not None:
                    return flight.value.value
        finally:  # Where it raised, one of those who wait is the next to try.
            if own is not None:
                # An interrupt may keep one of the two from being done; those who wait look for either.
                try:
                    del self._flights[key]
                finally:
                    own.landed.set()

    def _made(
        self, key: str, compute: Callable[[], Any], ttl: float, on_wait: Callable[[], None] | None
    ) -> Json:
        found, claim = self._found_or_claimed(key, on_wait)
        if found is not None:
            return found
        try:
            value = _json(compute())
            if 0 < value.size <= MAX_VALUE and value.text != "null":
                with contextlib.suppress(StoreError):  # Whoever needs it next computes it again.
                    self._set(key, value, ttl)
            return value
        finally:
            if claim is not None:
                claim.release()

    def _found_or_claimed(self, key: str, on_wait: Callable[[], None] | None) -> tuple[Json | None, Any]:
        """The value, or the right to compute it; neither, where the store fails."""
        wait = LOOK
        try:
            found = self._find(key)
            while found is None and self._claims is not None:
                claim = self._claims.take(self._name(key))
                if claim is not None:
                    # Whoever had it before has left the value, perhaps, between the two lines above.
                    found = self._stored(key)
                    if found is None:
                        return None, claim
                    claim.release()
                    break
                if on_wait is not None:
                    on_wait()
                time.sleep(wait)
                wait = min(2 * wait, RARELY)
                found = self._stored(key)
        except StoreError:
            return None, None
        return found, None

    # Tiers

    def _find(self, key: str) -> Json | None:
        now = self._clock.monotonic()
        with self._lock:
            entry = self._memory.get(key, now)
            if entry is not None and (self._store is None or now - entry.seen_at < FRESH):
                self._memory_hits += 1
                return entry.value
        if self._store is not None:
            found = self._stored(key)
            if found is not None:
                with self._lock:
                    self._store_hits += 1
                return found
        with self._lock:
            self._misses += 1
        return None

    def _stored(self, key: str) -> Json | None:
        """What the store has; the memory tier then has it, too."""
        assert self._store is not None  # noqa: S101 - who calls this has looked
        now = self._clock.monotonic()
        document = self._store.get(KIND, self._name(key))
        read = None if document is None else _entry(document)
        left = 0.0 if read is None else read[1] - self._clock.now().timestamp()
        with self._lock:
            if read is None or left <= 0:
                self._memory.drop(key)
                return None
            self._memory.put(key, read[0], now + min(left, read[2]), now)
        return read[0]

    def _set(self, key: str, value: Json, ttl: float) -> None:
        now = self._clock.monotonic()
        with self._lock:
            self._sets += 1
            self._memory.put(key, value, now + ttl, now)
        if self._store is not None:
            expires_at = self._clock.now().timestamp() + ttl
            name = self._name(key)
            entry = {"value": value.text, "expires_at": expires_at, "ttl": ttl}
            groups = [(self._namespace, name)]
            self._store.put(KIND, name, entry, expires_at=expires_at, groups=groups)

    def _name(self, key: str) -> str:
        text = f"{self._namespace}\0{key}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()


def _entry(document: Document) -> tuple[Json, float, float] | None:
    """Value, expiry (seconds since the epoch) and ttl of a stored entry; None where it is not one of ours."""
    text, expires_at, ttl = (document.value.get(name) for name in ("value", "expires_at", "ttl"))
    if (
        not isinstance(text, str)
        or not isinstance(expires_at, int | float)
        or not isinstance(ttl, int | float)
    ):
        return None
    try:
        json.loads(text)
    except ValueError:
        return None
    return Json(text), expires_at, ttl


def _checked(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise ConfigError(f"the key is {key!r}", hint="it is a text, such as 'report-2026-01-31'")
    return key


def _seconds(ttl: float) -> float:
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not (math.isfinite(ttl) and ttl > 0):
        raise ConfigError(f"ttl is {ttl!r}", hint="it is a number of seconds above 0, such as 3600")
    return float(ttl)


def _json(value: Any) -> Json:
    if type(value) is Json:  # Of this library's own callers: an output, and what it is wrapped in.
        return value
    try:
        return Json.of(value)
    except (TypeError, ValueError, RecursionError) as error:
        hint = "such as a dict, list, text or number"
        raise ConfigError(f"the value is not JSON: {error}", hint=hint) from None


def _encoded(value: Any) -> Json:
    if value is None:
        raise ConfigError(
            "the value is None, which looks like a miss", hint="such as {'found': false} says more"
        )
    encoded = _json(value)
    if encoded.size > MAX_VALUE:
        raise ConfigError(
            f"the value has {encoded.size:,} bytes as JSON; a cache takes at most {MAX_VALUE:,}",
            hint="write it to a file, and cache its path",
        )
    return encoded
