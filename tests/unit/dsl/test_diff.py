"""What changed from one pipeline to another: all of it, by name, in one line each."""

from __future__ import annotations

import copy
import json

import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bunsui import Pipeline, Plugins
from bunsui.dsl.diff import Difference, differences
from bunsui.dsl.problems import pointer, printable

PLUGINS = Plugins(autoload=False)
EXTRACT = {"id": "extract", "type": "lambda", "function": "f"}
LOAD = {"id": "load", "type": "ecs", "task_definition": "t"}
NUL = r"\x00"
TAG, SHOWN_TAG = "\U000e0001", r"\U000e0001"
CHECK = {"id": "check", "type": "custom", "command": ["python", "check.py"]}


def pipeline(*jobs, **fields):
    tree = {"version": "1.0", "name": "n", **fields, "jobs": list(jobs) or [EXTRACT]}
    return Pipeline.from_dict(tree, PLUGINS)


def lines(before, after):
    return [difference.render() for difference in differences(before, after)]


def changed(before, after):
    """The lines for one job with the fields `before`, and then with the fields `after`."""
    return lines(pipeline({**EXTRACT, **before}), pipeline({**EXTRACT, **after}))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"timeout": 60}, {"timeout": 120}, ["~ job 'extract': timeout: 60 -> 120"]),
        ({"timeout": 60}, {"timeout": "1m"}, []),
        ({}, {"timeout": 60}, ["+ job 'extract': timeout: 60"]),
        ({"timeout": 60}, {}, ["- job 'extract': timeout: 60"]),
        ({"description": "a\nb"}, {"description": "c"}, [r"~ job 'extract': description: 'a\nb' -> 'c'"]),
        ({}, {"allow_failure": True}, ["+ job 'extract': allow_failure: true"]),
        ({}, {"retry": 3}, ["+ job 'extract': retry: {\"max_attempts\": 3}"]),
        (
            {"retry": {"delay": 1, "backoff": 3}},
            {"retry": {"max_attempts": 5, "delay": 1.5}},
            [
                "~ job 'extract': retry.max_attempts: 3 -> 5",
                "~ job 'extract': retry.delay: 1 -> 1.5",
                "- job 'extract': retry.backoff: 3",
            ],
        ),
        (
            {"retry": {"on": ["A", "B"]}},
            {"retry": {"on": ["C", "A"]}},
            ["- job 'extract': retry.on: 'B'", "+ job 'extract': retry.on: 'C'"],
        ),
        (
            {"parameters": {"a": {"b": 1, "c": {"d": None}}, "x.y": 1}},
            {"parameters": {"a": {"b": 2, "c": {}}, "x.y": 2, "": 0}},
            [
                "~ job 'extract': parameters.a.b: 1 -> 2",
                "- job 'extract': parameters.a.c.d: null",
                "~ job 'extract': parameters.'x.y': 1 -> 2",
                "+ job 'extract': parameters.'': 0",
            ],
        ),
        (
            {"parameters": {"a": [1, 2]}},
            {"parameters": {"a": [2, 1]}},
            ["~ job 'extract': parameters.a: [1, 2] -> [2, 1]"],
        ),
        (
            {"parameters": {"depends_on": ["a", "b"]}},
            {"parameters": {"depends_on": ["b", "a"]}},
            ['~ job \'extract\': parameters.depends_on: ["a", "b"] -> ["b", "a"]'],
        ),
        ({"parameters": {"a": 1}}, {"parameters": {"a": 1.0}}, ["~ job 'extract': parameters.a: 1 -> 1.0"]),
        ({"parameters": {"a": 1}}, {"parameters": {"a": True}}, ["~ job 'extract': parameters.a: 1 -> true"]),
        (
            {"parameters": {"a": 0.0}},
            {"parameters": {"a": -0.0}},
            ["~ job 'extract': parameters.a: 0.0 -> -0.0"],
        ),
        ({"parameters": {"a": {}}}, {"parameters": {"a": []}}, ["~ job 'extract': parameters.a: {} -> []"]),
        (
            {"parameters": {"a": None}},
            {"parameters": {"b": None}},
            ["- job 'extract': parameters.a: null", "+ job 'extract': parameters.b: null"],
        ),
        ({"parameters": {"a": 1, "b": 2}}, {"parameters": {"b": 2, "a": 1}}, []),
        ({"parameters": {"a": [{"b": 1, "c": 2}]}}, {"parameters": {"a": [{"c": 2, "b": 1}]}}, []),
    ],
)
def test_field_of_a_job(before, after, expected):
    """A field is named by the mappings that lead to it, with its values; lists are compared as a whole."""
    assert expected == changed(before, after)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([EXTRACT], [EXTRACT, LOAD], ["+ job 'load' (ecs)"]),
        ([EXTRACT, LOAD], [LOAD], ["- job 'extract' (lambda)"]),
        ([EXTRACT], [LOAD], ["- job 'extract' (lambda)", "+ job 'load' (ecs)"]),
        ([EXTRACT, CHECK], [LOAD, EXTRACT, CHECK], ["+ job 'load' (ecs)"]),
        ([EXTRACT, LOAD], [LOAD, EXTRACT], ['~ jobs: order: ["extract", "load"] -> ["load", "extract"]']),
        (
            [EXTRACT, LOAD, CHECK, {**CHECK, "id": "end"}],
            [EXTRACT, CHECK, {**LOAD, "id": "new"}, LOAD, {**CHECK, "id": "end"}],
            ["+ job 'new' (ecs)", '~ jobs: order: ["load", "check"] -> ["check", "load"]'],
        ),
        (
            [EXTRACT],
            [{**CHECK, "id": "extract"}],
            [
                "~ job 'extract': type: 'lambda' -> 'custom'",
                "- job 'extract': function: 'f'",
                '+ job \'extract\': command: ["python", "check.py"]',
            ],
        ),
        (
            [EXTRACT, LOAD, CHECK, {**LOAD, "id": "end", "depends_on": ["extract", "load"]}],
            [EXTRACT, LOAD, CHECK, {**LOAD, "id": "end", "depends_on": ["check", "extract"]}],
            ["- job 'end': depends_on: 'load'", "+ job 'end': depends_on: 'check'"],
        ),
        (
            [EXTRACT, LOAD, {**LOAD, "id": "end", "depends_on": ["extract", "load"]}],
            [EXTRACT, LOAD, {**LOAD, "id": "end", "depends_on": ["load", "extract"]}],
            ['~ job \'end\': depends_on: order: ["extract", "load"] -> ["load", "extract"]'],
        ),
        (
            [EXTRACT, {**LOAD, "depends_on": ["extract"]}],
            [EXTRACT, {**LOAD, "depends_on": ["extract", "extract"]}],
            ['~ job \'load\': depends_on: ["extract"] -> ["extract", "extract"]'],
        ),
    ],
)
def test_jobs(before, after, expected):
    """Jobs are matched by their ids; an order is named only where what is in both has another one."""
    assert expected == lines(pipeline(*before), pipeline(*after))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"name": "m"}, ["~ pipeline: name: 'n' -> 'm'"]),
        ({}, {"on_failure": "stop"}, ["+ pipeline: on_failure: 'stop'"]),
        ({"metadata": {"a": {"b": 1}}}, {"metadata": {"a": {"b": 2}}}, ["~ pipeline: metadata.a.b: 1 -> 2"]),
        ({}, {"parameters": [{"name": "x"}]}, ["+ parameter 'x'"]),
        ({"parameters": [{"name": "x"}]}, {"parameters": []}, ["- parameter 'x'"]),
        (
            {"parameters": [{"name": "x", "default": "a"}]},
            {"parameters": [{"name": "x", "default": "b", "pattern": "."}]},
            ["~ parameter 'x': default: 'a' -> 'b'", "+ parameter 'x': pattern: '.'"],
        ),
        (
            {"parameters": [{"name": "x"}, {"name": "y"}]},
            {"parameters": [{"name": "y"}, {"name": "x"}]},
            ['~ parameters: order: ["x", "y"] -> ["y", "x"]'],
        ),
        ({}, {"outputs": {"rows": "${jobs.extract.output}"}}, ["+ output 'rows'"]),
        (
            {"outputs": {"rows": "${jobs.extract.output}", "x": 1}},
            {"outputs": {"x": 2}},
            ["- output 'rows'", "~ output 'x': 1 -> 2"],
        ),
        (
            {"outputs": {"x": {"depends_on": ["a", "b"]}}},
            {"outputs": {"x": {"depends_on": ["b", "a"]}}},
            ['~ output \'x\': depends_on: ["a", "b"] -> ["b", "a"]'],
        ),
        (
            {"metadata": {"a": 1}, "outputs": {"a": 1}},
            {"metadata": {"a": 2}, "outputs": {"a": 2}, "parameters": [{"name": "x"}], "max_concurrency": 2},
            [
                "~ pipeline: metadata.a: 1 -> 2",
                "+ pipeline: max_concurrency: 2",
                "+ parameter 'x'",
                "~ output 'a': 1 -> 2",
            ],
        ),
    ],
)
def test_the_rest_of_a_pipeline(before, after, expected):
    """The pipeline's own fields come first, then its parameters and outputs, each by its name."""
    assert expected == lines(pipeline(**before), pipeline(**after))


