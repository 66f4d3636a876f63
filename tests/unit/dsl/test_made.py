"""Definitions made in Python are checked as those that are read."""

from __future__ import annotations

import datetime
import enum
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bunsui
from bunsui import CachePolicy, Job, Parameter, Pipeline, RetryPolicy
from bunsui.dsl.parser import plain
from bunsui.dsl.validator import validate
from bunsui.errors import DefinitionError

TYPES = bunsui.Plugins().job_types
LAMBDA = {"id": "a", "type": "lambda", "function": "f"}


def tree(job=(), **top):
    return {"version": "1.0", "name": "n", "jobs": [{**LAMBDA, **dict(job)}], **top}


def made(job=(), **fields):
    """A pipeline of one lambda job."""
    one = Job(**{"id": "a", "type": "lambda", "options": {"function": "f"}, **dict(job)})
    return Pipeline(**{"name": "n", "jobs": [one], **fields})


def refused(make):
    """(code, path) of what is wrong; [] where nothing is. Nothing has a place in a text."""
    found = []
    try:
        make()
    except DefinitionError as error:
        found = error.problems
    assert [] == [p for p in found if (p.line, p.column, p.file, p.source) != (None,) * 4]
    return sorted((p.code, p.path) for p in found)


def read(data):
    """(code, path) of what is wrong with the same as data; [] where nothing is."""
    validated = validate(plain(data), TYPES, any_type=True)
    return [] if validated.is_valid else sorted((p.code, p.path) for p in validated.problems)


SCALAR = st.sampled_from(
    [True, False, 0, 1, 3, -1, 2.0, 0.5, "", "x", "a b", "15m", "continue", "thread", "${x}", "${"]
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["x", "delay", "max_attempts", "on"]), inner, max_size=2),
    max_leaves=4,
)
JOB_FIELDS = [
    *("id", "type", "name", "description", "parameters", "condition", "for_each", "max_concurrency", "pool"),
    *("timeout", "isolation", "allow_failure", "retry", "depends_on"),
]
PIPELINE_FIELDS = [
    *("name", "description", "version", "on_failure", "max_concurrency", "timeout", "outputs", "metadata"),
]


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(JOB_FIELDS), VALUE, max_size=3))
def test_jobs(fields):
    """Whatever a field of a job is, its problems are those of the same text."""
    if isinstance(fields.get("timeout"), str):
        fields["timeout"] = 7  # In Python a timeout is a number of seconds: see below.
    if not isinstance(fields.get("depends_on", []), list):
        fields["depends_on"] = [fields["depends_on"]]  # A TypeError: see below.
    assert read(tree(fields)) == refused(lambda: made(fields))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(PIPELINE_FIELDS), VALUE, max_size=3))
def test_pipelines(fields):
    """Whatever a field of a pipeline is, its problems are those of the same text."""
    if isinstance(fields.get("timeout"), str):
        fields["timeout"] = 7
    assert read(tree(**fields)) == refused(lambda: made(**fields))


DECLARED = ["name", "type", "required", "default", "description", "secret"]
CONSTRAINTS = ["enum", "pattern", "minimum", "items", "nope"]


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(DECLARED), VALUE | st.sampled_from(["integer", "object"]), max_size=3),
    st.dictionaries(st.sampled_from(CONSTRAINTS), VALUE, max_size=2),
)
def test_parameters(fields, constraints):
    """Whatever the declaration of a parameter is, its problems are those of the same text."""
    fields = {"name": "p", **fields}
    expected = read(tree(parameters=[{**fields, **constraints}]))
    assert expected == refused(lambda: made(parameters=[Parameter(**fields, constraints=constraints)]))


POLICY = st.dictionaries(
    st.sampled_from(["max_attempts", "delay", "backoff", "max_delay", "jitter"]), VALUE, max_size=2
)


@settings(max_examples=200, deadline=None)
@given(POLICY)
def test_retry_policies(fields):
    """Whatever a retry policy is, its problems are those of the same text."""
    if any(value == getattr(RetryPolicy(), name) for name, value in fields.items()):
        return  # What equals a default is not said at all, as in True for 1.
    expected = read(tree({"retry": {"max_attempts": 1, **fields}} if fields else {}))
    assert expected == refused(lambda: made({"retry": RetryPolicy(**fields)}))


GRAPHS = [
    ([("a", ["b"])], [("unknown-job", "/jobs/0/depends_on/0")]),
    ([("a", ["a"])], [("cycle", "/jobs/0/depends_on/0")]),
    ([("a", ["b"]), ("b", ["a"])], [("cycle", "/jobs/0/depends_on/0")]),
    ([("a", []), ("a", [])], [("duplicate-id", "/jobs/1/id")]),
    ([], [("out-of-range", "/jobs")]),
]


