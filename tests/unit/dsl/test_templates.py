# ruff: noqa: E501 - definitions, each on a line
"""What is wrong with templates, defaults, and how jobs use them; and where it is shown."""

from __future__ import annotations

import re

import pytest

import bunsui
from bunsui import Pipeline
from bunsui.dsl.parser import parse, plain
from bunsui.dsl.validator import validate

PLUGINS = bunsui.Plugins(autoload=False)
TYPES = PLUGINS.job_types
HEAD = 'version: "1.0"\nname: n\n'
LAMBDA = {"type": "lambda", "function": "f"}


def tree(jobs, **top):
    return {"version": "1.0", "name": "n", **top, "jobs": jobs}


def problems(definition):
    document = parse(HEAD + definition) if isinstance(definition, str) else plain(definition)
    return validate(document, TYPES).problems


def places(text):
    """(code, line, underlined text) of the problems of a text, which begins at line 3."""
    lines = (HEAD + text).splitlines()
    return [
        (p.code, p.line, lines[p.line - 1][p.column - 1 : p.column - 1 + p.length]) for p in problems(text)
    ]


# Places

PLACED = """\
defaults:
  timeout: 0
  parameters: {d: "${nope.d}"}
templates:
  t:
    inputs: [{name: x}, {name: y, default: "${nope.y}"}]
    type: lambda
    function: f
    retry: {max_attempts: 0, delays: 1}
    parameters: {a: "${nope.a} ${inputs.x} ${nope.b}", b: "${inputs.x}", c: [{deep: "- ${inputs.x}"}], y: "${inputs.y}"}
jobs:
  - {id: one, template: t, with: {x: "${nope.one}"}}
  - {id: two, template: t, with: {x: "in text ${nope.two}!"}, parameters: {own: "${nope.own}"}}
  - {id: three, template: t, retry: {delay: -1}}
"""


def test_places():
    """Each problem stands at the text that is wrong, and once, however many jobs it gets into."""
    assert sorted(
        [
            ("out-of-range", 4, "0"),
            ("unknown-reference", 5, "${nope.d}"),
            ("unknown-reference", 8, "${nope.y}"),
            ("out-of-range", 11, "0"),
            ("unknown-field", 11, "delays"),
            ("unknown-reference", 12, "${nope.a}"),
            ("unknown-reference", 12, "${nope.b}"),
            ("unknown-reference", 14, "${nope.one}"),
            ("unknown-reference", 15, "${nope.two}"),
            ("unknown-reference", 15, "${nope.own}"),
            ("out-of-range", 16, "-1"),
        ]
    ) == sorted(places(PLACED))


def test_places_in_plain_data():
    """Without a text it is the paths that say where."""
    document = parse(HEAD + PLACED)
    assert sorted(p.path for p in validate(document, TYPES).problems) == sorted(
        p.path for p in problems(document.data)
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # What is written in the template stays there, on either side of an input.
        ('condition: "${inputs.x} == ${nope}"', ("unknown-reference", "${nope}")),
        ('condition: "${inputs.x} >= [1] and true"', ("type-mismatch", "[1]")),
        ('condition: "true and ${inputs.x} == 1"', ("type-mismatch", "${inputs.x} == 1")),
        ('condition: "1 == ${inputs.x}"', ("type-mismatch", "1 == ${inputs.x}")),
        ('condition: "${inputs.x}"', ("type-mismatch", "${inputs.x}")),
        ('for_each: "${inputs.x}"', ("bad-for-each", "full")),
        ('pool: "a ${inputs.x}"', ("bad-value", '"a ${inputs.x}"')),
        ('pool: "${inputs.bad}"', ("bad-value", "no name")),
        ('depends_on: ["${inputs.x}"]', ("unknown-job", "full")),
        ('depends_on: ["j_${inputs.x}"]', ("unknown-job", '"j_${inputs.x}"')),
        ('type: "${inputs.x}"', ("unknown-job-type", "full")),
    ],
)
def test_places_of_what_inputs_make_wrong(fields, expected):
    """A value that an input is stands where it is given; a text with an input in it stands in the template."""
    text = (
        "templates:\n  t:\n    inputs: [{name: x}, {name: bad}]\n    type: lambda\n    function: f\n"
        f"    {fields}\n"
        "jobs:\n  - {id: a, template: t, with: {x: full, bad: no name}}\n"
    )
    if fields.startswith("type"):
        text = text.replace("    type: lambda\n    function: f\n", "")
    ((code, _, underlined),) = places(text)
    assert expected == (code, underlined)


