"""The fields of a job's type, once their references are resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bunsui.dsl.parser import plain
from bunsui.dsl.problems import pointer
from bunsui.dsl.schema import job_schema
from bunsui.dsl.shapes import Shape, schema_problems
from bunsui.dsl.validator import findings
from bunsui.errors import DefinitionError, JobError
from bunsui.expressions.references import Path, escaped, one_reference

if TYPE_CHECKING:
    from bunsui.model.pipeline import Job
    from bunsui.ports.job_type import JobType


def wrong_options(job: Job, job_type: JobType, options: Mapping[str, Any]) -> list[str]:
    """What is wrong with a job's resolved options, in words; an empty list if nothing is."""
    tree = {"id": job.id, "type": job.type, **options}
    what = f"job '{job.id}' (its references resolved)"
    shape = Shape.of(job_schema(job_type))
    try:
        wrong = list(schema_problems(plain(tree), shape, tree, (), what))
    except DefinitionError as error:
        return [f"{what}: {problem.message}" for problem in error.problems]
    if wrong:
        said = _of_nothing(job, options)
        return [f"{problem.message}{said.get(problem.path, '')}" for problem in wrong]
    # Job types check what a definition says, where a '${' that stays as it is is written with another '$'.
    written = escaped(options)
    return [message for _, _, message in findings(job_type, written, {**tree, **written})]


def _of_nothing(job: Job, options: Mapping[str, Any]) -> dict[str, str]:
    """Where in a job's options nothing came of a reference, as JSON pointers, with what to say of it."""
    resolved = dict(_leaves(options, ()))
    found = {}
    for where, text in _leaves(job.options, ()):
        reference = one_reference(text)
        if reference is not None and resolved.get(where, text) is None:
            said = f": nothing came of ${{{reference.text}}}"
            if reference.root == "parameters" and len(reference.path) == 1:
                said += f"; give the parameter '{reference.path[0]}' a default, such as \"\""
            found[pointer(where)] = said
    return found


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """What is in a value but for lists and mappings, each with its path."""
    # Recursion is bounded: definitions, and what they bring in, have a greatest depth.
    if isinstance(value, Mapping | list | tuple):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def check_options(
    job: Job, job_type: JobType, options: Mapping[str, Any], hidden: Sequence[str] = ()
) -> None:
    """Validates options that held references.

    Args:
        job: whose they are.
        job_type: its type.
        options: all of them, resolved.
        hidden: the names of the secrets whose values are among them.

    Raises:
        JobError: they are wrong, with the code ``InvalidOptions``.
    """
    wrong = wrong_options(job, job_type, options)
    if wrong and hidden:
        # What says what is wrong quotes values, and cuts them: half of one would not be found in it.
        named = ", ".join(hidden)
        wrong = [f"the fields of type '{job.type}' are wrong with the values of secrets in them: {named}"]
    if wrong:
        raise JobError("; ".join(wrong), code="InvalidOptions", retryable=False)
