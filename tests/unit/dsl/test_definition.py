# ruff: noqa: E501 - rows of messages, written as they are shown
"""From a tree to a pipeline and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui import Job, Parameter, Pipeline, Plugins, RetryPolicy
from bunsui.dsl.loader import check
from bunsui.errors import DefinitionError

PLUGINS = Plugins(autoload=False)
NAME = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)
WORD = st.text("abcXYZ019_-", max_size=10).map("a".__add__)
# Reading makes whole floats integers, so that equal numbers have one digest.
BROKEN = st.floats(1, 500).filter(lambda number: not number.is_integer())
WAIT = st.integers(0, 500) | BROKEN
# Text without "$", so that nothing is taken for a reference.
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("aé水 \n", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=5,
)
RETRIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 9),
    delay=WAIT,
    backoff=st.integers(1, 5) | BROKEN,
    max_delay=WAIT,
    jitter=st.sampled_from(["full", "none"]),
    on=st.lists(NAME, max_size=2),
)
PARAMETERS = st.one_of(
    st.builds(
        Parameter,
        name=WORD,
        required=st.booleans(),
        default=st.none() | st.sampled_from(["a", "é"]),
        description=st.none() | NAME,
        constraints=st.sampled_from([{}, {"enum": ["a", "é"]}, {"pattern": ".", "maxLength": 3}]),
    ),
    st.builds(
        Parameter,
        name=WORD,
        type=st.just("integer"),
        default=st.none() | st.integers(0, 9),
        constraints=st.sampled_from([{}, {"minimum": 0, "maximum": 9}, {"title": "水"}]),
    ),
    st.builds(Parameter, name=WORD, type=st.just("object"), default=st.dictionaries(WORD, DATA, max_size=2)),
)


@st.composite
def pipelines(draw):
    ids = draw(st.lists(WORD, min_size=1, max_size=4, unique=True))
    jobs = []
    for k, job_id in enumerate(ids):
        kind, option = draw(st.sampled_from([("lambda", "function"), ("ecs", "task_definition")]))
        jobs.append(
            Job(
                id=job_id,
                type=kind,
                options={option: draw(WORD)},
                depends_on=draw(st.lists(st.sampled_from(ids[:k]), unique=True)) if k else (),
                parameters=draw(st.dictionaries(WORD, DATA, max_size=3)),
                name=draw(st.none() | NAME),
                description=draw(st.none() | st.just("") | NAME),
                retry=draw(st.just(RetryPolicy()) | RETRIES),
                timeout=draw(st.none() | st.integers(1, 99) | BROKEN),
                isolation=draw(st.sampled_from([None, "thread", "process"])),
                allow_failure=draw(st.booleans()),
            )
        )
    return Pipeline(
        name=draw(NAME),
        jobs=jobs,
        parameters=draw(st.lists(PARAMETERS, max_size=3, unique_by=lambda p: p.name)),
        description=draw(st.none() | NAME),
        on_failure=draw(st.sampled_from(["continue", "stop"])),
        max_concurrency=draw(st.none() | st.integers(1, 9)),
        metadata=draw(st.dictionaries(NAME, DATA, max_size=2)),
    )


def turned(tree):
    """The same data with the keys of every mapping in the other order."""
    if isinstance(tree, dict):
        return {key: turned(tree[key]) for key in reversed(tree)}
    return [turned(item) for item in tree] if isinstance(tree, list) else tree


@settings(max_examples=150, deadline=None)
@given(pipelines())
def test_round_trip(pipeline):
    """What to_dict says, from_dict reads as an equal pipeline with the same digest."""
    again = Pipeline.from_dict(pipeline.to_dict(), PLUGINS)
    assert (pipeline, pipeline.digest) == (again, again.digest)


@settings(max_examples=50, deadline=None)
@given(pipelines())
def test_key_order_does_not_count(pipeline):
    """The digest does not depend on the order of keys."""
    tree = pipeline.to_dict()
    assert Pipeline.from_dict(tree, PLUGINS).digest == Pipeline.from_dict(turned(tree), PLUGINS).digest


@settings(max_examples=50, deadline=None)
@given(pipelines())
def test_json_and_yaml_are_equal(pipeline):
    """The same definition as JSON text, and as YAML text, is the same pipeline."""
    text = json.dumps(pipeline.to_dict(), indent=1, ensure_ascii=False)
    as_json = Pipeline.parse(text, "json", plugins=PLUGINS)
    assert as_json == Pipeline.parse(text, plugins=PLUGINS)


BASE = {"version": "1.0", "name": "n", "jobs": [{"id": "a", "type": "lambda", "function": "f"}]}


def job(**fields):
    return Pipeline.from_dict({**BASE, "jobs": [{**BASE["jobs"][0], **fields}]}, PLUGINS).jobs[0]


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (3, RetryPolicy(max_attempts=3)),
        (3.0, RetryPolicy(max_attempts=3)),
        ({}, RetryPolicy(max_attempts=3)),
        ({"delay": 1}, RetryPolicy(max_attempts=3, delay=1)),
        ({"max_attempts": 5.0, "on": ["A"]}, RetryPolicy(max_attempts=5, on=("A",))),
    ],
)
def test_retry(retry, expected):
    """A number is short for max_attempts, which is 3 in a mapping that does not say it."""
    found = job(retry=retry).retry
    assert (expected, int) == (found, type(found.max_attempts))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15m", 900), ("1.5h", 5400), ("250ms", 0.25), ("2d", 172800), ("1s", 1), (7, 7), (0.5, 0.5)],
)
def test_timeout(text, seconds):
    """A timeout is kept in seconds."""
    assert seconds == job(timeout=text).timeout


def test_same_timeout_same_digest():
    """A timeout has one digest, however it is written."""
    trees = [{**BASE, "jobs": [{**BASE["jobs"][0], "timeout": t}]} for t in ("15m", 900, 900.0, "900s")]
    assert len({Pipeline.from_dict(tree, PLUGINS).digest for tree in trees}) == 1


def test_defaults_are_left_out():
    """to_dict says only what differs from its default."""
    assert Pipeline.from_dict(BASE, PLUGINS).to_dict() == BASE


def test_digest_is_of_the_canonical_text():
    """The digest is the SHA-256 of compact JSON with sorted keys; it must never change."""
    pipeline = Pipeline.from_dict(BASE, PLUGINS)
    assert (
        '{"jobs":[{"function":"f","id":"a","type":"lambda"}],"name":"n","version":"1.0"}',
        "302fa67e14998ec2651f4daf4daae2cf4eb9ca0e2ecd4fa6c31f375fabbb6855",
    ) == (pipeline.to_json(), pipeline.digest)


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        (
            Pipeline("n", [Job("a", "lambda", {"function": "f", "timeout": 3})]),
            "/jobs/0/timeout: error[misplaced-field]: job 'a' has 'timeout' among its options, but it is a"
            " field of every job\n    write Job(..., timeout=...)",
        ),
        (
            Pipeline("n", [Job("a", "lambda", {"function": "f"}, timeout="15m")]),
            "/jobs/0/timeout: error[wrong-type]: the timeout of job 'a' must be a number of seconds, not '15m'",
        ),
        (
            Pipeline(
                "n", [Job("a", "lambda", {"function": "f"})], [Parameter("p", constraints={"type": "array"})]
            ),
            "/parameters/0/type: error[misplaced-field]: parameter 'p' has 'type' among its constraints, but"
            " it is a field\n    write Parameter(..., type=...)",
        ),
    ],
)
def test_what_python_can_say_wrongly(pipeline, expected):
    """A pipeline made in Python is refused where its data would hide what it says."""
    with pytest.raises(DefinitionError) as caught:
        check(pipeline, PLUGINS.job_types)
    assert expected == str(caught.value)
