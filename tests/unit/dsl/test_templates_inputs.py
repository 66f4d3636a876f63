# ruff: noqa: E501 - rows of inputs, each on a line
"""The inputs that jobs give to templates, against their declarations."""

from __future__ import annotations

import pytest

import bunsui
from bunsui.dsl.parser import plain
from bunsui.dsl.validator import validate

TYPES = bunsui.Plugins(autoload=False).job_types


def given_inputs(inputs, given, **fields):
    """The problems of a job that gives `given` to a template with these inputs; or its parameters."""
    template = {"type": "lambda", "function": "f", "inputs": inputs, **fields}
    job = {"id": "a", "template": "t", **({} if given is None else {"with": given})}
    tree = {"version": "1.0", "name": "n", "templates": {"t": template}, "jobs": [job]}
    validated = validate(plain(tree), TYPES)
    return [(p.code, p.path) for p in validated.problems] or validated.jobs[0].get("parameters")


X = {"name": "x"}
GIVEN = [
    ([{**X, "type": "integer"}], {"x": "3"}, [("wrong-type", "/jobs/0/with/x")]),
    ([{**X, "type": "integer"}], {"x": True}, [("wrong-type", "/jobs/0/with/x")]),
    ([{**X, "type": "integer", "minimum": 1}], {"x": 0}, [("out-of-range", "/jobs/0/with/x")]),
    ([{**X, "enum": ["a"]}], {"x": "b"}, [("bad-value", "/jobs/0/with/x")]),
    ([{**X, "type": "array", "items": {"type": "string"}}], {"x": ["a", 1]}, [("wrong-type", "/jobs/0/with/x/1")]),
    ([{**X, "type": "object", "additionalProperties": False}], {"x": {"a": 1}}, [("unknown-field", "/jobs/0/with/x/a")]),
    ([X], {"y": 1}, [("unknown-input", "/jobs/0/with/y")]),
    ([], {"y": 1, "z": 1}, [("unknown-input", "/jobs/0/with/y"), ("unknown-input", "/jobs/0/with/z")]),
    ([{**X, "required": True}], {}, [("missing-input", "/jobs/0/with")]),
    ([{**X, "required": True}], {"x": None}, [("missing-input", "/jobs/0/with")]),
    ([{**X, "required": True}], None, [("missing-input", "/jobs/0/template")]),
    ([{**X, "required": True}, {"name": "y", "required": True}], {}, [("missing-input", "/jobs/0/with")] * 2),
    ([X], [1], [("wrong-type", "/jobs/0/with")]),
    ([X], {"x": "${nope}"}, [("unknown-reference", "/jobs/0/with/x")]),
    ([X], {"x": "${"}, [("bad-reference", "/jobs/0/with/x")]),
    ([{**X, "type": "array"}], {"x": ["${item}"]}, [("unknown-reference", "/jobs/0/with/x/0")]),
    ([X], {"x": "${inputs.x}"}, [("unknown-reference", "/jobs/0/with/x")]),
    # A reference of which it is known what it brings.
    ([{**X, "type": "integer"}], {"x": "${session.id}"}, [("wrong-type", "/jobs/0/with/x")]),
    ([{**X, "type": "array"}], {"x": "${env.HOME}"}, [("wrong-type", "/jobs/0/with/x")]),
]  # fmt: skip


@pytest.mark.parametrize("fields", [{}, {"parameters": {"p": "${session.id}"}}], ids=["bare", "unused"])
@pytest.mark.parametrize(("inputs", "given", "expected"), GIVEN)
def test_wrong_inputs(inputs, given, expected, fields):
    """What is given is held to its declaration, and reported where it is given, used or not."""
    assert expected == given_inputs(inputs, given, **fields)


RIGHT = [
    ([X], {"x": "a"}, "a"),
    ([{**X, "type": "integer"}], {"x": 3.0}, 3),
    ([{**X, "type": "integer", "default": 3.0}], {}, 3),
    ([{**X, "type": "number"}], {"x": 3.0}, 3.0),
    ([{**X, "default": "d"}], {}, "d"),
    ([{**X, "default": "d"}], None, "d"),
    ([{**X, "default": "d"}], {"x": None}, "d"),
    ([{**X, "default": "d"}], {"x": ""}, ""),
    ([{**X, "type": "boolean", "default": True}], {"x": False}, False),
    ([{**X, "required": True, "default": "d"}], {}, "d"),
    ([{**X, "default": "${session.id}"}], {}, "${session.id}"),
    ([X], {}, None),
    # What is a reference, or holds one, is held to the declaration when it is resolved: by its job.
    ([{**X, "type": "integer", "minimum": 3}], {"x": "${item.rows}"}, "${item.rows}"),
    ([{**X, "enum": ["a"]}], {"x": "a-${session.id}"}, "a-${session.id}"),
    (
        [{**X, "type": "array", "items": {"type": "integer"}}],
        {"x": ["${session.id}", 1]},
        ["${session.id}", 1],
    ),
]


@pytest.mark.parametrize(("inputs", "given", "expected"), RIGHT)
def test_right_inputs(inputs, given, expected):
    """What is given counts; what is not, or is null, is the default, or null."""
    found = given_inputs(inputs, given, parameters={"p": "${inputs.x}"}, for_each=[1])
    assert repr({"p": expected}) == repr(found)


@pytest.mark.parametrize(
    ("inputs", "given", "text", "expected"),
    [
        ([{**X, "type": "object"}], {"x": {"a": 1}}, "${inputs.x.b}", ("bad-input", "/jobs/0/with/x")),
        (
            [{**X, "default": "US$"}],
            {},
            "${inputs.x}${session.id}",
            ("bad-input", "/templates/t/inputs/0/default"),
        ),
        ([X], {"x": "${session.name}"}, "- ${inputs.x}", ("unknown-reference", "/jobs/0/with/x")),
        (
            [{**X, "default": "${nope}"}],
            {},
            "- ${inputs.x}",
            ("unknown-reference", "/templates/t/inputs/0/default"),
        ),
    ],
)
def test_inputs_that_do_not_fit(inputs, given, text, expected):
    """Where an input is wrong for what the template makes of it, it is reported where it is given."""
    assert [expected] == given_inputs(inputs, given, parameters={"p": text})


def test_items_may_be_given():
    """A job with a fan-out, its own or its template's, gives its template what its items are."""
    assert {"p": "${item.a}"} == given_inputs(
        [X], {"x": "${item.a}"}, parameters={"p": "${inputs.x}"}, for_each=[{"a": 1}]
    )


def test_secrets_may_be_given():
    """Where the template puts a secret is what decides whether it may stand there."""
    given = {"x": "${secrets.s}"}
    found = given_inputs([X], given, parameters={"p": "${inputs.x}"})
    refused_ = given_inputs([X], given, condition='${inputs.x} == "a"')
    assert ({"p": "${secrets.s}"}, [("secret-not-allowed", "/jobs/0/with/x")]) == (found, refused_)
