"""From a tree to a pipeline and back."""

from __future__ import annotations

import pytest

from bunsui import Pipeline, Plugins, RetryPolicy
from bunsui.dsl.fields import JOB_FIELDS, PIPELINE_FIELDS, RETRY

PLUGINS = Plugins(autoload=False)
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
    assert (
        seconds == job(timeout=text).timeout == Pipeline.from_dict({**BASE, "timeout": text}, PLUGINS).timeout
    )


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


def test_every_field_of_a_job_is_kept():
    """What a definition says of a job, the job says."""
    fields = {
        "name": "A",
        "description": "",
        "depends_on": ["b"],
        "parameters": {"x": [1]},
        "condition": "always()",
        "for_each": [],
        "max_concurrency": 2.0,
        "pool": "gpu",
        "timeout": "1m",
        "isolation": "process",
        "allow_failure": True,
        "retry": {"max_attempts": 2},
    }
    tree = {
        **BASE,
        "jobs": [{**BASE["jobs"][0], **fields}, {"id": "b", "type": "ecs", "task_definition": "t"}],
    }
    pipeline = Pipeline.from_dict(tree, PLUGINS)
    written = {**fields, "max_concurrency": 2, "timeout": 60}
    assert {**BASE["jobs"][0], **written} == pipeline.to_dict()["jobs"][0]


def test_every_field_of_a_pipeline_is_kept():
    """What a definition says beside its jobs, the pipeline says."""
    fields = {
        "description": "d",
        "on_failure": "stop",
        "max_concurrency": 3,
        "timeout": 0.5,
        "outputs": {"x": "${jobs.a.output}"},
        "metadata": {"owner": ["me"]},
        "parameters": [{"name": "p", "type": "integer", "required": True, "default": 0, "minimum": 0}],
    }
    assert {**BASE, **fields} == Pipeline.from_dict({**BASE, **fields}, PLUGINS).to_dict()


def with_job(**fields):
    return Pipeline.from_dict(
        {"version": "1.0", "name": "p", "jobs": [{"id": "a", "type": "custom", "command": ["x"], **fields}]}
    )


@pytest.mark.parametrize(
    "name", [name for name, part in JOB_FIELDS.items() if "default" in part and name != "isolation"]
)
def test_a_field_of_a_job_that_is_left_out_is_the_schemas_default(name):
    """What editors show, and the reference tells, is what the model has."""
    assert with_job() == with_job(**{name: JOB_FIELDS[name]["default"]})


@pytest.mark.parametrize(
    ("field", "properties"),
    [("retry", RETRY["properties"]), ("cache", JOB_FIELDS["cache"]["properties"])],
)
def test_a_part_that_is_left_out_is_the_schemas_default(field, properties):
    """Likewise, in the mappings of a job."""
    defaults = {name: part["default"] for name, part in properties.items() if "default" in part}
    assert defaults
    for name, default in defaults.items():
        assert with_job(**{field: {}}) == with_job(**{field: {name: default}})


def test_a_field_of_a_pipeline_that_is_left_out_is_the_schemas_default():
    """Likewise."""
    tree = with_job().to_dict()
    defaults = {name: part["default"] for name, part in PIPELINE_FIELDS.items() if "default" in part}
    assert {"on_failure"} == defaults.keys()
    assert with_job() == Pipeline.from_dict({**tree, **defaults})
