"""Everything that is wrong with a definition, at once. Nothing is imported, nothing runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.dsl import schema
from bunsui.dsl.explain import type_names
from bunsui.dsl.fields import JOB_FIELDS, LATER_JOB_FIELDS, LATER_PIPELINE_FIELDS, MAX_JOBS
from bunsui.dsl.hints.habits import field_hint, job_type_hint
from bunsui.dsl.names import (
    Declared,
    Names,
    Near,
    Place,
    few,
    unknown_job,
)
from bunsui.dsl.parameters.budget import Budget
from bunsui.dsl.parameters.declarations import Declarations
from bunsui.dsl.problems import Problem, did_you_mean, quoted
from bunsui.dsl.schemas import Path, Shape, any_job_shape, pipeline_shape, schema_problems
from bunsui.dsl.templates import Templates
from bunsui.dsl.templating import Expanded
from bunsui.expressions.references import Marked, marked, one_reference, references, references_in
from bunsui.model.graph import Graph

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.ports.job_type import Finding, JobType

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
#: Most references in one job: what resolving them costs at most.
MAX_REFERENCES = 1000


@frozen
class Validated:
    """What came of looking at a definition."""

    #: Sorted by position.
    problems: list[Problem]
    #: Its jobs, with templates and defaults put into them.
    jobs: list[Mapping[str, Any]]

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
        [job.tree for job in validation.expanded],
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
    """What a job's type finds wrong with it beyond its schema; see `JobType.check`."""
    try:
        return list(job_type.check(options, job))
    except Exception as error:  # Foreign code.
        return [("", "job-type-failed", f"its type failed to check it: {type(error).__name__}: {error}")]


