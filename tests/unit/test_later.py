"""What is promised and not there yet says so, and is not mistaken for a name that does not exist."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.cli.main import cli, run
from bunsui.model.later import LATER
from bunsui.plugins.contributions import OWN_COMMANDS

BROUGHT = r"is not in this version of bunsui; a later one brings it$"


@pytest.fixture
def things() -> dict[str, Any]:
    """A pipeline, a runner and a session of it, by the names of their classes."""
    pipeline = bunsui.Pipeline("one", jobs=[bunsui.Job.from_callable(lambda: 1, id="a")])
    with bunsui.Runner("memory://", config=bunsui.Config()) as runner:
        return {"Pipeline": pipeline, "Runner": runner, "Session": runner.run(pipeline)}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("Pipeline", "Runner", "Session") for name in sorted(LATER[kind])],
)
def test_an_attribute_of_a_later_version(things: dict[str, Any], kind: str, name: str) -> None:
    """It is an AttributeError, so that `hasattr` is true of what is there; and says when it comes."""
    assert not hasattr(things[kind], name)
    with pytest.raises(AttributeError, match=rf"^{kind}\.{name} {BROUGHT}") as caught:
        getattr(things[kind], name)
    assert (name, things[kind]) == (caught.value.name, caught.value.obj)


@pytest.mark.parametrize("kind", ["Pipeline", "Runner", "Session"])
def test_an_attribute_of_no_version(things: dict[str, Any], kind: str) -> None:
    """It is said as Python says it, whose traceback then suggests one that is alike."""
    with pytest.raises(AttributeError, match=rf"^'{kind}' object has no attribute 'jubs'$"):
        getattr(things[kind], "jubs")  # noqa: B009 - mypy knows that it is not there


def test_pipelines_are_copied_and_pickled(things: dict[str, Any]) -> None:
    """What is asked of an object that has no attributes yet does no harm."""
    pipeline = bunsui.Pipeline("one", jobs=[bunsui.Job("a", "custom", command=["true"])])
    assert pipeline == copy.copy(pipeline) == copy.deepcopy(pipeline) == pickle.loads(pickle.dumps(pipeline))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"authenticator": object()}, "the argument 'authenticator' of a Runner"),
        ({"engine": "stepfunctions"}, "the engine 'stepfunctions'"),
    ],
)
def test_an_argument_of_a_later_version(given: dict[str, Any], what: str) -> None:
    """It is known, and refused where something is given for it."""
    with pytest.raises(bunsui.ConfigError, match=f"^{what} is not in this version"):
        bunsui.Runner("memory://", **given)


def test_an_engine_of_no_version() -> None:
    """It is refused, and the one that there is, is named."""
    with pytest.raises(bunsui.ConfigError, match=r"^there is no engine 'turbo'; use 'embedded'$"):
        bunsui.Runner("memory://", engine="turbo")


def test_a_runner_of_your_own_has_the_same_names() -> None:
    """What is derived from a class of the library says what that class says."""

    class Own(bunsui.Runner):
        pass

    with Own("memory://") as runner, pytest.raises(AttributeError, match=rf"^Runner\.acting_as {BROUGHT}"):
        _ = runner.acting_as  # type: ignore[attr-defined]


def commands_to_come() -> list[list[str]]:
    """The arguments of each command that a later version has."""
    own = [[name] for name in sorted(OWN_COMMANDS - cli.commands.keys())]
    below = [[group, name] for group in ("pipeline", "session") for name in sorted(LATER[f"bunsui {group}"])]
    return [*own, *below]


def test_there_are_commands_to_come() -> None:
    """The list is not empty by mistake."""
    assert [["auth"], ["interactive"], ["worker"]] == commands_to_come()[:3]


@pytest.mark.parametrize("arguments", commands_to_come(), ids=" ".join)
def test_a_command_of_a_later_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is wrong usage, exit code 2, and not a command that does not exist."""
    assert 2 == run([*arguments, "x"])
    assert f"the command '{' '.join(arguments)}' is not in this version of bunsui" in capsys.readouterr().err


def test_another_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--engine embedded` is what there is; the other one is refused before anything is read."""
    (tmp_path / "p.yaml").write_text(
        'version: "1.0"\nname: p\njobs: [{id: a, type: custom, command: ["true"]}]\n', encoding="utf-8"
    )
    begin = ["run", str(tmp_path / "p.yaml"), "--store", "memory://", "--engine"]
    assert (0, 2) == (run([*begin, "embedded"]), run([*begin, "stepfunctions"]))
    assert "stepfunctions" in capsys.readouterr().err
