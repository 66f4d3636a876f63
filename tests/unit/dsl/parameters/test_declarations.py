# ruff: noqa: E501 - rows of declarations, each on a line
"""The declarations of parameters, and of the inputs of templates."""

from __future__ import annotations

import pytest

import bunsui
from bunsui.dsl.names import Declared
from bunsui.dsl.parameters.budget import Budget
from bunsui.dsl.parameters.declarations import Declarations
from bunsui.dsl.parser import parse
from bunsui.dsl.validator import validate

TYPES = bunsui.Plugins(autoload=False).job_types


def found(declared: str, where: str = "parameters"):
    """The problems of a definition with these declarations, as (code, path below the list)."""
    if where == "parameters":
        top, job = f"parameters: [{declared}]\n", "type: lambda, function: f"
        prefix = "/parameters"
    else:
        top = f"templates: {{t: {{inputs: [{declared}], type: lambda, function: f}}}}\n"
        job, prefix = "template: t", "/templates/t/inputs"
    text = f'version: "1.0"\nname: n\n{top}jobs: [{{id: a, {job}}}]\n'
    problems = validate(parse(text), TYPES).problems
    assert all(p.path.startswith(prefix) for p in problems)
    return [(p.code, p.path.removeprefix(prefix)) for p in problems]


RIGHT = [
    "{name: x}",
    "{name: x, type: string, description: d, default: a, enum: [a, b], pattern: '^[a-z]$', minLength: 1}",
    "{name: x, type: integer, default: 3, minimum: 1, maximum: 9, exclusiveMaximum: 10, multipleOf: 3}",
    "{name: x, type: integer, default: 3.0}",
    "{name: x, type: number, default: 0.5, const: 0.5, examples: [1], title: T}",
    "{name: x, type: boolean, default: false}",
    "{name: x, type: array, default: [1, a], items: {type: [integer, string]}, uniqueItems: true, minItems: 1}",
    "{name: x, type: object, default: {a: 1}, properties: {a: {type: integer}}, additionalProperties: false}",
    "{name: x, type: array, contains: {type: integer}, minContains: 1, maxContains: 2, default: [1, a, 2]}",
    "{name: x, type: object, dependentRequired: {a: [b]}, dependentSchemas: {a: {maxProperties: 2}}}",
    "{name: x, default: null, minLength: 1}",
    "{name: x, type: object, enum: [{$ref: a, pattern: '('}], default: {$ref: a, pattern: '('}}",
    "{name: x, type: object, properties: {$ref: {type: string}, pattern: {type: integer}}}",
    "{name: x, type: array, items: {oneOf: [{const: {zzz: 1}}, {type: string, maxLength: 3, format: date}]}}",
    "{name: x, required: true, default: a}",
    "{name: x}, {name: y}, {name: X}",
    "{name: item}, {name: jobs}, {name: a-b_9}",
]
WRONG = [
    ("{name: 1x}", "bad-value", "/0/name"),
    ("{name: a b}", "bad-value", "/0/name"),
    ('{name: "x\\n"}', "bad-value", "/0/name"),
    ("{name: 3}", "wrong-type", "/0/name"),
    ("{}", "missing-field", "/0"),
    ("3", "wrong-type", "/0"),
    ("{name: x, type: strin}", "bad-value", "/0/type"),
    ("{name: x, type: [string]}", "bad-value", "/0/type"),
    ("{name: x, type: null}", "bad-value", "/0/type"),
    ("{name: x, minimum: 1}", "unknown-field", "/0/minimum"),
    ("{name: x, type: integer, pattern: a}", "unknown-field", "/0/pattern"),
    ("{name: x, type: boolean, minimum: 0}", "unknown-field", "/0/minimum"),
    ("{name: x, required: maybe}", "wrong-type", "/0/required"),
    ("{name: x, enum: []}", "out-of-range", "/0/enum"),
    ("{name: x, pattern: '('}", "bad-schema", "/0/pattern"),
    ("{name: x, pattern: 'a{1001}'}", "bad-schema", "/0/pattern"),
    ("{name: x, pattern: '^(?!a)'}", "bad-schema", "/0/pattern"),
    ("{name: x, type: object, patternProperties: {'(': {}}}", "bad-schema", "/0/patternProperties/("),
    ("{name: x, type: array, items: 3}", "wrong-type", "/0/items"),
    ("{name: x, type: array, contains: {}, maxContains: 1, default: [1, 2]}", "bad-value", "/0/default"),
    ("{name: x, type: object, dependentRequired: {a: [b]}, default: {a: 1}}", "bad-value", "/0/default"),
    ("{name: x, type: object, dependentSchemas: {a: {$ref: b}}}", "bad-schema", "/0/dependentSchemas/a/$ref"),
    ("{name: x, type: object, dependentRequired: {a: b}}", "wrong-type", "/0/dependentRequired/a"),
    ("{name: x, type: array, items: {items: 3}}", "bad-schema", "/0/items/items"),
    ("{name: x, type: array, items: {anyOf: [3]}}", "bad-schema", "/0/items/anyOf/0"),
    ("{name: x, type: array, items: {anyOf: []}}", "bad-schema", "/0/items/anyOf"),
    ("{name: x, type: array, items: {required: true}}", "bad-schema", "/0/items/required"),
    ("{name: x, type: array, items: {maxLength: many}}", "bad-schema", "/0/items/maxLength"),
    ("{name: x, type: array, items: {minimum: 1, pattern: '('}}", "bad-schema", "/0/items/pattern"),
    ("{name: x, type: array, items: {type: [string, nope]}}", "bad-schema", "/0/items/type/1"),
    ("{name: x, type: array, items: {unevaluatedItems: false}}", "bad-schema", "/0/items/unevaluatedItems"),
    (
        "{name: x, type: array, contains: {properties: {a: {items: x}}}}",
        "bad-schema",
        "/0/contains/properties/a/items",
    ),
    ("{name: x, type: object, properties: {a: {type: nope}}}", "bad-schema", "/0/properties/a/type"),
    ("{name: x, type: array, items: {$ref: 'http://x.invalid'}}", "bad-schema", "/0/items/$ref"),
    ("{name: x, type: array, items: {tpye: string}}", "bad-schema", "/0/items/tpye"),
    (
        "{name: x, type: object, properties: {a: {items: {$anchor: b}}}}",
        "bad-schema",
        "/0/properties/a/items/$anchor",
    ),
    (
        "{name: x, type: array, items: {anyOf: [{type: string}, {maxLenght: 3}]}}",
        "bad-schema",
        "/0/items/anyOf/1/maxLenght",
    ),
    ("{name: x, type: array, items: {$ref: '#'}, default: [1]}", "bad-schema", "/0/items/$ref"),
    ("{name: x, type: integer, default: one}", "wrong-type", "/0/default"),
    ("{name: x, type: integer, default: true}", "wrong-type", "/0/default"),
    ("{name: x, type: integer, minimum: 3, default: 1}", "out-of-range", "/0/default"),
    ("{name: x, enum: [a, b], default: c}", "bad-value", "/0/default"),
    ("{name: x, type: array, items: {type: string}, default: [a, 1]}", "wrong-type", "/0/default/1"),
    ("{name: x}, {name: x}", "duplicate-parameter", "/1/name"),
]


