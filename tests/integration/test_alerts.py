"""Alerts of real sessions: told by a thread of the runner's, which no session waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import bunsui
from bunsui.diagnosis.deliveries import deliveries
from bunsui.model.alerts import AlertRule
from bunsui.model.times import to_text
from bunsui.ports.alerts import Alert, AlertChannel
from bunsui.runner.alerting import watched as watching
from bunsui.runner.alerting.alerting import Alerting
from bunsui.runner.alerting.sweep import Sweep
from bunsui.runner.sessions import creation

#: Seconds for whatever is to come.
LONG = 60.0


class Recorder(AlertChannel):
    """A channel, and the plugin that brings it, which does what a test says."""

    def __init__(self) -> None:
        self.sent: list[Alert] = []
        self.does: Callable[[Alert], None] = lambda _: None

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        self.does(alert)
        self.sent.append(alert)

    def permissions(self, options: Mapping[str, Any], where: Any) -> list[Any]:
        return []

    @bunsui.hookimpl
    def bunsui_alert_channels(self) -> Mapping[str, AlertChannel]:
        return {"recorder": self}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


CHANNELS = {"alert_channels": {"ops": {"type": "recorder"}}}


@pytest.fixture
def make(recorder: Recorder, tmp_path: Path) -> Iterator[Callable[..., bunsui.Runner]]:
    """Makes runners of one store."""
    made: list[bunsui.Runner] = []

    def runner(config: Mapping[str, Any] | None = None, **given: Any) -> bunsui.Runner:
        store = f"sqlite:///{tmp_path / 'store.db'}"
        options = {"config": CHANNELS if config is None else config, "plugins": [recorder], **given}
        made.append(bunsui.Runner(store, autoload_plugins=False, **options))
        return made[-1]

    yield runner
    for one in made:
        one.close(0)


def boom() -> None:
    raise ValueError("no rows")


def pipeline(*alerts: AlertRule, work: Callable[..., Any] = boom, **fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline("Load", [bunsui.Job.from_callable(work, id="a")], alerts=alerts, **fields)


def until(condition: Callable[[], Any]) -> None:
    """Waits until something is so."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


FAILURE = AlertRule("failure", "ops")


def test_a_failure_is_told_before_the_runner_is_closed(
    make: Callable[..., bunsui.Runner], recorder: Recorder
) -> None:
    """A program that runs one session and ends has told of it, and who looks sees so."""
    with make() as runner:
        session = runner.run(pipeline(FAILURE))
    (alert,) = recorder.sent
    assert (alert.on, alert.session_id, alert.pipeline) == ("failure", session.id, "Load")
    assert alert.summary == f"session {session.id} of 'Load' failed: job 'a': ValueError: no rows"
    (told,) = session.alerts
    assert (told.state, told.channel, told.error) == ("delivered", "ops", None)


def test_who_has_none_pays_nothing(make: Callable[..., bunsui.Runner]) -> None:
    """Without alerts there is no document, no thread, and no word of them in the index."""
    with make(config={}) as runner:
        session = runner.run(pipeline())
        assert "bunsui-alerts" not in {thread.name for thread in threading.enumerate()}
        assert runner.store.find(watching.KIND) == []
        found = runner.store.get("session", session.id)
        assert found is not None
        assert "alerts" not in found.value
        assert session.alerts == ()


def test_a_success_leaves_nothing(make: Callable[..., bunsui.Runner], recorder: Recorder) -> None:
    """Nothing was due: its document is gone again."""
    with make() as runner:
        runner.run(pipeline(FAILURE, work=lambda: 1))
    assert recorder.sent == []
    assert runner.store.find(watching.KIND) == []


def test_a_channel_that_hangs_delays_no_session(
    make: Callable[..., bunsui.Runner], recorder: Recorder
) -> None:
    """While it hangs, sessions start, fail and end; when it works again, all is told."""
    opened = threading.Event()
    entered = threading.Event()

    def hang(_: Alert) -> None:
        entered.set()
        assert opened.wait(LONG)

    recorder.does = hang
    with make() as runner:
        first = runner.run(pipeline(FAILURE))
        assert entered.wait(LONG)
        others = [runner.run(pipeline(FAILURE)) for _ in range(3)]
        assert {session.status for session in others} == {bunsui.SessionStatus.FAILED}
        assert recorder.sent == []
        opened.set()
        until(lambda: len(recorder.sent) == 4)
    assert {alert.session_id for alert in recorder.sent} == {first.id, *(one.id for one in others)}


