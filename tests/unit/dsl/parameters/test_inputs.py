# ruff: noqa: E501 - rows of messages, written as they are shown
"""Parameters that are given, against those that are declared."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import StrEnum
from types import MappingProxyType

import pytest

from bunsui import Job, Parameter, Pipeline
from bunsui.dsl.parameters.inputs import parse_assignments, resolve_parameters
from bunsui.errors import DefinitionError


class Colour(StrEnum):
    RED = "red"


def declared(*parameters: Parameter) -> Pipeline:
    return Pipeline("etl", [Job("a", "lambda", {"function": "f"})], parameters)


def message(pipeline: Pipeline, given: dict) -> str:
    with pytest.raises(DefinitionError) as caught:
        resolve_parameters(pipeline, given)
    return str(caught.value)


RIGHT = [
    ("string", ""),
    ("string", "é水"),
    ("integer", 0),
    ("integer", -(2**63) + 1),
    ("number", 1),
    ("number", 1.5),
    ("boolean", False),
    ("array", [1, "x", None]),
    ("object", {"a": {"b": []}}),
]


@pytest.mark.parametrize(("kind", "value"), RIGHT)
def test_right(kind, value):
    """A value of the declared type is taken as it is."""
    assert {"p": value} == resolve_parameters(declared(Parameter("p", kind)), {"p": value})


WRONG = [
    ("string", 1, "text, not the number 1"),
    ("integer", "1", "a whole number, not the text '1'"),
    ("integer", True, "a whole number, not true"),
    ("integer", 1.5, "a whole number, not the number 1.5"),
    ("number", False, "a number, not false"),
    ("number", "x", "a number, not the text 'x'"),
    ("boolean", 0, "true or false, not the number 0"),
    ("boolean", "true", "true or false, not the text 'true'"),
    ("array", {}, "a list, not a mapping"),
    ("object", [1], "a mapping, not a list"),
    ("object", (1,), "a mapping, not a list"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), WRONG)
def test_wrong_type(kind, value, expected):
    """A value of another type is refused, saying what it must be and what it is."""
    said = message(declared(Parameter("p", kind)), {"p": value}).splitlines()[0]
    assert f"/parameters/p: error[wrong-type]: the value of parameter 'p' must be {expected}" == said


CONSTRAINTS = [
    ("string", {"enum": ["dev", "prod"]}, "prdo", "bad-value]: the value of parameter 'p' is 'prdo'; it must be one of: dev, prod\n    did you mean 'prod'?"),
    ("string", {"pattern": "^[a-z]+$"}, "A", "bad-value]: the value of parameter 'p' is 'A'; it must match the pattern ^[a-z]+$"),
    ("string", {"minLength": 2}, "a", "out-of-range]: the value of parameter 'p' must have at least 2 characters, not 1"),
    ("integer", {"minimum": 1}, 0, "out-of-range]: the value of parameter 'p' is 0; it must be at least 1"),
    ("number", {"exclusiveMaximum": 1}, 1, "out-of-range]: the value of parameter 'p' is 1; it must be less than 1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "constraints", "value", "expected"), CONSTRAINTS)
def test_constraints(kind, constraints, value, expected):
    """A value that breaks a constraint is refused with the constraint."""
    pipeline = declared(Parameter("p", kind, constraints=constraints))
    assert f"/parameters/p: error[{expected}" == message(pipeline, {"p": value})


def test_inside_a_list():
    """A wrong item of a list is pointed at."""
    pipeline = declared(Parameter("p", "array", constraints={"items": {"type": "integer"}}))
    assert (
        "/parameters/p/1: error[wrong-type]: '[1]' of the value of parameter 'p' must be a whole number, not the"
        " text 'x'" == message(pipeline, {"p": [1, "x"]})
    )


@pytest.mark.parametrize("given", [{}, {"p": None}])
def test_default(given):
    """What is not given, or given as null, is the default."""
    assert resolve_parameters(declared(Parameter("p", default="d")), given) == {"p": "d"}


def test_optional_without_default():
    """What is neither given nor has a default is None."""
    assert resolve_parameters(declared(Parameter("p")), {}) == {"p": None}


def test_falsy_value_is_not_missing():
    """A given false is not replaced by the default."""
    assert resolve_parameters(declared(Parameter("p", "boolean", default=True)), {"p": False}) == {"p": False}


@pytest.mark.parametrize(("given", "default"), [({"p": 1e2}, None), ({}, 100.0)])
def test_a_whole_float_is_an_integer(given, default):
    """JSON Schema takes 1e2 for an integer; a job gets one."""
    values = resolve_parameters(declared(Parameter("p", "integer", default=default)), given)
    assert ({"p": 100}, int) == (values, type(values["p"]))


@pytest.mark.parametrize("given", [{"p": "${secrets.db}"}, {"p": "${ secrets.db }"}])
def test_a_secret_is_given_by_name(given):
    """The value of a secret parameter is a reference to a secret, and stays one."""
    assert given == resolve_parameters(declared(Parameter("p", secret=True)), given)


@pytest.mark.parametrize("value", ["hunter2", "a ${secrets.db}", "${env.DB}", 3, ""])
def test_a_secret_is_not_given_itself(value):
    """Anything else is refused, and not shown: it may be the secret."""
    said = message(declared(Parameter("p", secret=True)), {"p": value})
    assert said.startswith("/parameters/p: error[bad-secret]: parameter 'p' is secret: ")
    assert "hunter2" not in said


def test_a_required_secret():
    """A secret may be required, and have a default."""
    assert "missing-parameter" in message(declared(Parameter("p", secret=True, required=True)), {})
    pipeline = declared(Parameter("p", secret=True, required=True, default="${secrets.db}"))
    assert {"p": "${secrets.db}"} == resolve_parameters(pipeline, {})


@pytest.mark.parametrize("given", [{}, {"bucket": None}])
def test_missing(given):
    """A required parameter without a value says its type, what it is for, and how to give it."""
    pipeline = declared(Parameter("bucket", required=True, description="where raw data is"))
    assert (
        "/parameters/bucket: error[missing-parameter]: pipeline 'etl' needs the parameter 'bucket', text"
        " (where raw data is)\n    give it with -p bucket=..., or in the mapping of parameters"
        == message(pipeline, given)
    )


@pytest.mark.parametrize(
    ("names", "name", "hint"),
    [
        (["bucket", "table"], "buckt", "did you mean 'bucket'?"),
        (["bucket", "table"], "zzz", "it has: bucket, table"),
        ([], "zzz", "it takes none"),
    ],
)
def test_unknown(names, name, hint):
    """An unknown name comes with the nearest known one, or all of them."""
    pipeline = declared(*map(Parameter, names))
    assert (
        f"/parameters/{name}: error[unknown-parameter]: pipeline 'etl' has no parameter '{name}'\n    {hint}"
        == message(pipeline, {name: 1})
    )


def test_name_that_is_no_text():
    """A name that is not text is unknown, not a crash."""
    assert "pipeline 'etl' has no parameter 3\n    it takes none" in message(declared(), {3: 1})


def test_all_at_once():
    """Unknown, mistyped and missing parameters are reported together."""
    pipeline = declared(Parameter("a", "integer"), Parameter("b", required=True), Parameter("c", "object"))
    with pytest.raises(DefinitionError) as caught:
        resolve_parameters(pipeline, {"x": 1, "a": "1", "c": {"k": object()}})
    assert [
        ("unknown-parameter", "/parameters/x"),
        ("wrong-type", "/parameters/a"),
        ("missing-parameter", "/parameters/b"),
        ("bad-type", "/parameters/c/k"),
    ] == [(p.code, p.path) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("number", float("nan"), "bad-number"),
        ("integer", 2**64, "bad-number"),
        ("string", "\ud800", "bad-encoding"),
        ("object", {"k": float("inf")}, "bad-number"),
    ],
)
def test_what_json_cannot_say(kind, value, code):
    """A value that can't be stored as JSON is refused before anything runs."""
    with pytest.raises(DefinitionError) as caught:
        resolve_parameters(declared(Parameter("p", kind)), {"p": value})
    assert [code] == [p.code for p in caught.value.problems]