@pytest.mark.parametrize("where", ["parameters", "inputs"])
@pytest.mark.parametrize("declared", RIGHT)
def test_right(declared, where):
    """Parameters and inputs are declared alike, with the keywords of their type."""
    assert [] == found(declared, where)


@pytest.mark.parametrize("where", ["parameters", "inputs"])
@pytest.mark.parametrize(("declared", "code", "path"), WRONG)
def test_wrong(declared, code, path, where):
    """What is wrong is reported at the keyword, or the default, that is wrong."""
    assert [(code, path)] == found(declared, where)


def test_patterns_have_a_budget():
    """Compiling very many, or large ones, is refused, once; a thousand ordinary ones are not."""

    def told(patterns):
        declared = ", ".join(f"{{name: p{i}, pattern: '{pattern}'}}" for i, pattern in enumerate(patterns))
        return found(declared)

    assert [] == told(f"^[a-z]{{{i % 50 + 1}}}x{i}$" for i in range(1000))
    large = told(rf"{i}\pL{{60}}" for i in range(2000))
    assert [("too-complex", large[0][1])] == large
    unusable = told(rf"{i}\pL{{999}}" for i in range(2000))
    assert ["bad-schema"] * 50 + ["bad-schema", "too-complex"] == [code for code, _ in unusable]


