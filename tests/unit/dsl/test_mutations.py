"""Valid definitions with a slip in them: the problem is shown on the line of the slip.

What may be claimed, and is: a line on which a value, a field's name or a reference was made wrong has a
problem. Where a slip leaves its own line as right as before, the place that it makes wrong has the problem: a
job, parameter, input or template that got another name is missed where it is used; a job of another type has
fields that don't fit; another type or bound of a parameter does not fit its default; a dependency that was
taken away is missed by the reference that needs it, and one too many closes a circle somewhere. There, only
that something is reported is claimed.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bunsui
from bunsui.dsl.definition import to_pipeline
from bunsui.dsl.parser import parse, plain
from bunsui.dsl.validator import validate
from bunsui.errors import DefinitionError

TYPES = bunsui.Plugins(autoload=False).job_types

VALID = {
    "version": "1.0",
    "name": "Nightly load",
    "description": "d",
    "parameters": [
        {"name": "bucket", "required": True, "minLength": 3, "description": "where"},
        {"name": "days", "type": "integer", "default": 7, "minimum": 1},
        {"name": "mode", "enum": ["full", "delta"], "default": "delta"},
        {"name": "regions", "type": "array", "items": {"type": "string"}, "default": ["north"]},
        {"name": "password", "secret": True, "default": "${secrets.db}"},
    ],
    "defaults": {
        "retry": {"max_attempts": 3, "delay": 5},
        "timeout": "1h",
        "parameters": {"run": "${session.id}"},
    },
    "templates": {
        "load": {
            "inputs": [
                {"name": "table", "required": True},
                {"name": "rows", "type": "integer", "default": 10, "maximum": 100},
                {"name": "source", "type": "object", "default": {"kind": "s3"}},
            ],
            "type": "lambda",
            "function": "load-function",
            "condition": "${inputs.rows} > 0 and ${days} > 1",
            "parameters": {
                "into": "db.${inputs.table}",
                "rows": "${inputs.rows}",
                "kind": "${inputs.source.kind}",
            },
        },
    },
    "jobs": [
        {
            "id": "extract",
            "type": "custom",
            "command": ["python", "extract.py", "--bucket=${bucket}"],
            "timeout": "15m",
            "pool": "gpu",
            "retry": {"delay": 1, "on": ["Lambda.*"]},
        },
        {
            "id": "clean",
            "type": "ecs",
            "task_definition": "clean-task",
            "depends_on": ["extract"],
            "for_each": "${regions}",
            "max_concurrency": 2,
            "allow_failure": True,
            "isolation": "thread",
            "condition": '${jobs.extract.output.rows} > 0 and ${mode} == "full"',
            "parameters": {
                "region": "${item}",
                "n": "${item_index}",
                "password": "${password}",
                "x": [1, {"y": None}],
            },
        },
        {
            "id": "orders",
            "template": "load",
            "with": {"table": "orders", "rows": 5, "source": "${jobs.extract.output}"},
            "depends_on": ["clean", "extract"],
        },
        {
            "id": "report",
            "template": "load",
            "with": {"table": "report"},
            "depends_on": ["orders"],
            "condition": "always()",
            "parameters": {"status": "ended: ${jobs.orders.status}"},
        },
    ],
    "outputs": {"rows": "${jobs.extract.output.rows}", "status": "${jobs.report.status}"},
    "on_failure": "stop",
    "max_concurrency": 4,
    "timeout": "2h",
    "metadata": {"owner": "me", "tags": ["a", 1]},
}


def written(value, path=(), indent=0):
    """The lines of a definition as YAML, one for each value: (path, text before it, its JSON or None)."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        lead = " " * indent + ("-" if isinstance(value, list) else f"{json.dumps(key)}:")
        if isinstance(item, (dict, list)) and item:
            yield (*path, key), lead, None
            yield from written(item, (*path, key), indent + 2)
        else:
            yield (*path, key), lead, json.dumps(item)


LINES = list(written(VALID))
SCALARS = [i for i, (_, _, scalar) in enumerate(LINES) if scalar is not None]
FIELDS = [i for i, (path, _, _) in enumerate(LINES) if isinstance(path[-1], str)]
REFERENCES = [i for i in SCALARS if "${" in LINES[i][2]]


def text_of(lines):
    return "\n".join(lead if scalar is None else f"{lead} {scalar}" for _, lead, scalar in lines) + "\n"


def lines_with_problems(lines):
    """The indexes of the lines that a problem stands on; None where the definition is valid."""
    try:
        validated = validate(parse(text_of(lines)), TYPES)
    except DefinitionError as error:
        problems = error.problems
    else:
        if validated.is_valid:
            to_pipeline(parse(text_of(lines)).data, validated.jobs)
            return None
        problems = [p for p in validated.problems if p.severity == "error"]
    return {p.line - 1 for p in problems}


