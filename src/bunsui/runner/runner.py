"""`Runner`: assembles store, plugins, driver and threads, and runs pipelines with them."""

from __future__ import annotations

import atexit
import base64
import hashlib
import os
import secrets
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.dsl import inputs
from bunsui.engine import events as ev
from bunsui.engine.decide import Machine
from bunsui.errors import ConfigError, Conflict, StateError
from bunsui.local import bindings as bound
from bunsui.local.supervisor import Supervisor
from bunsui.model.status import SessionStatus
from bunsui.plugins.registry import Plugins
from bunsui.ports.store import Store
from bunsui.runner import index, preflight, recovery
from bunsui.runner.clock import SystemClock
from bunsui.runner.config import default_store
from bunsui.runner.driver import Driver
from bunsui.runner.handle import Session
from bunsui.runner.heartbeat import Heartbeat
from bunsui.runner.index import SessionSummary
from bunsui.runner.live import Live
from bunsui.runner.logs import Logs
from bunsui.runner.observers import Observers
from bunsui.runner.pool import Pool
from bunsui.runner.starting import Starter
from bunsui.runner.work import Host

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline
    from bunsui.runner.requests import Request


class Runner:
    """Runs pipelines in this process.

    Nothing is started before the first session is: no thread, no process. A Runner is a context manager
    that closes itself; its sessions stay readable.

    Args:
        store: a URL (``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``) or a Store;
            None: BUNSUI_STORE, else a SQLite file in the user's data directory.
        engine: ``embedded``.
        bindings: what runs on this machine in place of AWS: a mapping, or the path of a bindings file;
            None: ``bindings.yaml`` beside the definition, where there is one.
        local: whether a job that would run on AWS is an error.
        max_concurrency: how many attempts may run at once, over all sessions; at least 1.
        lease: seconds without a sign of life after which another runner may take a session over.
        plugins: further plugins; see `Plugins`.
        autoload_plugins: whether installed entry points are imported.

    Raises:
        ConfigError: an argument is wrong.
        StoreError: the store can't be opened.
    """

    def __init__(
        self,
        store: str | Store | None = None,
        *,
        engine: str = "embedded",
        bindings: Mapping[str, Mapping[str, Any]] | str | Path | None = None,
        local: bool = False,
        max_concurrency: int = 32,
        lease: float = 30.0,
        plugins: Sequence[Any] = (),
        autoload_plugins: bool = True,
    ) -> None:
        if engine != "embedded":
            raise ConfigError(f"engine {engine!r} does not exist here", hint="use 'embedded'")
        if max_concurrency < 1:
            raise ConfigError(f"max_concurrency is {max_concurrency}; it must be at least 1")
        if not lease > 0:
            raise ConfigError(f"lease is {lease}; it must be more than 0 seconds")
        #: How many seconds without a sign of life end a claim.
        self.lease = lease
        self.plugins = Plugins(plugins, autoload_plugins)
        self._owns_store = not isinstance(store, Store)
        #: Where everything durable lives.
        self.store: Store = (
            store if isinstance(store, Store) else self.plugins.open_store(store or default_store())
        )
        #: Where the jobs' logs are.
        self.logs = Logs(_log_folder(self.store))
        self._local = local
        self._bindings = bindings
        self._id = uuid.uuid4().hex
        self._pid = os.getpid()
        self._closed = False
        self._clock = SystemClock()
        self._supervisor = Supervisor()
        self._observers = Observers(self.plugins)
        self._pool = Pool(max_concurrency)
        host = Host(self._supervisor, self.logs, self._clock.now, self._report)
        self._driver = Driver(
            self._id,
            self.store,
            self._clock,
            self._pool,
            self._observers,
            Starter(self.plugins.job_types, host),
            max_concurrency=max_concurrency,
            lease=lease,
        )
        driver = self._driver
        self._heartbeat = Heartbeat(self.store, self._id, lease, lambda: driver.alive)
        self._lives: weakref.WeakValueDictionary[str, Live] = weakref.WeakValueDictionary()
        self._checked: weakref.WeakValueDictionary[int, Pipeline] = weakref.WeakValueDictionary()

    def _report(self, work: Any) -> None:
        self._driver.post(work)

    # Definitions

    def load(self, path: str | Path) -> Pipeline:
        """Reads a definition with this runner's plugins; see `Pipeline.load`."""
        from bunsui.dsl import loader  # noqa: PLC0415 - yaml and jsonschema: 100 ms

        pipeline = loader.load(path, self.plugins.job_types)
        self._checked[id(pipeline)] = pipeline
        return pipeline

    def _check(self, pipeline: Pipeline) -> None:
        if self._checked.get(id(pipeline)) is pipeline:
            return
        from bunsui.dsl import loader  # noqa: PLC0415 - yaml and jsonschema: 100 ms

        loader.check(pipeline, self.plugins.job_types)
        self._checked[id(pipeline)] = pipeline

    # Running

    def run(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Session:
        """Runs a pipeline and returns when the session rests; see `start`."""
        session = self.start(pipeline, parameters, idempotency_key=idempotency_key, tags=tags)
        session.wait()
        return session

    def start(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Session:
        """Starts a pipeline and returns at once.

        Args:
            pipeline: what to run.
            parameters: by name; see the pipeline's `parameters`.
            idempotency_key: the same key with the same pipeline and parameters gives the same session.
            tags: kept with the session.

        Returns:
            The session. A session that an idempotency key names already is returned as it is.

        Raises:
            DefinitionError: the pipeline, a binding or a parameter is wrong; nothing was written.
            Conflict: the idempotency key belongs to a session with another input.
            StoreError: the store failed.
        """
        self._require_open()
        self._check(pipeline)
        values = inputs.resolve_parameters(pipeline, parameters or {})
        given = self._given_bindings(pipeline)
        used = preflight.used_bindings(pipeline, given, self.plugins.job_types, local=self._local)
        preflight.check_imports(used, self._supervisor)
        session_id = _session_id(idempotency_key)
        event = ev.SessionCreated(
            at=self._clock.now(),
            session_id=session_id,
            pipeline=pipeline.name,
            digest=pipeline.digest,
            parameters=values,
            bindings={
                kind: {name: bound.to_data(value) for name, value in names.items()}
                for kind, names in used.items()
            },
            base_dir=None if pipeline.base_dir is None else str(pipeline.base_dir),
            local=self._local,
            tags=dict(tags or {}),
        )
        if idempotency_key is not None and self._is_same(event):
            return self.session(session_id)
        self._keep_definition(pipeline)
        live = Live(session_id, pipeline, Machine(pipeline), 0, used, 0, self._local)
        live.record(event)
        recovery.claim(live, self._id, self._clock)
        self._drive(live)
        return Session(self, pipeline, session_id, live)

    def _given_bindings(self, pipeline: Pipeline | None) -> bound.Bindings:
        types = self.plugins.job_types
        if isinstance(self._bindings, Mapping):
            return bound.from_mapping(self._bindings, types)
        if self._bindings is not None:
            return bound.load(Path(self._bindings), types)
        if pipeline is not None and pipeline.base_dir is not None:
            beside = pipeline.base_dir / bound.FILE_NAME
            if beside.is_file():
                return bound.load(beside, types)
        return {}

    def _is_same(self, event: ev.SessionCreated) -> bool:
        """Whether the session exists already, with the same input."""
        found = next(recovery.history(self.store, event.session_id), None)
        if found is None:
            return False
        first = found[1][0]
        if isinstance(first, ev.SessionCreated) and (first.digest, first.parameters) == (
            event.digest,
            event.parameters,
        ):
            return True
        raise Conflict(
            f"the idempotency key belongs to session {event.session_id},"
            " which has another definition or other parameters"
        )

    def _keep_definition(self, pipeline: Pipeline) -> None:
        try:
            self.store.put(recovery.DEFINITION, pipeline.digest, pipeline.to_dict(), if_version=0)
        except Conflict:
            return  # It is there already: the same, by its digest.

    def _drive(self, live: Live) -> None:
        """Hands a session with its claim to the driver; returns when the claim is durable, or failed."""
        self._lives[live.id] = live
        driver = self._driver
        driver.start()
        self._heartbeat.start()
        _close_at_exit(self)
        driver.post(lambda: driver.adopt(live))
        live.begun.wait()
        if live.error is not None:
            raise live.error

    def resume(self, id: str) -> Session:  # noqa: A002 - the public name
        """Continues a paused or orphaned session here, and returns when it rests.

        A session that a runner holds is watched for up to one lease; a runner whose process on this
        host is gone, not at all. Who loses the claim to somebody else follows the session until it rests.

        Raises:
            NotFound: there is no such session.
            StateError: it has ended, or its runner lives.
            ConfigError: it needs a callable that exists in another process only.
        """
        live = self.take_over(id)
        session = Session(self, live.pipeline, id, live)
        session.wait()
        return session

    def take_over(self, id: str, request: Request | None = None) -> Live:  # noqa: A002
        """Claims a session that nobody drives, and drives it; with `request`, it is what is done first.

        Raises:
            StateError: it has ended, or its runner lives.
        """
        self._require_open()
        mine = self.live(id)
        if mine is not None and not mine.done.is_set():
            raise StateError(f"session {id} is driven by this runner already")
        given = self._given_bindings(None) if isinstance(self._bindings, Mapping) else {}
        live = recovery.load(self.store, id, given)
        state = live.machine.state
        if state.status.is_terminal:
            raise StateError(
                f"session {id} is {state.status}: there is nothing to resume",
                hint="start it anew to run it again",
            )
        preflight.check_callables(live.pipeline)
        recovery.wait_until_orphaned(live, self.store, self._clock, self.lease, time.sleep)
        paused = state.status is SessionStatus.PAUSED
        recovery.claim(live, self._id, self._clock)
        at = live.at(self._clock.now())
        if request is not None:
            live.record(request.event(at))
        elif paused:
            live.record(ev.SessionResumed(at))
        self._drive(live)
        return live

    # Sessions

    def session(self, id: str) -> Session:  # noqa: A002 - the public name
        """The session with this id, whoever drives it.

        Raises:
            NotFound: there is none.
        """
        created = recovery.created(self.store, id)
        live = self.live(id)
        pipeline = recovery.pipeline_of(self.store, created) if live is None else live.pipeline
        return Session(self, pipeline, id)

    def sessions(
        self,
        pipeline: str | None = None,
        status: str | SessionStatus | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[SessionSummary]:
        """Sessions, newest first.

        Args:
            pipeline: only those of the pipeline with this name.
            status: only those with this status.
            limit: how many at most.
            after: the `SessionSummary.cursor` of a session; only those behind it.
        """
        wanted = None if status is None else SessionStatus(status)
        group = index.ALL if pipeline is None else index.pipeline_group(pipeline)
        found: list[SessionSummary] = []
        while len(found) < limit:
            page = self.store.find(index.KIND, group, reverse=True, after=after, limit=max(limit, 50))
            summaries = map(index.summary, page)
            found += [s for s in summaries if wanted is None or s.status is wanted]
            if len(page) < max(limit, 50):
                break
            after = page[-1].cursor
        return found[:limit]

    def live(self, id: str) -> Live | None:  # noqa: A002
        """What this runner's driver knows of a session that it drives or drove; None for others."""
        return self._lives.get(id)

    def watch(self, id: str, position: int, held: ev.RunnerClaimed) -> recovery.Watch:  # noqa: A002
        """Watches the runner that holds a session."""
        return recovery.Watch(self.store, id, position, held, self._clock)

    def look_for_requests(self) -> None:
        """Has the driver look at once, rather than at its next tick."""
        self._driver.post(self._driver.look_for_requests)

    # The end

    def _require_open(self) -> None:
        if self._closed:
            raise StateError("this runner is closed", hint="make another one")
        if os.getpid() != self._pid:
            raise StateError(
                "this runner was made before this process was forked", hint="make another one here"
            )

    def close(self, timeout: float = 30.0) -> None:
        """Starts nothing more, lets running jobs end, and releases what it has claimed.

        Args:
            timeout: seconds that running jobs may take; then they are stopped, and run again when
                their session is resumed.
        """
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        self._driver.stop(timeout)
        self._observers.close(10.0)
        self._heartbeat.close()
        self._pool.close()
        self._supervisor.close()
        if self._owns_store:
            self.store.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _session_id(idempotency_key: str | None) -> str:
    """16 characters of base32: random, or derived from the key."""
    if idempotency_key is None:
        raw = secrets.token_bytes(10)
    else:
        raw = hashlib.sha256(f"bunsui-session\0{idempotency_key}".encode()).digest()[:10]
    return base64.b32encode(raw).decode().lower()


def _log_folder(store: Store) -> Path | None:
    path = getattr(store, "path", None)
    return None if path is None else Path(f"{path}-logs")


def _close_at_exit(runner: Runner) -> None:
    """Ends what the runner started when the interpreter ends before it was closed."""
    reference = weakref.ref(runner)

    def close() -> None:
        left = reference()
        if left is not None:
            left.close(timeout=0)

    atexit.register(close)
    weakref.finalize(runner, atexit.unregister, close)
