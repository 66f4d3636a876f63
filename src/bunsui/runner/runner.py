"""`Runner`: runs pipelines, and finds their sessions again.

The rooms behind it are imported when they are entered, so that touching `bunsui.Runner` stays cheap.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bunsui.errors import ConfigError, StateError
from bunsui.model.status import SessionStatus
from bunsui.plugins.registry import Plugins

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.engine.events import RunnerClaimed
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Store
    from bunsui.runner.handle import Session
    from bunsui.runner.index import SessionSummary
    from bunsui.runner.live import Live
    from bunsui.runner.logs import Logs
    from bunsui.runner.recovery import Watch
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
        from bunsui.runner.assembly import assemble

        if engine != "embedded":
            raise ConfigError(f"engine {engine!r} does not exist here", hint="use 'embedded'")
        if max_concurrency < 1:
            raise ConfigError(f"max_concurrency is {max_concurrency}; it must be at least 1")
        if not lease > 0:
            raise ConfigError(f"lease is {lease}; it must be more than 0 seconds")
        #: Seconds without a sign of life that end a claim of this runner.
        self.lease = lease
        self.plugins = Plugins(plugins, autoload_plugins)
        self._parts = assemble(self.plugins, store, max_concurrency, lease)
        self._bindings = bindings
        self._local = local
        self._pid = os.getpid()
        self._closed = False
        self._lives: weakref.WeakValueDictionary[str, Live] = weakref.WeakValueDictionary()
        self._checked: weakref.WeakValueDictionary[int, Pipeline] = weakref.WeakValueDictionary()

    @property
    def store(self) -> Store:
        """Where everything durable lives."""
        return self._parts.store

    @property
    def logs(self) -> Logs:
        """Where the jobs' logs are."""
        return self._parts.logs

    # Definitions

    def load(self, path: str | Path) -> Pipeline:
        """Reads a definition with this runner's plugins; see `Pipeline.load`."""
        from bunsui.dsl import loader

        pipeline = loader.load(path, self.plugins.job_types)
        self._checked[id(pipeline)] = pipeline
        return pipeline

    def _check(self, pipeline: Pipeline) -> None:
        """Checks a pipeline that this runner has not loaded or run before."""
        if self._checked.get(id(pipeline)) is not pipeline:
            from bunsui.dsl import loader

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
        from bunsui.runner import creation, recovery
        from bunsui.runner.handle import Session

        self._require_open()
        self._check(pipeline)
        parts = self._parts
        live = creation.create(
            pipeline,
            parameters or {},
            self._bindings,
            self.plugins.job_types,
            parts.supervisor,
            parts.clock,
            local=self._local,
            idempotency_key=idempotency_key,
            tags=tags or {},
        )
        if idempotency_key is not None and creation.exists(self.store, live):
            return self.session(live.id)
        creation.keep_definition(self.store, pipeline)
        recovery.claim(live, parts.id, parts.clock, self.lease)
        self._drive(live)
        return Session(self, pipeline, live.id, live)

    def _drive(self, live: Live) -> None:
        """Hands a session with its claim to the driver; returns when the claim is durable, or failed."""
        self._lives[live.id] = live
        driver = self._parts.driver
        driver.start()
        self._parts.heartbeat.start()
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
        from bunsui.runner.handle import Session

        live = self.take_over(id)
        session = Session(self, live.pipeline, id, live)
        session.wait()
        return session

    def take_over(self, id: str, request: Request | None = None) -> Live:  # noqa: A002
        """Claims a session that nobody drives, and drives it; with `request`, it is what is done first.

        Raises:
            NotFound: there is no such session.
            StateError: it has ended, or its runner lives.
            ConfigError: it needs a callable that exists in another process only.
        """
        from bunsui.engine.events import SessionResumed
        from bunsui.local.bindings import from_mapping
        from bunsui.runner import preflight, recovery

        self._require_open()
        mine = self.live(id)
        if mine is not None and not mine.done.is_set():
            raise StateError(f"session {id} is driven by this runner already")
        live = recovery.load(self.store, id)
        state = live.machine.state
        if state.status.is_terminal:
            raise StateError(
                f"session {id} is {state.status}: there is nothing to resume",
                hint="start it anew to run it again",
            )
        if request is None:  # Else nothing starts, so nothing needs to be found.
            preflight.check_callables(live.pipeline)
            given = self._bindings if isinstance(self._bindings, Mapping) else {}
            live.bindings = recovery.bindings(live, from_mapping(given, self.plugins.job_types))
        clock = self._parts.clock
        recovery.wait_until_orphaned(live, self.store, clock, time.sleep)
        paused = state.status is SessionStatus.PAUSED
        recovery.claim(live, self._parts.id, clock, self.lease)
        at = live.at(clock.now())
        if request is not None:
            live.record(request.event(at))
        elif paused:
            live.record(SessionResumed(at))
        self._drive(live)
        return live

    # Sessions

    def session(self, id: str) -> Session:  # noqa: A002 - the public name
        """The session with this id, whoever drives it.

        Raises:
            NotFound: there is none.
        """
        from bunsui.runner import recovery
        from bunsui.runner.handle import Session

        live = self.live(id)
        if live is not None:
            return Session(self, live.pipeline, id, live)
        created = recovery.created(self.store, id)
        return Session(self, recovery.pipeline_of(self.store, created), id)

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
        from bunsui.runner import index

        return index.find(
            self.store, pipeline, None if status is None else SessionStatus(status), limit, after
        )

    def live(self, id: str) -> Live | None:  # noqa: A002
        """What this runner's driver knows of a session that it drives or drove; None for others."""
        return self._lives.get(id)

    def watch(self, id: str, position: int, held: RunnerClaimed) -> Watch:  # noqa: A002
        """Watches the runner that holds a session."""
        from bunsui.runner.recovery import Watch

        return Watch(self.store, id, position, held, self._parts.clock)

    def look_for_requests(self) -> None:
        """Has the driver look at once, rather than at its next tick."""
        driver = self._parts.driver
        driver.post(driver.look_for_requests)

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
        if not self._closed and os.getpid() == self._pid:
            self._closed = True
            self._parts.close(timeout)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close_at_exit(runner: Runner) -> None:
    """Ends what the runner started when the interpreter ends before it was closed."""
    reference = weakref.ref(runner)

    def close() -> None:
        left = reference()
        if left is not None:
            left.close(timeout=0)

    atexit.register(close)
    weakref.finalize(runner, atexit.unregister, close)