def test_a_channel_that_hangs_keeps_no_other_from_being_told(
    make: Callable[..., bunsui.Runner], recorder: Recorder
) -> None:
    """Alerts of sessions before hang at another channel: a short run has told before it ends all the same."""
    config = {"alert_channels": {"ops": {"type": "recorder"}, "hangs": {"type": "recorder"}}}
    opened = threading.Event()

    def hang(alert: Alert) -> None:
        if "b" in alert.details["failed_jobs"]:
            assert opened.wait(LONG)

    recorder.does = hang
    job = bunsui.Job.from_callable(boom, id="b")
    try:
        with make(config) as runner:
            for _ in range(3):
                runner.run(bunsui.Pipeline("Hangs", [job], alerts=[AlertRule("failure", "hangs")]))
            runner.close(0)
        with make(config) as runner:
            session = runner.run(pipeline(FAILURE))
        assert [told.state for told in session.alerts] == ["delivered"]
    finally:
        opened.set()


def test_a_close_while_others_are_looked_at(
    make: Callable[..., bunsui.Runner], recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a session has to tell is told, though its end comes while the sessions of others are looked at."""
    closing: list[Alerting] = []
    close, look_around = Alerting.close, Sweep.look_around

    def closes(self: Alerting, *seconds: float) -> None:
        closing.append(self)
        close(self, *seconds)

    def looks(self: Sweep, *given: Any) -> None:
        look_around(self, *given)
        until(lambda: closing and closing[0]._is_closing)

    monkeypatch.setattr(Alerting, "close", closes)
    monkeypatch.setattr(Sweep, "look_around", looks)
    with make() as runner:
        session = runner.run(pipeline(FAILURE))
    assert [told.state for told in session.alerts] == ["delivered"]
    assert len(recorder.sent) == 1


@pytest.fixture
def hanging(make: Callable[..., bunsui.Runner], recorder: Recorder) -> Iterator[bunsui.Runner]:
    """A runner whose channel hangs in an alert."""
    opened, entered = threading.Event(), threading.Event()

    def hang(_: Alert) -> None:
        entered.set()
        assert opened.wait(LONG)

    recorder.does = hang
    runner = make()
    runner.run(pipeline(FAILURE))
    assert entered.wait(LONG)
    yield runner
    opened.set()


def ends(call: Callable[[], None]) -> bool:
    """Whether it does, however long that may take."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(LONG / 2)
    return not thread.is_alive()


def test_who_is_in_a_hurry_waits_for_no_channel(
    hanging: bunsui.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Ctrl-C."""
    monkeypatch.setattr("bunsui.runner.alerting.alerting.LAST", 1000.0)
    assert ends(lambda: hanging.close(timeout=0))


def test_all_closes_wait_once(hanging: bunsui.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """``with`` closes what somebody has closed before."""
    monkeypatch.setattr("bunsui.runner.alerting.alerting.LAST", 0.2)
    hanging.close()
    monkeypatch.setattr("bunsui.runner.alerting.alerting.LAST", 1000.0)
    assert ends(lambda: hanging.close(timeout=1000))


def test_a_channel_that_fails_fails_no_session(
    make: Callable[..., bunsui.Runner], recorder: Recorder
) -> None:
    """The session shows it, and its own status is its own."""

    def fail(_: Alert) -> None:
        raise bunsui.AlertNotTaken("nobody is there")

    recorder.does = fail
    with make() as runner:
        session = runner.run(pipeline(AlertRule("duration", "ops", above=0.000001), work=lambda: 1))
        assert session.status == "succeeded"
    (told,) = session.alerts
    assert (told.state, told.attempts) == ("pending", 1)
    assert told.error == "AlertNotTaken: alert channel 'ops': nobody is there"


class Exiting(Recorder):
    """Its channels can't be had."""

    def for_runner(self, services: Any) -> AlertChannel:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "raises", [KeyboardInterrupt, bunsui.AlertNotTaken("x", retry_after="soon")], ids=repr  # type: ignore[arg-type]
)
def test_whatever_a_channel_raises_others_are_told(
    make: Callable[..., bunsui.Runner], recorder: Recorder, raises: Any
) -> None:
    """The session's alert by another channel, and those of the next session."""
    config = {"alert_channels": {"ops": {"type": "recorder"}, "odd": {"type": "recorder"}}}

    def odd(alert: Alert) -> None:
        if alert.on == "duration":
            raise raises

    recorder.does = odd
    rules = [AlertRule("duration", ["odd", "ops"], above=0.000001), FAILURE]
    with make(config) as runner:
        for count in (1, 2):
            runner.run(pipeline(*rules))
            until(lambda count=count: len(recorder.sent) == count)  # type: ignore[misc]
    assert {alert.on for alert in recorder.sent} == {"failure"}


def test_a_channel_that_cant_be_made(make: Callable[..., bunsui.Runner]) -> None:
    """Whatever it raises, the session's others are told."""
    config = {"alert_channels": {"odd": {"type": "recorder"}}}
    rules = [AlertRule("failure", "odd"), AlertRule("failure", "log", job="a")]
    runner = make(config, plugins=[Exiting()])
    session = runner.run(pipeline(*rules))
    until(lambda: sorted(told.attempts for told in session.alerts) == [1, 1])


def test_a_channel_that_is_foreign_code(make: Callable[..., bunsui.Runner], recorder: Recorder) -> None:
    """Whatever it raises, with a secret in it: nobody sees that, and the runner goes on."""

    def exits(_: Alert) -> None:
        raise SystemExit("canary-7f3a")

    recorder.does = exits
    with make() as runner:
        session = runner.run(pipeline(FAILURE))
        assert runner.run(pipeline(work=lambda: 1)).status == "succeeded"
    (told,) = session.alerts
    assert told.state == "pending"
    assert "canary" not in str(runner.store.find(watching.KIND)[0].value)


def test_a_job_is_told_of_while_the_session_goes_on(
    make: Callable[..., bunsui.Runner], recorder: Recorder
) -> None:
    """As soon as it has failed."""
    gate = threading.Event()
    jobs = [bunsui.Job.from_callable(boom, id="a"), bunsui.Job.from_callable(lambda: gate.wait(LONG), id="b")]
    with make() as runner:
        session = runner.start(
            bunsui.Pipeline("Load", jobs, alerts=[AlertRule("failure", "ops", job="a"), FAILURE])
        )
        until(lambda: recorder.sent)
        assert session.status == "running"
        gate.set()
        session.wait()
    assert [alert.job for alert in recorder.sent] == ["a", None]


def test_a_session_that_takes_too_long_is_told_of_while_it_runs(
    make: Callable[..., bunsui.Runner], recorder: Recorder
) -> None:
    """By the runner that drives it, without anything that happens in it."""
    gate = threading.Event()
    with make() as runner:
        session = runner.start(
            pipeline(AlertRule("duration", "ops", above=0.2), work=lambda: gate.wait(LONG))
        )
        until(lambda: recorder.sent)
        assert session.status == "running"
        gate.set()
    assert "so far" in recorder.sent[0].summary


def test_the_configurations_alerts(make: Callable[..., bunsui.Runner], recorder: Recorder) -> None:
    """They hold for any pipeline, or for that of a name; a job that a pipeline has not says nothing."""
    rules = [
        {"on": "failure", "channel": "ops"},
        {"on": "failure", "channel": "ops", "pipeline": "Load", "job": "a"},
        {"on": "failure", "channel": "ops", "pipeline": "Other"},
        {"on": "failure", "channel": "ops", "job": "zzz"},
    ]
    with make({**CHANNELS, "alerts": rules}) as runner:
        runner.run(pipeline())
    assert [alert.job for alert in recorder.sent] == [None, "a"]


def left_by_a_start_that_died(store: Any, key: str, rules: Any) -> str:
    """What is to be watched of a session whose first commit never came."""
    session = creation.session_id_of(key)
    value = {"pipeline": "Load", "since": to_text(datetime.now(UTC)), "rules": rules}
    store.put(watching.KIND, session, value, groups=((watching.WATCHED, value["since"]),))
    return session


@pytest.mark.parametrize("left", [[], [{"on": "recovery", "channel": "log"}], 7], ids=repr)
def test_a_start_that_died_before(make: Callable[..., bunsui.Runner], recorder: Recorder, left: Any) -> None:
    """With other rules: those of the start that came about hold."""
    with make() as runner:
        id_ = left_by_a_start_that_died(runner.store, "k", left)
        before = runner.store.get(watching.KIND, id_)
        session = runner.run(pipeline(FAILURE), idempotency_key="k")
        found = runner.store.get(watching.KIND, session.id)
        assert before is not None and found is not None  # noqa: PT018 - one fact: it is there
        assert found.value["since"] > before.value["since"]  # Else it could be forgotten before it begins.
    assert [alert.session_id for alert in recorder.sent] == [session.id]


def test_a_start_that_died_before_and_had_alerts(
    make: Callable[..., bunsui.Runner], recorder: Recorder
) -> None:
    """The start that came about has none: nobody is told."""
    with make() as runner:
        left_by_a_start_that_died(runner.store, "k", [{"on": "failure", "channel": "ops"}])
        session = runner.run(pipeline(), idempotency_key="k")
        runner.sweep_alerts()
    assert (session.status, recorder.sent, session.alerts) == ("failed", [], ())


def test_a_start_again_changes_no_rules(make: Callable[..., bunsui.Runner], recorder: Recorder) -> None:
    """Of a session that has begun."""
    with make() as runner:
        session = runner.run(pipeline(FAILURE), idempotency_key="k")
        assert runner.run(pipeline(FAILURE), idempotency_key="k").id == session.id
    assert len(recorder.sent) == 1


def test_who_is_to_blame(make: Callable[..., bunsui.Runner], recorder: Recorder) -> None:
    """Not a job that may fail, and of the others the one that failed first."""
    jobs = [
        bunsui.Job("optional", "custom", command=["false"], allow_failure=True),
        bunsui.Job("later", "custom", command=["false"], depends_on=["optional"]),
        bunsui.Job("first", "custom", command=["false"]),
    ]
    jobs[1:2] = [evolve(jobs[1], depends_on=["optional", "slow"])]
    jobs.append(bunsui.Job("slow", "custom", command=["sleep", "0.3"]))
    definition = bunsui.Pipeline("Load", jobs, alerts=[FAILURE], on_failure="continue")
    with make() as runner:
        runner.run(definition)
    (alert,) = recorder.sent
    assert "job 'first': " in alert.summary
    assert alert.details["failed_jobs"] == ["first", "later"]


def test_rules_that_say_the_same_are_one(make: Callable[..., bunsui.Runner], recorder: Recorder) -> None:
    """Of the definition and of the configuration."""
    with make({**CHANNELS, "alerts": [{"on": "failure", "channel": ["ops"]}]}) as runner:
        runner.run(pipeline(FAILURE))
    assert len(recorder.sent) == 1


def test_a_session_that_is_taken_over_keeps_its_alerts(
    make: Callable[..., bunsui.Runner], recorder: Recorder, tmp_path: Path
) -> None:
    """Also those of the configuration that it was started with, which the next runner has not."""
    gate = tmp_path / "gate"
    script = f"until [ -e '{gate}' ]; do sleep 0.01; done"
    jobs = [
        bunsui.Job("a", "custom", command=script, shell=True),
        bunsui.Job("b", "custom", command=["false"], depends_on=["a"]),
    ]
    with make({**CHANNELS, "alerts": [{"on": "failure", "channel": "ops"}]}) as runner:
        session = runner.start(bunsui.Pipeline("Load", jobs))
        session.pause()
        gate.touch()
        assert session.wait() == "paused"
    assert recorder.sent == []
    with make() as other:
        assert other.resume(session.id).status == "failed"
    assert [alert.session_id for alert in recorder.sent] == [session.id]


def test_a_channel_that_another_runner_knows(make: Callable[..., bunsui.Runner], recorder: Recorder) -> None:
    """Who does not know it leaves the alert, and whoever comes next and does sends it."""
    with make() as runner:
        session = runner.start(pipeline(FAILURE, work=lambda: 1))
        session.wait()
    with make() as runner:
        paused = runner.start(pipeline(FAILURE))
        paused.wait()
    recorder.sent.clear()
    with make({"alert_channels": {"pager": {"type": "recorder"}}}) as starter:
        left = starter.store.get(watching.KIND, paused.id)
        assert left is not None
        starter.store.put(
            watching.KIND,
            paused.id,
            {**left.value, "deliveries": [{**left.value["deliveries"][0], "state": "pending"}]},
            groups=((watching.WATCHED, "0"),),
        )
        assert starter.sweep_alerts().unknown == {"ops"}
    assert recorder.sent == []
    with make() as other:
        other.run(pipeline(work=lambda: 1))
        until(lambda: recorder.sent)
    assert recorder.sent[0].session_id == paused.id


def test_alerts_that_are_damaged_keep_no_session_from_going_on(
    make: Callable[..., bunsui.Runner], tmp_path: Path
) -> None:
    """It runs without them, and the doctor says so."""
    gate = tmp_path / "gate"
    first = bunsui.Job("a", "custom", command=f"until [ -e '{gate}' ]; do sleep 0.01; done", shell=True)
    then = bunsui.Job("b", "custom", command=["true"], depends_on=["a"])
    with make() as runner:
        session = runner.start(bunsui.Pipeline("Load", [first, then], alerts=[FAILURE]))
        session.pause()
        gate.touch()
        assert session.wait() == "paused"
        store = runner.store
        store.put(watching.KIND, session.id, {"rules": 3}, groups=((watching.WATCHED, "0"),))
        (found,) = deliveries(store)
        assert (found.status, session.id in found.what) == ("problem", True)
    with make() as other:
        assert other.resume(session.id).status == "succeeded"


def test_pruned_with_its_session(make: Callable[..., bunsui.Runner]) -> None:
    """What was told goes with what it was about."""
    with make() as runner:
        session = runner.run(pipeline(FAILURE))
        until(lambda: session.alerts and session.alerts[0].state == "delivered")
        runner.prune(0.000001)
        assert runner.store.find(watching.KIND) == []


# What is wrong


DEFINITION = """\
version: "1.0"
name: Load
alerts:
  - on: failure
    channel: ops
  - {on: stalled, after: 1h, channel: [ops, opps]}
jobs:
  - {id: a, type: custom, command: ["true"]}
"""


def test_an_unknown_channel_is_a_problem_with_its_place(
    make: Callable[..., bunsui.Runner], tmp_path: Path
) -> None:
    """Where it is started, planned or checked; nothing is written."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(DEFINITION)
    runner = make()
    found = runner.load(path)
    for ask in (runner.start, runner.plan, runner.check):
        with pytest.raises(bunsui.DefinitionError) as caught:
            ask(found)  # type: ignore[operator]
        (problem,) = caught.value.problems
        assert (problem.code, problem.line, problem.hint) == ("unknown-channel", 6, "did you mean 'ops'?")
        assert problem.message == "the runner's configuration has no alert channel 'opps'"
    assert runner.sessions() == []


def test_an_unknown_channel_of_the_configuration(make: Callable[..., bunsui.Runner]) -> None:
    """It is the configuration's mistake, said before anything is written."""
    runner = make({**CHANNELS, "alerts": [{"on": "failure", "channel": "opps"}]})
    for ask in (runner.start, runner.plan, runner.check):
        with pytest.raises(bunsui.ConfigError, match=r"no alert channel 'opps'; did you mean 'ops'\?"):
            ask(pipeline())  # type: ignore[operator]
    assert (runner.sessions(), runner.store.find(watching.KIND)) == ([], [])
    assert runner.store.find("definition") == []


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({"type": "webhok"}, r"type is 'webhok', and there is no such type of alert channels"),
        ({"type": "webhook"}, "it needs either url, or url_secret"),
        ({"type": "webhook", "url": "https://a/", "secret": "gone"}, "is not the name of a secret"),
    ],
)
def test_a_channel_that_is_configured_wrongly(
    make: Callable[..., bunsui.Runner], channel: Mapping[str, Any], said: str
) -> None:
    """Who is to be told by it is said so before anything is written; nobody else is bothered."""
    runner = make({"alert_channels": {**CHANNELS["alert_channels"], "odd": channel}})
    for ask in (runner.start, runner.plan, runner.check):
        with pytest.raises(bunsui.ConfigError, match=said):
            ask(pipeline(AlertRule("failure", "odd")))  # type: ignore[operator]
    assert (runner.sessions(), runner.store.find(watching.KIND)) == ([], [])
    assert runner.run(pipeline(FAILURE)).status == "failed"


@pytest.mark.parametrize("error", [bunsui.StoreError("the disk is full"), TypeError("a plugin's")], ids=repr)
@pytest.mark.parametrize("method", ["find", "get"])
def test_a_store_that_fails_while_it_is_swept(
    make: Callable[..., bunsui.Runner], recorder: Recorder, method: str, error: Exception
) -> None:
    """The sessions go on, and all is told once the store works."""
    runner = make()
    real, broken = getattr(runner.store, method), threading.Event()

    def fails(kind: str, *given: Any, **named: Any) -> Any:
        if kind == watching.KIND and not broken.is_set():
            broken.set()
            raise error
        return real(kind, *given, **named)

    setattr(runner.store, method, fails)
    with runner:
        session = runner.run(pipeline(FAILURE))
        assert session.status == "failed"
        until(lambda: recorder.sent)
    assert broken.is_set()