# Assignments


ASSIGNED = [
    ("string", "p=", ""),
    ("string", "p=a=b", "a=b"),
    ("string", "p=12", "12"),
    ("string", "p=null", "null"),
    ("integer", "p=12", 12),
    ("number", "p=1e2", 100.0),
    ("boolean", "p=true", True),
    ("array", "p=[1, 2]", [1, 2]),
    ("object", 'p={"a": null}', {"a": None}),
    ("integer", "p=null", None),
]


@pytest.mark.parametrize(("kind", "text", "value"), ASSIGNED)
def test_assignment(kind, text, value):
    """Text is taken as it is; every other type is read as JSON."""
    assert ({"p": value}, []) == parse_assignments(declared(Parameter("p", kind)), [text])


def test_unknown_assignment_is_kept():
    """An unknown name is left for resolve_parameters, which reports it with all else."""
    assert ({"x": "1"}, []) == parse_assignments(declared(), ["x=1"])


def test_wrong_assignments():
    """All assignments that can't be read are reported at once."""
    pipeline = declared(Parameter("n", "integer"), Parameter("b", "boolean"), Parameter("s"))
    given = ["plain", "n=one", "b=True", "s=1", "s=2", "n=" + "[" * 100_000]
    values, problems = parse_assignments(pipeline, given)
    assert {"s": "1"} == values
    assert [
        "bad-assignment: 'plain' is not of the form name=value",
        "wrong-type: parameter 'n' must be a whole number, not 'one'",
        "wrong-type: parameter 'b' must be true or false, not 'True'",
        "duplicate-parameter: parameter 's' is given twice",
        f"wrong-type: parameter 'n' must be a whole number, not '{'[' * 78}…",
    ] == [f"{p.code}: {p.message}" for p in problems]


COPIED = [
    ("array", ("a", "b"), ["a", "b"]),
    ("array", [{"x": ("y",)}], [{"x": ["y"]}]),
    ("object", OrderedDict(a=1), {"a": 1}),
    ("object", MappingProxyType({"a": [1]}), {"a": [1]}),
    ("string", Colour.RED, "red"),
]


@pytest.mark.parametrize(("kind", "given", "expected"), COPIED)
def test_what_is_given_becomes_plain_data(kind, given, expected):
    """Jobs, conditions and the history see what JSON has: the same as from a file."""
    value = resolve_parameters(declared(Parameter("p", kind)), {"p": given})["p"]
    assert (expected, json.dumps(expected)) == (value, json.dumps(value))
    assert type(expected) is type(value)


def test_what_is_given_is_copied():
    """Who changes his list after the start changes no session."""
    given = [[1]]
    values = resolve_parameters(declared(Parameter("p", "array")), {"p": given})
    given[0].append(2)
    assert {"p": [[1]]} == values


def test_parameters_that_are_no_mapping() -> None:
    """They are refused as any other wrong parameters, rather than taken apart."""
    pipeline = Pipeline("p", [Job("a", "custom", command=["true"])])
    with pytest.raises(DefinitionError, match=r"parameters are of type int, not a mapping"):
        resolve_parameters(pipeline, 3)  # type: ignore[arg-type]
