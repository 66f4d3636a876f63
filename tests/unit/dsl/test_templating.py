"""Templates and defaults, put into jobs."""

from __future__ import annotations

import tracemalloc

import pytest

import bunsui
from bunsui import Pipeline, RetryPolicy
from bunsui.dsl.parser import MAX_DEPTH, MAX_NODES, plain
from bunsui.dsl.templating import Expansion
from bunsui.dsl.validator import validate

PLUGINS = bunsui.Plugins(autoload=False)
TYPES = PLUGINS.job_types
HEAD = 'version: "1.0"\nname: n\n'
LAMBDA = {"type": "lambda", "function": "f"}


def tree(jobs, **top):
    return {"version": "1.0", "name": "n", **top, "jobs": jobs}


def expanded(jobs, **top):
    """The expanded jobs of a definition in which nothing is wrong."""
    validated = validate(plain(tree(jobs, **top)), TYPES)
    assert [] == validated.problems
    return validated.jobs


def problems(definition):
    return validate(plain(definition), TYPES).problems


# Merging


def test_a_job_takes_over_a_templates_fields():
    """What the template says, the job says; 'template' and 'with' are gone."""
    templates = {"t": {**LAMBDA, "timeout": "5m", "depends_on": ["b"]}}
    jobs = expanded([{"id": "a", "template": "t", "with": {}}, {"id": "b", **LAMBDA}], templates=templates)
    assert {"id": "a", **LAMBDA, "timeout": "5m", "depends_on": ["b"]} == jobs[0]


def test_own_fields_win():
    """A job's own field replaces the template's, whatever their types."""
    templates = {"t": {**LAMBDA, "timeout": "5m", "retry": 3, "for_each": [1], "description": "d"}}
    own = {"timeout": 7, "retry": {"delay": 1}, "for_each": "${xs}", "function": "g", "description": ""}
    jobs = expanded(
        [{"id": "a", "template": "t", **own}],
        templates=templates,
        parameters=[{"name": "xs", "type": "array"}],
    )
    # But 'retry: 3' is short for a mapping, and mappings merge.
    assert {"id": "a", "type": "lambda", **own, "retry": {"max_attempts": 3, "delay": 1}} == jobs[0]


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"delay": 30, "max_attempts": 5}, 3, {"delay": 30, "max_attempts": 3}),
        (3, {"delay": 30}, {"delay": 30, "max_attempts": 3}),
        (3, 4, 4),
        (4.0, {"on": ["A"]}, {"max_attempts": 4.0, "on": ["A"]}),
    ],
)
def test_a_number_of_attempts_merges(below, above, expected):
    """What 'retry' says in defaults and in a job is put together, also where one says only how often."""
    assert (
        expected == expanded([{"id": "a", **LAMBDA, "retry": above}], defaults={"retry": below})[0]["retry"]
    )


def test_mappings_merge_at_every_depth():
    """Of two mappings in one place each key is merged by itself."""
    template = {**LAMBDA, "parameters": {"a": {"b": {"c": 1, "d": 1}, "e": 1}, "f": 1}}
    own = {"a": {"b": {"c": 2, "x": 2}, "y": 2}, "f": {"z": 2}}
    jobs = expanded([{"id": "a", "template": "t", "parameters": own}], templates={"t": template})
    merged = {"a": {"b": {"c": 2, "d": 1, "x": 2}, "e": 1, "y": 2}, "f": {"z": 2}}
    assert merged == jobs[0]["parameters"]


def test_lists_do_not_merge():
    """A job's own list replaces the template's, mappings in it included."""
    template = {**LAMBDA, "parameters": {"list": [{"a": 1}, {"b": 1}]}, "depends_on": ["b"]}
    jobs = expanded(
        [
            {"id": "a", "template": "t", "parameters": {"list": [{"c": 2}]}, "depends_on": []},
            {"id": "b", **LAMBDA},
        ],
        templates={"t": template},
    )
    assert ([{"c": 2}], []) == (jobs[0]["parameters"]["list"], jobs[0]["depends_on"])


def test_null_wins_too():
    """A null of the job's own replaces a mapping."""
    template = {**LAMBDA, "parameters": {"a": {"b": 1}}}
    jobs = expanded([{"id": "a", "template": "t", "parameters": {"a": None}}], templates={"t": template})
    assert {"a": None} == jobs[0]["parameters"]


