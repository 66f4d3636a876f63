"""`run_pipeline`: a whole pipeline tested in memory, in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.model.pipeline import Pipeline
from bunsui.testing.fakes.clock import FakeClock
from bunsui.testing.fakes.service import FakeJobType
from bunsui.testing.stubbing.runner import StubbedRunner, registry
from bunsui.testing.stubbing.stubs import Stubs, received

if TYPE_CHECKING:
    from bunsui.model.session import JobState
    from bunsui.model.status import SessionStatus
    from bunsui.ports.job_type import JobCall
    from bunsui.ports.store import Store
    from bunsui.runner.handle import Session


@frozen(repr=False)
class PipelineRun:
    """A run that rests: it ended, or is paused.

    Such as::

        from bunsui.testing import run_pipeline

        run = run_pipeline(pipeline, stubs={"extract_data": {"rows": 7}, "load_data": None})
        print(run.raise_for_status().status, run.received("load_data"))  # succeeded {'rows': 7}
    """

    #: All of it, with its events and logs.
    session: Session
    #: By job, the calls of its stub in their order: each attempt, each item. Empty where it was not called.
    calls: Mapping[str, tuple[JobCall, ...]] = field(eq=False)

    @property
    def status(self) -> SessionStatus:
        """What it came to, such as ``succeeded``."""
        return self.session.status

    @property
    def outputs(self) -> dict[str, Any]:
        """The declared outputs, else every job's output by its id; see `Session.outputs`."""
        return self.session.outputs

    @property
    def jobs(self) -> Mapping[str, JobState]:
        """Where each job stands, in the definition's order."""
        return self.session.jobs

    @property
    def seconds(self) -> float:
        """How long it would have taken: from its start until it rested, by its own clock."""
        events = list(self.session.events())
        return (events[-1].at - events[0].at).total_seconds()

    def received(self, job: str) -> Mapping[str, Any]:
        """The parameters of the only call of a job's stub.

        Raises:
            AssertionError: it was not called once; the message says what each call received, or why there
                was none.
        """
        return received(self.calls, job, self._became(job))

    def _became(self, job: str) -> str:
        state = self.jobs.get(job)
        if state is None:
            return ""
        why = state.reason or (None if state.error is None else f"{state.error.code}: {state.error.message}")
        return f": it is {state.status}" + ("" if why is None else f" ({why})")

    def raise_for_status(self) -> PipelineRun:
        """Itself, unless it ended without success.

        Raises:
            SessionFailed: it names the failed jobs and their errors.
        """
        self.session.raise_for_status()
        return self

    def __repr__(self) -> str:
        jobs = ", ".join(f"{job} {state.status}" for job, state in self.jobs.items())
        errors = "".join(
            f"; {job}: {state.error.code}: {state.error.message}"
            for job, state in self.jobs.items()
            if state.error is not None
        )
        return f"<PipelineRun of {self.session.pipeline!r} {self.status}: {jobs}{errors}>"


def run_pipeline(
    pipeline: Pipeline | str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    stubs: Mapping[str, Any] | None = None,
    plugins: Sequence[Any] = (),
    bindings: Mapping[str, Mapping[str, Any]] | str | Path | None = None,
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    clock: FakeClock | None = None,
    store: Store | None = None,
    patience: float | None = 60.0,
) -> PipelineRun:
    """Runs a pipeline in memory until it rests, in this thread, with stubs in place of some of its jobs.

    All of a runner is the real one, but for what it takes from its machine: waits between attempts, what a
    `Takes` takes and what a `FakeService` has to do pass on a clock of the run's own, at once. The same input
    gives the same history. Jobs without a stub really run, at real services too, and time passes meanwhile as
    it does.

    Such as::

        from bunsui.testing import run_pipeline

        run = run_pipeline("pipeline.yaml", stubs={"extract_data": {"rows": 7}})
        print(run.status, run.outputs["load_data"])  # succeeded 7

    Args:
        pipeline: what is run, or the path of its definition.
        parameters: as `Runner.run` takes them.
        stubs: by the id of a job, what it does instead of its work; see `Stubs`. It needs no binding and no
            cache then; its options and parameters are resolved and validated as ever.
        plugins: further plugins; see `bunsui.Plugins`. What is installed is used as well.
        bindings: as a Runner takes them, for jobs without a stub.
        secrets: the values of the secrets that the definition names.
        env: the variables that the definition names, with their values.
        clock: what the run goes by, and has advanced afterwards; None: one that begins at 2026-01-01.
        store: where the session is, beside those of other runs; None: in memory, and gone with what is given
            back.
        patience: real seconds for which jobs without a stub may run and none of them end, and that an async
            stub may take; None: for ever.

    Returns:
        What it came to, whether it succeeded or not.

    Raises:
        DefinitionError: the pipeline or its parameters are wrong, or a job without a stub can't run here.
        ConfigError: there is a stub for a job that there is not, or what is given is no stub.
        AssertionError: a callable among the stubs, or the answer of a `FakeService`, has raised it: the run
            ends there. Likewise what `pytest.fail`, `pytest.skip` and `pytest.exit` raise, and
            KeyboardInterrupt.
        BunsuiError: it would never come to rest.
    """
    known = registry(plugins, secrets)
    loaded = Pipeline.load(pipeline, known) if isinstance(pipeline, str | Path) else pipeline
    given = stubs if isinstance(stubs, Stubs) else Stubs(stubs)
    before = {job: len(calls) for job, calls in given.calls.items()}
    services = [kind.service for kind in known.job_types.values() if isinstance(kind, FakeJobType)]
    given.escaped.forget()  # What an earlier run was interrupted with.
    runner = StubbedRunner(
        given,
        FakeClock() if clock is None else clock,
        in_callers_thread=True,
        patience=patience,
        escaped=[service.escaped for service in services],
        store=store,
        plugins=known,
        bindings=bindings,
        secrets=secrets or {},
        env=env,
    )
    with runner:
        session = runner.run(loaded, parameters)
    return PipelineRun(session, {job: calls[before.get(job, 0) :] for job, calls in given.calls.items()})