class _Validation:
    """One pass over one document. Each step looks only at what the steps before it found sound."""

    def __init__(self, document: Document, job_types: Mapping[str, JobType], any_type: bool) -> None:
        self.document = document
        self.job_types = job_types
        self.any_type = any_type
        self.shapes: dict[str, Shape] = {}
        self.parameters: dict[str, Declared] = {}
        #: Whether what is not among the parameters does not exist, as far as can be told.
        self.all_declared = True
        self.expanded: list[Expanded] = []
        self.budget = Budget()
        #: The ids of jobs of which it is not sure what they wait for.
        self.unsure: set[str] = set()

    def problems(self) -> Iterator[Problem]:
        document, data = self.document, self.document.data
        if too_many := self._too_many_jobs():
            yield too_many
            return
        yield from schema_problems(document, pipeline_shape(), data, (), "the pipeline")
        if not isinstance(data, Mapping):
            return
        yield from self._later(data, lambda path: path, LATER_PIPELINE_FIELDS)
        declarations = Declarations(document, ("parameters",), "parameter", self.budget)
        yield from declarations.problems(data.get("parameters"))
        self.parameters = declarations.found
        self.all_declared = isinstance(data.get("parameters", []), list)
        templates = self.templates = Templates(document, self.job_types, self.budget)
        yield from templates.problems()
        jobs = data.get("jobs")
        if isinstance(jobs, list):
            yield from templates.expand(jobs, self.expanded)
            for job in self.expanded:
                found = list(self._job(job)) if job.is_sound else []
                yield from found
                if not job.is_sound or any(map(_is_about_order, found)):
                    self.unsure.add(str(job.tree.get("id")))
            yield from self._graph()
        yield from templates.unused()

    def _too_many_jobs(self) -> Problem | None:
        """Of more jobs than there may be, nothing else is looked at."""
        jobs = self.document.value(("jobs",))
        if not isinstance(jobs, list) or len(jobs) <= MAX_JOBS:
            return None
        message = f"'jobs' of the pipeline must have at most {MAX_JOBS:,} items, not {len(jobs):,}"
        return self.document.problem("out-of-range", message, ("jobs",))

    def _later(
        self, data: Mapping[str, Any], locate: Callable[[Path], Path], names: Sequence[str]
    ) -> Iterator[Problem]:
        for name in names:
            if name in data:
                yield self.document.problem(
                    "not-supported-yet",
                    f"'{name}' is part of the language, but this version of bunsui does not do it yet",
                    locate((name,)),
                    key=True,
                    hint="leave it out, or use a later version",
                )

    # Jobs

    def _job(self, expanded: Expanded) -> Iterator[Problem]:
        job, what = expanded.tree, named(expanded)
        yield from self._later(job, expanded.locate, LATER_JOB_FIELDS)
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
        options = {name: job[name] for name in self._own(job, job_type)}
        # A text that holds a reference is validated when that is resolved; here it only has to be there.
        later = [] if shape.accepts(job) else [where for where, *_ in references(options)]
        found = list(schema_problems(self.document, shape, job, (), what, expanded.locate, later))
        yield from found
        if not found:
            for name, code, message in findings(job_type, options, job):
                where = expanded.locate((name,) if name else ())
                yield self.document.problem(code, f"{what}: {message}", where)
            yield from self._no_effect(expanded, what)

    @staticmethod
    def _own(job: Mapping[str, Any], job_type: JobType) -> list[str]:
        """The fields of the job's type that it has; where that names some by patterns, all others."""
        own: Collection[str] = schema.own_fields(job_type)
        if "patternProperties" in job_type.schema:
            own = job.keys() - JOB_FIELDS.keys()
        return [name for name in job if name in own]

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
            yield self.document.problem(
                "unknown-job-type",
                f"{what} has the type {quoted(kind)}, which does not exist",
                expanded.locate(("type",)),
                hint=job_type_hint(kind, self.job_types) or known,
            )
        elif "type" not in expanded.tree:
            message = f"{what} needs 'type', the name of a job type"
            near = [name for name in expanded.tree if did_you_mean(str(name), ["type"])]
            hint = f"did you mean 'type' where it says '{near[0]}'?" if near else known
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

    # Graph and references

    def _graph(self) -> Iterator[Problem]:
        near = Near()
        places: dict[str, Expanded] = {}
        depends_on: dict[str, list[str]] = {}
        for job in self.expanded:
            job_id, parents = job.tree.get("id"), job.tree.get("depends_on", [])
            if not isinstance(job_id, str):
                continue
            if job_id in places:
                first = places[job_id].index + 1
                yield self.document.problem(
                    "duplicate-id",
                    f"two jobs have the id {quoted(job_id)}; the first is job {first}",
                    job.locate(("id",)),
                    hint="give one of them another id",
                )
                continue
            places[job_id] = job
            depends_on[job_id] = [
                parent for parent in (parents if isinstance(parents, list) else []) if isinstance(parent, str)
            ]
        for job_id, job in places.items():
            for k, parent in enumerate(depends_on[job_id]):
                if parent not in places:
                    self.unsure.add(job_id)
                    yield self.document.problem(
                        "unknown-job",
                        f"job {quoted(job_id)} depends on {quoted(parent)}, which does not exist",
                        job.locate(("depends_on", k)),
                        hint=unknown_job(parent, places, near),
                    )
        graph = Graph(depends_on)
        cycle = graph.find_cycle()
        if cycle is not None:
            yield self._cycle(cycle, places[cycle[0]], depends_on[cycle[0]])
        fans = frozenset(job_id for job_id, job in places.items() if "for_each" in job.tree)
        names = Names(self.parameters, graph, self.all_declared, near, fans)
        unsure = _and_below(graph, self.unsure)
        for job in self.expanded:
            # Before and after mean nothing in a cycle, nor for the second of two jobs with one id, nor where
            # what a job waits for is not known.
            job_id = job.tree.get("id")
            is_ordered = cycle is None and isinstance(job_id, str) and places[job_id] is job
            is_ordered = is_ordered and job_id not in unsure
            yield from self._references(job, names, job_id if is_ordered else None)
        yield from self._outputs(names)

    def _cycle(self, cycle: Sequence[str], job: Expanded, parents: list[str]) -> Problem:
        place = job.locate(("depends_on", parents.index(cycle[1])))
        if len(cycle) == 2:
            message = f"job {quoted(cycle[0])} depends on itself"
            return self.document.problem("cycle", message, place, hint="take this dependency out")
        shown = " -> ".join(cycle if len(cycle) <= _SHOWN_CYCLE else [*cycle[:_SHOWN_CYCLE], "..."])
        return self.document.problem(
            "cycle",
            f"these jobs wait for each other: {shown}",
            place,
            hint="each depends on the next one; take one of these dependencies out",
        )

    def _references(self, expanded: Expanded, names: Names, ordered: str | None) -> Iterator[Problem]:
        """The problems of a job's references; `ordered` is its id where its place among the jobs is known."""
        job = expanded.tree
        kind = self.job_types.get(str(job.get("type")))
        in_job = Place(ordered, item="for_each" in job)
        before = Place(ordered, no_secret=_IN_HISTORY)
        if (text := job.get("condition")) and isinstance(text, str):
            for (code, message, hint), offset, length in names.condition(text, before):
                what = f"condition of {named(expanded)}: {message}"
                yield self._within(expanded, ("condition",), code, what, hint, (offset, length))
        yield from self._given(expanded, names, in_job)
        yield from self._for_each(expanded, names)
        texts = _by_field(job)
        yield from self._resolved(expanded, texts.get("for_each", ()), names, before)
        own = () if kind is None else self._own(job, kind)
        resolved = [name for name in texts if name == "parameters" or name in own]
        for name in resolved:
            is_open = kind is not None and (name in kind.open_fields or name == kind.binding_field)
            place = evolve(in_job, no_secret=f"'{name}' can be read by others") if is_open else in_job
            yield from self._resolved(expanded, texts[name], names, place)
        count = sum(map(_count, chain.from_iterable(texts[name] for name in resolved)))
        if count > MAX_REFERENCES:
            message = f"{named(expanded)} has {count:,} references; at most {MAX_REFERENCES:,} are resolved"
            yield self.document.problem("too-many-references", message, expanded.locate(()), hint=_WHOLE)

    def _resolved(
        self, expanded: Expanded, texts: Sequence[Marked], names: Names, place: Place
    ) -> Iterator[Problem]:
        """The problems of the references in one field of a job."""
        for where, offset, length, (code, message, hint) in few(names.wrong_in(texts, place)):
            yield self._within(expanded, where, code, message, hint, (offset, length))
        yield from self._unresolved_keys(texts, expanded.locate)

    def _unresolved_keys(
        self, texts: Iterable[Marked], locate: Callable[[Path], Path] = lambda path: path
    ) -> Iterator[Problem]:
        keys = ((where, key) for where, key, is_key in texts if is_key and "$${" not in key)
        for where, key in islice(keys, _MAX_FOUND):
            if True:
                message = f"the key {quoted(key)} stays as it is: only values are resolved"
                hint = "let the job make a key of a value"
                place = locate(where)
                yield self.document.problem(
                    "no-effect", message, place, key=True, hint=hint, severity="warning"
                )

    def _given(self, expanded: Expanded, names: Names, place: Place) -> Iterator[Problem]:
        """The problems of the references in what a job gives its template, wherever that puts it."""
        path: Path = ("jobs", expanded.index, "with")
        given = self.document.value(path)
        if not expanded.is_sound or not isinstance(given, Mapping):
            return
        for where, offset, length, (code, message, hint) in few(names.wrong_in(marked(given, path), place)):
            yield self.document.problem(code, message, where, hint=hint, within=(offset, length))
        declared = self.templates.inputs(self.document.value((*path[:2], "template")))
        for name, value in given.items():
            reference = one_reference(value)
            kind = names.kind(reference) if reference is not None else None
            if kind not in (None, declared[name].kind):
                wanted = type_names(declared[name].type)
                message = f"the input '{name}' of {named(expanded)} must be {wanted}, and {value} is a {kind}"
                yield self.document.problem("wrong-type", message, (*path, name))

    def _within(
        self,
        expanded: Expanded,
        where: Path,
        code: str,
        message: str,
        hint: str | None,
        within: tuple[int, int],
    ) -> Problem:
        """A problem with a part of a text, shown at what its author wrote."""
        place, part = expanded.part(where, *within)
        return self.document.problem(code, message, place, hint=hint, within=part)

    def _for_each(self, expanded: Expanded, names: Names) -> Iterator[Problem]:
        value = expanded.tree.get("for_each")
        if not isinstance(value, str):
            return
        reference = one_reference(value)
        if reference is None:
            wrong = "it must be a list, or one reference to a list"
            hint = _LISTS
            if names.parameters.get(value.strip(), _NO_LIST).type == "array":
                hint = f"did you mean ${{{value.strip()}}}?"
        elif (kind := names.kind(reference)) not in (None, "list"):
            wrong = f"${{{reference.text}}} is a {kind}, not a list"
            hint = "declare the parameter with 'type: array'" if reference.root == "parameters" else _LISTS
        else:
            return
        message = f"'for_each' of {named(expanded)}: {wrong}"
        yield self.document.problem("bad-for-each", message, expanded.locate(("for_each",)), hint=hint)

    def _outputs(self, names: Names) -> Iterator[Problem]:
        outputs = self.document.data.get("outputs")
        place = Place(None, no_secret="outputs are kept in the history")  # noqa: S106 - a text
        texts = list(marked(outputs, ("outputs",)))
        for where, offset, length, (code, message, hint) in few(names.wrong_in(texts, place)):
            yield self.document.problem(code, message, where, hint=hint, within=(offset, length))
        count = sum(map(_count, texts))
        if count > MAX_REFERENCES:
            message = f"'outputs' holds {count:,} references; at most {MAX_REFERENCES:,} are resolved"
            yield self.document.problem("too-many-references", message, ("outputs",), hint=_WHOLE)
        yield from self._unresolved_keys(texts)


