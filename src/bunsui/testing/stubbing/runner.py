"""A Runner with stubs, on a clock of its own."""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import lru_cache, partial
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.dsl.problems import Problem, pointer
from bunsui.errors import DefinitionError, JobError
from bunsui.local.callables import find
from bunsui.model.job import LOCAL_PREFIX
from bunsui.plugins.registry import DISABLE_AUTOLOAD, Plugins
from bunsui.ports.hooks import hookimpl
from bunsui.ports.job_type import Function
from bunsui.ports.secrets import SecretSource
from bunsui.runner.creation import session_id_of
from bunsui.runner.pool import Pool, Task
from bunsui.runner.runner import Runner
from bunsui.runner.surroundings import Surroundings
from bunsui.runner.work import Work
from bunsui.stores.memory import MemoryStore
from bunsui.testing.stubbing.driver import CallersDriver, PassingDriver
from bunsui.testing.stubbing.work import StubbedWork, Waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bunsui.model.job import Job
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Store
    from bunsui.runner.handle import Session
    from bunsui.runner.reruns import Rerun
    from bunsui.runner.surroundings import WorkMaker
    from bunsui.testing.fakes.clock import FakeClock
    from bunsui.testing.stubbing.stubs import Stubs

#: The name under which a run's secrets have their source.
SOURCE = "run"
#: What to do about a job that can't run here; of its id.
_STUB_IT = "give it a stub: stubs={{'{}': ...}}"


def registry(plugins: Sequence[Any] = (), secrets: Mapping[str, str] | None = None) -> Plugins:
    """What is installed, further plugins, and the source of a run's secrets, whose values these are."""
    if plugins or secrets:
        return Plugins([*plugins, *([_Secrets(secrets)] if secrets else [])])
    return _installed(os.environ.get(DISABLE_AUTOLOAD), tuple(sys.path))


@lru_cache(maxsize=1)
def _installed(switched_off: str | None, path: tuple[str, ...]) -> Plugins:
    # Looking for what is installed takes longer than a run of ten stubs.
    del switched_off, path
    return Plugins()


class StubbedRunner(Runner):
    """A Runner whose jobs are stubs as far as there are some, in whose sessions waiting takes no time.

    Nothing is configured but what is given here. The ids and times of its sessions follow from what it runs.

    Args:
        stubs: what stands in for jobs; they may change while it is used.
        clock: what it goes by.
        in_callers_thread: whether a session is driven by whoever starts it, and stubs are called there: it
            rests when it is given back. Else in threads, as it is in reality.
        patience: see `run_pipeline`; only where sessions are driven in the caller's thread.
        plugins: what `registry` gives for the same secrets.
        store: where its sessions are; None: in memory.
        bindings, pools, max_concurrency: see `Runner`.
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
        store: Store | None = None,
        plugins: Plugins,
        bindings: Mapping[str, Mapping[str, Any]] | str | Path | None = None,
        secrets: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        pools: Mapping[str, int] | None = None,
        max_concurrency: int | None = None,
    ) -> None:
        self._stubs = stubs
        self._clock = clock
        self._in_callers_thread = in_callers_thread
        self._patience = patience
        self._env = dict(env or {})
        self._runs = 0
        super().__init__(
            MemoryStore(lambda: clock.now().timestamp()) if store is None else store,
            bindings=bindings,
            local=False,
            max_concurrency=max_concurrency,
            pools=pools,
            plugins=plugins,
            config={
                "env": list(self._env),
                "secrets": {name: f"{SOURCE}:{name}" for name in secrets},
            },
        )

    def trust(self, pipeline: Pipeline) -> None:
        """Takes a pipeline for checked that was loaded with this runner's plugins."""
        self._checked[id(pipeline)] = pipeline

    def _surroundings(self) -> Surroundings:
        waits = Waits(self._clock)
        here = self._in_callers_thread
        more: dict[str, Any] = {"patience": self._patience} if here else {}
        numbers = Random(0)  # noqa: S311 - the same in each run
        return Surroundings(
            clock=self._clock,
            random=Random(0),  # noqa: S311 - the same in each run
            thread=_driver_alone,
            pool=partial(_Pool, here),
            driver=partial(CallersDriver if here else PassingDriver, waits=waits, **more),
            stand_in=partial(_stand_in, self._stubs, partial(StubbedWork, self._stubs, waits, here)),
            environ=self._env,
            new_id=lambda: numbers.randbytes(16).hex(),
            closes_at_exit=False,
        )

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
        if wrong := [*self._unrunnable(pipeline)]:
            raise DefinitionError(wrong)
        key = self._free_key() if idempotency_key is None else idempotency_key
        try:
            return super()._start(pipeline, parameters, key, tags, rerun)
        except DefinitionError as error:
            raise DefinitionError([_for_a_test(problem) for problem in error.problems]) from None

    def _free_key(self) -> str:
        """What names the next session: so its id is the same in each run of a test."""
        while True:
            self._runs += 1
            key = f"test run {self._runs}"
            if next(self.store.read(session_id_of(key)), None) is None:
                return key

    def _unrunnable(self, pipeline: Pipeline) -> Iterator[Problem]:
        """What is wrong with jobs that have no stub and would fail as soon as they start."""
        for i, job in enumerate(pipeline.jobs):
            if job.type != "custom" or job.id in self._stubs:
                continue
            what = "callable" if "callable" in job.options else "command"
            reason = _missing_callable(job, pipeline) if what == "callable" else _missing_program(job)
            if reason is not None:
                where = pointer(["jobs", i, what])
                text = f"job '{job.id}' can't run here: {reason}"
                yield Problem("unrunnable-job", text, _STUB_IT.format(job.id), path=where)


