"""A plugin with one of everything, as its author writes it: no checker finds anything wrong with it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest

import bunsui
from bunsui.engine.events import Event, JobFailed, JobSucceeded, SessionFailed, SessionSucceeded
from bunsui.ports.job_type import Command, Finding
from bunsui.ports.store import Append, Appended, Commit, Document, Put, Store
from bunsui.testing import (
    AlertChannelSuite,
    JobTypeSuite,
    ObserverSuite,
    SecretSourceSuite,
    StoreSuite,
    simulate,
)

bunsui_hook_versions = ">=1.0,<2"


class Upper(bunsui.JobType):
    """Without annotations of the attributes: their types are those of `bunsui.JobType`."""

    name = "upper"
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    binding_field = "text"
    open_fields = frozenset({"text"})
    on_lost = "fail"

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        if job["id"] == options["text"]:
            return [("text", "own-name", "the text is the job's own name")]
        return []

    def unavailable(self, options: Mapping[str, Any]) -> str | None:
        return None if options else "there is nothing to do"

    def run(self, call: bunsui.JobCall) -> str:
        text: str = call.options["text"]
        call.logger.info("attempt %d of %s", call.attempt, call.job_id)
        if call.cancelled.wait(0.0) or (call.deadline is not None and call.deadline < 0):
            raise bunsui.JobCancelled("stopped")
        if not text:
            raise bunsui.JobError("there is no text", code="Upper.Empty", retryable=False)
        return text.upper()


class Pause(bunsui.JobType):
    """With annotations, and async."""

    name: ClassVar[str] = "pause"
    schema: ClassVar[Mapping[str, Any]] = {"properties": {"seconds": {"type": "number"}}}

    async def run(self, call: bunsui.JobCall) -> dict[str, float]:
        seconds = float(call.options.get("seconds", 1))
        await asyncio.sleep(seconds)
        return {"seconds": seconds}


class Program(bunsui.JobType):
    """A program of this machine."""

    name = "program"
    schema = {"properties": {"argv": {"type": "array"}}}

    def run(self, call: bunsui.JobCall) -> object:
        folder: Path | None = call.folder
        return call.workbench.begin(Command(["echo", *call.options["argv"]], folder), call)


class Build(bunsui.RemoteJobType):
    """Work at a service."""

    name = "build"
    schema = {"properties": {"project": {"type": "string"}}}
    poll_interval = 5.0
    resubmit_is_idempotent = True

    def __init__(self) -> None:
        self.builds: dict[str, str] = {}

    def submit(self, call: bunsui.JobCall) -> dict[str, str]:
        self.builds[call.idempotency_key] = call.options["project"]
        return {"key": call.idempotency_key}

    def poll(
        self, handles: Sequence[dict[str, str]]
    ) -> list[bunsui.Running | bunsui.Succeeded | bunsui.Failed | bunsui.CannotTell]:
        return [self._outcome(handle["key"]) for handle in handles]

    def _outcome(self, key: str) -> bunsui.Running | bunsui.Succeeded | bunsui.Failed | bunsui.CannotTell:
        match self.builds.get(key):
            case None:
                return bunsui.CannotTell()
            case "slow":
                return bunsui.Running()
            case "broken":
                return bunsui.Failed("Build.Broken", "it is broken", retryable=False)
            case project:
                return bunsui.Succeeded({"project": project})

    def cancel(self, handle: dict[str, str]) -> None:
        self.builds.pop(handle["key"], None)

    def find(self, call: bunsui.JobCall) -> bunsui.Found | bunsui.NeverRan:
        key = call.idempotency_key
        return bunsui.Found({"key": key}) if key in self.builds else bunsui.NeverRan()


class Pass(bunsui.SecretSource):
    """Secrets of a command."""

    def get(self, key: str) -> str:
        done = subprocess.run(["pass", "show", key], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LookupError(key)
        return done.stdout.partition("\n")[0]


class Bell(bunsui.AlertChannel):
    """Alerts to a command."""

    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "properties": {"tone": {"type": "string"}}}
    user_only = True
    secret_options = ("tone",)

    def send(self, alert: bunsui.Alert, options: Mapping[str, Any]) -> None:
        done = subprocess.run(["ring", options["tone"]], input=alert.summary, text=True, check=False)
        if done.returncode:
            raise bunsui.AlertNotTaken("nobody is on call", hint="look at the rota", retry_after=60)


class Through(Store):
    """A store in front of another one."""

    max_commit_bytes = 1024

    def __init__(self, store: Store) -> None:
        self.store = store
        self.appended = 0

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        outcomes = self.store.append(appends)
        self.appended += sum(outcome.ok for outcome in outcomes)
        return outcomes

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        yield from self.store.read(history, after)

    def put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_at: float | None = None,
        groups: Sequence[tuple[str, str]] = (),
    ) -> int:
        return self.store.put(kind, key, value, if_version, expires_at, groups)

    def get(self, kind: str, key: str) -> Document | None:
        return self.store.get(kind, key)

    def delete(self, kind: str, key: str) -> None:
        self.store.delete(kind, key)

    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        return self.store.find(kind, group, reverse, after, limit)

    def changed(self, token: object) -> object:
        return self.store.changed(token)

    def close(self) -> None:
        self.store.close()


def open_through(url: str) -> Store:
    """What a URL such as ``through://memory://`` names."""
    inner = url.removeprefix("through://")
    if not inner:
        raise bunsui.ConfigError(f"store '{url}' has nothing behind it", hint="write through://memory://")
    return Through(bunsui.Plugins(autoload=False).open_store(inner))