@pytest.mark.parametrize(("jobs", "expected"), GRAPHS)
def test_graphs(jobs, expected):
    """What is wrong with the graph is said when it is made, not when it runs."""
    assert expected == refused(
        lambda: Pipeline("n", [Job(id_, "lambda", {"function": "f"}, parents) for id_, parents in jobs])
    )


OPTIONS = [
    ({"type": "lambda", "options": {}}, [("missing-field", "/jobs/0")]),
    ({"type": "lambda", "options": {"function": 3}}, [("wrong-type", "/jobs/0/function")]),
    ({"type": "lambda", "options": {"function": "f", "fun": 3}}, [("unknown-field", "/jobs/0/fun")]),
    ({"type": "custom", "options": {}}, [("one-of", "/jobs/0")]),
    ({"type": "custom", "options": {"command": "ls"}}, [("command-text", "/jobs/0/command")]),
    ({"options": {"function": "${secrets.x}"}}, [("secret-not-allowed", "/jobs/0/function")]),
    ({"parameters": {"x": [{"y": "${jobs.b.output}"}]}}, [("unknown-reference", "/jobs/0/parameters/x/0/y")]),
    ({"condition": "failed(b)"}, [("unknown-job", "/jobs/0/condition")]),
]


@pytest.mark.parametrize(("fields", "expected"), OPTIONS)
def test_options_and_references(fields, expected):
    """So is what is wrong with a job by its type, and what its references name."""
    assert expected == refused(lambda: made(fields))


def test_a_type_of_somebody_elses():
    """A job of a type that is not installed is left to the runner that has it; all else is checked."""
    assert [] == refused(lambda: made({"type": "theirs", "options": {"x": 1}}))
    assert [("out-of-range", "/jobs/0/retry")] == refused(lambda: made({"type": "theirs", "retry": 0}))


# Callables


def step(x=1):
    return x


CALLABLES = [
    ({"function": step}, []),
    ({"function": step, "timeout": 3, "isolation": "process"}, []),
    ({"function": lambda: 1, "id": "a"}, []),
    ({"function": lambda: 1, "id": "a", "timeout": 3}, [("local-callable", "/jobs/0/callable")]),
    ({"function": lambda: 1, "id": "a", "isolation": "process"}, [("local-callable", "/jobs/0/callable")]),
    ({"function": step, "id": "1st"}, [("bad-value", "/jobs/0/id")]),
    ({"function": step, "parameters": {"a-b": 1, "a_b": 1}}, []),
    ({"function": step, "parameters": []}, [("wrong-type", "/jobs/0/parameters")]),
    ({"function": step, "parameters": {"x": "${y}"}}, [("unknown-reference", "/jobs/0/parameters/x")]),
    ({"function": step, "depends_on": ["b"]}, [("unknown-job", "/jobs/0/depends_on/0")]),
    ({"function": step, "retry": -1}, [("out-of-range", "/jobs/0/retry")]),
]


@pytest.mark.parametrize(("fields", "expected"), CALLABLES)
def test_callables(fields, expected):
    """Jobs of callables are checked like those that name one."""
    assert expected == refused(lambda: Pipeline("n", [Job.from_callable(**fields)]))


@pytest.mark.parametrize(("fields", "expected"), CALLABLES)
def test_callables_as_text(fields, expected):
    """And the same as text has the same problems."""
    try:
        job = Job.from_callable(**fields)
    except TypeError:
        return
    kept = {name: value for name, value in fields.items() if name not in ("function", "id")}
    data = {"id": job.id, "type": "custom", "callable": job.options["callable"], **kept}
    assert expected == read({"version": "1.0", "name": "n", "jobs": [data]})


# What only Python can say

PYTHON = [
    ({"options": {"function": "f", "timeout": 3}}, "misplaced-field", "/jobs/0/timeout"),
    ({"options": {"function": "f", "template": "t"}}, "misplaced-field", "/jobs/0/template"),
    ({"options": ["function"]}, "wrong-type", "/jobs/0"),
    ({"options": None}, "missing-field", "/jobs/0"),
    ({"timeout": "15x"}, "bad-value", "/jobs/0/timeout"),
    ({"parameters": {1: 2}}, "bad-key", "/jobs/0/parameters"),
    ({"parameters": {"x": {3: 4}}}, "bad-key", "/jobs/0/parameters/x"),
    ({"parameters": {"x": datetime.date(2026, 1, 1)}}, "bad-type", "/jobs/0/parameters/x"),
    ({"parameters": {"x": [{1, 2}]}}, "bad-type", "/jobs/0/parameters/x/0"),
    ({"parameters": {"x": float("nan")}}, "bad-number", "/jobs/0/parameters/x"),
    ({"parameters": {"x": 2**64}}, "bad-number", "/jobs/0/parameters/x"),
    ({"parameters": {"x": "\ud800"}}, "bad-encoding", "/jobs/0/parameters/x"),
]


