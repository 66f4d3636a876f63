"""What must be right before a session is created: bindings, and what they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.dsl.problems import Problem, did_you_mean, pointer
from bunsui.errors import BunsuiError, ConfigError, DefinitionError, JobError, PluginError
from bunsui.local.bindings import Bindings, Bound, importable, unimportable
from bunsui.local.callables import find
from bunsui.model.job import LOCAL_PREFIX
from bunsui.model.json import copied
from bunsui.model.text import text_of
from bunsui.ports.job_type import Function, JobType
from bunsui.ports.registered import REMEDY, left_out, unavailable
from bunsui.runner.attempts.event_loop import drop
from bunsui.runner.attempts.standing_in import nothing
from bunsui.runner.sessions.needs import needs, require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bunsui.local.supervisor import Supervisor
    from bunsui.model.pipeline import Job, Pipeline
    from bunsui.runner.assembly import Parts
    from bunsui.runner.attempts.standing_in import StandIn
    from bunsui.runner.driving.live import Live


#: Why a job that is not bound can't run where the run is local.
LOCAL = "the run is local, so nothing may run on AWS"


def used_bindings(
    pipeline: Pipeline,
    given: Bindings,
    job_types: Mapping[str, JobType],
    stands_in: StandIn = nothing,
    *,
    local: bool,
) -> Bindings:
    """Those of the given bindings that the pipeline's jobs use, but for those that something stands in for.

    Raises:
        DefinitionError: a job that is not bound can't run; all of them at once.
    """
    used: dict[str, dict[str, Bound]] = {}
    problems = []
    for i, job in enumerate(pipeline.jobs):
        kind = job_types[job.type]
        if kind.binding_field is None or stands_in(job) is not None:
            continue
        # A plugin's may be left out, or be no text: then it names nothing that could be bound.
        name = str(job.options.get(kind.binding_field, ""))
        bound_to = given.get(kind.name, {})
        if "${" in name:
            used.setdefault(kind.name, {}).update(bound_to)  # Known when the job starts.
        elif name in bound_to:
            used.setdefault(kind.name, {})[name] = bound_to[name]
        elif (reason := _unbound(kind, job, local=local)) is not None:
            problems.append(
                Problem(
                    "unbound-job",
                    f"job '{job.id}': {kind.binding_field} '{name}' is not bound, and {reason}",
                    did_you_mean(name, bound_to)
                    or f"bind it under '{kind.name}:' in bindings.yaml beside the definition",
                    path=pointer(["jobs", i, kind.binding_field]),
                )
            )
    if problems:
        raise DefinitionError(problems)
    return used


def _unbound(kind: JobType, job: Job, *, local: bool) -> str | None:
    if local:
        return LOCAL
    return why_unavailable(kind, job.options)


def why_unavailable(kind: JobType, options: Mapping[str, Any]) -> str | None:
    """Why a job can't run here unless it is bound; see `JobType.unavailable`, which gets copies.

    Raises:
        PluginError: the type failed to say so.
    """
    try:
        reason: object = kind.unavailable(copied(dict(options)))
    except KeyboardInterrupt:  # Of who waits for this.
        raise
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        wrong = f"failed: {type(error).__name__}: {text_of(error)}"
        raise PluginError(f"unavailable() of job type '{kind.name}' {wrong}", plugin=kind.name) from error
    if reason is None or type(reason) is str:
        return reason
    drop(reason)
    wrong = f"gave {type(reason).__name__}, neither text nor None"
    raise PluginError(f"unavailable() of job type '{kind.name}' {wrong}", plugin=kind.name)


def check_imports(bindings: Bindings, supervisor: Supervisor, path: Path | None) -> None:
    """Imports what the bindings name in the worker processes that will call it.

    Args:
        bindings: those that the session needs.
        supervisor: has the worker processes.
        path: the file that they came from; None: a mapping.

    Raises:
        DefinitionError: one can't be imported; all of them at once, with the reasons.
    """
    named = {(kind, name): to for kind, names in bindings.items() for name, to in names.items()}
    reasons = supervisor.check(importable([*named.values()]))
    if reasons:
        wrong = {
            place: reasons[to] for place, to in named.items() if isinstance(to, Function) and to in reasons
        }
        raise DefinitionError(unimportable(wrong, path))


def check_access(
    pipeline: Pipeline, used: Bindings, job_types: Mapping[str, JobType], stands_in: StandIn = nothing
) -> None:
    """Makes sure that the jobs that are not bound could begin; see `JobType.require`, which gets copies.

    Raises:
        BunsuiError: one could not.
        PluginError: a type failed to say so.
    """
    for job in pipeline.jobs:
        kind = job_types[job.type]
        if type(kind).require is JobType.require:
            continue  # As most do not: their options need not be copied.
        if stands_in(job) is None and not is_bound(kind, job, used):
            require_access(kind, job)


def require_access(kind: JobType, job: Job) -> None:
    """Makes sure that a job could begin.

    Raises:
        BunsuiError: it could not.
        PluginError: its type failed to say so.
    """
    try:
        kind.require(copied(dict(job.options)))
    except (KeyboardInterrupt, PluginError):
        raise
    except BunsuiError as error:
        raise of_job(error, kind, job)  # noqa: B904 - it is the same one, with more said
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        wrong = f"failed: {type(error).__name__}: {text_of(error)}"
        raise PluginError(f"require() of job type '{kind.name}' {wrong}", plugin=kind.name) from error


def is_bound(kind: JobType, job: Job, used: Bindings) -> bool:
    """Whether a job is bound, or may be, as its field is known when it starts."""
    if kind.binding_field is None:
        return False
    name = str(job.options.get(kind.binding_field, ""))
    return name in used.get(kind.name, {}) or ("${" in name and bool(used.get(kind.name)))


def of_job(error: BunsuiError, kind: JobType, job: Job) -> BunsuiError:
    """An error that says which job it is about, and that a binding would do, too."""
    if kind.binding_field is not None:
        bind = (
            f"or bind {kind.binding_field} '{job.options.get(kind.binding_field)}' to run it on this machine"
        )
        error.hint = bind if error.hint is None else f"{error.hint}; {bind}"
    error.message = f"job '{job.id}': {error.message}"
    error.args = (error.message if error.hint is None else f"{error.message}; {error.hint}",)
    return error


def check_folder(pipeline: Pipeline, hint: str) -> None:
    """Makes sure that the definition's folder is there: what runs is looked up in it.

    Raises:
        ConfigError: it is gone; `hint` says what to do.
    """
    if pipeline.base_dir is not None and not pipeline.base_dir.is_dir():
        raise ConfigError(f"the folder of the definition, {pipeline.base_dir}, is gone", hint=hint)


def check_resumable(live: Live, parts: Parts, job_types: Mapping[str, JobType]) -> None:
    """Makes sure that what has yet to run can be found by this process: nothing is lost by asking.

    Raises:
        ConfigError: the definition's folder is gone, a job type or callable can't be found, or a secret or
            pool is not configured; the session stays as it is.
        PluginError: a job type, or a secret's source, can't be found, and a plugin is disabled that may have
            it; likewise.
    """
    pipeline = live.pipeline
    stays = f"session {live.id} stays resumable"
    created = live.machine.state.created
    parameters = {} if created is None else created.parameters
    wanted = needs(pipeline, parameters)
    require(wanted, parts.settings, parts.pools, stays)
    parts.secrets.require(wanted.secrets)
    check_folder(pipeline, stays)
    in_processes: list[Function] = []
    for job in pipeline.jobs:
        if job.type not in job_types and not live.machine.state.jobs[job.id].status.is_terminal:
            what = f"job '{job.id}' has the type '{job.type}', which this runner does not know"
            hint = f"install the plugin that has it, or give it: Runner(plugins=[...]); {stays}"
            if why := left_out(job_types):
                raise unavailable(what, why, f"{REMEDY}; {stays}")
            raise ConfigError(what, hint=hint)
        target = job.options.get("callable", "")
        if live.machine.state.jobs[job.id].status.is_terminal or not isinstance(target, str) or not target:
            continue
        if parts.surroundings.stand_in(job) is not None:
            continue
        if target.startswith(LOCAL_PREFIX):
            if job.function is not None:
                continue
            raise ConfigError(
                f"job '{job.id}' calls '{target}', a callable of the process that started the session",
                hint=f"put it into a module; {stays} where it exists",
            )
        if "${" in target:
            continue  # Known when the job starts.
        function = Function(target, live.callable_folders, isolation=job.isolation)
        if job.isolation == "process" or job.timeout is not None:
            in_processes.append(evolve(function, isolation="process"))
            continue
        try:
            find(function)
        except JobError as error:
            raise ConfigError(f"job '{job.id}': {error.message}", hint=stays) from error
    bound = [to for names in live.bindings.values() for to in names.values()]
    for reason in parts.supervisor.check([*in_processes, *importable(bound)]).values():
        raise ConfigError(reason, hint=stays)
