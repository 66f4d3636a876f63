"""Everything that is wrong with a definition, at once. Nothing is imported, nothing runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, SchemaError

from bunsui.dsl import schema
from bunsui.dsl.explain import explain
from bunsui.dsl.problems import Problem, did_you_mean, pointer, quoted
from bunsui.expressions.references import ROOTS, BadReference, Reference, references
from bunsui.model.graph import Graph

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.ports.job_type import Finding, JobType

Path = tuple[str | int, ...]
#: Keywords of JSON Schema that reach beyond the schema that they stand in, even into the network.
_REACHING = ("$ref", "$dynamicRef", "$id", "$schema", "$anchor", "$dynamicAnchor")


@cache
def _pipeline_validator() -> Draft202012Validator:
    return Draft202012Validator(schema.PIPELINE)


@cache
def _any_job_validator() -> Draft202012Validator:
    return Draft202012Validator(schema.ANY_JOB)


@cache
def _parameter_validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(schema.parameter_schema(kind))


def validate(document: Document, job_types: Mapping[str, JobType]) -> list[Problem]:
    """All that is wrong with a definition, sorted by position; an empty list if nothing is."""
    problems = list(_Validation(document, job_types).problems())
    return sorted(problems, key=Problem.sort_key)


def schema_problems(
    document: Document, validator: Draft202012Validator, value: Any, path: Path, what: str
) -> Iterator[Problem]:
    """What JSON Schema says of `value`, which stands at `path`."""
    if validator.is_valid(value):
        return
    # Each only once: every missing field has an error of its own, which explains them all.
    yield from dict.fromkeys(
        document.problem(code, message, (*path, *error.absolute_path, *below), key=key, hint=hint)
        for error in validator.iter_errors(value)
        for code, message, below, key, hint in explain(error, what)
    )


def findings(job_type: JobType, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
    """What a job's type finds wrong with it beyond its schema; see `JobType.check`."""
    try:
        return list(job_type.check(options, job))
    except Exception as error:  # Foreign code.
        return [("", "job-type-failed", f"its type failed to check it: {type(error).__name__}: {error}")]


