"""From a file, a text or a mapping to a checked `Pipeline`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.dsl import passed, placing
from bunsui.dsl.definition import to_pipeline
from bunsui.dsl.fields import JOB_FIELDS
from bunsui.dsl.parameters.fields import DECLARATION_FIELDS
from bunsui.dsl.parser import MAX_BYTES, parse, plain
from bunsui.dsl.problems import Problem, pointer, quoted
from bunsui.dsl.validator import Validated, validate
from bunsui.errors import DefinitionError
from bunsui.ports.registered import left_out, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui.dsl.document import Document
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobType


def load(path: str | Path, job_types: Mapping[str, JobType]) -> Pipeline:
    """Reads a definition from a YAML or JSON file; by its ending, anything but ``.json`` is YAML.

    Raises:
        DefinitionError: it can't be read, or is wrong; all its problems at once.
        PluginError: nothing is wrong with it but that there is no such job type, and a plugin is disabled
            that may have it.
    """
    path = Path(path)
    return placing.note(_checked(read(path), job_types).at(path.absolute().parent), path)


def read(path: Path) -> Document:
    """What a file holds, unchecked.

    Raises:
        DefinitionError: it can't be read, or is no YAML or JSON.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)  # What has no end is too long as well.
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        is_name = isinstance(error, FileNotFoundError) and not path.suffix
        hint = "a registered pipeline is run with 'bunsui session start NAME'" if is_name else None
        problem = Problem("unreadable-file", f"the definition can't be read: {reason}", hint, file=str(path))
        raise DefinitionError([problem]) from error
    form = "json" if path.suffix.lower() == ".json" else "yaml"
    return parse(text, form, str(path))


def parse_text(
    text: str | bytes, form: str, filename: str | None, job_types: Mapping[str, JobType]
) -> Pipeline:
    """Reads a definition from text; see `Pipeline.parse`."""
    return _checked(parse(text, form, filename), job_types)


def from_mapping(mapping: Mapping[str, Any], job_types: Mapping[str, JobType]) -> Pipeline:
    """Reads a definition from a mapping; see `Pipeline.from_dict`."""
    return _checked(plain(mapping), job_types)


def check(pipeline: Pipeline, job_types: Mapping[str, JobType]) -> None:
    """Checks a pipeline, wherever it is from, unless that was done already with these job types.

    Raises:
        DefinitionError: it is wrong; all its problems at once.
    """
    if passed.with_these(pipeline, job_types):
        return
    if wrong := list(_lost_in_data(pipeline)):
        raise DefinitionError(wrong)
    _validated(plain(pipeline.to_dict()), job_types)
    passed.note(pipeline, job_types)


def made(pipeline: Pipeline, job_types: Mapping[str, JobType]) -> Pipeline:
    """A pipeline that was made in Python, checked, in plain data of its own.

    Jobs of types that are not among `job_types` are left to the runner that has them.

    Raises:
        DefinitionError: it is wrong; all its problems at once.
    """
    if wrong := list(_lost_in_data(pipeline)):
        raise DefinitionError(wrong)
    document = plain(pipeline.to_dict())
    _validated(document, job_types, any_type=True)
    functions = [job.function for job in pipeline.jobs]
    same = to_pipeline(document.data, functions=functions)
    return passed.note(same, job_types).at(pipeline.base_dir, pipeline.revision)


def _lost_in_data(pipeline: Pipeline) -> Iterator[Problem]:
    """What Python can say wrongly and `to_dict` does not show."""
    for i, job in enumerate(pipeline.jobs):
        path = pointer(["jobs", i])
        if not isinstance(job.options, Mapping):
            yield Problem("wrong-type", f"the options of job {quoted(job.id)} must be a mapping", path=path)
            continue
        for name in job.options:
            if name in JOB_FIELDS:
                yield Problem(
                    "misplaced-field",
                    f"job '{job.id}' has '{name}' among its options, but it is a field of every job",
                    f"write Job(..., {name}=...)",
                    path=pointer(["jobs", i, name]),
                )
    for i, parameter in enumerate(pipeline.parameters):
        if not isinstance(parameter.constraints, Mapping):
            message = f"the constraints of parameter {quoted(parameter.name)} must be a mapping"
            yield Problem("wrong-type", message, path=pointer(["parameters", i]))
            continue
        for name in parameter.constraints:
            if name in DECLARATION_FIELDS:
                yield Problem(
                    "misplaced-field",
                    f"parameter '{parameter.name}' has '{name}' among its constraints, but it is a field",
                    f"write Parameter(..., {name}=...)",
                    path=pointer(["parameters", i, name]),
                )


def problems(text: str | bytes | Path, job_types: Mapping[str, JobType]) -> list[Problem]:
    """All that is wrong with a definition, warnings included; see `bunsui.validate`.

    Args:
        text: the definition, or the path of its file.
        job_types: by name.
    """
    try:
        document = read(text) if isinstance(text, Path) else parse(text)
    except DefinitionError as error:
        return list(error.problems)
    return validate(document, job_types).problems


def _checked(document: Document, job_types: Mapping[str, JobType]) -> Pipeline:
    return passed.note(to_pipeline(document.data, _validated(document, job_types).jobs), job_types)


def _validated(document: Document, job_types: Mapping[str, JobType], *, any_type: bool = False) -> Validated:
    validated = validate(document, job_types, any_type=any_type)
    if not validated.is_valid:
        if validated.lacks_types and (why := left_out(job_types)):
            first, *others = validated.problems
            more = f", and {len(others)} more like it" if others else ""
            raise unavailable(f"{first.where}: {first.message}{more}", why)
        raise DefinitionError(validated.problems)
    return validated
