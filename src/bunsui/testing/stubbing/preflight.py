"""What a test is told before anything starts: which jobs can't run here, and what it has not given."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from bunsui.dsl.problems import Problem, did_you_mean, pointer
from bunsui.errors import JobError
from bunsui.local.callables import find
from bunsui.model.job import LOCAL_PREFIX
from bunsui.ports.job_type import Function
from bunsui.runner.driving.live import callable_folders
from bunsui.runner.sessions.needs import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import Any

    from bunsui.model.job import Job
    from bunsui.model.pipeline import Pipeline

    #: A remedy; of the name of what it is for.
    Remedy = Callable[[str], str]


@frozen
class Remedies:
    """What a test does about what is missing."""

    stub: Remedy
    env: Remedy
    secret: Remedy


#: For who calls `run_pipeline`.
OF_A_CALL = Remedies(
    stub=lambda job: f"give it a stub: stubs={{'{job}': ...}}",
    env=lambda name: f"give its value: env={{'{name}': ...}}",
    secret=lambda name: f"give its value: secrets={{'{name}': ...}}",
)
#: For who uses the fixtures.
OF_FIXTURES = Remedies(
    stub=lambda job: f"give it a stub: bunsui_stubs['{job}'] = ...",
    env=lambda name: f"give its value: a fixture bunsui_env of your own, returning {{'{name}': ...}}",
    secret=lambda name: f"give its value: a fixture bunsui_secrets of your own, returning {{'{name}': ...}}",
)


def ungiven(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    env: Collection[str],
    secrets: Collection[str],
    remedies: Remedies,
) -> Iterator[Problem]:
    """The variables and secrets that a session needs and a test has not given.

    Args:
        pipeline: what is run.
        parameters: the values of all that it declares.
        env: the names of the variables that were given.
        secrets: the names of the secrets that were.
        remedies: what is done about it.
    """
    wanted = needs(pipeline, parameters)
    for root, code, names, given, remedy in (
        ("env", "unlisted-env", wanted.env, env, remedies.env),
        ("secrets", "unknown-secret", wanted.secrets, secrets, remedies.secret),
    ):
        for name, path in names.items():
            if name not in given:
                hint = did_you_mean(name, given) or remedy(name)
                yield Problem(code, f"${{{root}.{name}}} has no value", hint, path=pointer(path))


def unrunnable(
    pipeline: Pipeline, has_stub: Callable[[Job], bool], bindings_dir: str | None, remedies: Remedies
) -> Iterator[Problem]:
    """What is wrong with jobs that have no stub and would fail as soon as they start.

    One with a condition may never start.

    Args:
        pipeline: what is run.
        has_stub: whether a job does.
        bindings_dir: the folder of the bindings that were given.
        remedies: what is done about it.
    """
    folders = callable_folders(pipeline, bindings_dir)
    for i, job in enumerate(pipeline.jobs):
        if job.type != "custom" or job.condition is not None or has_stub(job):
            continue
        if "callable" in job.options:
            what, reason = "callable", _missing_callable(job, Function(job.options["callable"], folders))
        else:
            what, reason = "command", _missing_program(job)
        if reason is not None:
            text = f"job '{job.id}' can't run here: {reason}"
            yield Problem("unrunnable-job", text, remedies.stub(job.id), path=pointer(["jobs", i, what]))


def _missing_callable(job: Job, named: Function) -> str | None:
    if job.function is not None or named.target.startswith(LOCAL_PREFIX) or "${" in named.target:
        return None
    try:
        find(named)
    except JobError as error:
        return error.message
    return None


def _missing_program(job: Job) -> str | None:
    command = job.options["command"]
    if not isinstance(command, list) or not isinstance(command[0], str) or "${" in command[0]:
        return None  # A shell's script, or known when it starts.
    program = command[0]
    # A job's "python" is the interpreter of its runner, whatever the PATH.
    if program == "python" or "/" in program or shutil.which(program) is not None:
        return None
    return f"there is no program '{program}'"


def for_a_test(problem: Problem, pipeline: Pipeline, remedies: Remedies) -> Problem:
    """A problem with a remedy that a test has."""
    if problem.code != "unbound-job" or (problem.hint or "").startswith("did you mean"):
        return problem
    jobs = [job for i, job in enumerate(pipeline.jobs) if problem.path.startswith(pointer(["jobs", i, ""]))]
    return evolve(problem, hint=f"{remedies.stub(jobs[0].id)}, or a binding") if jobs else problem
