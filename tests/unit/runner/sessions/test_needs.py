"""What a session needs of its runner's configuration."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bunsui.configuration.settings import SecretReference, Settings
from bunsui.errors import ConfigError, DefinitionError
from bunsui.model.pipeline import Job, Parameter, Pipeline
from bunsui.runner.sessions.needs import Needs, meet, needs, require

SETTINGS = Settings(env=("LISTED",), secrets={"db": SecretReference("env", "DB")})


def wanted(values: dict[str, Any] | None = None, **fields: Any) -> Needs:
    """What a pipeline of one custom job needs that is started with these values."""
    declared = [Parameter("plain"), Parameter("secret", secret=True)]
    pipeline = Pipeline(
        name="p",
        parameters=declared,
        jobs=[Job("a", "custom", {"command": ["x", *fields.pop("arguments", ())]}, **fields)],
    )
    return needs(pipeline, {"plain": None, "secret": None, **(values or {})})


def test_nothing() -> None:
    """A pipeline that names none of them needs none."""
    assert Needs() == wanted()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"parameters": {"x": [{"y": "a ${env.V}"}]}}, ("jobs", 0, "parameters", "x", 0, "y")),
        ({"arguments": ["${env.V}"]}, ("jobs", 0, "command", 1)),
        ({"condition": '${env.V} == "x" and ${env.V} != "y"'}, ("jobs", 0, "condition")),
        ({"for_each": [1, "${env.V}"]}, ("jobs", 0, "for_each", 1)),
    ],
)
def test_variables(fields: dict[str, Any], path: tuple[str | int, ...]) -> None:
    """A variable is found wherever references are resolved, with its place."""
    assert {"V": path} == wanted(**fields).env


def test_variables_of_outputs() -> None:
    """Outputs are such a place."""
    job = Job("a", "custom", {"command": ["x"]})
    assert {"V": ("outputs", "o")} == needs(Pipeline("p", [job], outputs={"o": "${env.V}"}), {}).env


@pytest.mark.parametrize("text", ["$${env.V}", "env.V", "${plain}"])
def test_no_variables(text: str) -> None:
    """What only looks like one is none."""
    assert {} == wanted({"plain": "${env.V}"}, for_each=[text]).env


def test_the_first_place_counts() -> None:
    """Of several places that name one."""
    first = wanted(arguments=["${env.V}"], condition='${env.V} == ""').env
    assert {"V": ("jobs", 0, "command", 1)} == first


def test_secrets_of_parameters() -> None:
    """The value of a secret parameter names a secret; that of any other is text."""
    found = wanted({"plain": "${secrets.no}", "secret": "${secrets.db}"})
    assert {"db": ("parameters", "secret")} == found.secrets


def test_pools() -> None:
    """A pool is needed where the job says so."""
    assert {"gpu": ("jobs", 0, "pool")} == wanted(pool="gpu").pools


def test_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of the variables that are needed, as they are now."""
    monkeypatch.setenv("LISTED", "now")
    found = meet(Needs(env={"LISTED": ()}, secrets={"db": ()}, pools={"p": ()}), SETTINGS, {"p": 1})
    assert {"LISTED": "now"} == found


def test_meet_says_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once."""
    monkeypatch.delenv("LISTED", raising=False)
    missing = Needs({"LISTED": ("a",), "OTHER": ("b",)}, {"no": ("c",)}, {"gpu": ("d",)})
    with pytest.raises(DefinitionError) as caught:
        meet(missing, SETTINGS, {})
    assert {
        ("missing-env", "/a"),
        ("unlisted-env", "/b"),
        ("unknown-secret", "/c"),
        ("unknown-pool", "/d"),
    } == {(problem.code, problem.path) for problem in caught.value.problems}


def test_require() -> None:
    """Who goes on with a session needs its secrets and pools; its variables it has from its start."""
    require(Needs(env={"OTHER": ()}, secrets={"db": ()}), SETTINGS, {}, "it stays")
    with pytest.raises(ConfigError, match=r"no secret 'no'; .*; it stays"):
        require(Needs(secrets={"no": ()}), SETTINGS, {}, "it stays")
    with pytest.raises(ConfigError, match=r"the runner has no pool 'gpu'; .*; it stays"):
        require(Needs(pools={"gpu": ()}), SETTINGS, {}, "it stays")


def test_variables_are_those_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a program has put another environment into place since this was imported."""
    monkeypatch.setattr(os, "environ", {"LISTED": "late"})
    assert {"LISTED": "late"} == meet(Needs(env={"LISTED": ()}), SETTINGS, {})
