"""From a file, a text or a mapping to a checked `Pipeline`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.dsl.definition import PARAMETER_FIELDS, to_pipeline
from bunsui.dsl.parser import parse, plain
from bunsui.dsl.problems import Problem, pointer, quoted
from bunsui.dsl.schema import JOB_FIELDS
from bunsui.dsl.validator import validate
from bunsui.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bunsui.dsl.document import Document
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobType


def load(path: str | Path, job_types: Mapping[str, JobType]) -> Pipeline:
    """Reads a definition from a YAML or JSON file; by its ending, anything but ``.json`` is YAML.

    Raises:
        DefinitionError: it can't be read, or is wrong; all its problems at once.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        problem = Problem("unreadable-file", f"the definition can't be read: {reason}", file=str(path))
        raise DefinitionError([problem]) from error
    form = "json" if path.suffix.lower() == ".json" else "yaml"
    pipeline = _checked(parse(text, form, str(path)), job_types)
    return pipeline.at(path.absolute().parent)


def parse_text(
    text: str | bytes, form: str, filename: str | None, job_types: Mapping[str, JobType]
) -> Pipeline:
    """Reads a definition from text; see `Pipeline.parse`."""
    return _checked(parse(text, form, filename), job_types)


def from_mapping(mapping: Mapping[str, Any], job_types: Mapping[str, JobType]) -> Pipeline:
    """Reads a definition from a mapping; see `Pipeline.from_dict`."""
    return _checked(plain(mapping), job_types)


def check(pipeline: Pipeline, job_types: Mapping[str, JobType]) -> None:
    """Checks a pipeline that was made in Python as one that was loaded is.

    Raises:
        DefinitionError: it is wrong; all its problems at once.
    """
    if wrong := list(_lost_in_data(pipeline)):
        raise DefinitionError(wrong)
    _checked(plain(pipeline.to_dict()), job_types)


def _lost_in_data(pipeline: Pipeline) -> Iterator[Problem]:
    """What Python can say wrongly and `to_dict` does not show."""
    for i, job in enumerate(pipeline.jobs):
        if isinstance(job.timeout, str):
            yield Problem(
                "wrong-type",
                f"the timeout of job '{job.id}' must be a number of seconds, not {quoted(job.timeout)}",
                path=pointer(["jobs", i, "timeout"]),
            )
        for name in job.options:
            if name in JOB_FIELDS:
                yield Problem(
                    "misplaced-field",
                    f"job '{job.id}' has '{name}' among its options, but it is a field of every job",
                    f"write Job(..., {name}=...)",
                    path=pointer(["jobs", i, name]),
                )
    for i, parameter in enumerate(pipeline.parameters):
        for name in parameter.constraints:
            if name in PARAMETER_FIELDS:
                yield Problem(
                    "misplaced-field",
                    f"parameter '{parameter.name}' has '{name}' among its constraints, but it is a field",
                    f"write Parameter(..., {name}=...)",
                    path=pointer(["parameters", i, name]),
                )


def _checked(document: Document, job_types: Mapping[str, JobType]) -> Pipeline:
    problems = validate(document, job_types)
    if any(problem.severity == "error" for problem in problems):
        raise DefinitionError(problems)
    return to_pipeline(document.data)