def test_a_field_that_an_input_brings_in():
    """An unknown field within an input's value is shown where the input is given."""
    text = (
        "templates: {t: {inputs: [{name: r, type: object}], type: lambda, function: f, retry: '${inputs.r.deep}'}}\n"
        "jobs:\n  - {id: a, template: t, with: {r: {deep: {dely: 1, delay: -1}}}}\n"
    )
    assert [("unknown-field", 5, "dely"), ("out-of-range", 5, "-1")] == places(text)


def test_problems_of_the_whole_job_stand_at_the_job():
    """What a job lacks, nobody said: it stands at the job."""
    text = "templates: {t: {type: lambda}}\njobs:\n  - {id: a, template: t}\n"
    assert [("missing-field", 5, "{")] == places(text)


def test_a_mapping_of_both_stands_at_the_job():
    """So does what is wrong with a mapping that a template and a job share."""
    text = (
        "templates: {t: {type: custom, command: [x], parameters: {a-b: 1}}}\n"
        "jobs:\n  - {id: a, template: t, parameters: {a_b: 2}}\n"
    )
    (problem,) = validate(parse(HEAD + text), TYPES).problems
    assert ("parameter-collision", "/jobs/0/parameters") == (problem.code, problem.path)


def test_what_a_type_says_of_a_templates_field():
    """What is wrong by the rules of a job's type stands in the template, too."""
    text = "templates:\n  t: {type: custom, command: rm -rf}\njobs:\n  - {id: a, template: t}\n  - {id: b, template: t}\n"
    assert [("command-text", 4, "rm -rf")] == places(text)


def test_one_problem_for_ten_thousand_jobs():
    """A template's problem is one, and does not hide what is wrong behind the jobs that have it."""
    jobs = [{"id": f"j{i}", "template": "t"} for i in range(10_000)]
    jobs[9_999] = {"id": "j1", **LAMBDA, "timeout": 0}
    found = problems(tree(jobs, templates={"t": {**LAMBDA, "retry": 0}}))
    assert [
        ("duplicate-id", "/jobs/9999/id"),
        ("out-of-range", "/jobs/9999/timeout"),
        ("out-of-range", "/templates/t/retry"),
    ] == [(p.code, p.path) for p in found]


def test_jobs_that_differ_in_what_they_make_wrong():
    """What several jobs make wrong in one place of a template is reported for each thing that they make."""
    text = (
        "templates: {t: {inputs: [{name: x}], type: lambda, function: f, pool: 'a ${inputs.x}'}}\n"
        "jobs:\n  - {id: a, template: t, with: {x: b}}\n  - {id: b, template: t, with: {x: c}}\n"
        "  - {id: c, template: t, with: {x: c}}\n"
    )
    assert ["'a b'", "'a c'"] == [re.findall("is ('.*?')", p.message)[0] for p in problems(text)]


# Wrong templates


WRONG = [
    ("templates: {t: {type: lambda, function: f, fuction: g}}", "unknown-field", "fuction"),
    ("templates: {t: {type: lambda, function: f, id: x}}", "unknown-field", "id"),
    ("templates: {t: {type: lambda, function: f, template: t}}", "unknown-field", "template"),
    ("templates: {t: {type: lambda, function: f, with: {}}}", "unknown-field", "with"),
    ("templates: {t: {type: lambda, function: f, jobs: []}}", "unknown-field", "jobs"),
    ("templates: {t: {type: lambda, function: '${inputs.x}'}}", "unknown-reference", "${inputs.x}"),
    ("templates: {t: {type: lambda, function: 'a ${inputs} b'}}", "unknown-reference", "${inputs}"),
    ("templates: {t: {type: lambda, function: 'a ${ b'}}", "bad-reference", "${ b"),
    ("templates: {t: {type: lambda, function: f, condition: '${x'}}", "bad-condition", "${x"),
    ("templates: {t: {type: lambda, function: f, condition: '1 ='}}", "bad-condition", "="),
    (
        "templates: {t: {inputs: [{name: x, default: 'a ${'}], type: lambda, function: f}}",
        "bad-reference",
        "${",
    ),
    (
        "templates: {t: {inputs: [{name: x}, {name: y, default: '${inputs.x}'}], type: lambda, function: f}}",
        "unknown-reference",
        "${inputs.x}",
    ),
    ("templates: {t: {type: lambda, function: f}, 2nd: {type: lambda, function: f}}", "bad-value", "2nd"),
    ("templates: {t: 3}", "wrong-type", "3"),
    ("templates: {t: null}", "wrong-type", "null"),
    ("templates: [t]", "wrong-type", "["),
]


