"""What a plugin does to what it is given reaches nobody else: no attempt, session, definition or history."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.model.artifact import Artifact
from bunsui.model.json import Json
from bunsui.ports.secrets import SecretSource
from bunsui_tests.conditions import until

#: Seconds for whatever is to end.
LONG = 60.0


def spoil(value: Any) -> None:
    """Changes whatever can be changed."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value.clear()
        value["spoilt"] = True
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value[:] = ["spoilt"]


def spoil_call(call: bunsui.JobCall) -> None:
    for value in (call.parameters, call.options, call.item, call.environment):
        spoil(value)


class Spoiling(bunsui.JobType):
    """``type: spoiling``: notes what it was given, spoils all of it, and fails as often as it is told to."""

    name: ClassVar[str] = "spoiling"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"own": {}, "what": {"type": "string"}},
    }
    binding_field: ClassVar[str | None] = "what"

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.given: list[Any] = []

    def check(self, options: Any, job: Any) -> list[Any]:
        spoil(options)
        spoil(job)
        return []

    def unavailable(self, options: Any) -> None:
        spoil(options)

    def run(self, call: bunsui.JobCall) -> Any:
        self.given.append(copy.deepcopy((call.parameters, call.options, call.item, call.environment)))
        spoil_call(call)
        if call.attempt <= self.failures:
            raise ConnectionError
        return {"made": [1]}

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


class Service(bunsui.RemoteJobType):
    """``type: service``: spoils all that it is given, at a service that needs two tries."""

    name: ClassVar[str] = "service"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"own": {}}}
    poll_interval: ClassVar[float] = 0.02

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.handles: list[Any] = []
        #: How many handles it had been asked for when it was told to stop.
        self.asked_before = -1

    def _take(self, call: bunsui.JobCall) -> None:
        self.given.append(copy.deepcopy((call.parameters, call.options, call.item)))
        spoil_call(call)

    def submit(self, call: bunsui.JobCall) -> Any:
        self._take(call)
        if len(self.given) == 1:
            raise ConnectionError("reset")
        return {"id": [call.job_id]}

    def find(self, call: bunsui.JobCall) -> Any:
        self._take(call)
        return bunsui.NeverRan()

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        self.handles += copy.deepcopy(list(handles))
        spoil(handles)
        return [bunsui.Succeeded(1) if len(self.handles) > 2 and not self.waits else bunsui.Running()]

    waits = False

    def cancel(self, handle: Any) -> None:
        spoil(handle)
        self.asked_before = len(self.handles)
        self.waits = False

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not answer is asked again soon."""
    from bunsui.performance.retrying import Backoff
    from bunsui.runner.attempts import remotes

    again = Backoff(first=0.01, longest=0.01)
    monkeypatch.setattr(remotes, "_AGAIN", again)


WANTED = {"list": [1, [2]], "map": {"x": {"y": [3]}}}
FIELDS = {
    "parameters": {
        "literal": WANTED,
        "whole": "${given}",
        "part": "${given.map}",
        "output": "${jobs.first.output}",
        "element": "${jobs.first.output.made}",
        "environment": "${env.HOME_OF_ALL}",
    },
    "depends_on": ["first"],
}
MADE = {"made": [1]}
RESOLVED = {
    "literal": WANTED,
    "whole": WANTED,
    "part": WANTED["map"],
    "output": MADE,
    "element": [1],
    "environment": "here",
}


def pipeline_of(kind: str, options: Any, **fields: Any) -> bunsui.Pipeline:
    """Jobs `a` and `b` that are given the same, in every way there is."""
    jobs = [bunsui.Job.from_callable(lambda: copy.deepcopy(MADE), id="first")]
    jobs += [bunsui.Job(name, kind, options, **copy.deepcopy(FIELDS), **fields) for name in ("a", "b")]
    given = bunsui.Parameter("given", type="object", default=copy.deepcopy(WANTED))
    return bunsui.Pipeline(name="p", parameters=[given], jobs=jobs)


def runner_of(*plugins: Any, **more: Any) -> bunsui.Runner:
    config = {"env": ["HOME_OF_ALL"], **more}
    return bunsui.Runner("memory://", plugins=plugins, autoload_plugins=False, config=config)


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What definitions name."""
    monkeypatch.setenv("HOME_OF_ALL", "here")


