"""A Runner with stubs, on a clock of its own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from bunsui.dsl.parameters.inputs import resolve_parameters
from bunsui.dsl.placing import placing
from bunsui.dsl.problems import Problem
from bunsui.engine.events import RunnerClaimed
from bunsui.errors import ConfigError, Conflict, DefinitionError
from bunsui.plugins.registry import Plugins
from bunsui.ports.hooks import hookimpl
from bunsui.ports.secrets import SecretSource
from bunsui.runner.runner import Runner
from bunsui.runner.sessions.creation import bindings_dir, session_id_of
from bunsui.stores.memory import MemoryStore
from bunsui.testing.stubbing import surroundings
from bunsui.testing.stubbing.preflight import OF_A_CALL, OF_FIXTURES, for_a_test, ungiven, unrunnable
from bunsui.testing.stubbing.surroundings import PLACES, EveryPool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Store
    from bunsui.runner.handle import Session
    from bunsui.runner.sessions.reruns import Rerun
    from bunsui.runner.surroundings import Surroundings
    from bunsui.testing.fakes.clock import FakeClock
    from bunsui.testing.fakes.escaped import Escaped
    from bunsui.testing.stubbing.stubs import Stubs

#: The name under which a run's secrets have their source.
SOURCE = "run"


def registry(plugins: Sequence[Any] = (), secrets: Mapping[str, str] | None = None) -> Plugins:
    """What is installed, further plugins, and the source of a run's secrets, whose values these are.

    Raises:
        ConfigError: `plugins` is no list.
        PluginError: one of them is wrong.
    """
    if not isinstance(plugins, Sequence) or isinstance(plugins, str):
        kind = type(plugins).__name__
        raise ConfigError(f"plugins is of type {kind}, not a list", hint="write plugins=[...]")
    return Plugins([*plugins, *([_Secrets(secrets)] if secrets else [])])


class StubbedRunner(Runner):
    """A Runner whose jobs are stubs as far as there are some, in whose sessions waiting takes no time.

    Nothing is configured but what is given here. The ids and times of its sessions follow from what it runs.

    Args:
        stubs: what stands in for jobs; they may change while it is used.
        clock: what it goes by.
        in_callers_thread: whether a session is driven by whoever starts it, and stubs are called there: it
            rests when it is given back. Else in threads, as it is in reality.
        patience: see `run_pipeline`; only where sessions are driven in the caller's thread.
        escaped: what raises there what the test is to end with, beside the stubs.
        plugins: what `registry` gives for the same secrets.
        store: where its sessions are, also those of others; None: in memory.
        bindings: see `Runner`.
        secrets: their names.
        env: the variables that definitions may name, with their values.
    """

    def __init__(
        self,
        stubs: Stubs,
        clock: FakeClock,
        *,
        in_callers_thread: bool,
        patience: float | None = None,
        escaped: Sequence[Escaped] = (),
        store: Store | None = None,
        plugins: Plugins,
        bindings: Mapping[str, Mapping[str, Any]] | str | Path | None = None,
        secrets: Collection[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._stubs = stubs
        self._clock = clock
        self._in_callers_thread = in_callers_thread
        self._patience = patience
        self._escaped = (stubs.escaped, *escaped)
        self._remedies = OF_A_CALL if in_callers_thread else OF_FIXTURES
        self._env = dict(env or {})
        self._secrets = frozenset(secrets)
        self._pools = EveryPool()
        self._shares_store = store is not None
        self._numbers = count(1)
        super().__init__(
            MemoryStore(lambda: clock.now().timestamp()) if store is None else store,
            bindings=bindings,
            local=True,  # No test calls AWS by mistake.
            max_concurrency=PLACES,
            plugins=plugins,
            config={
                "env": list(self._env),
                "secrets": {name: f"{SOURCE}:{name}" for name in self._secrets},
            },
        )

    def _surroundings(self) -> Surroundings:
        numbers = Random(0)  # noqa: S311 - the same in each run
        given: dict[str, Any] = {
            "environ": self._env,
            "pools": self._pools,
            # Of those who share a store, each is to be told from the others.
            "new_id": (
                (lambda: uuid.uuid4().hex) if self._shares_store else lambda: numbers.randbytes(16).hex()
            ),
        }
        if self._in_callers_thread:
            return surroundings.in_callers_thread(
                self._stubs, self._clock, self._escaped, self._patience, **given
            )
        return surroundings.in_threads(self._stubs, self._clock, **given)

    def _start(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any],
        idempotency_key: str | None,
        tags: Mapping[str, str],
        rerun: Rerun | None = None,
    ) -> Session:
        self._check(pipeline)
        self._stubs.check(pipeline)
        with placing(pipeline, parameters):
            if wrong := [*self._wrong(pipeline, parameters)]:
                raise DefinitionError(wrong)
        self._pools.include(pipeline.jobs)
        try:
            if idempotency_key is not None:
                return super()._start(pipeline, parameters, idempotency_key, tags, rerun)
            return self._start_new(pipeline, parameters, tags, rerun)
        except DefinitionError as error:
            problems = [for_a_test(problem, pipeline, self._remedies) for problem in error.problems]
            raise DefinitionError(problems) from None

    def _wrong(self, pipeline: Pipeline, parameters: Mapping[str, Any]) -> Iterator[Problem]:
        """What keeps a session from running here."""
        yield from unrunnable(
            pipeline, lambda job: job.id in self._stubs, bindings_dir(self._bindings), self._remedies
        )
        values = resolve_parameters(pipeline, parameters)
        yield from ungiven(pipeline, values, self._env, self._secrets, self._remedies)

    def _start_new(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        rerun: Rerun | None,
    ) -> Session:
        """A session with the next id that is free, so that they are the same in each run of a test."""
        while True:
            key = f"test run {next(self._numbers)}"
            if next(self.store.read(session_id_of(key)), None) is not None:
                continue
            try:
                session = super()._start(pipeline, parameters, key, tags, rerun)
            except Conflict:  # Somebody else has taken it meanwhile, with another input.
                continue
            if not self._shares_store or self._has_begun(session):
                return session

    def _has_begun(self, session: Session) -> bool:
        """Whether this runner was the first to claim a session, and so has made it."""
        claims = (event.runner for event in session.events() if isinstance(event, RunnerClaimed))
        return next(claims, None) == self._control.parts.id


class _Secrets(SecretSource):
    """The secrets of one run, and the plugin that brings them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def get(self, key: str) -> str:
        """See `SecretSource.get`."""
        return self._values[key]

    @hookimpl
    def bunsui_secret_sources(self) -> Mapping[str, SecretSource]:
        """Itself."""
        return {SOURCE: self}