def test_precedence():
    """A job's own fields come before its template's, these before the defaults."""
    layers = [{"x": 1, "y": 1, "z": 1}, {"y": 2, "z": 2}, {"z": 3}]
    jobs = expanded(
        [{"id": "a", "template": "t", "parameters": layers[2]}, {"id": "b", **LAMBDA}],
        templates={"t": {**LAMBDA, "parameters": layers[1], "timeout": 2}},
        defaults={"parameters": layers[0], "timeout": 1, "pool": "gpu"},
    )
    assert [
        {"id": "a", **LAMBDA, "parameters": {"x": 1, "y": 2, "z": 3}, "timeout": 2, "pool": "gpu"},
        {"id": "b", **LAMBDA, "parameters": layers[0], "timeout": 1, "pool": "gpu"},
    ] == jobs


def test_defaults_alone():
    """Jobs without a template have the defaults, the type among them."""
    defaults = {"type": "lambda", "retry": {"max_attempts": 5}, "allow_failure": True, "isolation": "thread"}
    jobs = expanded([{"id": "a", "function": "f", "retry": {"delay": 1}}], defaults=defaults)
    assert {"id": "a", "function": "f", **defaults, "retry": {"max_attempts": 5, "delay": 1}} == jobs[0]


def test_max_concurrency_in_the_defaults():
    """It is meant for the fan-outs among the jobs: of the others nothing is said."""
    jobs = expanded(
        [{"id": "a", **LAMBDA}, {"id": "b", **LAMBDA, "for_each": [1]}], defaults={"max_concurrency": 2}
    )
    assert [2, 2] == [job["max_concurrency"] for job in jobs]


def test_without_templates_and_defaults_nothing_is_copied():
    """A job that says everything itself is its own expansion."""
    document = plain(tree([{"id": "a", **LAMBDA}]))
    assert document.data["jobs"][0] is validate(document, TYPES).jobs[0]


def test_a_template_is_not_changed():
    """What one job does with a template does not show in the next."""
    document = plain(
        tree(
            [
                {"id": "a", "template": "t", "parameters": {"x": {"own": 1}}},
                {"id": "b", "template": "t"},
            ],
            templates={"t": {**LAMBDA, "parameters": {"x": {"shared": 1}}}},
        )
    )
    assert {"x": {"shared": 1}} == validate(document, TYPES).jobs[1]["parameters"]


def test_what_is_loaded():
    """A pipeline knows nothing of templates: it is equal to one that was written without."""
    text = HEAD + (
        "defaults: {retry: 5}\n"
        "templates:\n"
        "  t: {inputs: [{name: x}], type: lambda, function: f, parameters: {x: '${inputs.x}'}, timeout: 1m}\n"
        "jobs: [{id: a, template: t, with: {x: 1}}]\n"
    ).replace("{name: x}", "{name: x, type: integer}")
    plain_text = (
        HEAD + "jobs: [{id: a, type: lambda, function: f, parameters: {x: 1}, timeout: 60, retry: 5}]\n"
    )
    one, other = Pipeline.parse(text, plugins=PLUGINS), Pipeline.parse(plain_text, plugins=PLUGINS)
    assert (one, RetryPolicy(5)) == (other, one.jobs[0].retry)


# Limits


def test_depth():
    """What is put together may be as deep as what is written; the round trip holds to the last level."""

    def nested(levels):
        value = 0
        for _ in range(levels):
            value = [value]
        return value

    def definition(levels):
        template = {**LAMBDA, "inputs": [{"name": "x", "type": "array"}], "parameters": {"x": "${inputs.x}"}}
        return tree([{"id": "a", "template": "t", "with": {"x": nested(levels)}}], templates={"t": template})

    # A pipeline, its jobs, a job, its parameters: four levels.
    pipeline = Pipeline.from_dict(definition(MAX_DEPTH - 4), PLUGINS)
    assert pipeline == Pipeline.from_dict(pipeline.to_dict(), PLUGINS)

    deep = {"x": [nested(MAX_DEPTH - 6)]}
    template = {
        **LAMBDA,
        "inputs": [{"name": "x", "type": "array"}],
        "parameters": {"a": {"b": {"c": "${inputs.x}"}}},
    }
    found = problems(tree([{"id": "a", "template": "t", "with": deep}], templates={"t": template}))
    assert ["too-deep"] == [p.code for p in found]
    assert found[0].path.startswith("/jobs/0/with/x/0")


