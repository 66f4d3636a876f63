"""The parameters that a session is started with, against their declarations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bunsui.dsl.names import SECRET_VALUE, is_secret_reference
from bunsui.dsl.problems import Problem, did_you_mean, pointer, quoted
from bunsui.dsl.tree import encodable
from bunsui.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bunsui.model.pipeline import Parameter, Pipeline


def resolve_parameters(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every declared parameter: given, default, or None.

    What was given is copied: who changes it later changes no session.

    Raises:
        DefinitionError: one is missing, unknown or not of its declaration; all of them at once. Or `given` is
            no mapping.
    """
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        text = f"parameters are of type {kind}, not a mapping from name to value"
        raise DefinitionError(
            [Problem("wrong-type", text, 'such as {"source_bucket": "flights"}', path="/parameters")]
        )
    declared = {parameter.name: parameter for parameter in pipeline.parameters}
    problems = [
        Problem(
            "unknown-parameter",
            f"pipeline '{pipeline.name}' has no parameter {quoted(name)}",
            did_you_mean(str(name), declared)
            or (f"it has: {', '.join(declared)}" if declared else "it takes none"),
            path=pointer(["parameters", name]),
        )
        for name in given
        if name not in declared
    ]
    values: dict[str, Any] = {}
    for name, parameter in declared.items():
        value = given.get(name)
        if value is None:
            value = parameter.default
        elif parameter.secret:
            # What was given instead may be the secret itself: it is not shown.
            if not is_secret_reference(value):
                message = f"parameter '{name}' is secret: {SECRET_VALUE}"
                hint = "its value is looked up when a job starts"
                problems.append(Problem("bad-secret", message, hint, path=pointer(["parameters", name])))
        else:
            value, found = _taken(parameter, value)
            problems.extend(found)
        if value is None and parameter.required:
            problems.append(
                Problem(
                    "missing-parameter",
                    f"pipeline '{pipeline.name}' needs the parameter '{name}', {_expected(parameter)}",
                    f"give it with -p {name}=..., or in the mapping of parameters",
                    path=pointer(["parameters", name]),
                )
            )
        if parameter.type == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON Schema takes 1e2 for an integer; who gets it, may not.
        values[name] = value
    if problems:
        raise DefinitionError(problems)
    return values


def _expected(parameter: Parameter) -> str:
    from bunsui.dsl.words import type_names  # noqa: PLC0415 - with what it needs, below

    described = f" ({parameter.description})" if parameter.description else ""
    return f"{type_names(parameter.type)}{described}"


def _taken(parameter: Parameter, value: Any) -> tuple[Any, list[Problem]]:
    """The value that was given, as plain data of its own, and what is wrong with it."""
    if not parameter.constraints and _is_plain(parameter.type, value):
        return value, []
    from bunsui.dsl.parameters.budget import Budget  # noqa: PLC0415 - most need no schema
    from bunsui.dsl.parameters.values import MAX_COMPARISONS_AT_START, ValueSchema  # noqa: PLC0415 - as above
    from bunsui.dsl.parser import plain  # noqa: PLC0415 - what a run without parameters does not need

    path = ("parameters", parameter.name)
    try:
        document = plain({"parameters": {parameter.name: value}})
    except DefinitionError as error:
        return value, list(error.problems)
    what = f"the value of parameter '{parameter.name}'"
    value = document.data["parameters"][parameter.name]
    budget = Budget(MAX_COMPARISONS_AT_START)
    return value, list(ValueSchema(parameter.schema).problems(document, value, path, what, budget))


def _is_plain(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return type(value) is str and encodable(value)
        case "integer":
            return type(value) is int and abs(value) < 2**63
        case "boolean":
            return type(value) is bool
        case _:
            return False


#: How a value of these types is written on a command line.
_JSON = {
    "array": 'write JSON, as in -p \'{}=["a", "b"]\'',
    "object": "write JSON, as in -p '{}={{\"a\": 1}}'",
}


def parse_assignments(pipeline: Pipeline, assignments: Iterable[str]) -> tuple[dict[str, Any], list[Problem]]:
    """Parameters from texts of the form ``name=value``, read by the declared type, and what can't be read.

    A string parameter takes the text as it is; every other takes JSON. What is wrong with the values that are
    left, such as that a pipeline has no such parameter, `resolve_parameters` says.
    """
    declared = {parameter.name: parameter for parameter in pipeline.parameters}
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        parameter = declared.get(name)
        path = pointer(["parameters", name])
        if not equals:
            problems.append(Problem("bad-assignment", f"{quoted(assignment)} is not of the form name=value"))
        elif name in values:
            problems.append(Problem("duplicate-parameter", f"parameter '{name}' is given twice", path=path))
        elif not encodable(text):
            message = f"the value of parameter '{name}' is not UTF-8"
            hint = "give it in UTF-8; what is no text can be encoded, such as in Base64, or lie in a file"
            problems.append(Problem("bad-encoding", message, hint, path=path))
        elif parameter is None or parameter.type == "string":
            values[name] = text  # An unknown name is reported with the others, later.
        else:
            try:
                values[name] = json.loads(text)
            except (ValueError, RecursionError):
                from bunsui.dsl.words import type_names  # noqa: PLC0415 - only for what is wrong

                problems.append(
                    Problem(
                        "wrong-type",
                        f"parameter '{name}' must be {type_names(parameter.type)}, not {quoted(text)}",
                        _JSON.get(parameter.type, "").format(name) or None,
                        path=path,
                    )
                )
    return values, problems