def test_data():
    """A difference says in data what it is about; its path has the names of jobs, and of what is in sets."""
    before = pipeline({**EXTRACT, "parameters": {"a/b": [1]}}, LOAD, {**CHECK, "depends_on": ["load"]})
    after = pipeline({**EXTRACT, "parameters": {"a/b": [2]}}, {**CHECK, "depends_on": ["extract"]})
    place = "job 'check'", "depends_on"
    assert differences(before, after) == [
        Difference("changed", "/jobs/extract/parameters/a~1b", "job 'extract'", "parameters.'a/b'", [1], [2]),
        Difference("removed", "/jobs/load", "job 'load'", None, LOAD, None),
        Difference("removed", "/jobs/check/depends_on/load", *place, "load", None),
        Difference("added", "/jobs/check/depends_on/extract", *place, None, "extract"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a" * 100 + "b", "a" * 100 + "c", f"…{'a' * 12}b -> …{'a' * 12}c"),
        ("a" * 100, "a" * 101, f"…{'a' * 12} -> …{'a' * 12}a"),
        ("\0" * 40 + "b", "\0" * 40 + "c", f"…{NUL * 12}b -> …{NUL * 12}c"),
        (TAG * 8 + "b", TAG * 8 + "c", f"{SHOWN_TAG * 8}b -> {SHOWN_TAG * 8}c"),
        (
            "a" * 100 + "b" + "x" * 99,
            "a" * 100 + "c" + "x" * 99,
            f"…{'a' * 12}b{'x' * 65}… -> …{'a' * 12}c{'x' * 65}…",
        ),
        (list(range(90)), list(range(89)), "…, 86, 87, 88, 89] -> …, 86, 87, 88]"),
        (["水" * 90, 1], ["水" * 90, 2], f"…{'水' * 9}\", 1] -> …{'水' * 9}\", 2]"),
        (
            ["水" * 90, {"b": 1, "a": 2}],
            ["水" * 90, {"a": 2, "b": 3}],
            '…a": 2, "b": 1}] -> …a": 2, "b": 3}]',
        ),
    ],
)
def test_long_values(before, after, expected):
    """Values that would look equal, cut off, are shown from where they differ."""
    found = changed({"parameters": {"a": before}}, {"parameters": {"a": after}})
    assert [f"~ job 'extract': parameters.a: {expected}"] == found


