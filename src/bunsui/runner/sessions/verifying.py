"""What a run would miss at the services that do its work, told before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, field

from bunsui.dsl.placing import placed
from bunsui.dsl.problems import Problem, pointer
from bunsui.errors import BunsuiError, PluginError
from bunsui.expressions.settling import Unsettled, settle
from bunsui.jobs.aws import FIELDS
from bunsui.local.bindings import for_options
from bunsui.model.json import canonical, copied, whole
from bunsui.model.text import text_of
from bunsui.performance.batch import BatchProcessor
from bunsui.ports.job_type import JobType
from bunsui.runner.attempts.event_loop import drop
from bunsui.runner.sessions import creation, digests, preflight

if TYPE_CHECKING:
    from bunsui.local.bindings import Bindings
    from bunsui.model.job import Job
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import Finding, Hinted
    from bunsui.runner.assembly import Parts

#: Job types that are asked at once.
CONCURRENCY = 8
#: The code of findings that are no errors.
NOT_CHECKED = "not-checked"


class Checked(list[Problem]):
    """The problems that `Runner.check` has found, and what it has found besides.

    Args:
        problems: by position.
        found: see the attribute.
    """

    def __init__(self, problems: Iterable[Problem], found: Mapping[str, int]) -> None:
        super().__init__(problems)
        #: How much there is, and may be used, by the field that names it, such as ``function``.
        self.found = found


@define
class Question:
    """What one or several jobs need of a service: those that are neither bound nor stood in for."""

    kind: JobType
    #: Resolved, as far as can be.
    options: Mapping[str, Any]
    #: The indexes of the jobs.
    jobs: list[int] = field(factory=list)

    @property
    def what(self) -> tuple[str, ...] | None:
        """What it asks for: the field that names it, and what it is; None: it can't be told."""
        name = self.kind.binding_field
        if name is None or type(self.kind).verify is JobType.verify:
            return None
        return name, *(str(self.options.get(each)) for each in (name, *FIELDS))


def check(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    given: creation.Given,
    job_types: Mapping[str, JobType],
    parts: Parts,
    *,
    local: bool,
) -> Checked:
    """What a run would miss; see `Runner.check`."""
    inputs, used = creation.take_in(pipeline, parameters, given, job_types, parts, local=local)
    asked, problems = questions(pipeline, inputs, used, job_types, parts)
    found: set[tuple[str, ...]] = set()
    answers = BatchProcessor(1, concurrency=CONCURRENCY).process_batch(asked, _answers)
    for answer in answers:
        question = answer.item
        first = pipeline.jobs[question.jobs[0]]
        if isinstance(answer.error, BunsuiError) and not isinstance(answer.error, PluginError):
            raise preflight.of_job(answer.error, question.kind, first)
        if answer.error is not None:
            raise answer.error
        findings = answer.value or ()
        if not findings and not preflight.is_bound(question.kind, first, used):
            preflight.require_access(question.kind, first)
        if not findings and question.what is not None:
            found.add(question.what)
        problems += [_problem(i, pipeline.jobs[i], each) for i in question.jobs for each in findings]
    counts: dict[str, int] = {}
    for name, *_ in sorted(found):
        counts[name] = counts.get(name, 0) + 1
    return Checked(placed(problems, pipeline, parameters), counts)


def questions(
    pipeline: Pipeline,
    inputs: digests.Inputs,
    used: Bindings,
    job_types: Mapping[str, JobType],
    parts: Parts,
) -> tuple[list[Question], list[Problem]]:
    """What jobs need of services, by what they need, and what is wrong with their options already."""
    scope = inputs.scope(pipeline)
    found: dict[tuple[str, str], Question] = {}
    problems: list[Problem] = []
    for i, job in enumerate(pipeline.jobs):
        kind = job_types[job.type]
        if parts.surroundings.stand_in(job) is not None:
            continue
        settled = settle(job.options, scope, digests.is_known)
        options = _text(settled)
        if for_options(used, kind, options) is not None:
            continue
        if wrong := _wrong_options(job, kind, settled):
            problems += [Problem("invalid-options", text, path=pointer(["jobs", i])) for text in wrong]
            continue
        key = (kind.name, canonical(whole(options)))
        found.setdefault(key, Question(kind, options)).jobs.append(i)
    return [*found.values()], problems


def _wrong_options(job: Job, kind: JobType, settled: Mapping[str, Any]) -> list[str]:
    """What is wrong with options that held references, where nothing is left open."""
    if settled == job.options or any(_is_open(value) for value in settled.values()):
        return []
    from bunsui.dsl.options import wrong_options  # noqa: PLC0415 - jsonschema: 80 ms

    return wrong_options(job, kind, settled)


def _is_open(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_open, value.values()))
    return isinstance(value, Unsettled) or (isinstance(value, list) and any(map(_is_open, value)))


def _text(value: Any) -> Any:
    """Settled values with what is not known as in the definition."""
    if isinstance(value, Unsettled):
        return value.text
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    return [_text(item) for item in value] if isinstance(value, list) else value


def _answers(questions: Sequence[Question]) -> list[Sequence[Finding | Hinted]]:
    return [_answer(question.kind, question.options) for question in questions]


def _answer(kind: JobType, options: Mapping[str, Any]) -> Sequence[Finding | Hinted]:
    """What a job type finds wrong.

    Raises:
        BunsuiError: it could not ask.
        PluginError: it failed to say so, or gave something else.
    """
    try:
        given: object = kind.verify(copied(dict(options)))
        if not isinstance(given, list | tuple):
            drop(given)
            wrong = f"gave {type(given).__name__}, not a list of (field, code, message)"
        elif all(_is_finding(each) for each in given):
            return given
        else:
            wrong = "gave what is no list of (field, code, message), each a text"
    except (KeyboardInterrupt, BunsuiError):
        raise
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        wrong = f"failed: {type(error).__name__}: {text_of(error)}"
        raise PluginError(f"verify() of job type '{kind.name}' {wrong}", plugin=kind.name) from error
    raise PluginError(f"verify() of job type '{kind.name}' {wrong}", plugin=kind.name)


def _is_finding(given: object) -> bool:
    """Whether it is (field, code, message), or has what to do about it as a fourth text."""
    return isinstance(given, tuple) and len(given) in (3, 4) and all(type(part) is str for part in given)


def _problem(index: int, job: Job, found: Finding | Hinted) -> Problem:
    name, code, message, *hint = found
    return Problem(
        code,
        f"job '{job.id}': {message}",
        next(filter(None, hint), None),
        path=pointer(["jobs", index, *filter(None, [name])]),
        severity="warning" if code == NOT_CHECKED else "error",
    )