class _Validation:
    """One pass over one document. Each step looks only at what the steps before it found sound."""

    def __init__(self, document: Document, job_types: Mapping[str, JobType]) -> None:
        self.document = document
        self.job_types = job_types
        self.validators: dict[str, Draft202012Validator] = {}
        self.parameters: set[str] = set()

    def problems(self) -> Iterator[Problem]:
        document, data = self.document, self.document.data
        yield from schema_problems(document, _pipeline_validator(), data, (), "the pipeline")
        if not isinstance(data, Mapping):
            return
        yield from self._later(data, (), schema.LATER_PIPELINE_FIELDS)
        yield from self._parameters(data.get("parameters"))
        jobs = data.get("jobs")
        if isinstance(jobs, list):
            sound = [(i, job) for i, job in enumerate(jobs) if isinstance(job, Mapping)]
            for i, job in sound:
                yield from self._job(i, job)
            yield from self._graph(sound)

    def _later(self, data: Mapping[str, Any], path: Path, names: tuple[str, ...]) -> Iterator[Problem]:
        for name in names:
            if name in data:
                yield self.document.problem(
                    "not-supported-yet",
                    f"'{name}' is part of the language, but this version of bunsui does not do it yet",
                    (*path, name),
                    key=True,
                    hint="leave it out, or use a later version",
                )

    # Parameters

    def _parameters(self, declared: Any) -> Iterator[Problem]:
        if not isinstance(declared, list):
            return
        for i, parameter in enumerate(declared):
            if not isinstance(parameter, Mapping):
                continue
            name = parameter.get("name")
            what = f"parameter {quoted(name)}" if isinstance(name, str) else "a parameter"
            kind = parameter.get("type", "string")
            kind = kind if kind in schema.PARAMETER_TYPES else "string"
            found = list(
                schema_problems(
                    self.document,
                    _parameter_validator(kind),
                    parameter,
                    ("parameters", i),
                    what,
                )
            )
            if isinstance(name, str):
                if name in self.parameters:
                    found.append(
                        self.document.problem(
                            "duplicate-parameter",
                            f"{what} is declared twice",
                            ("parameters", i, "name"),
                        )
                    )
                self.parameters.add(name)
            yield from found or self._default(i, parameter, kind, what)

    def _default(self, i: int, parameter: Mapping[str, Any], kind: str, what: str) -> Iterator[Problem]:
        if parameter.get("secret"):
            yield from self._later(parameter, ("parameters", i), ("secret",))
        keywords = {
            key: value
            for key, value in parameter.items()
            if key not in ("name", "type", "required", "default", "description", "secret")
        }
        value_schema = {"type": kind, **keywords}
        if wrong := _wrong_schema(value_schema):
            message, where = wrong
            yield self.document.problem("bad-schema", f"{what}: {message}", ("parameters", i, *where))
            return
        if parameter.get("default") is not None:
            yield from schema_problems(
                self.document,
                Draft202012Validator(value_schema),
                parameter["default"],
                ("parameters", i, "default"),
                f"the default of {what}",
            )

    # Jobs

    def _job(self, i: int, job: Mapping[str, Any]) -> Iterator[Problem]:
        path: Path = ("jobs", i)
        what = f"job {quoted(job['id'])}" if isinstance(job.get("id"), str) else f"job {i + 1}"
        yield from self._later(job, path, schema.LATER_JOB_FIELDS)
        kind = job.get("type")
        job_type = self.job_types.get(kind) if isinstance(kind, str) else None
        if job_type is None:
            yield from self._unknown_type(job, path, what)
            yield from schema_problems(self.document, _any_job_validator(), job, path, what)
            return
        if job_type.name not in self.validators:
            self.validators[job_type.name] = Draft202012Validator(schema.job_schema(job_type))
        validator = self.validators[job_type.name]
        own = schema.own_fields(job_type)
        options = {name: job[name] for name in own if name in job}
        # A text that holds a reference is validated when that is resolved; here it only has to be there.
        later = [pointer(where) for where, *_ in references(options, path)]
        found = [
            problem
            for problem in schema_problems(self.document, validator, job, path, what)
            if not any(_depends(problem, text) for text in later)
        ]
        yield from found
        if not found:
            for name, code, message in findings(job_type, options, job):
                where = (*path, name) if name else path
                yield self.document.problem(code, f"{what}: {message}", where)

    def _unknown_type(self, job: Mapping[str, Any], path: Path, what: str) -> Iterator[Problem]:
        known = f"one of: {', '.join(sorted(self.job_types))}"
        kind = job.get("type")
        if isinstance(kind, str):
            yield self.document.problem(
                "unknown-job-type",
                f"{what} has the type {quoted(kind)}, which does not exist",
                (*path, "type"),
                hint=did_you_mean(kind, self.job_types) or known,
            )
        elif "type" not in job:
            message = f"{what} needs 'type', the name of a job type"
            yield self.document.problem("missing-field", message, path, hint=known)
        # Else it is reported as of the wrong type, by the schema.

    # Graph and references

    def _graph(self, jobs: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
        places: dict[str, int] = {}
        depends_on: dict[str, list[str]] = {}
        for i, job in jobs:
            job_id, parents = job.get("id"), job.get("depends_on", [])
            if not isinstance(job_id, str):
                continue
            if job_id in places:
                yield self.document.problem(
                    "duplicate-id",
                    f"two jobs have the id {quoted(job_id)}; the first is job {places[job_id] + 1}",
                    ("jobs", i, "id"),
                )
                continue
            places[job_id] = i
            depends_on[job_id] = [
                parent for parent in (parents if isinstance(parents, list) else []) if isinstance(parent, str)
            ]
        for job_id, i in places.items():
            for k, parent in enumerate(depends_on[job_id]):
                if parent not in places:
                    yield self.document.problem(
                        "unknown-job",
                        f"job {quoted(job_id)} depends on {quoted(parent)}, which does not exist",
                        ("jobs", i, "depends_on", k),
                        hint=did_you_mean(parent, places),
                    )
        graph = Graph(depends_on)
        cycle = graph.find_cycle()
        if cycle is not None:
            closing = depends_on[cycle[0]].index(cycle[1])
            yield self.document.problem(
                "cycle",
                f"these jobs wait for each other: {' -> '.join(cycle)}",
                ("jobs", places[cycle[0]], "depends_on", closing),
                hint="each depends on the next one; take one of these dependencies out",
            )
        for i, job in jobs:
            yield from self._references(i, job, graph, cyclic=cycle is not None)

    def _references(self, i: int, job: Mapping[str, Any], graph: Graph, *, cyclic: bool) -> Iterator[Problem]:
        kind, job_id = self.job_types.get(str(job.get("type"))), job.get("id")
        fields = ("parameters", *(() if kind is None else schema.own_fields(kind)))
        # Before and after mean nothing in a cycle.
        ordered = job_id if isinstance(job_id, str) and not cyclic else None
        holders = {name: job[name] for name in fields if name in job}
        for where, offset, length, found in references(holders, ("jobs", i)):
            wrong = self._wrong(found, ordered, graph)
            if wrong is not None:
                code, message, hint = wrong
                yield self.document.problem(code, message, where, hint=hint, within=(offset, length))

    def _wrong(
        self, found: Reference | BadReference, job: str | None, graph: Graph
    ) -> tuple[str, str, str | None] | None:
        """(code, message, hint) of what is wrong with a reference, or None.

        Args:
            found: the reference.
            job: the job that it stands in; None: the order of the jobs is not looked at.
            graph: the pipeline's.
        """
        if isinstance(found, BadReference):
            return "bad-reference", str(found), None
        shown, path = f"${{{found.text}}}", found.path
        if found.root in schema.LATER_REFERENCES:
            message = f"{shown}: '{found.root}' is not supported yet by this version of bunsui"
            return "not-supported-yet", message, None
        if found.root in ("parameters", "jobs") and not path:
            message = f"{shown} needs a name after it"
            return "unknown-reference", message, f"write ${{{found.root}.NAME{_REST[found.root]}}}"
        if found.root == "parameters":
            name = str(path[0])
            if name in self.parameters:
                return None
            hint = did_you_mean(name, [*self.parameters, *ROOTS])
            return "unknown-reference", f"{shown}: there is no parameter '{name}'", hint
        if found.root != "jobs":
            allowed = {"session": ("id", "started_at"), "pipeline": ("name",)}[found.root]
            if len(path) == 1 and path[0] in allowed:
                return None
            known = " and ".join(f"${{{found.root}.{name}}}" for name in allowed)
            return "unknown-reference", f"{shown} does not exist", f"there is {known}"
        return _wrong_job_reference(shown, path, job, graph)


_REST = {"parameters": "", "jobs": ".output"}


def _wrong_job_reference(
    shown: str, path: Path, job: str | None, graph: Graph
) -> tuple[str, str, str | None] | None:
    name = str(path[0])
    if name not in graph.upstream:
        hint = did_you_mean(name, graph.upstream)
        return "unknown-reference", f"{shown}: there is no job '{name}'", hint
    attribute = path[1] if len(path) > 1 else None
    if attribute not in ("output", "status") or (attribute == "status" and len(path) > 2):
        return (
            "unknown-reference",
            f"{shown}: of a job there is .output, with a path, and .status",
            f"such as ${{jobs.{name}.output}}",
        )
    if job is None or name in graph.upstream[job] or name in graph.ancestors(job):
        return None
    if name == job or job in graph.ancestors(name):
        return "not-upstream", f"{shown}: job '{name}' can't have ended when '{job}' starts", None
    return (
        "not-upstream",
        f"{shown}: job '{name}' need not have ended when '{job}' starts",
        f"add '{name}' to the 'depends_on' of '{job}'",
    )


def _depends(problem: Problem, text: str) -> bool:
    """Whether a problem may vanish when the references in the text at the pointer `text` are resolved."""
    if problem.path == text:
        return problem.code in ("wrong-type", "bad-value", "out-of-range")
    return problem.code == "bad-value" and text.startswith(f"{problem.path}/")


def _wrong_schema(value_schema: dict[str, Any]) -> tuple[str, Path] | None:
    """(message, path) of what is wrong with the schema of a parameter's value, or None."""
    try:
        Draft202012Validator.check_schema(value_schema)
    except SchemaError as error:
        return error.message[:300], tuple(error.absolute_path)
    except (OverflowError, RecursionError):  # Of the regular expressions in it.
        return "a pattern in its schema is too large", ()
    stack: list[tuple[Path, Any]] = [((), value_schema)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            for name in _REACHING:
                if isinstance(value.get(name), str):
                    return f"'{name}' is not supported; write out what it stands for", (*path, name)
            stack.extend(((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            stack.extend(((*path, k), item) for k, item in enumerate(value))
    return None
