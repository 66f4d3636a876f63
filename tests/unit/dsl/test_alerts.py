"""`alerts` of a definition: what they may say, and that they say the same however they are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import bunsui
from bunsui.model.alerts import AlertRule

BARE = {"version": "1.0", "name": "n", "jobs": [{"id": "a", "type": "custom", "command": ["x"]}]}
NAMES = st.sampled_from(["ops", "log", "team"])
TIMES = st.sampled_from([60, 1.5, "2h", "30m", "1d"])
COMMON = {"channel": NAMES | st.lists(NAMES, min_size=1, unique=True)}
SILENCE = {"silence": TIMES}
JOB = {"job": st.just("a")}
RUNS = {"runs": st.integers(1, 100)}


def rule(on: str, required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    whole = {"on": st.just(on), **COMMON, **required}
    return st.fixed_dictionaries(whole, optional={**SILENCE, **optional})


RULES = st.one_of(
    rule("failure", {}, JOB),
    rule("recovery", {}, {}),
    rule("duration", {"above": TIMES}, JOB),
    rule("duration", {"above_median": st.floats(0.1, 100)}, {**JOB, **RUNS}),
    rule("success_rate", {"below": st.floats(0.01, 1)}, RUNS),
    rule("stalled", {"after": TIMES}, {}),
)


@given(st.lists(RULES, max_size=5))
def test_they_survive_being_written(rules: list[dict[str, Any]]) -> None:
    """What is read, written and read again says the same, and an editor finds nothing wrong with it."""
    pipeline = bunsui.Pipeline.from_dict({**BARE, "alerts": rules})
    assert bunsui.Pipeline.parse(pipeline.to_yaml()).alerts == pipeline.alerts
    assert bunsui.Pipeline.parse(pipeline.to_json(), "json").digest == pipeline.digest
    assert list(EDITOR.iter_errors({**BARE, "alerts": rules})) == []


EDITOR = Draft202012Validator(bunsui.json_schema())


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"on": "failure"},
        {"on": "failed", "channel": "ops"},
        {"on": "failure", "channel": []},
        {"on": "failure", "channel": "ops", "after": 3},
        {"on": "recovery", "channel": "ops", "job": "a"},
        {"on": "duration", "channel": "ops"},
        {"on": "duration", "channel": "ops", "above": 3, "above_median": 2},
        {"on": "success_rate", "channel": "ops", "below": 1.5},
        {"on": "success_rate", "channel": "ops", "below": 0.5, "runs": 101},
        {"on": "stalled", "channel": "ops", "after": 0},
        {"on": "failure", "channel": "ops", "pipeline": "n"},
        "failure",
    ],
)
def test_what_is_wrong(wrong: Any) -> None:
    """The validator refuses it, and an editor says so, too."""
    with pytest.raises(bunsui.DefinitionError):
        bunsui.Pipeline.from_dict({**BARE, "alerts": [wrong]})
    assert list(EDITOR.iter_errors({**BARE, "alerts": [wrong]}))


def test_in_python() -> None:
    """A pipeline made in Python has those that a file would have, and is as strict."""
    jobs = bunsui.Pipeline.from_dict(BARE).jobs
    made = bunsui.Pipeline("n", jobs, alerts=[AlertRule("duration", "ops", above="2h", job="a")])
    read = bunsui.Pipeline.from_dict(
        {**BARE, "alerts": [{"on": "duration", "above": 7200, "job": "a", "channel": ["ops"]}]}
    )
    assert made == read
    assert made.alerts[0].above == 7200
    assert hash(made.alerts[0]) == hash(read.alerts[0])
    with pytest.raises(bunsui.DefinitionError, match=r"'job' of alert 1 \(on: failure\) is 'b'"):
        bunsui.Pipeline("n", jobs, alerts=[AlertRule("failure", "ops", job="b")])
    with pytest.raises(TypeError, match=r"a list of bunsui\.AlertRule is wanted, not of dict"):
        bunsui.Pipeline("n", jobs, alerts=[{"on": "failure", "channel": "ops"}])  # type: ignore[list-item]


def test_a_pipeline_without_them_is_what_it_was() -> None:
    """Its digest, by which sessions and caches know it, stays the same."""
    pipeline = bunsui.Pipeline.from_dict(BARE)
    assert pipeline == bunsui.Pipeline.from_dict({**BARE, "alerts": []})
    assert pipeline.digest == "cae89693c639038982c047373e46bbd944ee819bee7e7a03999d8f3e721c9068"


def test_rules_have_ids_of_their_own() -> None:
    """Equal rules have one id, others another."""
    rules = [AlertRule("failure", "ops"), AlertRule("failure", ["ops"]), AlertRule("failure", "log")]
    assert [one.id == rules[0].id for one in rules] == [True, True, False]
    assert AlertRule("failure", "ops") != "failure"


def test_a_difference_names_them() -> None:
    """`pipeline diff` shows that they changed."""
    from bunsui.dsl.diff import differences

    before = bunsui.Pipeline.from_dict(BARE)
    after = bunsui.Pipeline.from_dict({**BARE, "alerts": [{"on": "failure", "channel": "ops"}]})
    (found,) = differences(before, after)
    assert found.render() == '+ pipeline: alerts: [{"on": "failure", "channel": "ops"}]'