SECRETS = [
    ("{name: x, secret: true}", []),
    ("{name: x, secret: true, required: true}", []),
    ("{name: x, secret: false, default: a}", []),
    ("{name: x, secret: true, default: '${secrets.db}'}", []),
    ("{name: x, secret: true, default: null}", []),
    ("{name: x, secret: true, default: hunter2}", [("bad-secret", "/0/default")]),
    ("{name: x, secret: true, default: 'a ${secrets.db}'}", [("bad-secret", "/0/default")]),
    ("{name: x, secret: true, default: '${env.DB}'}", [("bad-secret", "/0/default")]),
    ("{name: x, secret: true, type: integer}", [("bad-secret", "/0/type")]),
    ("{name: x, secret: yes}", [("wrong-type", "/0/secret")]),
    ("{name: x, secret: true, pattern: '^a', title: t}", [("no-effect", "/0/pattern")]),
]


@pytest.mark.parametrize(("declared", "expected"), SECRETS)
def test_secret(declared, expected):
    """The value of a secret parameter is a text, and its default must not be the secret itself."""
    assert expected == found(declared)


def test_a_wrong_default_of_a_secret_is_not_shown():
    """It may be the secret: the message does not hold it."""
    text = 'version: "1.0"\nname: n\nparameters: [{name: x, secret: true, default: hunter2}]\njobs: [{id: a, type: lambda, function: f}]\n'
    (problem,) = validate(parse(text), TYPES).problems
    assert "hunter2" not in problem.message


@pytest.mark.parametrize("secret", ["true", "false"])
def test_inputs_are_not_secret(secret):
    """What an input brings in stands in the definition, for all to read."""
    assert [("unknown-field", "/0/secret")] == found(f"{{name: x, secret: {secret}}}", "inputs")


@pytest.mark.parametrize(
    ("inputs", "code", "path"),
    [
        ("{name: x}", "wrong-type", ""),
        ("x", "wrong-type", ""),
        ("", "wrong-type", ""),
        ("[x]", "wrong-type", "/0"),
    ],
)
def test_inputs_that_are_no_list_of_declarations(inputs, code, path):
    """They are refused, and nothing that follows from it is reported beside it."""
    text = (
        'version: "1.0"\nname: n\ntemplates:\n  t:\n'
        f"    inputs: {inputs}\n    type: lambda\n    function: '${{inputs.x}}'\n"
        "jobs:\n  - {id: a, template: t, with: {x: 1}}\n"
    )
    assert [(code, f"/templates/t/inputs{path}")] == [
        (p.code, p.path) for p in validate(parse(text), TYPES).problems
    ]


def test_what_is_found():
    """All declared names are found, wrong or not; the sound ones come with the schema of their values."""
    document = parse(
        "list: [{name: a, type: integer, minimum: 1}, {name: b, type: nope}, {name: a}, {name: c, secret: true}]\n"
    )
    declarations = Declarations(document, ("list",), "parameter", Budget())
    codes = [problem.code for problem in declarations.problems(document.data["list"])]
    assert (
        ["bad-value", "duplicate-parameter"],
        {"a": Declared("integer"), "b": Declared("string"), "c": Declared("string", secret=True)},
        {"a": {"type": "integer", "minimum": 1}, "c": {"type": "string"}},
        {"a": ("list", 0), "b": ("list", 1), "c": ("list", 3)},
    ) == (
        codes,
        declarations.found,
        {name: value.schema for name, (_, value) in declarations.sound.items()},
        declarations.paths,
    )
