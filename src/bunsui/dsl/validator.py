"""Everything that is wrong with a definition, at once. Nothing is imported, nothing runs."""

from __future__ import annotations

import re
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.dsl import schema
from bunsui.dsl.alerts import alert_problems
from bunsui.dsl.fields import MAX_JOBS
from bunsui.dsl.hints.habits import field_hint, job_type_hint
from bunsui.dsl.parameters.budget import Budget
from bunsui.dsl.parameters.declarations import Declarations
from bunsui.dsl.problems import Problem, did_you_mean, quoted
from bunsui.dsl.shapes import Shape, any_job_shape, pipeline_shape, schema_problems
from bunsui.dsl.templates import Templates
from bunsui.dsl.templating import Expanded
from bunsui.dsl.wiring import Wiring
from bunsui.expressions.references import references
from bunsui.model.json import copied
from bunsui.model.text import text_of
from bunsui.ports.job_type import JobType
from bunsui.ports.registered import with_left_out

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.ports.job_type import Finding

#: Most problems that are shown of one definition.
MAX_PROBLEMS = 100
#: Most errors, and most warnings, that are looked for: what is shown are the first of them by position.
_MAX_FOUND = 1000
#: Most problems that are looked at, those included that are only once more what another job has, too.
_MAX_LOOKED_AT = 20_000
#: The paths of what may be put into a job in more than one place.
_SHARED = re.compile("/templates/|/defaults(/|$)|/jobs/[0-9]+/with(/|$)")
#: What the messages of such problems say of the job in which they were found.
_OF_JOB = re.compile(
    "^(condition of |'[^']*' of )?(the pipeline|(job|template) ('[^']*'|[0-9]+)):? "
    "|(?<=job )('[^']*'|[0-9]+)|(?<=when )'[^']*'"
)


