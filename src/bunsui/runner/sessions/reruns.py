"""Running a session again: which jobs take their outputs over from it, and which run, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.engine import events as ev
from bunsui.errors import ConfigError, NotFound, StateError, StoreError
from bunsui.expressions.conditions import parse_condition
from bunsui.model.artifact import Artifact
from bunsui.model.status import JobStatus
from bunsui.runner.sessions.digests import Digest, Inputs, digests
from bunsui.runner.sessions.preflight import check_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bunsui.model.job import Job
    from bunsui.model.json import Json
    from bunsui.model.pipeline import Pipeline
    from bunsui.model.session import SessionState
    from bunsui.ports.job_type import JobType
    from bunsui.runner.attempts.artifacts import Artifacts
    from bunsui.runner.driving.live import Live

#: What ``jobs`` of `Runner.rerun` may say beside a list of jobs.
FAILED, ALL = "failed", "all"
#: Behind a job's id: all that follows it, too.
AND_WHAT_FOLLOWS = "+"


@frozen
class Verdict:
    """Whether a job takes its output over, and why (not)."""

    #: The session in which an attempt made the output; None: the job runs.
    origin: str | None
    reason: str


@frozen
class Earlier:
    """The session that is to run again."""

    pipeline: Pipeline
    state: SessionState
    inputs: Inputs
    tags: Mapping[str, str] = field(factory=dict)
    #: Where its large outputs lie; None: in its history.
    artifacts: Artifacts | None = None

    @classmethod
    def of(cls, live: Live, artifacts: Artifacts | None) -> Earlier:
        """A session that has ended, as its history leaves it.

        Raises:
            StateError: it has not ended.
        """
        state, session = live.machine.state.snapshot(live.position), live.id
        if not state.status.is_terminal:
            raise StateError(
                f"session {session} is {state.status}: only one that has ended runs again",
                hint=f"go on with it: bunsui session resume {session}; or cancel it first",
            )
        created = live.machine.state.created
        env = {} if created is None else created.env
        bindings = {} if created is None else created.bindings
        return cls(
            live.pipeline, state, Inputs(state.parameters, env, session, bindings), state.tags, artifacts
        )

    def definition(self, changed: Pipeline | None) -> Pipeline:
        """What is to run now: the session's own definition unless there is a changed one.

        Raises:
            ConfigError: that is another pipeline's, or the folder of the session's own is gone.
        """
        if changed is None:
            check_folder(
                self.pipeline,
                "give the definition from where it is now: --file FILE, in Python pipeline=runner.load(FILE)",
            )
        pipeline = self.pipeline if changed is None else changed
        if pipeline.name != self.pipeline.name:
            raise ConfigError(
                f"session {self.state.id} ran the pipeline {quoted(self.pipeline.name)},"
                f" not {quoted(pipeline.name)}",
                hint="run another pipeline by itself, or give this one's definition",
            )
        return pipeline

    def parameters(self, pipeline: Pipeline, given: Mapping[str, object] | None) -> dict[str, object]:
        """What was given this time, and what this session had of all else that the pipeline declares."""
        declared = {parameter.name for parameter in pipeline.parameters}
        kept = {name: value for name, value in self.state.parameters.items() if name in declared}
        if given is not None and not isinstance(given, Mapping):
            return given  # Whoever takes parameters says what is wrong with it.
        return {**kept, **(given or {})}

    def verdicts(
        self,
        pipeline: Pipeline,
        inputs: Inputs,
        job_types: Mapping[str, JobType],
        jobs: str | Sequence[str] = FAILED,
    ) -> dict[str, Verdict]:
        """What becomes of each job, by its id, in an order in which they can run.

        A job that runs because it had failed, say, may succeed now: what follows it runs, too, also where a
        condition had let that run before. Only of a job that is chosen by itself, and would have been
        reused, is the outcome taken to be the same. An output that is an artifact is looked at, not read: one
        that is damaged and has its size counts as there, and its job runs once it can't be taken over.

        Args:
            pipeline: what is to run now.
            inputs: with what.
            job_types: the registered ones, by name.
            jobs: see `Runner.rerun`.

        Raises:
            ConfigError, NotFound: `jobs` says something else, or names a job that the pipeline does not have.
        """
        chosen = self._chosen(pipeline, jobs)
        before = digests(self.pipeline, self.inputs, job_types)
        found: dict[str, Verdict] = {}
        # The jobs that may come to something else, and those that come to the same and don't run.
        open_: set[str] = set()
        settled: set[str] = set()
        for job, now in digests(pipeline, inputs, job_types).items():
            verdict = self._verdict(job, before.get(job), now)
            parents = pipeline.graph.upstream[job]
            moved = next((parent for parent in parents if parent in open_), None)
            if verdict.origin is not None and moved is not None:
                verdict = Verdict(None, _follows(moved))
            if verdict.origin is None:
                # Where the value of a parameter in its condition has changed, what follows it runs anyway.
                again = settled.issuperset(parents) and self._was_skipped(pipeline.job(job))
                (settled if again else open_).add(job)
            elif job not in chosen:
                settled.add(job)
            found[job] = Verdict(None, chosen[job]) if job in chosen else verdict
        return found

    def _was_skipped(self, job: Job) -> bool:
        """Whether a job was skipped, and not because of something that is another one in each session."""
        state = self.state.jobs.get(job.id)
        if state is None or state.status is not JobStatus.SKIPPED:
            return False
        operands = () if job.condition is None else parse_condition(job.condition).operands
        return all(operand.reference.root != "session" for operand in operands)

    def _verdict(self, job: str, before: Digest | None, now: Digest) -> Verdict:
        session = self.state.id
        state = self.state.jobs.get(job)
        if before is None or state is None:
            return Verdict(None, f"session {session} had no such job")
        if state.status is not JobStatus.SUCCEEDED:
            return Verdict(None, f"it is {state.status} in session {session}: there is no output")
        if before.work != now.work:
            return Verdict(None, _difference(before, now))
        if isinstance(state.encoded_output, Artifact) and self.artifacts is not None:
            wrong = self.artifacts.wrong(session, state.encoded_output)
            if wrong is not None:
                return Verdict(None, f"its output of session {session} {wrong}")
        return Verdict(state.reused_from or session, "nothing that it depends on has changed")

    def _chosen(self, pipeline: Pipeline, jobs: str | Sequence[str]) -> dict[str, str]:
        """The jobs that run in any case, each with the reason."""
        ids = [job.id for job in pipeline.jobs]
        if jobs == ALL:
            return dict.fromkeys(ids, "all jobs run again")
        if jobs == FAILED:
            bad = [job for job, state in self.state.jobs.items() if state.status in _BAD and job in ids]
            chosen = {job: f"it is {self.state.jobs[job].status} in session {self.state.id}" for job in bad}
            for job in bad:
                _add_what_follows(chosen, pipeline, job)
            return chosen
        if isinstance(jobs, str) or not isinstance(jobs, Sequence) or not all(map(_is_text, jobs)):
            raise ConfigError(
                f"jobs is {jobs!r}",
                hint='it is "failed", "all" or a list of jobs, such as ["load", "extract+"]: with "+", all'
                " that follows, too",
            )
        chosen = {}
        for named in jobs:
            job = named.removesuffix(AND_WHAT_FOLLOWS)
            if job not in ids:
                hint = did_you_mean(job, ids) or f"it has: {', '.join(ids[:10])}{', ...' * (len(ids) > 10)}"
                message = f"pipeline {quoted(pipeline.name)} has no job {quoted(job)}"
                raise NotFound(message, kind="job", name=job, hint=hint)
            chosen[job] = "it was asked for"
        for named in jobs:
            if named.endswith(AND_WHAT_FOLLOWS):
                _add_what_follows(chosen, pipeline, named.removesuffix(AND_WHAT_FOLLOWS))
        return chosen


@frozen
class Rerun:
    """What a new session takes over from the one that it runs again."""

    earlier: Earlier
    #: The jobs that run in any case; see `Runner.rerun`.
    jobs: str | Sequence[str]

    def reused(self, pipeline: Pipeline, inputs: Inputs, job_types: Mapping[str, JobType]) -> tuple[str, ...]:
        """The jobs that take their outputs over."""
        verdicts = self.earlier.verdicts(pipeline, inputs, job_types, self.jobs)
        return tuple(job for job, verdict in verdicts.items() if verdict.origin is not None)


def outputs(state: SessionState, jobs: Sequence[str]) -> dict[str, tuple[str, Json]]:
    """What jobs take over from a session: the one in which each output was made, and the output."""
    return {
        job: (found.reused_from or state.id, found.encoded_output)
        for job in jobs
        if (found := state.jobs.get(job)) is not None and found.status is JobStatus.SUCCEEDED
    }


def restore(live: Live, load: Callable[[str], Live]) -> None:
    """Reads again what the jobs of a session, which somebody else began, are to take over.

    What is gone is left out: those jobs run. Gone is also a session of which another one has the id now: an
    idempotency key that was used again after the housekeeping.

    Args:
        live: the session.
        load: gives another one as its history leaves it.
    """
    created = live.machine.state.created
    if created is None or created.rerun_of is None:
        return
    open_ = [job for job in created.reuse if live.machine.state.jobs[job].status is JobStatus.PENDING]
    if not open_:
        return
    try:
        earlier = load(created.rerun_of)
    except (NotFound, StoreError):
        return
    state = earlier.machine.state
    if state.status.is_terminal and state.created is not None and state.created.at <= created.at:
        live.reusable = outputs(state.snapshot(earlier.position), open_)


def take_over(live: Live, job: str, at: datetime) -> ev.Event:
    """What comes of a job that is to take its output over."""
    found = live.reusable.pop(job, None)
    if found is None:
        created = live.machine.state.created
        of = "" if created is None else f" of session {created.rerun_of}"
        return ev.ReuseFailed(at, job, f"the output{of} is gone")
    return ev.JobReused(at, job, *found)


#: Jobs that "failed" means.
_BAD = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.UNKNOWN})


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _add_what_follows(chosen: dict[str, str], pipeline: Pipeline, job: str) -> None:
    """Adds all that is downstream of a job, near and far."""
    stack, seen = [job], {job}
    while stack:
        for child in pipeline.graph.downstream[stack.pop()]:
            if child not in seen:
                seen.add(child)
                stack.append(child)
                chosen.setdefault(child, _follows(job))


def _follows(job: str) -> str:
    return f"it follows '{job}', which runs"


def _difference(before: Digest, now: Digest) -> str:
    """What has changed about a job, as a person says it."""
    if before.type != now.type:
        return f"its type was '{before.type}'"
    for what, old, new in (
        ("field", before.options, now.options),
        ("input", before.parameters, now.parameters),
    ):
        names = [name for name in (*new, *(set(old) - set(new))) if old.get(name) != new.get(name)]
        if names:
            return f"its {what} {', '.join(names)} changed"
    if before.for_each != now.for_each:
        return "its for_each changed"
    if before.binding != now.binding:
        return "its binding changed"
    if now.fresh is not None and before.session != now.session:
        return f"it refers to ${{{now.fresh}}}, which is another one in each session"
    gone = [parent for parent in before.upstream if parent not in now.upstream]
    other = [parent for parent, digest in now.upstream.items() if before.upstream.get(parent) != digest]
    if other:
        return f"'{other[0]}', which it depends on, changed"
    return f"it does not depend on '{gone[0]}' any more" if gone else "it changed"
