"""The examples of a suite for job types, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

import bunsui
from bunsui.plugins.registry import Plugins
from bunsui.ports.hooks import hookimpl
from bunsui.ports.job_type import JobType
from bunsui.ports.secrets import SecretSource

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.dsl.problems import Problem
    from bunsui.runner.handle import Session
    from bunsui.runner.runner import Runner

#: The id of the job in every pipeline of the suite.
JOB = "example"
#: What a JSON value is called in the declaration of a parameter.
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


class Examples:
    """What a derived class says about its job type."""

    #: The fields of the type in a job that runs and succeeds.
    options: Mapping[str, Any] = MappingProxyType({})
    #: The input of every example.
    parameters: Mapping[str, Any] = MappingProxyType({})
    #: Fields that are wrong, each as a whole: every one of them has to be refused.
    invalid_options: Sequence[Mapping[str, Any]] = ()
    #: The fields in a job that fails because its work does.
    failing_options: Mapping[str, Any] | None = None
    #: The fields in a job that would take longer than `patience`, so that it is there to be cancelled.
    slow_options: Mapping[str, Any] | None = None
    #: The fields in a job that is given a secret, ``${secrets.canary}``, where the type takes one. None: it
    #: is one more parameter of the example that fails, or else of the one that succeeds.
    secret_options: Mapping[str, Any] | None = None
    #: A handle of the right form, of work that the service never had.
    unknown_handle: Any = None
    #: Fields that may not hold references.
    literal_fields: Collection[str] = ()
    #: Seconds that an example may take, and that one which was cancelled may take to end.
    patience: float = 30.0

    #: Whether the examples can be run in a test.
    can_run: bool = True
    #: Whether there is an example that fails.
    can_fail: bool = True
    #: Whether work that has begun can be stopped.
    can_cancel: bool = True
    #: Whether a remote type's `find` finds what was submitted; else it has to say that it can't tell.
    can_find: bool = True
    #: Whether the same job gives the same output each time.
    is_repeatable: bool = True
    #: Whether editors are told what each field means.
    has_descriptions: bool = True
    #: Whether a job of the type may be given secrets.
    takes_secrets: bool = True

    def same_work(self, one: Any, other: Any) -> bool:
        """Whether two handles of a remote type name one piece of work; by default, whether they are equal."""
        return bool(one == other)


class Bringing(SecretSource):
    """A plugin that brings a job type, and a source of secrets that knows what it is given."""

    def __init__(self, job_type: JobType, **secrets: str) -> None:
        self._job_type = job_type
        self._secrets = secrets

    @hookimpl
    def bunsui_job_types(self) -> list[JobType]:
        """The job type."""
        return [self._job_type]

    @hookimpl
    def bunsui_secret_sources(self) -> Mapping[str, SecretSource]:
        """The source ``suite``."""
        return {"suite": self}

    def get(self, key: str) -> str:
        """See `SecretSource.get`."""
        return self._secrets[key]


def registry(job_type: JobType) -> Plugins:
    """The built-ins, and the job type."""
    return Plugins([Bringing(job_type)], autoload=False)


def runner_of(job_type: JobType, store: Any = "memory://", *more: Any, **secrets: str) -> Runner:
    """A runner that knows the job type, further plugins, and secrets; what is configured here is left out."""
    config = {"secrets": {name: f"suite:{name}" for name in secrets}}
    plugins = [Bringing(job_type, **secrets), *more]
    return bunsui.Runner(store, plugins=plugins, autoload_plugins=False, config=config)


def definition(
    job_type: JobType, options: Mapping[str, Any], parameters: Mapping[str, Any], **fields: Any
) -> dict[str, Any]:
    """A definition with one job of the type."""
    job = {"id": JOB, "type": job_type.name, **options, **fields}
    if parameters:
        job["parameters"] = dict(parameters)
    return {"version": "1.0", "name": "suite", "jobs": [job]}


def problems(job_type: JobType, document: Mapping[str, Any]) -> list[Problem]:
    """All that is wrong with a definition."""
    return bunsui.validate(json.dumps(document, indent=1), registry(job_type))


def by_reference(document: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """The definition with these fields of its job as references to parameters, whose defaults are the values.

    What is null, or holds references already, is left as it is. A test fails where a value is none of JSON.
    """
    (job,) = document["jobs"]
    declared = []
    for number, name in enumerate(fields):
        value = job[name]
        if value is None:
            continue
        if type(value) not in _TYPES:
            pytest.fail(_no_json(name, value), pytrace=False)
        if "${" not in json.dumps(value):
            declared.append({"name": f"p{number}", "type": _TYPES[type(value)], "default": value})
            job = {**job, name: f"${{p{number}}}"}
    return {**document, "parameters": declared, "jobs": [job]}


def _no_json(name: str, value: object) -> str:
    kinds = ", ".join(kind.__name__ for kind in _TYPES)
    return (
        f"options[{name!r}] is of type {type(value).__name__}: write what a definition can hold,"
        f" one of {kinds} or None; a tuple as a list, a path as str(path)"
    )


def begin(runner: Runner, document: Mapping[str, Any], folder: Path) -> Session:
    """Starts a session of a definition that stands in a folder."""
    return runner.start(bunsui.Pipeline.from_dict(document, plugins=runner.plugins).at(folder))


def rest(session: Session, patience: float) -> bunsui.SessionStatus:
    """A session's status when it rests; a test fails where it does not in time."""
    try:
        return session.wait(patience)
    except TimeoutError:
        pytest.fail(f"the example has not ended after {patience:g} seconds; give more with 'patience'")


def run(runner: Runner, document: Mapping[str, Any], folder: Path, patience: float) -> Session:
    """A session of a definition that stands in a folder, when it rests."""
    session = begin(runner, document, folder)
    rest(session, patience)
    return session


def outcome(session: Session) -> tuple[str, str]:
    """How a session ended, and why; ("succeeded", "") is what is hoped for."""
    state = session.state
    job = state.jobs[JOB]
    error = job.error or state.error
    reason = job.reason or state.paused_message or ""
    return str(state.status), reason if error is None else f"{error.code}: {error.message}"
