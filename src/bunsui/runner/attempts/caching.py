"""Jobs that take the output of an equal earlier one: what makes two equal, and where the outputs are found.

An entry of the cache names the session that made the output and holds it, or the artifact that it is; a
secret is never in it, nor in its key but by name.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.errors import AwsError, NotFound, StoreError
from bunsui.expressions.resolution import Hidden
from bunsui.local.bindings import to_data
from bunsui.model.artifact import INLINE, Artifact
from bunsui.model.job import LOCAL_PREFIX
from bunsui.model.json import Json, canonical
from bunsui.performance.cache import CacheManager

if TYPE_CHECKING:
    from bunsui.local.bindings import Bound
    from bunsui.model.job import Job
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.attempts.artifacts import Artifacts

#: The namespace of the entries; ``CacheManager(store, namespace="jobs").clear()`` forgets them.
NAMESPACE = "jobs"


@frozen
class Cached:
    """An output that was found."""

    output: Json
    #: The session whose attempt made it.
    session: str


def cache_key(
    job: Job,
    options: Mapping[str, Any],
    parameters: Mapping[str, Any],
    key: Any,
    *,
    item: Any = None,
    bound: Bound | None = None,
    folder: Path | None = None,
) -> str | None:
    """What two equal jobs have in common; None where nothing says what a job's code is: it is not cached.

    Args:
        job: the job.
        options: its own fields, resolved.
        parameters: its input, resolved.
        key: the key of its `cache`, resolved; None: the parameters and the item count.
        item: of a fan-out: the item.
        bound: what runs in place of AWS.
        folder: the folder of the definition: a relative command in another one is another program.
    """
    binding = None if bound is None else to_data(bound)
    if key is None and binding is not None and str(binding.get("callable", "")).startswith(LOCAL_PREFIX):
        return None
    told = {
        "type": job.type,
        "options": _told(options),
        "bound": _told(binding),
        "folder": None if folder is None else str(folder),
        **({"parameters": _told(parameters), "item": _told(item)} if key is None else {"key": _told(key)}),
    }
    return hashlib.sha256(canonical(told).encode()).hexdigest()


def _told(value: Any) -> Any:
    """A value in which a secret, by its name, can't be taken for anything else."""
    if isinstance(value, Hidden):
        return {"secret": [part if isinstance(part, str) else [part[0]] for part in value.parts]}
    if isinstance(value, Mapping):
        return {"mapping": {key: _told(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    return value


class Caching:
    """The cached outputs of jobs, in a runner's store.

    Args:
        store: the runner's.
        artifacts: where large outputs lie; None: they are not cached.
        clock: the runner's.
    """

    def __init__(self, store: Store, artifacts: Artifacts | None, clock: Clock) -> None:
        self._entries = CacheManager(store, namespace=NAMESPACE, clock=clock)
        self._artifacts = artifacts

    def lookup(self, key: str) -> str | None:
        """The session whose output an equal job would take now; None: it would run. Nothing else happens.

        An artifact is looked at, not read: see `Artifacts.wrong`.

        Raises:
            StoreError: the store failed.
        """
        entry = self._entries.get(key)
        if not isinstance(entry, dict) or not isinstance(source := entry.get("session"), str):
            return None
        if "output" in entry:
            return source
        try:
            kept = Artifact(entry["sha256"], entry["bytes"])
            there = self._artifacts is not None and self._artifacts.wrong(source, kept) is None
        except (KeyError, ValueError):  # It is none.
            return None
        return source if there else None

    def find(self, key: str, session: str, whose: str) -> Cached | None:
        """What was kept under a key, for a session; None where there is nothing, or it can't be had."""
        try:
            return self._taken(key, self._entries.get(key), session, whose)
        except Exception:  # A cache that fails is none, whatever somebody's store raises.
            return None

    def find_or_compute(
        self,
        key: str,
        session: str,
        whose: str,
        compute: Callable[[], Json],
        ttl: float,
        on_wait: Callable[[], None],
    ) -> Cached:
        """What was kept under a key, else what `compute` gives, which is computed once at a time.

        Args:
            key: what `cache_key` gave.
            session: the one that it is for.
            whose: whose output it is, as errors name it.
            compute: runs the job; what it raises is raised.
            ttl: seconds for which its output may be reused.
            on_wait: called while another one computes; what it raises ends the waiting.
        """
        computed: list[Json] = []

        def entry() -> Any:
            computed.append(compute())
            return self._entry(computed[0], session)

        # Twice: an entry whose artifact is lost is taken out, and made anew.
        for _ in range(2):
            try:
                found = self._entries.get_or_compute(key, entry, ttl, on_wait=on_wait)
            except Exception:  # Of the job, else of the cache: then there is its output.
                if not computed:
                    raise
            if computed:
                return Cached(computed[0], session)
            taken = self._taken(key, found, session, whose)
            if taken is not None:
                return taken
        return Cached(compute(), session)

    def remember(self, key: str, output: Json, session: str, ttl: float) -> None:
        """Keeps an output that somebody else has computed, if that can be done."""
        with contextlib.suppress(Exception):  # It is computed again, whatever somebody's store raises.
            entry = self._entry(output, session)
            if entry is not None:
                self._entries.set(key, entry, ttl)

    def _entry(self, output: Json, session: str) -> Any:
        if isinstance(output, Artifact):
            return {"session": session, "sha256": output.sha256, "bytes": output.size}
        if output.size > INLINE:  # Without artifacts an output may be larger than an entry.
            return None
        # As it is: it may have as many levels as JSON may here, and this is one more.
        return Json(f'{{"session":{Json.of(session).text},"output":{output.text}}}')

    def _taken(self, key: str, entry: Any, session: str, whose: str) -> Cached | None:
        if not isinstance(entry, dict) or not isinstance(source := entry.get("session"), str):
            return None
        try:
            if "output" in entry:
                return Cached(Json.of(entry["output"]), source)
            if self._artifacts is not None:
                kept = Artifact(entry["sha256"], entry["bytes"])
                return Cached(self._artifacts.adopt(kept, source, session, whose), source)
        except (NotFound, StoreError, AwsError, OSError, KeyError, TypeError, ValueError) as error:
            # It runs, whatever it is. What may be there again later is left for others.
            if not isinstance(error, StoreError | AwsError | OSError) or getattr(error, "lasting", False):
                with contextlib.suppress(StoreError):
                    self._entries.delete(key)
        return None