def test_many_jobs_in_another_order():
    """Of an order, only the part is named in which something moved."""
    jobs = [{**EXTRACT, "id": f"j{k}"} for k in range(50)]
    after = [*jobs[:20], jobs[22], jobs[20], jobs[21], *jobs[23:]]
    assert lines(pipeline(*jobs), pipeline(*after)) == [
        '~ jobs: order: ["j20", "j21", "j22"] -> ["j22", "j20", "j21"]'
    ]


NASTY = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\x1b\x9b\u202e\u2028'\"~/."), max_size=9
)


@settings(max_examples=200, deadline=None)
@given(
    before=st.dictionaries(NASTY, NASTY | st.lists(NASTY, max_size=2), max_size=3),
    after=st.dictionaries(NASTY, NASTY | st.lists(NASTY, max_size=2), max_size=3),
)
def test_safe_for_terminals(before, after):
    """Whatever the values and keys hold, a difference is one line without control characters."""
    found = [d for text in (before, after) for d in differences(pipeline(metadata=text), pipeline())]
    found += differences(pipeline(metadata=before), pipeline(metadata=after))
    for line in [difference.render() for difference in found]:
        assert (printable(line), 1) == (line, len(line.splitlines()))


# Few names and values, so that two trees have much in common; numbers of one type only, as 1 == 1.0.
WORDS = st.sampled_from(["a", "b", "c", "d"])
DATA = st.recursive(
    st.none() | st.integers(0, 2) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(WORDS, DATA, max_size=2)


@st.composite
def trees(draw):
    ids = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    jobs = [
        {
            **draw(st.sampled_from([EXTRACT, LOAD, CHECK])),
            "id": job_id,
            "depends_on": draw(st.lists(st.sampled_from(ids[:k]), max_size=3)) if k else [],
            "parameters": draw(OBJECTS),
            "retry": draw(st.integers(1, 2) | st.builds(lambda on: {"on": on}, st.lists(WORDS, max_size=2))),
            **draw(st.fixed_dictionaries({}, optional={"timeout": st.integers(1, 2), "description": WORDS})),
        }
        for k, job_id in enumerate(ids)
    ]
    parameters = [
        {"name": name, "default": draw(WORDS | st.none())}
        for name in draw(st.lists(WORDS, max_size=2, unique=True))
    ]
    return {
        "version": "1.0",
        "name": "n",
        "metadata": draw(OBJECTS),
        "outputs": draw(OBJECTS),
        "parameters": parameters,
        "jobs": jobs,
    }


def places(data, path=()):
    """The paths of all values that can be another one and leave a definition valid."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if key in ("metadata", "outputs", "parameters") and isinstance(value, dict):
            yield from ((*path, key, name) for name in value)
        elif key in ("description", "timeout", "default"):
            yield (*path, key)
        elif isinstance(value, list | dict):
            yield from places(value, (*path, key))


def by_name(path, tree):
    """The pointer of a path, with names for the numbers of jobs and parameters."""
    if path[0] in ("jobs", "parameters"):
        named = tree[path[0]][path[1]]
        path = (path[0], named.get("id") or named["name"], *path[2:])
    return pointer(path)


class TestAllTrees:
    @settings(max_examples=100, deadline=None)
    @given(trees())
    def test_no_difference_from_itself(self, tree):
        """A pipeline has no difference from one that was made of the same tree."""
        same = json.loads(json.dumps(tree, sort_keys=True))
        assert [] == differences(Pipeline.from_dict(tree, PLUGINS), Pipeline.from_dict(same, PLUGINS))

    @settings(max_examples=200, deadline=None)
    @given(trees(), trees(), st.data())
    def test_none_means_equal(self, before, after, pick):
        """There is no difference exactly where the pipelines are equal, and so are their digests."""
        # Parts of the one in the other: else hardly any two are equal.
        for key in pick.draw(st.lists(st.sampled_from(sorted(before)), unique=True)):
            after[key] = before[key]
        if pick.draw(st.booleans()):
            after["jobs"] = pick.draw(st.permutations(before["jobs"]))
        a, b = Pipeline.from_dict(before, PLUGINS), Pipeline.from_dict(after, PLUGINS)
        found = differences(a, b)
        assert (a == b, a.digest == b.digest) == (not found, not found)

    @settings(max_examples=200, deadline=None)
    @given(trees(), st.data())
    def test_names_what_changed(self, tree, pick):
        """Where one value is another, the one difference is that value, by its path."""
        known = list(places(tree))
        assume(known)
        path = pick.draw(st.sampled_from(known))
        after = copy.deepcopy(tree)
        holder = after
        for part in path[:-1]:
            holder = holder[part]
        old = holder[path[-1]]
        holder[path[-1]] = new = 77 if path[-1] == "timeout" else "new"
        (found,) = differences(Pipeline.from_dict(tree, PLUGINS), Pipeline.from_dict(after, PLUGINS))
        change = "added" if path[-1] == "default" and old is None else "changed"
        assert (change, by_name(path, tree), old, new) == (
            found.change,
            found.path,
            found.before,
            found.after,
        )

    @settings(max_examples=100, deadline=None)
    @given(trees(), trees())
    def test_the_other_way_round(self, before, after):
        """From b to a it is the same differences, with what was added removed."""
        a, b = Pipeline.from_dict(before, PLUGINS), Pipeline.from_dict(after, PLUGINS)
        turned = {"added": "removed", "removed": "added"}
        expected = [
            evolve(d, change=turned.get(d.change, d.change), before=d.after, after=d.before)
            for d in differences(b, a)
        ]
        assert sorted(map(repr, expected)) == sorted(map(repr, differences(a, b)))
