"""The errors: their tree, their texts, and that they survive pickling."""

from __future__ import annotations

import copy
import inspect
import pickle
from functools import partial
from typing import Any

import pytest

import bunsui
from bunsui import errors
from bunsui.dsl.problems import Problem
from bunsui.local.results import failure
from bunsui.model.session import Failure

PROBLEM = Problem("code", "what", "do this", "f.yaml", 2, 3, source="x: y")
EXAMPLES = {
    "BunsuiError": errors.BunsuiError("it broke", hint="mend it"),
    "DefinitionError": errors.DefinitionError([PROBLEM]),
    "NotFound": errors.NotFound("no session 'x'", kind="session", name="x", hint="see session list"),
    "StateError": errors.StateError("it has ended"),
    "Conflict": errors.Conflict("somebody was first", hint="try again"),
    "SessionFailed": errors.SessionFailed("s1", "failed", {"a": errors.JobError("boom", code="E")}),
    "JobError": errors.JobError("boom", code="E", retryable=False),
    "JobTimeout": errors.JobTimeout("too long"),
    "JobCancelled": errors.JobCancelled("stopped"),
    "JobLost": errors.JobLost("gone"),
    "OutcomeUnknown": errors.OutcomeUnknown("who knows"),
    "SecretInOutput": errors.SecretInOutput("hush"),
    "StoreError": errors.StoreError("disk full", hint="make room"),
    "AwsError": errors.AwsError(
        "denied", service="lambda", action="Invoke", resource="arn", account="1", request_id="r", hint="ask"
    ),
    "AlertNotTaken": errors.AlertNotTaken("the pager is busy", hint="call", retry_after=30),
    "AuthenticationError": errors.AuthenticationError("who?"),
    "PermissionDenied": errors.PermissionDenied("no"),
    "PluginError": errors.PluginError("bad", plugin="p", distribution="d", hint="remove it"),
    "ConfigError": errors.ConfigError("bad", hint="good"),
}


class Strict(errors.JobError):
    """What a user may write."""

    def __init__(self, number):
        super().__init__(f"number {number}", code="Strict")
        self.number = number


def test_every_error_has_an_example():
    """The tests of this file look at every error that there is."""
    assert sorted(EXAMPLES) == sorted(errors.__all__)


def test_tree():
    """The tree in the docstring is the tree of the classes."""
    drawn, parents = {}, {}
    for line in inspect.getdoc(errors).splitlines():
        name = next((word for word in line.split() if word in EXAMPLES), None)
        if name is not None and line.startswith("    "):
            depth = line.index(name)
            parents[depth] = name
            above = [parents[d] for d in sorted(parents) if d < depth]
            drawn[name] = above[-1] if above else "Exception"
    assert drawn == {name: getattr(errors, name).__base__.__name__ for name in EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_exported(name):
    """Every error is a public name of bunsui."""
    assert getattr(bunsui, name) is getattr(errors, name)


@pytest.mark.parametrize("error", [*EXAMPLES.values(), Strict(3)], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(error, protocol):
    """An error comes out of a pickle with its class, text and attributes."""
    again = pickle.loads(pickle.dumps(error, protocol))
    assert (type(error), str(error), plain(error)) == (type(again), str(again), plain(again))


@pytest.mark.parametrize("error", EXAMPLES.values(), ids=list(EXAMPLES))
def test_copying(error):
    """A copy of an error is equal to it in class, text and attributes."""
    again = copy.deepcopy(error)
    assert (type(error), str(error), plain(error)) == (type(again), str(again), plain(again))


def plain(error):
    """The attributes, errors in them as their texts."""
    return {
        name: {job: (str(e), e.code) for job, e in value.items()} if name == "errors" else value
        for name, value in vars(error).items()
    }


TEXTS = {
    "BunsuiError": "it broke; mend it",
    "DefinitionError": "f.yaml:2:3: error[code]: what\n    2 | x: y\n      |   ^ do this",
    "NotFound": "no session 'x'; see session list",
    "StateError": "it has ended",
    "SessionFailed": "session s1 is failed:\n  a: E: boom",
    "JobError": "boom",
    "AwsError": "denied; ask",
    "PluginError": "bad; remove it",
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(name):
    """The text is the message, and behind it the hint."""
    assert TEXTS[name] == str(EXAMPLES[name])


def test_session_without_errors():
    """A cancelled session has no failed jobs to name."""
    assert str(errors.SessionFailed("s1", "cancelled", {})) == "session s1 is cancelled"


def test_several_problems():
    """A DefinitionError shows all its problems, and keeps them."""
    error = errors.DefinitionError([Problem("a", "x"), Problem("b", "y")])
    assert ("error[a]: x\nerror[b]: y", (Problem("a", "x"), Problem("b", "y"))) == (
        str(error),
        error.problems,
    )


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("BunsuiError", {"message": "it broke", "hint": "mend it"}),
        ("DefinitionError", {"problems": (PROBLEM,)}),
        (
            "NotFound",
            {"kind": "session", "name": "x", "message": "no session 'x'", "hint": "see session list"},
        ),
        ("SessionFailed", {"session_id": "s1", "status": "failed"}),
        ("JobError", {"code": "E", "message": "boom", "retryable": False}),
        (
            "AwsError",
            {"service": "lambda", "action": "Invoke", "resource": "arn", "account": "1", "request_id": "r"},
        ),
        ("PluginError", {"plugin": "p", "distribution": "d", "hint": "remove it"}),
    ],
)
def test_attributes(name, attributes):
    """What an error was made of can be read from it."""
    assert attributes == {key: getattr(EXAMPLES[name], key) for key in attributes}


@pytest.mark.parametrize(
    ("name", "retryable"),
    [
        ("JobError", True),
        ("JobTimeout", True),
        ("JobCancelled", False),
        ("JobLost", False),
        ("OutcomeUnknown", False),
        ("SecretInOutput", False),
    ],
)
def test_job_error_defaults(name, retryable):
    """A job's error has its own name as code, and says whether another attempt can help."""
    error = getattr(errors, name)("m")
    assert (name, retryable) == (error.code, error.retryable)


def test_notes_survive():
    """Notes that were added to an error are kept."""
    error = errors.ConfigError("bad")
    error.add_note("seen in the kitchen")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen in the kitchen"]


def test_job_code_of_an_aws_error() -> None:
    """A job that fails by an `AwsError` has AWS's name for it as its code, with the service before it."""
    error = partial(bunsui.AwsError, "no", action="Invoke")
    assert error(service="lambda", code="ThrottlingException").job_code == "Lambda.ThrottlingException"
    assert error(service="ecs", code="ClientException").job_code == "ECS.ClientException"
    assert error(service="batch", code="ClientException").job_code == "Batch.ClientException"
    assert error(service="glue", code="X").job_code == "Glue.X"
    assert error(service="ecs").job_code == "AwsError"


@pytest.mark.parametrize(
    ("kind", "retryable"), [("refused", False), ("busy", True), ("open", True), ("credentials", True)]
)
def test_failure_of_an_aws_error(kind: Any, retryable: bool) -> None:
    """What AWS refused it refuses again; all else may come right."""
    error = bunsui.AwsError("no", service="ecs", action="RunTask", code="X", kind=kind, hint="ask for it")
    assert failure(error) == Failure("ECS.X", "no; ask for it", retryable)