def test_a_job_type_that_spoils_its_input() -> None:
    """Each attempt of each job, in each session, is given the same; definition and history stay."""
    kind = Spoiling(failures=1)
    options = {"own": copy.deepcopy(WANTED), "what": "x"}
    pipeline = pipeline_of("spoiling", options, retry={"max_attempts": 2, "delay": 0, "jitter": "none"})
    before = pipeline.to_dict()
    given = copy.deepcopy(WANTED)
    with runner_of(kind) as runner:
        sessions = [runner.run(pipeline, {"given": given}), runner.run(pipeline)]
        assert ["succeeded"] * 2 == [session.status for session in sessions]
        assert [(RESOLVED, {"own": WANTED, "what": "x"}, None, {})] * 8 == kind.given
        assert (before, WANTED) == (pipeline.to_dict(), given)
        for session in sessions:
            created = next(iter(session.events()))
            assert {"given": WANTED} == created.parameters == session.parameters
            assert MADE == session.jobs["a"].output


def test_a_job_type_that_spoils_its_items() -> None:
    """Each item comes whole to each of its attempts."""
    kind = Spoiling(failures=1)
    job = bunsui.Job(
        "a",
        "spoiling",
        {"own": "${item}", "what": "x"},
        for_each="${given}",
        parameters={"item": "${item}", "all": "${given}"},
        retry={"max_attempts": 2, "delay": 0, "jitter": "none"},
    )
    given = [{"n": [1]}, {"n": [2]}]
    parameter = bunsui.Parameter("given", type="array", default=copy.deepcopy(given))
    with runner_of(kind) as runner:
        session = runner.run(bunsui.Pipeline(name="p", parameters=[parameter], jobs=[job]))
        assert "succeeded" == session.status
        wanted = [({"item": it, "all": given}, {"own": it, "what": "x"}, it, {}) for it in given]
        key = repr
        assert sorted(wanted * 2, key=key) == sorted(kind.given, key=key)


def test_a_service_that_spoils_what_it_is_given() -> None:
    """Work that is submitted again is the same work, and each poll is asked for the same handles."""
    kind = Service()
    pipeline = pipeline_of("service", {"own": copy.deepcopy(WANTED)})
    with runner_of(kind) as runner:
        session = runner.run(pipeline)
        assert "succeeded" == session.status
        assert [(RESOLVED, {"own": WANTED}, None)] * 4 == kind.given
        assert all(handle in ({"id": ["a"]}, {"id": ["b"]}) for handle in kind.handles)


def test_a_service_that_spoils_the_handle_that_it_is_to_stop() -> None:
    """It is polled by the same one until it has ended."""
    kind = Service()
    kind.waits = True
    with runner_of(kind) as runner:
        session = runner.start(bunsui.Pipeline(name="p", jobs=[bunsui.Job("a", "service")]))
        until(lambda: kind.handles)
        session.cancel()
        assert session.wait(LONG) in ("cancelled", "succeeded")
        assert 0 <= kind.asked_before < len(kind.handles)
        assert all(handle == {"id": ["a"]} for handle in kind.handles)


class Observing:
    """Spoils all that can be changed of events, by attributes and by what they hold."""

    @bunsui.hookimpl
    def bunsui_session_event(self, event: Any) -> None:
        for name in dir(event):
            if name.startswith("_"):
                continue
            value = getattr(event, name)
            spoil(value)
            for attribute in ("text", "code", "message", "retryable", "sha256"):
                if hasattr(value, attribute):
                    with pytest.raises(AttributeError):
                        setattr(value, attribute, "spoilt")
            with pytest.raises(AttributeError):
                setattr(event, name, "spoilt")