@pytest.mark.parametrize(("templates", "code", "underlined"), WRONG)
def test_wrong_template(templates, code, underlined):
    """A wrong template is reported once, where it is wrong, used or not."""
    used = f"{templates}\njobs: [{{id: a, template: t}}, {{id: b, template: t}}]\n"
    unused = f"{templates}\njobs: [{{id: a, type: lambda, function: f}}]\n"
    for text in (used, unused):
        found = [(c, u) for c, _, u in places(text) if c != "unused-template"]
        assert [(code, underlined)] == found


def test_an_unused_template_is_a_warning():
    """What could not be checked is said, and does not keep a pipeline from running."""
    text = "templates: {used: {type: lambda, function: f}, idle: {type: nope}}\njobs: [{id: a, template: used}]\n"
    (problem,) = problems(text)
    assert ("unused-template", "warning", "/templates/idle") == (problem.code, problem.severity, problem.path)
    assert Pipeline.parse(HEAD + text, plugins=PLUGINS).jobs


DEFAULTS = [
    ("{retries: 3}", [("unknown-field", "/defaults/retries")]),
    ("{id: a}", [("unknown-field", "/defaults/id")]),
    ("{depends_on: [a]}", [("unknown-field", "/defaults/depends_on")]),
    ("{for_each: [1]}", [("unknown-field", "/defaults/for_each")]),
    ("{function: f}", [("unknown-field", "/defaults/function")]),
    ("{template: t}", [("unknown-field", "/defaults/template")]),
    ("{timeout: 0, retry: {dely: 1}}", [("out-of-range", "/defaults/timeout"), ("unknown-field", "/defaults/retry/dely")]),
    ("{type: lamda}", [("unknown-job-type", "/defaults/type")]),
    ("{type: ecs}", [("missing-field", "/jobs/0"), ("missing-field", "/jobs/1"), ("unknown-field", "/jobs/0/function"), ("unknown-field", "/jobs/1/function")]),
    ("{parameters: {x: '${inputs.x}'}}", [("unknown-reference", "/defaults/parameters/x")]),
    ("{condition: 'failed(c)'}", [("unknown-job", "/defaults/condition")]),
    ("{condition: '${c} == 1'}", [("unknown-reference", "/defaults/condition")]),
    ("[x]", [("wrong-type", "/defaults")]),
    ("x", [("wrong-type", "/defaults")]),
    ("null", [("wrong-type", "/defaults")]),
]  # fmt: skip


@pytest.mark.parametrize(("defaults", "expected"), DEFAULTS)
def test_wrong_defaults(defaults, expected):
    """What the defaults say wrongly is reported once, and there."""
    own = "" if "type" in defaults else "type: lambda, "
    text = f"defaults: {defaults}\njobs: [{{id: a, {own}function: f}}, {{id: b, {own}function: f, depends_on: [a]}}]\n"
    found = sorted((p.code, p.path) for p in problems(text))
    assert sorted(expected) == found


@pytest.mark.parametrize(
    "job", ["x", "null", "[]", "{}", "{id: [a], template: [t]}", "{template: {}, with: 3}"]
)
@pytest.mark.parametrize("top", ["defaults: {retry: 0}", "defaults: 3", "templates: 3", "templates: {t: {}}"])
def test_nothing_that_is_misshapen_makes_it_fail(top, job):
    """Whatever a job, the templates and the defaults are, there are problems and no crash."""
    assert problems(f"{top}\njobs: [{job}]\n")


@pytest.mark.parametrize("jobs", [None, 3, "x", {}, {"template": "t"}])
def test_jobs_that_are_no_list(jobs):
    """Neither are the jobs looked at as if they were a list."""
    assert "/jobs" in [p.path for p in problems(tree(jobs, defaults={"retry": 1}))]


def test_a_job_that_can_not_be_put_together_still_stands_in_the_graph():
    """Those that depend on it, or name it, are not called wrong."""
    jobs = [
        {"id": "a", "template": "tt"},
        {"id": "b", **LAMBDA, "depends_on": ["a"], "parameters": {"x": "${jobs.a.output}"}},
    ]
    assert ["unknown-template"] == [
        p.code for p in problems(tree(jobs, templates={"t": LAMBDA})) if p.severity == "error"
    ]