def test_it_is_valid():
    """Without a slip there is nothing wrong."""
    assert lines_with_problems(LINES) is None


def with_line(i, scalar):
    lines = list(LINES)
    lines[i] = (*lines[i][:2], scalar)
    return lines


def is_free(path):
    """Whether anything may stand there."""
    data_of_a_job = path[0] in ("jobs", "defaults", "templates") and "parameters" in path[1:-1]
    return path[0] in ("metadata", "outputs") or data_of_a_job or "default" in path or "enum" in path


@pytest.mark.parametrize("i", SCALARS, ids=["/".join(map(str, LINES[i][0])) for i in SCALARS])
@pytest.mark.parametrize("value", ['{"zzz": [null]}', "[[[]]]", "null"])
def test_a_value_of_a_wrong_type(i, value):
    """A value of a type that can't stand in its place has a problem on its line, whatever else it breaks."""
    path = LINES[i][0]
    found = lines_with_problems(with_line(i, value))
    if found is None:
        # An input that is null has its default; a fan-out may run over any list.
        assert is_free(path) or (value == "null" and path[-2] == "with") or path[-1] == "for_each"
    elif "enum" not in path:  # What is allowed may be anything, but then it has to allow the default.
        assert i in found


#: What is said for others to read: another value there may be as right as the old one, and make these wrong.
SAID_FOR_OTHERS = {
    *("id", "type", "template", "depends_on"),  # Who it is, what it is, what it follows.
    *("name", "secret", "enum", "minimum", "maximum", "minLength"),  # How parameters and inputs are declared.
}
VALUES = st.sampled_from(
    [
        *(
            True,
            False,
            0,
            -1,
            1,
            2.5,
            "",
            "x",
            "a b",
            "15m",
            "full",
            "extract",
            "report",
            "always()",
            "${",
            "$${x}",
        ),
        *(
            "${nope}",
            "${bucket}",
            "${jobs.extract.output}",
            "${jobs.report.output}",
            "${item}",
            "${inputs.table}",
        ),
        *("${secrets.x}", "${session.nope}", "a ${nope} b", "${days}"),
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(SCALARS), VALUES)
def test_another_value(i, value):
    """Another value is right, or has a problem on its line, unless others read what it says."""
    path = LINES[i][0]
    named = [step for step in path if isinstance(step, str)]
    found = lines_with_problems(with_line(i, json.dumps(value)))
    if found is not None and not SAID_FOR_OTHERS & {named[-1], *named[-2:-1]}:
        assert i in found


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(FIELDS),
    st.sampled_from(["zzz", "retrys", "jobs", "id", "x y"]),
    st.sampled_from(["1", "{}"]),
)
def test_an_unknown_field(i, name, value):
    """A field that there is not has a problem on its line; where anything may stand, nothing is wrong."""
    path, lead, _ = LINES[i]
    parent = VALID
    for step in path[:-1]:
        parent = parent[step]
    assume(name not in parent)
    indent = lead[: len(lead) - len(lead.lstrip())]
    added = ((*path[:-1], name), f'{indent}"{name}":', value)
    found = lines_with_problems([*LINES[:i], added, *LINES[i:]])
    if found is None:
        assert is_free(added[0]) or path[:-1] == ("templates",)
    else:
        assert i in found


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FIELDS))
def test_a_field_that_is_written_twice(i):
    """The second of two fields of one name is refused, on its line."""
    again = (LINES[i][0], LINES[i][1], "1")
    end = next(
        (k for k in range(i + 1, len(LINES)) if LINES[k][0][: len(LINES[i][0])] != LINES[i][0]), len(LINES)
    )
    assert {end} == lines_with_problems([*LINES[:end], again, *LINES[end:]])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(REFERENCES), st.data())
def test_a_reference_that_is_misspelt(i, data):
    """It is underlined, on its line."""
    scalar = LINES[i][2]
    # Within the name that begins the reference, or that follows it: what stands behind is data of a run.
    found = data.draw(
        st.sampled_from(list(re.finditer(r"\$\{(?:jobs\.|inputs\.|session\.)?([a-z_]+)", scalar)))
    )
    at = data.draw(st.integers(found.start(1), found.end(1)))
    slip = data.draw(st.sampled_from(["Q", "qq", "0"])) if at > found.start(1) else "Q"
    assert i in lines_with_problems(with_line(i, scalar[:at] + slip + scalar[at:]))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FIELDS))