_WHOLE = "pass whole values, such as ${jobs.ID.output}"
#: What a fan-out runs over.
_LISTS = "such as ${jobs.list.output.files}, or a list such as [north, south]"
_NO_LIST = Declared("string")
_IN_HISTORY = "conditions and fan-outs are kept in the history"
#: Jobs of a cycle that its problem names.
_SHOWN_CYCLE = 12


def _by_field(job: Mapping[str, Any]) -> dict[str, list[Marked]]:
    """What may hold references in a job, by the field that it is in; of too much, so much as tells that."""
    found: dict[str, list[Marked]] = {}
    seen: Counter[tuple[str, bool]] = Counter()
    for text in marked(job):
        field = str(text[0][0])
        seen[field, text[2]] += 1
        if seen[field, text[2]] <= MAX_REFERENCES + 1:
            found.setdefault(field, []).append(text)
    return found


def _is_about_order(problem: Problem) -> bool:
    """Whether the job may wait for something else than it seems to: a wrong field may mean 'depends_on'."""
    return problem.code == "unknown-field" or "/depends_on" in problem.path


def _and_below(graph: Graph, jobs: set[str]) -> set[str]:
    """These jobs, and all that wait for them, near and far."""
    found: set[str] = set()
    stack = list(jobs)
    while stack:
        job = stack.pop()
        if job not in found:
            found.add(job)
            stack.extend(graph.downstream.get(job, ()))
    return found


def _count(text: Marked) -> int:
    """The number of references in a text."""
    return 0 if text[2] else sum(1 for _ in references_in(text[1]))


def named(job: Expanded) -> str:
    """A job for a message."""
    job_id = job.tree.get("id")
    return f"job {quoted(job_id)}" if isinstance(job_id, str) else f"job {job.index + 1}"
