"""The fields of a job's type, once their references are resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bunsui.dsl.parser import plain
from bunsui.dsl.schema import job_schema
from bunsui.dsl.shapes import Shape, schema_problems
from bunsui.dsl.validator import findings
from bunsui.errors import DefinitionError, JobError
from bunsui.expressions.references import escaped

if TYPE_CHECKING:
    from bunsui.model.pipeline import Job
    from bunsui.ports.job_type import JobType


def wrong_options(job: Job, job_type: JobType, options: Mapping[str, Any]) -> list[str]:
    """What is wrong with a job's resolved options, in words; an empty list if nothing is."""
    tree = {"id": job.id, "type": job.type, **options}
    what = f"job '{job.id}' (its references resolved)"
    shape = Shape.of(job_schema(job_type))
    try:
        found = [p.message for p in schema_problems(plain(tree), shape, tree, (), what)]
    except DefinitionError as error:
        return [f"{what}: {problem.message}" for problem in error.problems]
    if found:
        return found
    # Job types check what a definition says, where a '${' that stays as it is is written with another '$'.
    written = escaped(options)
    return [message for _, _, message in findings(job_type, written, {**tree, **written})]


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