class Seeing:
    """Notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @bunsui.hookimpl
    def bunsui_session_event(self, event: Any) -> None:
        self.seen.append(event)


def test_an_observer_that_spoils_events() -> None:
    """Neither the session that runs, nor the history, nor another observer sees any of it."""
    kind, seeing = Spoiling(failures=1), Seeing()
    wait = threading.Event()

    def first() -> Any:
        wait.wait(0.3)  # The observers have seen by then how the session was created.
        return copy.deepcopy(MADE)

    pipeline = pipeline_of("spoiling", {"own": WANTED, "what": "x"}, allow_failure=True)
    jobs = [bunsui.Job.from_callable(first, id="first"), *list(pipeline.jobs)[1:]]
    pipeline = bunsui.Pipeline(name="p", parameters=pipeline.parameters, jobs=jobs)
    with runner_of(Observing(), kind, seeing, Observing()) as runner:
        session = runner.run(pipeline, tags={"a": "b"})
        assert [RESOLVED] * 2 == [given[0] for given in kind.given]
        assert ({"given": WANTED}, {"a": "b"}) == (session.parameters, session.tags)
    assert list(session.events()) == seeing.seen


class Source(SecretSource):
    """A secret source whose text can't be trusted."""

    class Text(str):
        __slots__ = ("more",)

    def __init__(self) -> None:
        self.gave: list[Any] = []

    def get(self, key: str) -> str:
        self.gave.append(self.Text("hunter2"))
        return self.gave[-1]

    @bunsui.hookimpl
    def bunsui_secret_sources(self) -> dict[str, SecretSource]:
        return {"own": self}


def test_what_a_source_keeps_of_its_secret() -> None:
    """A job is given a text of its own, not the object that the source may change."""
    kind, source = Spoiling(), Source()
    job = bunsui.Job("a", "spoiling", {"what": "x"}, parameters={"password": "${secrets.token}"})
    with runner_of(kind, source, secrets={"token": "own:KEY"}) as runner:
        assert "succeeded" == runner.run(bunsui.Pipeline(name="p", jobs=[job])).status
    ((parameters, *_),) = kind.given
    assert ("hunter2", str) == (parameters["password"], type(parameters["password"]))


@pytest.mark.parametrize("value", [Json("[1]"), Artifact("0" * 64, 7)], ids=["json", "artifact"])
def test_encoded_values_can_not_be_changed(value: Any) -> None:
    """Events share them; they can be copied and pickled as before."""
    for name in ("text", "sha256", "bytes", "whose", "more"):
        with pytest.raises(AttributeError):
            setattr(value, name, "spoilt")
        with pytest.raises(AttributeError):
            delattr(value, name)
    for same in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert value == same
        assert type(value) is type(same)


TEXT = """
version: "1.0"
name: p
templates:
  t: {type: spoiling, own: {list: [1, {x: 2}]}, what: x}
jobs:
  - {id: a, template: t, parameters: {p: [1, 2]}}
  - {id: b, template: t, tags: {}}
"""


class Quiet(Spoiling):
    """The same type, that changes nothing."""

    def check(self, options: Any, job: Any) -> list[Any]:
        return []


@pytest.mark.parametrize("check", ["parse", "validate"])
def test_a_check_that_spoils_a_definition(check: str) -> None:
    """What is read, and what is found wrong with it, is what stands there."""
    text = TEXT.replace("tags: {}", "condition: 'true'") if check == "parse" else TEXT
    results = []
    for kind in (Quiet(), Spoiling()):
        plugins = bunsui.Plugins([kind], autoload=False)
        if check == "parse":
            results.append(bunsui.Pipeline.parse(text, plugins=plugins).to_dict())
        else:
            results.append([str(problem) for problem in bunsui.validate(text, plugins=plugins)])
    assert results[0] == results[1]
