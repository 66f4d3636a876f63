"""Digests of jobs: what makes two of them the same work, and what does not."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import bunsui
from bunsui.runner.sessions.digests import Inputs, digests

JOBS: list[dict[str, Any]] = [
    {"id": "a", "command": ["run", "${x}"], "parameters": {"text": "of ${y}"}},
    {"id": "b", "command": ["run"], "parameters": {"rows": "${jobs.a.output.rows}"}, "depends_on": ["a"]},
    {"id": "c", "command": ["run"], "depends_on": ["b"]},
    {"id": "alone", "command": ["run"]},
]
PARAMETERS = [{"name": "x", "type": "string"}, {"name": "y", "type": "string"}]


def works(
    jobs: list[dict[str, Any]], x: str = "1", y: str = "2", session: str = "", **fields: Any
) -> dict[str, str]:
    definition = {
        "version": "1.0",
        "name": "p",
        "parameters": PARAMETERS,
        "jobs": [{"type": "custom", **job} for job in jobs],
        **fields,
    }
    pipeline = bunsui.Pipeline.from_dict(definition)
    found = digests(pipeline, Inputs({"x": x, "y": y}, {}, session), {})
    return {job: digest.work for job, digest in found.items()}


def changed(jobs: list[dict[str, Any]], **more: Any) -> set[str]:
    """The jobs whose digests differ from those of `JOBS`."""
    before, now = works(JOBS), works(jobs, **more)
    return {job for job in now if now[job] != before.get(job)}


def with_(job: str, **fields: Any) -> list[dict[str, Any]]:
    return [{**each, **fields} if each["id"] == job else each for each in JOBS]


def test_the_same_is_the_same() -> None:
    """Equal definitions with equal parameters have equal digests."""
    assert set() == changed(JOBS)


@pytest.mark.parametrize(
    ("jobs", "more", "expected"),
    [
        (JOBS, {"x": "9"}, {"a", "b", "c"}),
        (JOBS, {"y": "9"}, {"a", "b", "c"}),
        (with_("b", parameters={"rows": "${jobs.a.output.other}"}), {}, {"b", "c"}),
        (with_("c", command=["other"]), {}, {"c"}),
        (with_("c", command=["run"], for_each=[1]), {}, {"c"}),
        (with_("b", condition="${x} == '1'"), {}, {"c"}),
        (with_("b", allow_failure=True), {}, {"c"}),
        (with_("c", depends_on=["a"]), {}, {"c"}),
        (with_("c", depends_on=["b", "alone"]), {}, {"c"}),
    ],
    ids=["x", "y", "path", "option", "for_each", "condition", "allow_failure", "other", "further"],
)
def test_what_changes_a_digest(jobs: list[dict[str, Any]], more: Any, expected: set[str]) -> None:
    """A job's own work, and all of it upstream; conditions count for what follows alone."""
    assert expected == changed(jobs, **more)


@pytest.mark.parametrize(
    "jobs",
    [
        with_("a", description="other", name="Other", retry=5, timeout=10, pool="p", isolation="thread"),
        with_("a", command=["run", "1"]),
        with_("a", parameters={"text": "of 2"}),
        [*reversed(JOBS)],
    ],
    ids=["how", "literal", "text", "order"],
)
def test_what_does_not(jobs: list[dict[str, Any]]) -> None:
    """How a job is run, what it is called, and how its input came about are no part of its work."""
    assert set() == changed(jobs)


def test_a_literal_is_no_reference() -> None:
    """A text that looks like a reference to an output is other work than the reference."""
    assert {"b", "c"} == changed(with_("b", parameters={"rows": "$${jobs.a.output.rows}"}))
    assert {"b", "c"} == changed(with_("b", parameters={"rows": {"${": "${jobs.a.output.rows}"}}))


def test_what_refers_to_the_session_is_new_in_each() -> None:
    """A job with ``${session.id}`` is other work in another session, and so is all that follows."""
    jobs = with_("b", parameters={"to": "${session.id}"})
    first, second = works(jobs, session="s1"), works(jobs, session="s2")
    assert {"b", "c"} == {job for job in first if first[job] != second[job]}


def test_secrets_count_by_their_reference() -> None:
    """A secret's name is part of the digest; its value is not asked for."""
    one, other = ([*with_("c", parameters={"key": f"${{secrets.{name}}}"})] for name in ("k1", "k2"))
    assert works(one)["c"] != works(other)["c"]
    assert works(one) == works(one)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["1", "${x}", "${y}", "${x}${y}"]), max_size=3),
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["1", "${x}", "${y}", "${x}${y}"]), max_size=3),
)
def test_equal_inputs_have_equal_digests_and_others_have_not(
    one: dict[str, str], other: dict[str, str]
) -> None:
    """Digests are equal just where the inputs are when all references are resolved."""

    def resolved(values: dict[str, str]) -> dict[str, str]:
        return {key: text.replace("${x}", "1").replace("${y}", "2") for key, text in values.items()}

    same = works(with_("c", parameters=one))["c"] == works(with_("c", parameters=other))["c"]
    assert (resolved(one) == resolved(other)) is same