@frozen
class Validated:
    """What came of looking at a definition."""

    #: Sorted by position.
    problems: list[Problem]
    #: Its jobs, with templates and defaults put into them.
    expanded: list[Expanded]
    #: Whether all that is wrong with it is that there are no such job types, by whatever name.
    lacks_types: bool = False

    @property
    def jobs(self) -> list[Mapping[str, Any]]:
        """The trees of its jobs."""
        return [job.tree for job in self.expanded]

    @property
    def is_valid(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return not any(problem.severity == "error" for problem in self.problems)


def validate(document: Document, job_types: Mapping[str, JobType], *, any_type: bool = False) -> Validated:
    """All that is wrong with a definition.

    Args:
        document: the definition, as it is written.
        job_types: by name.
        any_type: whether a job of a type that is not among them is left to somebody who knows it.
    """
    validation = _Validation(document, job_types, any_type)
    errors: dict[object, Problem] = {}
    warnings: dict[object, Problem] = {}
    for number, problem in enumerate(validation.problems()):
        found = errors if problem.severity == "error" else warnings
        if len(found) < _MAX_FOUND:
            found.setdefault(_about(problem), problem)
        # Only what is refused anyway is not looked at to its end.
        if errors and (len(errors) >= _MAX_FOUND or number >= _MAX_LOOKED_AT):
            break
    return Validated(
        _shown([*errors.values()], [*warnings.values()], document.file),
        validation.expanded,
        bool(errors)
        and all((problem.code, problem.path) in validation.absent for problem in errors.values()),
    )


def _about(problem: Problem) -> object:
    """The same for problems that are found anew for each job that uses a template, or an input anew."""
    if not _SHARED.match(problem.path):
        return problem
    said = _OF_JOB.sub("", problem.message)
    return problem.code, problem.line, problem.column, problem.path, said


def _shown(errors: list[Problem], warnings: list[Problem], file: str | None) -> list[Problem]:
    """As many problems as are shown, by position; errors take the places of warnings."""
    errors.sort(key=Problem.sort_key)
    warnings.sort(key=Problem.sort_key)
    shown = [*errors[:MAX_PROBLEMS], *warnings[: max(MAX_PROBLEMS - len(errors), 0)]]
    rest = len(errors) + len(warnings) - len(shown)
    shown.sort(key=Problem.sort_key)
    if rest:
        more = "at least " if _MAX_FOUND in (len(errors), len(warnings)) else ""
        # Of warnings that are not shown, there is nothing to mend before a start.
        severity = "error" if len(errors) > MAX_PROBLEMS else "warning"
        message = f"{more}{rest} further problems are not shown"
        shown.append(Problem("too-many-problems", message, "mend these first", file=file, severity=severity))
    return shown


def findings(job_type: JobType, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
    """What a job's type finds wrong with it beyond its schema; see `JobType.check`, which gets copies.

    Where the type fails, or gives something else, that is what is found.
    """
    if getattr(job_type.check, "__func__", None) is JobType.check:
        return []
    try:
        own = copied(dict(job))
        given = job_type.check({name: own[name] for name in options}, own)
        if isinstance(given, Coroutine):
            given.close()
            raise TypeError("check() must not be async")
        if not isinstance(given, Iterable):
            raise TypeError(f"check() gave {type(given).__name__}, not a list of (field, code, message)")
        return [_finding(found) for found in given]
    except KeyboardInterrupt:  # Of who waits for this.
        raise
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        wrong = f"its type failed to check it: {type(error).__name__}: {text_of(error)}"
        return [("", "job-type-failed", wrong)]


def _finding(found: Any) -> Finding:
    if not isinstance(found, tuple | list) or [type(part) for part in found] != [str, str, str]:
        raise TypeError("what check() found is no list of (field, code, message), each a text")
    name, code, message = found
    return name, code, message


class _Validation:
    """One pass over one document. Each step looks only at what the steps before it found sound."""

    def __init__(self, document: Document, job_types: Mapping[str, JobType], any_type: bool) -> None:
        self.document = document
        self.job_types = job_types
        self.any_type = any_type
        self.shapes: dict[str, Shape] = {}
        self.expanded: list[Expanded] = []
        #: Code and path of the problems of types that are not there, and like none that is.
        self.absent: set[tuple[str, str]] = set()

    def problems(self) -> Iterator[Problem]:
        document, data = self.document, self.document.data
        if too_many := self._too_many_jobs():
            yield too_many
            return
        yield from schema_problems(document, pipeline_shape(), data, (), "the pipeline")
        if not isinstance(data, Mapping):
            return
        budget = Budget()
        declarations = Declarations(document, ("parameters",), "parameter", budget)
        yield from declarations.problems(data.get("parameters"))
        templates = Templates(document, self.job_types, budget)
        yield from templates.problems()
        jobs = data.get("jobs")
        if isinstance(jobs, list):
            yield from templates.expand(jobs, self.expanded)
            unsure = set()
            for job in self.expanded:
                found = list(self._job(job)) if job.is_sound else []
                yield from found
                if not job.is_sound or any(map(_is_about_order, found)):
                    unsure.add(str(job.tree.get("id")))
            yield from Wiring(
                document,
                self.job_types,
                templates,
                self.expanded,
                unsure,
                declarations.found,
                all_declared=isinstance(data.get("parameters", []), list),
            ).problems()
            if "alerts" in data:
                ids = [job.tree.get("id") for job in self.expanded]
                known = {id_ for id_ in ids if isinstance(id_, str)}
                yield from alert_problems(document, data["alerts"], known)
        yield from templates.unused()

    def _too_many_jobs(self) -> Problem | None:
        """Of more jobs than there may be, nothing else is looked at."""
        jobs = self.document.value(("jobs",))
        if not isinstance(jobs, list) or len(jobs) <= MAX_JOBS:
            return None
        message = f"'jobs' of the pipeline must have at most {MAX_JOBS:,} items, not {len(jobs):,}"
        return self.document.problem("out-of-range", message, ("jobs",))

    # Jobs

    def _job(self, expanded: Expanded) -> Iterator[Problem]:
        job, what = expanded.tree, expanded.named
        kind = job.get("type")
        job_type = self.job_types.get(kind) if isinstance(kind, str) else None
        if job_type is None:
            yield from schema_problems(self.document, any_job_shape(), job, (), what, expanded.locate)
            yield from self._unknown_type(expanded, what)
            return
        shape = self.shapes.get(job_type.name)
        if shape is None:
            shape = Shape.of(schema.job_schema(job_type))
            self.shapes[job_type.name] = shape
        options = {name: job[name] for name in schema.own_of(job, job_type)}
        # A text that holds a reference is validated when that is resolved; here it only has to be there.
        later = [] if shape.accepts(job) else [where for where, *_ in references(options)]
        found = list(schema_problems(self.document, shape, job, (), what, expanded.locate, later))
        yield from found
        if not found:
            for name, code, message in findings(job_type, options, job):
                where = expanded.locate((name,) if name else ())
                yield self.document.problem(code, f"{what}: {message}", where)
            yield from self._no_effect(expanded, what)

    def _no_effect(self, expanded: Expanded, what: str) -> Iterator[Problem]:
        job, place = expanded.tree, expanded.locate(("max_concurrency",))
        if "max_concurrency" in job and "for_each" not in job and place[0] == "jobs":
            message = f"'max_concurrency' of {what} has no effect without 'for_each'"
            hint = "for the whole pipeline it stands beside 'jobs'"
            yield self.document.problem("no-effect", message, place, key=True, hint=hint, severity="warning")

    def _unknown_type(self, expanded: Expanded, what: str) -> Iterator[Problem]:
        known = f"one of: {', '.join(sorted(self.job_types))}"
        kind = expanded.tree.get("type")
        if isinstance(kind, str) and not self.any_type:
            near = job_type_hint(kind, self.job_types)
            problem = self.document.problem(
                "unknown-job-type",
                f"{what} has the type {quoted(kind)}, which does not exist",
                expanded.locate(("type",)),
                hint=with_left_out(near or known, self.job_types),
            )
            if near is None:
                self.absent.add((problem.code, problem.path))
            yield problem
        elif "type" not in expanded.tree:
            message = f"{what} needs 'type', the name of a job type"
            slips = [name for name in expanded.tree if did_you_mean(str(name), ["type"])]
            hint = f"did you mean 'type' where it says '{slips[0]}'?" if slips else known
            yield self.document.problem("missing-field", message, expanded.locate(()), hint=hint)
            yield from self._in_no_type(expanded, what)
        # Else it is reported as of the wrong type, by the schema.

    def _in_no_type(self, expanded: Expanded, what: str) -> Iterator[Problem]:
        """Fields that a job of no type has."""
        known = {*schema.EXPANDED_FIELDS}.union(
            *(schema.own_fields(kind) for kind in self.job_types.values())
        )
        for name in expanded.tree:
            if name not in known:
                message = f"{what} has no field {quoted(name)}, whatever its type"
                place = expanded.locate((name,))
                hint = field_hint(name, sorted(known), expanded.tree[name])
                yield self.document.problem("unknown-field", message, place, key=True, hint=hint)


def _is_about_order(problem: Problem) -> bool:
    """Whether the job may wait for something else than it seems to: a wrong field may mean 'depends_on'."""
    return problem.code == "unknown-field" or "/depends_on" in problem.path