@bunsui.hookimpl
def bunsui_job_types() -> Iterable[bunsui.JobType]:
    yield Upper()
    yield Pause()
    yield Program()
    yield Build()


@bunsui.hookimpl
def bunsui_stores() -> Mapping[str, Callable[[str], Store]]:
    return {"through": open_through}


@bunsui.hookimpl
def bunsui_secret_sources() -> dict[str, bunsui.SecretSource]:
    return {"pass": Pass()}


@bunsui.hookimpl
def bunsui_alert_channels() -> dict[str, bunsui.AlertChannel]:
    return {"bell": Bell()}


@bunsui.hookimpl(optionalhook=True)
def bunsui_cli_commands() -> list[click.Command]:
    return [builds]


@click.command("builds")
def builds() -> None:
    """List builds."""
    click.echo("none")


class Figures:
    """An observer, with the hook as a method."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}
        self.seconds = 0.0

    @bunsui.hookimpl
    def bunsui_session_event(self, session_id: str, event: Event) -> None:
        match event:
            case SessionSucceeded(at=at) | SessionFailed(at=at):
                self.ended[session_id] = at.isoformat()
            case JobSucceeded(job=job) | JobFailed(job=job):
                self.ended[job] = type(event).__name__
            case _:
                pass


def used() -> str:
    """The names of `bunsui`, used as a program does."""
    figures = Figures()
    registry = bunsui.Plugins([figures], autoload=False)
    job = bunsui.Job("job", "upper", text="hi", retry=bunsui.RetryPolicy(max_attempts=2))
    pipeline = bunsui.Pipeline("Types", [job], parameters=[bunsui.Parameter("day", default="mon")])
    names = sorted(registry.job_types)
    with bunsui.Runner("memory://", plugins=[figures], autoload_plugins=False) as runner:
        session: bunsui.Session = runner.run(pipeline, {"day": "tue"})
        error = session.jobs["job"].error
        code = None if error is None else error.code
        try:
            session.raise_for_status()
        except bunsui.SessionFailed as failed:
            code = failed.errors["job"].code
    problems: list[bunsui.Problem] = bunsui.validate("x.yaml", registry)
    needed: str = bunsui.Plugins.hook_version
    states = {plugin.name: plugin.reason or plugin.state for plugin in registry.describe()}
    return f"{needed} {states} {names} {code} {len(problems)} {session.outputs}"


class TestThrough(StoreSuite):
    """The suite for stores, derived from."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = open_through("through://memory://")
        yield store
        store.close()


class TestUpper(JobTypeSuite):
    """The suite for job types, with examples and a flag."""

    options = {"text": "hi"}
    invalid_options = [{}, {"text": 1}]
    failing_options = {"text": ""}
    can_cancel = False

    @pytest.fixture
    def job_type(self) -> Upper:
        return Upper()


class TestBuild(JobTypeSuite):
    """Of a remote one, with an example that is known only then."""

    unknown_handle = {"key": "never-heard-of"}

    @pytest.fixture
    def job_type(self, tmp_path: Path) -> Build:
        self.options = {"project": tmp_path.name}
        return Build()


class TestPass(SecretSourceSuite):
    """The suite for secret sources."""

    known = ("database", "correct-horse")
    unknown = "nothing"

    @pytest.fixture
    def source(self) -> bunsui.SecretSource:
        return Pass()


class TestBell(AlertChannelSuite):
    """The suite for alert channels."""

    hidden = "loud"
    patience = 5

    @pytest.fixture
    def channel(self) -> bunsui.AlertChannel:
        self.options = {"tone": "loud"}
        return Bell()

    def received(self) -> list[str]:
        return []


class TestFigures(ObserverSuite):
    """The suite for observers."""

    @pytest.fixture
    def observer(self) -> Figures:
        return Figures()


def test_a_world() -> None:
    world = simulate(1)
    assert world.seed == 1
    assert Put("kind", "key", {}).groups == ()