def _missing_callable(job: Job, pipeline: Pipeline) -> str | None:
    target = job.options["callable"]
    if job.function is not None or target.startswith(LOCAL_PREFIX):
        return None
    folders = () if pipeline.base_dir is None else (pipeline.base_dir,)
    try:
        find(Function(target, folders))
    except JobError as error:
        return error.message
    return None


def _missing_program(job: Job) -> str | None:
    command = job.options["command"]
    if not isinstance(command, list) or not isinstance(command[0], str) or "${" in command[0]:
        return None  # A shell's script, or known when it starts.
    program = command[0]
    if "/" in program or shutil.which(program) is not None:
        return None
    return f"there is no program '{program}'"


#: What a test does about what a Runner would have to be configured with; of its name.
_REMEDIES = {
    "unbound-job": f"{_STUB_IT}, or a binding",
    "unlisted-env": "give its value: env={{'{}': ...}}",
    "unknown-secret": "give its value: secrets={{'{}': ...}}",
}

#: What such a message is about: ``${secrets.NAME}``, or the first that it quotes.
_NAMED = re.compile(r"(?:\$\{\w+\.|')([^'}]+)")


def _for_a_test(problem: Problem) -> Problem:
    """A problem with a remedy that a test has."""
    remedy = _REMEDIES.get(problem.code)
    if remedy is None or (problem.hint or "").startswith("did you mean"):
        return problem
    name = _NAMED.search(problem.message)
    return evolve(problem, hint=remedy.format("" if name is None else name[1]))


def _stand_in(stubs: Stubs, make: WorkMaker, job: Job) -> WorkMaker | None:
    return make if job.id in stubs else None


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


class _Pool(Pool):
    """Calls services where it is told to, and stubs too, where all is to happen in one thread."""

    def __init__(self, in_one_thread: bool, limit: int) -> None:
        super().__init__(limit)
        self._in_one_thread = in_one_thread

    def submit(self, tasks: Iterable[Task]) -> None:
        """See `Pool.submit`."""
        left = []
        for task in tasks:
            if isinstance(task, StubbedWork if self._in_one_thread else ()) or not isinstance(task, Work):
                task()
            else:
                left.append(task)
        if left:
            super().submit(left)


class _NoThread(Thread):
    """Never runs: a runner that nobody else can see needs no heartbeat."""

    def start(self) -> None:
        """Nothing is started."""


def _driver_alone(target: Callable[[], None], name: str, daemon: bool) -> Thread:
    return (Thread if name == "bunsui-driver" else _NoThread)(target=target, name=name, daemon=daemon)
