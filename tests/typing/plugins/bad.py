"""A plugin with one mistake on each line that says so: a checker reports exactly these lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

import bunsui
from bunsui import testing
from bunsui.engine.events import Event
from bunsui.ports.job_type import Finding
from bunsui.ports.store import Append, Appended, Commit, Put, Store
from bunsui.testing import AlertChannelSuite, JobTypeSuite, SecretSourceSuite, StoreSuite


class NoRun(bunsui.JobType):
    """`run` is not there, so there can't be an instance."""

    name = "no-run"
    schema = {"type": "object"}


class Wrong(bunsui.JobType):
    name = 7  # error: a name is a text
    schema = ["text"]  # error: a schema is a mapping
    binding_field = {"text"}  # error: one field, not a set
    open_fields = ["text"]  # error: a frozenset
    on_lost = "retry"  # error: rerun, unknown or fail

    def check(self, options: Mapping[str, Any]) -> list[Finding]:  # error: it gets the job, too
        return []

    def unavailable(self, options: Mapping[str, Any]) -> bool:  # error: it says why, in words
        return not options

    def run(self) -> str:  # error: it gets a call
        return "done"


class Misuse(bunsui.JobType):
    name = "misuse"
    schema = {}

    def run(self, call: bunsui.JobCall) -> str:
        call.attempt = 2  # error: a call is frozen
        call.options["text"] = ""  # error: what it holds can't be changed, either
        call.parameters[3]  # error: keys are texts
        print(call.job)  # error: it is job_id
        call.cancelled()  # error: it is an Event
        call.logger.inform("hello")  # error: it is info
        if call.deadline < 3:  # error: there may be none
            raise bunsui.JobError("late", codes="Late")  # error: it is code
        raise bunsui.JobError(404)  # error: a message is a text


class WrongRemote(bunsui.RemoteJobType):
    name = "wrong-remote"
    schema = {}
    poll_interval = "5s"  # error: seconds, a number

    def submit(self) -> str:  # error: it gets a call
        return "id"

    def poll(self, handles: Sequence[Any]) -> list[str]:  # error: outcomes, not texts
        return ["ok" for _ in handles]

    def cancel(self, handle: Any, force: bool) -> None:  # error: it gets a handle, and no more
        return None

    def find(self, call: bunsui.JobCall) -> bool:  # error: Found, NeverRan or CannotTell
        return bool(call.idempotency_key)


class Outcomes(bunsui.RemoteJobType):
    name = "outcomes"
    schema = {}

    def submit(self, call: bunsui.JobCall) -> Any:
        return call.job_id

    def poll(
        self, handles: Sequence[Any]
    ) -> Sequence[bunsui.Running | bunsui.Succeeded | bunsui.Failed | bunsui.CannotTell]:
        bunsui.Failed("Build.Broken")  # error: it needs a message
        bunsui.Failed("Build.Broken", "it is", False)  # error: retryable is a keyword
        bunsui.Running().output = 1  # error: it has none, and is frozen
        return [bunsui.NeverRan() for _ in handles]  # error: that is an answer of find

    def cancel(self, handle: Any) -> None:
        return None

    def find(self, call: bunsui.JobCall) -> bunsui.Found | bunsui.NeverRan | bunsui.CannotTell:
        return bunsui.Succeeded(call.job_id)  # error: that is an outcome of poll


class Bytes(bunsui.SecretSource):
    def get(self, key: str) -> bytes:  # error: a secret is a text
        return key.encode()


class Quiet(bunsui.AlertChannel):
    user_only = "yes"  # error: a flag
    secret_options = "token"  # error: a tuple of names

    def send(self, alert: bunsui.Alert, options: str) -> None:  # error: options are a mapping
        alert.silenced += 1  # error: it is frozen
        print(alert.session)  # error: it has a session_id


class Half(Store):
    """Half of a store, so there can't be an instance."""

    max_commit_bytes = "1 MiB"  # error: a number of bytes

    def append(self, appends: Sequence[Append]) -> Appended:  # error: one outcome for each
        for append in appends:
            append.commit.position += 1  # error: it is frozen
        return Appended()

    def read(self, history: str) -> Iterator[Commit]:  # error: it goes on behind a position
        yield Commit("1", "id", history)  # error: a position is a number


@bunsui.hookimpl
def bunsui_job_types() -> Iterable[bunsui.JobType]:
    yield NoRun()  # error: it has no run
    yield Wrong  # error: the class, not an instance
    yield "misuse"  # error: the name, not a job type


@bunsui.hookimpl
def bunsui_stores() -> Mapping[str, Callable[[str], Store]]:
    return {"half": Half}  # error: the class takes no URL


@bunsui.hookimpl
def bunsui_secret_sources() -> Mapping[str, bunsui.SecretSource]:
    return {"bytes": "hunter2"}  # error: a value, not a source


@bunsui.hookimpl
def bunsui_alert_channels() -> Mapping[str, bunsui.AlertChannel]:
    return {"quiet": Quiet}  # error: the class, not an instance


@bunsui.hookimpl(optional=True)  # error: it is optionalhook
def bunsui_session_event(session_id: str, event: Event) -> None:
    print(session_id, event.job)  # error: not every event is about a job
    event.at = None  # error: an event is frozen


def used() -> None:
    bunsui.Plugins(Misuse())  # error: a sequence of plugins
    bunsui.Runner("memory://", plugin=[Misuse()])  # error: it is plugins
    bunsui.Runner("memory://", autoload_plugins=False).run("pipeline.yaml")  # error: a Pipeline
    bunsui.Registry()  # error: it is Plugins
    print(testing.StoreSuit)  # error: it is StoreSuite
    Put("kind", "key", [1])  # error: a document is a mapping


class TestHalf(StoreSuite):
    def another_handle(self, store: Store) -> str:  # error: another store
        return "memory://"

    @pytest.fixture
    def empty(self) -> Store:
        return Half()  # error: an abstract class


class TestMisuse(JobTypeSuite):
    options = ["text"]  # error: a mapping
    invalid_options = {"text": 1}  # error: a list of mappings
    can_cancel = "no"  # error: a flag
    patience = "1 minute"  # error: seconds, a number


class TestQuiet(AlertChannelSuite):
    options = "none"  # error: a mapping
    patience = "1 minute"  # error: seconds, a number


class TestBytes(SecretSourceSuite):
    known = "database"  # error: a key and its value