def test_depth_of_defaults():
    """Defaults stand one level higher than jobs, and count as deep as they get."""
    value = 0
    for _ in range(MAX_DEPTH - 3):
        value = [value]
    fits = problems(tree([{"id": "a", **LAMBDA}], defaults={"parameters": {"x": value[0]}}))
    found = problems(tree([{"id": "a", **LAMBDA}], defaults={"parameters": {"x": value}}))
    assert ([], ["too-deep"]) == (fits, [p.code for p in found])
    assert found[0].path.startswith("/defaults/parameters/x")


@pytest.mark.parametrize("way", ["template", "input", "defaults", "text"])
def test_size(way):
    """Templates and defaults can't make a small definition a huge one: what they bring in counts."""
    big = [0] * 2_000
    jobs = [{"id": f"j{i}", **LAMBDA} for i in range(1_000)]
    top = {}
    if way == "defaults":
        top = {"defaults": {"parameters": {"x": big}}}
    else:
        given = {"template": "t"}
        template = {**LAMBDA, "parameters": {"x": big}}
        if way == "input":
            template = {
                **LAMBDA,
                "inputs": [{"name": "x", "type": "array", "default": big}],
                "parameters": {"x": "${inputs.x}"},
            }
        if way == "text":
            template = {**LAMBDA, "parameters": {"x": "x" * 128_000}}
        jobs = [{"id": job["id"], **given} for job in jobs]
        top = {"templates": {"t": template}}
    found = problems(tree(jobs, **top))
    path = "/defaults" if way == "defaults" else "/templates/t"
    assert [("too-many-nodes", path)] == [(p.code, p.path) for p in found]
    assert [] == problems(tree(jobs[:100], **top))


def test_size_of_one_input_used_often():
    """An input that is one object, used everywhere, is not written out to find that it is too much."""
    given = {f"k{i}": "${inputs.x}" for i in range(1_000)}
    template = {**LAMBDA, "inputs": [{"name": "x", "type": "array"}], "parameters": given}
    document = plain(
        tree([{"id": "a", "template": "t", "with": {"x": [[0] * 300] * 300}}], templates={"t": template})
    )
    tracemalloc.start()
    try:
        found = validate(document, TYPES).problems
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ["too-many-nodes"] == [p.code for p in found]
    assert peak < 100 * 2**20


def test_what_is_put_together_can_be_written_again():
    """A definition that is accepted is not too large when it is written without templates."""
    big = list(range(900))
    jobs = [{"id": f"j{i}", "template": "t"} for i in range(1_000)]
    metadata = {"x": [0] * (MAX_NODES // 20)}
    pipeline = Pipeline.from_dict(
        tree(jobs, templates={"t": {**LAMBDA, "parameters": {"x": big}}}, metadata=metadata), PLUGINS
    )
    assert pipeline == Pipeline.from_dict(pipeline.to_dict(), PLUGINS)


# Origins, by themselves


def test_origins():
    """The place of each part of a job is known, of parts that there are not, too."""
    data = tree(
        [{"id": "a", "template": "t", "parameters": {"own": {"x": 1}, "both": {"x": 1}}}],
        templates={"t": {"parameters": {"both": {"y": [1]}, "theirs": {"z": 1}}}},
        defaults={"parameters": {"def": {}}, "retry": {}},
    )
    job = Expansion(data).expand(0, data["jobs"][0], {})
    own, theirs = ("jobs", 0, "parameters"), ("templates", "t", "parameters")
    assert {
        (): ("jobs", 0),
        ("id",): ("jobs", 0, "id"),
        ("nope",): ("jobs", 0, "nope"),
        ("retry", "delay"): ("defaults", "retry", "delay"),
        ("parameters",): own,
        ("parameters", "own", "x"): (*own, "own", "x"),
        ("parameters", "both"): (*own, "both"),
        ("parameters", "both", "x"): (*own, "both", "x"),
        ("parameters", "both", "y", 0): (*theirs, "both", "y", 0),
        ("parameters", "both", "nope", 3): (*own, "both", "nope", 3),
        ("parameters", "theirs"): (*theirs, "theirs"),
        ("parameters", "def", "x"): ("defaults", "parameters", "def", "x"),
    } == {
        path: job.locate(path)
        for path in [
            (),
            ("id",),
            ("nope",),
            ("retry", "delay"),
            ("parameters",),
            ("parameters", "own", "x"),
            ("parameters", "both"),
            ("parameters", "both", "x"),
            ("parameters", "both", "y", 0),
            ("parameters", "both", "nope", 3),
            ("parameters", "theirs"),
            ("parameters", "def", "x"),
        ]
    }
