"""Where in its file a pipeline says what turns out to be wrong once it is to run.

A `Pipeline` has no places, so that one in which nothing is wrong costs none: it remembers which file it was
loaded from, and that is read once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.dsl import passed
from bunsui.dsl.problems import Problem
from bunsui.errors import DefinitionError, PluginError

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.dsl.templating import Expanded
    from bunsui.model.pipeline import Pipeline

#: Where a pipeline has it; neither its digest nor equality knows of it.
_NOTE = "_file"
_Steps = tuple[str | int, ...]


def note(pipeline: Pipeline, path: Path) -> Pipeline:
    """Notes in a pipeline which file it was loaded from, and returns it.

    Args:
        pipeline: what was loaded.
        path: the file, as it was given: problems name it so.
    """
    vars(pipeline)[_NOTE] = (str(path), str(path.absolute()))
    return pipeline


@contextlib.contextmanager
def placing(pipeline: Pipeline, given: Mapping[str, Any]) -> Iterator[None]:
    """While this lasts, the problems of a `DefinitionError` get their places; see `placed`."""
    try:
        yield
    except DefinitionError as error:
        raise DefinitionError(placed(error.problems, pipeline, given)) from None


def placed(problems: Iterable[Problem], pipeline: Pipeline, given: Mapping[str, Any]) -> list[Problem]:
    """Problems with file, line and column where the definition's file still says the same; sorted.

    Each keeps its path, which leads into the pipeline as it is with its templates put in.

    Args:
        problems: those that have a file already, or are about what was given, stay as they are.
        pipeline: what they were found in.
        given: the parameters that were given, by name; a problem of any other is one of its declaration.
    """
    found = [*problems]
    read = _read(pipeline)
    if read is not None:
        found = [_placed(problem, *read, given) for problem in found]
    return sorted(found, key=Problem.sort_key)


def _read(pipeline: Pipeline) -> tuple[Document, list[Expanded]] | None:
    """The definition's file as it is now, and its jobs; None where it is gone, or another definition."""
    from bunsui.dsl.definition import to_pipeline  # noqa: PLC0415 - only where something is wrong
    from bunsui.dsl.loader import read  # noqa: PLC0415 - it notes the file here
    from bunsui.dsl.validator import validate  # noqa: PLC0415 - only where something is wrong

    name, path = vars(pipeline).get(_NOTE, (None, None))
    if path is None:
        return None
    try:
        document = evolve(read(Path(path)), file=name)
    except (DefinitionError, PluginError):
        return None
    validated = validate(document, passed.types(pipeline), any_type=True)
    if not validated.is_valid or to_pipeline(document.data, validated.jobs) != pipeline:
        return None
    return document, validated.expanded


def _placed(problem: Problem, document: Document, jobs: list[Expanded], given: Mapping[str, Any]) -> Problem:
    if problem.file is not None:
        return problem
    steps = tuple(part.replace("~1", "/").replace("~0", "~") for part in problem.path.split("/")[1:])
    where: _Steps | None = None
    match steps:
        case ("jobs", index, *rest):
            job = jobs[int(index)]
            where = job.locate(_typed(job.tree, rest))
        case ("parameters", name) if _was_not_given(name, given):
            where = _declared(document, name)
        case ("outputs" | "alerts", *_):
            where = _typed(document.data, steps)
    if where is None:
        return problem
    found = document.problem(
        problem.code, problem.message, where, hint=problem.hint, severity=problem.severity
    )
    return evolve(found, path=problem.path)


def _was_not_given(name: str, given: object) -> bool:
    return isinstance(given, Mapping) and given.get(name) is None


def _typed(value: Any, steps: Iterable[str]) -> _Steps:
    """The steps of a JSON pointer into a value, with those into lists as numbers."""
    found: list[str | int] = []
    for text in steps:
        step: str | int = int(text) if isinstance(value, list) and text.isdecimal() else text
        found.append(step)
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(found)


def _declared(document: Document, name: str) -> _Steps | None:
    """Where a parameter has its default, or else its name."""
    for i, declaration in enumerate(document.value(("parameters",)) or ()):
        if declaration["name"] == name:
            return ("parameters", i, "default" if "default" in declaration else "name")
    return None