def test_a_field_that_is_missing(i):
    """What is left is valid, or something is reported: where the mapping begins, or where it is missed."""
    path = LINES[i][0]
    kept = [line for line in LINES if line[0][: len(path)] != path]
    if len({line[0] for line in kept if line[0][:-1] == path[:-1]}) == 0:
        return  # It was alone, and a mapping without fields is no mapping in YAML.
    found = lines_with_problems(kept)
    required = {("version",), ("name",), ("jobs",)}
    if path in required:
        assert 0 in found
    if path[0] == "jobs" and path[-1] in ("id", "task_definition"):
        first = next(k for k, line in enumerate(kept) if line[0][:2] == path[:2] and len(line[0]) == 3)
        assert first in found


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(len(LINES))), st.integers(1, 3), st.data())
def test_any_slips(order, count, data):
    """Whatever becomes of a few lines, the definition is valid or has problems that stand in it."""
    lines = list(LINES)
    for i in order[:count]:
        if lines[i][2] is not None:
            lines[i] = (*lines[i][:2], json.dumps(data.draw(VALUES)))
    text = text_of(lines)
    found = validate(parse(text), TYPES).problems
    rows = text.split("\n")
    for problem in found:
        assert 1 <= problem.column <= len(rows[problem.line - 1]) + 1
        assert problem.render()
    same = {(p.code, p.path) for p in validate(plain(parse(text).data), TYPES).problems}
    assert {(p.code, p.path) for p in found} == same


# Anything

TEXT = st.text(max_size=8) | st.sampled_from(
    [
        *(
            "${x}",
            "${jobs.a.output}",
            "${",
            "${parameters}",
            "${inputs.x}",
            "${inputs.x.y}",
            "a ${inputs.x}",
            "a",
            "b",
        ),
        *("t", "custom", "lambda", "15m\n", "9d", "string", "always()", "${inputs.x} == 1", "failed(a)"),
    ]
)
SCALAR = (
    st.none() | st.booleans() | st.integers(-3, 4) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
NAMES = st.sampled_from(
    [
        *("version", "name", "parameters", "jobs", "id", "type", "depends_on", "retry", "timeout", "command"),
        *(
            "callable",
            "shell",
            "max_attempts",
            "on",
            "default",
            "enum",
            "items",
            "$ref",
            "pattern",
            "condition",
        ),
        *(
            "secret",
            "template",
            "with",
            "inputs",
            "templates",
            "defaults",
            "for_each",
            "outputs",
            "pool",
            "t",
            "x",
        ),
    ]
)
TREE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXT, inner, max_size=4),
    max_leaves=12,
)
SMALL = {
    "version": "1.0",
    "name": "n",
    "parameters": [
        {"name": "x", "type": "integer", "minimum": 1, "default": 2},
        {"name": "s", "enum": ["a"]},
    ],
    "defaults": {"retry": 2, "parameters": {"d": "${x}"}},
    "templates": {
        "t": {
            "inputs": [{"name": "x", "default": "d"}, {"name": "o", "type": "object", "default": {"y": 1}}],
            "type": "lambda",
            "function": "f",
            "condition": '${inputs.x} == "a"',
            "parameters": {"v": "a ${inputs.x}", "w": "${inputs.o}", "y": "${inputs.o.y}"},
        }
    },
    "jobs": [
        {"id": "a", "type": "custom", "command": ["x", "${s}"], "retry": {"max_attempts": 2, "on": ["E*"]}},
        {
            "id": "b",
            "template": "t",
            "with": {"x": "${jobs.a.status}", "o": {"y": 3}},
            "depends_on": ["a"],
            "timeout": "15m",
        },
        {
            "id": "c",
            "template": "t",
            "for_each": [1],
            "parameters": {"v": "${item}"},
            "depends_on": ["b"],
            "pool": "p",
        },
    ],
    "outputs": {"o": "${jobs.c.output}"},
}


def places(tree, path=()):
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


@st.composite
def mutated(draw):
    tree = copy.deepcopy(SMALL)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([place for place in places(tree) if place]))
        parent = tree
        for step in path[:-1]:
            parent = parent[step]
        if draw(st.booleans()):
            parent[path[-1]] = draw(TREE)
        elif isinstance(parent, dict):
            parent[draw(NAMES)] = draw(TREE)
        else:
            parent.append(draw(TREE))
    return tree


def accepted_or_refused(tree):
    document = plain(tree)
    validated = validate(document, TYPES)
    assert all("under any of the given schemas" not in problem.message for problem in validated.problems)
    if validated.is_valid:
        pipeline = to_pipeline(document.data, validated.jobs)
        again = plain(pipeline.to_dict())
        assert [] == [p for p in validate(again, TYPES).problems if p.severity == "error"]
        assert pipeline == to_pipeline(again.data)


@settings(max_examples=150, deadline=None)
@given(TREE)
def test_any_tree(tree):
    """Any JSON is a pipeline or has problems; nothing else is raised."""
    with contextlib.suppress(DefinitionError):  # From the limits of the parser.
        accepted_or_refused(tree)


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_any_mutation(tree):
    """A valid definition with random changes is a pipeline that round-trips, or has problems."""
    accepted_or_refused(tree)
