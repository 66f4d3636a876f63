"""What ``-p`` gives: ``KEY=VALUE``, or with ``@FILE`` all the parameters of a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.dsl.parameters.inputs import parse_assignments, resolve_parameters
from bunsui.dsl.placing import placed
from bunsui.dsl.problems import Problem, pointer
from bunsui.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bunsui.dsl.document import Document
    from bunsui.model.pipeline import Pipeline

#: Begins the name of a file; what stands for standard input in place of a name, and in problems.
FILE, STDIN, STDIN_NAME = "@", "-", "<stdin>"
#: Bytes of a file are kept as text with this: it gives them back, whatever they are.
_BYTES = "surrogateescape"
#: What a file of parameters holds.
_OBJECT = 'such as {"day": "2026-01-31"}'


@frozen
class Given:
    """One ``-p``."""

    #: ``KEY=VALUE``, or what the file holds.
    text: str
    #: The file's name.
    file: str | None = None


def read(assignments: Sequence[str]) -> list[Given]:
    """What each ``-p`` gives; files are read here, before anything else is done.

    Raises:
        DefinitionError: a file can't be read, or standard input is named twice.
    """
    found = [_read(text.removeprefix(FILE)) if text.startswith(FILE) else Given(text) for text in assignments]
    if sum(given.file == STDIN_NAME for given in found) > 1:
        raise DefinitionError([Problem("bad-assignment", f"-p {FILE}{STDIN} is given twice")])
    return found


def _read(name: str) -> Given:
    from bunsui.dsl.parser import MAX_BYTES  # noqa: PLC0415 - a run without such a file does not need it

    if name == STDIN:
        return Given(sys.stdin.buffer.read(MAX_BYTES + 1).decode(errors=_BYTES), STDIN_NAME)
    try:
        with Path(name).open("rb") as file:
            return Given(file.read(MAX_BYTES + 1).decode(errors=_BYTES), name)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        message = f"the parameters can't be read: {reason}"
        hint = None if name else f"name a file, as in -p {FILE}values.json; {FILE}{STDIN} is standard input"
        raise DefinitionError([Problem("unreadable-file", message, hint, file=name or FILE)]) from error


def parameters(pipeline: Pipeline, given: Sequence[Given], *, partial: bool = False) -> dict[str, Any]:
    """The parameters of a session; what is given later wins over a file, and a file over what is before it.

    Args:
        pipeline: declares them.
        given: in the order of the command line.
        partial: whether those that are not given come from elsewhere.

    Raises:
        DefinitionError: one is wrong, with its file and place where it came from one; all of them at once,
            unless a file is no JSON or YAML.
    """
    texts, wrong = parse_assignments(pipeline, [one.text for one in given if one.file is None])
    values: dict[str, Any] = {}
    origins: dict[str, Document] = {}
    for one in given:
        if one.file is None:
            name = one.text.partition("=")[0]
            if name in texts:
                values[name] = texts[name]
            origins.pop(name, None)
        else:
            document = _document(one.text, one.file)
            values |= document.data
            origins |= dict.fromkeys(document.data, document)
    if origins or wrong:
        try:
            resolve_parameters(pipeline, values)
        except DefinitionError as error:
            # Of one whose text can't be read, that is said; it is not missing as well.
            said = {problem.path for problem in wrong}
            elsewhere = "missing-parameter" if partial else None
            more = [one for one in error.problems if one.path not in said and one.code != elsewhere]
            wrong += [_placed(problem, origins) for problem in placed(more, pipeline, values)]
    if wrong:
        raise DefinitionError(sorted(wrong, key=Problem.sort_key))
    return values


def _document(text: str, file: str) -> Document:
    from bunsui.dsl.parser import parse  # noqa: PLC0415 - see `_read`

    if not text.strip("\ufeff \t\r\n"):
        message = "there are no parameters in it"
        raise DefinitionError([Problem("empty-document", message, _OBJECT, file=file)])
    form = "yaml" if Path(file).suffix.lower() in {".yaml", ".yml"} else "json"
    document = parse(text.encode(errors=_BYTES), form, file)
    if not isinstance(document.data, dict):
        message = f"parameters must be an object, {_OBJECT}"
        raise DefinitionError([document.problem("wrong-type", message)])
    return document


def _placed(problem: Problem, origins: dict[str, Document]) -> Problem:
    """The problem with the file that the parameter came from, without its line: that may hold a secret."""
    for name, document in origins.items():
        path = pointer(["parameters", name])
        if problem.path == path or problem.path.startswith(f"{path}/"):
            span = document.span([name], key=True)
            line, column = (None, None) if span is None else (span.line, span.column)
            return evolve(problem, file=document.file, line=line, column=column, source=None)
    return problem