@pytest.mark.parametrize(("fields", "code", "path"), PYTHON)
def test_what_only_python_can_say(fields, code, path):
    """What no text could say, or what would be lost on the way to it, is refused."""
    assert [(code, path)] == refused(lambda: made(fields))


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"timeout": "15x"}, "bad-value", "/timeout"),
        (
            {"parameters": [Parameter("p", constraints={"type": "array"})]},
            "misplaced-field",
            "/parameters/0/type",
        ),
        ({"parameters": [Parameter("p", constraints=["enum"])]}, "wrong-type", "/parameters/0"),
        ({"metadata": {"x": object()}}, "bad-type", "/metadata/x"),
    ],
)
def test_what_only_python_can_say_of_a_pipeline(fields, code, path):
    """The same beside the jobs."""
    assert [(code, path)] == refused(lambda: made(**fields))


def test_data_that_holds_itself():
    """Data in a circle is refused like an alias of that kind."""
    loop = []
    loop.append(loop)
    assert [("cyclic-alias", "/jobs/0/parameters/x/0")] == refused(lambda: made({"parameters": {"x": loop}}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Job("a", "t", depends_on="b"), "a list of texts is wanted, not the text 'b'"),
        (lambda: RetryPolicy(on="E"), "a list of texts is wanted, not the text 'E'"),
        (lambda: Pipeline("n", [LAMBDA]), "a list of bunsui.Job is wanted, not of dict"),
        (lambda: Pipeline("n", [], ["p"]), "a list of bunsui.Parameter is wanted, not of str"),
    ],
)
def test_slips_of_the_hand(make, message):
    """What is a mistake of the program, not of the definition, is a TypeError."""
    with pytest.raises(TypeError) as caught:
        make()
    assert message == str(caught.value)


class Word(enum.StrEnum):
    F = "f"


def test_all_kinds_of_data_become_plain():
    """Tuples, mappings of other types, and members of an enumeration are kept as what a text would give."""
    pipeline = made(
        {
            "options": {"function": Word.F},
            "parameters": MappingProxyType({"x": (1, (2,)), "y": MappingProxyType({})}),
            "for_each": (1, 2),
            "retry": 3,
        }
    )
    job = pipeline.jobs[0]
    assert (str, {"x": [1, [2]], "y": {}}, [1, 2]) == (
        type(job.options["function"]),
        job.parameters,
        job.for_each,
    )
    same = {"parameters": {"x": [1, [2]], "y": {}}, "for_each": [1, 2], "retry": 3}
    assert pipeline == Pipeline.from_dict(tree(same))


def test_what_was_given_may_change_afterwards():
    """A pipeline holds a copy."""
    given = {"x": [1]}
    pipeline = made({"parameters": given})
    digest = pipeline.digest
    given["x"].append(2)
    assert ({"x": [1]}, digest) == (pipeline.jobs[0].parameters, made({"parameters": {"x": [1]}}).digest)


def test_a_mapping_as_retry():
    """What a text may say a job may say, too: with max_attempts 3 by default."""
    assert RetryPolicy(3, delay=1) == made({"retry": {"delay": 1}}).jobs[0].retry


def test_a_mapping_as_cache():
    """What a text may say a job may say, too; durations become seconds, and what is wrong is refused."""
    job = made({"cache": {"ttl": "2m", "key": "x"}}).jobs[0]
    assert CachePolicy(120, "x") == job.cache == made({"cache": CachePolicy(120, "x")}).jobs[0].cache
    assert CachePolicy(3600) == made({"cache": {}}).jobs[0].cache
    with pytest.raises(DefinitionError) as caught:
        Pipeline("p", [Job("a", "lambda", function="f", cache={"ttl": -1})])
    assert [("out-of-range", "/jobs/0/cache/ttl")] == [(p.code, p.path) for p in caught.value.problems]


def test_code_without_a_name_is_not_cached_without_a_key():
    """Another function may have its name elsewhere; a key says what makes two jobs equal."""
    with pytest.raises(DefinitionError, match="can't have 'cache' without a 'key'"):
        Pipeline("p", [Job.from_callable(lambda: 1, id="a", cache={})])
    Pipeline("p", [Job.from_callable(lambda: 1, id="a", cache={"key": "v1"})])
