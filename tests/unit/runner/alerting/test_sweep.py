"""One look at watched sessions, on real stores: what is due is noted, sent, tried again, and given up."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve

import bunsui
from bunsui.engine import events as ev
from bunsui.engine.fold import Fold
from bunsui.errors import StoreError
from bunsui.local.identity import this_process
from bunsui.model.alerts import AlertRule
from bunsui.monitoring.alerts import due
from bunsui.ports.alerts import Alert
from bunsui.ports.store import Append, Commit, Store
from bunsui.runner.alerting import ledger as sending
from bunsui.runner.alerting import sweep as sweeping
from bunsui.runner.alerting import watched as watching
from bunsui.runner.alerting.sweep import Sweep
from bunsui.runner.alerting.swept import Swept
from bunsui.runner.alerting.watched import Watched
from bunsui.runner.sessions import creation, index
from bunsui.stores.dynamodb import DynamoDbStore
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event
from bunsui.stores.sqlite import SqliteStore
from bunsui.testing import FakeClock

FAILURE = AlertRule("failure", "ops")
#: Seconds for whatever is to come.
LONG = 60.0


class Recorder:
    """A runner's channels, which keep what is sent, and fail where a test says so."""

    def __init__(self, *names: str) -> None:
        self.names = names or ("ops",)
        self.sent: list[tuple[str, Alert]] = []
        self.fails: Callable[[str], None] = lambda _: None
        self._lock = threading.Lock()

    def send_within(self, name: str, alert: Alert, seconds: float) -> None:
        assert seconds > 0
        self.fails(name)
        with self._lock:
            self.sent.append((name, alert))

    @property
    def told(self) -> list[tuple[str, str | None]]:
        """What was sent, without its text."""
        return [(alert.on, alert.session_id) for _, alert in self.sent]


class World:
    """A store with sessions whose facts a test writes, and somebody who sweeps them."""

    def __init__(self, store: Store) -> None:
        # A store in a file goes by the machine's clock.
        self.clock = FakeClock(datetime.now(UTC))
        self.store = store
        self.channels = Recorder()
        self.sweep = self.another()
        self.folds: dict[str, Fold] = {}
        self.rules: dict[str, tuple[AlertRule, ...]] = {}

    def another(self) -> Sweep:
        """What another runner has, with the same channels."""
        return Sweep(self.store, self.channels, self.clock)

    def at(self, seconds: float = 0) -> datetime:
        return self.clock.now() + timedelta(seconds=seconds)

    def start(self, session: str, *rules: AlertRule, jobs: str = "a") -> str:
        """Starts a session, as a runner does."""
        pipeline = bunsui.Pipeline(
            "Load", [bunsui.Job(one, "custom", command=["true"]) for one in jobs], alerts=rules
        )
        id_ = creation.session_id_of(session)
        self.rules[id_] = pipeline.alerts
        if rules:
            Watched(id_, "Load", self.clock.now(), pipeline.alerts).put(self.store, self.clock.now())
        creation.keep_definition(self.store, pipeline)
        self.folds[id_] = Fold(pipeline.graph.upstream)
        now = self.clock.now()
        self.write(id_, ev.SessionCreated(now, id_, "Load", pipeline.digest, {}), ev.SessionStarted(now))
        return id_

    def write(self, session: str, *events: ev.Event) -> None:
        """Commits facts with their index entry, as a driver does."""
        fold = self.folds[session]
        for event in events:
            fold.apply(event)
        position = len(list(self.store.read(session))) + 1
        told = [one.rule.id for one in due(self.rules[session], fold)]
        entry = index.entry(fold, told)
        commit = Commit(position, f"{session}-{position}", body_of([encode_event(one) for one in events]))
        (outcome,) = self.store.append([Append(session, commit, entry)])
        assert outcome.ok

    def end(self, session: str, failed: bool = True) -> str:
        """Has the session fail, or succeed."""
        now, error = self.clock.now(), bunsui.Failure("ValueError", "no rows")
        self.write(session, ev.JobStarted(now, "a", 1, "k"))
        if failed:
            self.write(session, ev.JobFailed(now, "a", 1, error), ev.SessionFailed(now))
        else:
            self.write(session, ev.JobSucceeded(now, "a", 1), ev.SessionSucceeded(now))
        return session

    def ran(self, session: str, *rules: AlertRule, failed: bool = True, seconds: float = 0) -> str:
        """A session that has ended."""
        id_ = self.start(session, *rules)
        self.clock.advance(seconds)
        return self.end(id_, failed)

    def states(self, session: str) -> list[str]:
        found = watching.of_session(self.store, session)
        return [] if found is None else [one.state for one in found.deliveries]

    def all(self) -> Swept:
        return self.sweep.all()


def on_dynamodb(request: pytest.FixtureRequest) -> Store:
    """A store whose table is at an emulator."""
    request.getfixturevalue("aws_environment")
    endpoint = quote(request.getfixturevalue("moto_server").url, safe="")
    store = DynamoDbStore(f"dynamodb://alerts-{uuid.uuid4().hex}?region=eu-central-1&endpoint_url={endpoint}")
    store.create()
    return store


@pytest.fixture(params=["memory", "sqlite", "dynamodb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    store: Store
    match request.param:
        case "memory":
            store = MemoryStore()
        case "sqlite":
            store = SqliteStore(tmp_path / "store.db")
        case _:
            store = on_dynamodb(request)
    yield World(store)
    store.close()


def test_a_failure_is_told_once(world: World) -> None:
    """However often somebody looks, and then the session is watched no more."""
    session = world.ran("s", FAILURE)
    swept = world.all()
    assert (swept.delivered, swept.watched, swept.errors) == (1, 0, {})
    assert world.all().watched == 0
    assert world.another().some([session]).delivered == 0
    assert world.channels.told == [("failure", session)]
    assert world.states(session) == ["delivered"]
    assert world.store.find(watching.KIND, watching.WATCHED) == []


def test_nothing_to_tell_leaves_nothing(world: World) -> None:
    """A session that succeeded is forgotten here."""
    session = world.ran("s", FAILURE, failed=False)
    assert world.all().delivered == 0
    assert world.store.get(watching.KIND, session) is None


def test_a_session_that_goes_on_is_watched_on(world: World) -> None:
    """Nothing is due, its document stays, and its history is not read."""
    session = world.start("s", FAILURE)
    reads = counted(world.store, "read")
    swept = world.all()
    assert (swept.watched, swept.next_at, reads) == (1, None, [])
    assert world.states(session) == []


def counted(store: Store, method: str) -> list[str]:
    """Notes the calls of a method of the store from now on."""
    calls: list[str] = []
    real = getattr(store, method)

    def call(*given: Any, **named: Any) -> Any:
        calls.append(method)
        return real(*given, **named)

    setattr(store, method, call)
    return calls


def test_a_jobs_failure_is_told_while_the_session_goes_on(world: World) -> None:
    """As soon as it is in the index."""
    session = world.start("s", AlertRule("failure", "ops", job="a"), jobs="ab")
    now = world.clock.now()
    world.write(session, ev.JobStarted(now, "a", 1, "k"))
    world.write(session, ev.JobFailed(now, "a", 1, bunsui.Failure("E", "m")))
    assert world.all().delivered == 1
    assert world.channels.sent[0][1].job == "a"
    reads = counted(world.store, "read")
    assert world.all().watched == 1
    assert reads == []


def test_each_channel_gets_it(world: World) -> None:
    """The same alert, with the same id."""
    world.channels.names = ("ops", "log")
    world.ran("s", AlertRule("failure", ["ops", "log"]))
    assert world.all().delivered == 2
    assert sorted(name for name, _ in world.channels.sent) == ["log", "ops"]
    assert len({alert.id for _, alert in world.channels.sent}) == 1


# What fails


def test_a_channel_that_is_down_is_tried_again(world: World) -> None:
    """After a while, longer each time, until it works; the reason is kept meanwhile."""
    session = world.ran("s", FAILURE)
    world.channels.fails = failing(bunsui.AlertNotTaken("busy"))
    waits = []
    for _ in range(3):
        swept = world.all()
        assert (swept.failed, swept.waiting) == (1, 1)
        assert swept.failures == {delivered_of(world, session)[0].channel: "AlertNotTaken: busy"}
        assert swept.next_at is not None
        waits.append((swept.next_at - world.at()).total_seconds())
        assert world.all().failed == 0  # It is not time yet.
        world.clock.advance(waits[-1])
    assert waits == [5, 10, 20]
    (delivery,) = delivered_of(world, session)
    assert (delivery.attempts, delivery.error) == (3, "AlertNotTaken: busy")
    world.channels.fails = lambda _: None
    assert world.all().delivered == 1
    assert world.states(session) == ["delivered"]
    assert delivered_of(world, session)[0].error is None


def failing(error: Exception) -> Callable[[str], None]:
    def fail(_: str) -> None:
        raise error

    return fail


def delivered_of(world: World, session: str) -> tuple[watching.Delivery, ...]:
    found = watching.of_session(world.store, session)
    assert found is not None
    return found.deliveries


def test_a_channel_that_asks_for_time_gets_it(world: World) -> None:
    """It is not asked before it said."""
    world.ran("s", FAILURE)
    world.channels.fails = failing(bunsui.AlertNotTaken("busy", retry_after=120))
    assert world.all().next_at == world.at(120)


def test_it_is_given_up_after_a_day(world: World) -> None:
    """Then the session is done, and shows it."""
    session = world.ran("s", FAILURE)
    world.channels.fails = failing(bunsui.AlertNotTaken("busy"))
    world.all()
    world.clock.advance(sending.TRIED)
    swept = world.all()
    assert (swept.failed, swept.watched) == (0, 0)
    assert world.states(session) == ["failed"]
    assert delivered_of(world, session)[0].error == "AlertNotTaken: busy"


def test_who_is_asked_to_come_again_in_a_day_does(world: World) -> None:
    """It is tried once more then, and given up where it fails."""
    session = world.ran("s", FAILURE)
    world.channels.fails = failing(bunsui.AlertNotTaken("busy", retry_after=sending.TRIED))
    world.all()
    world.clock.advance(sending.TRIED)
    assert world.all().failed == 1
    assert world.states(session) == ["failed"]


@pytest.mark.parametrize("given", ["soon", float("nan"), float("inf"), -1e9, True, [1]], ids=repr)
def test_what_no_channel_can_mean_by_a_time(given: Any) -> None:
    """It says nothing, and the alert is tried again as any other."""
    world = World(MemoryStore())
    world.ran("s", FAILURE)
    world.channels.fails = failing(bunsui.AlertNotTaken("busy", retry_after=given))
    assert world.all().next_at == world.at(5)


def test_a_channel_that_is_no_more_while_it_was_sent(world: World) -> None:
    """Who sent it died, and nobody has that channel: it is given up after a week as others are."""
    session = world.ran("s", FAILURE)
    claim(world, session, {**this_process(), "started": 1})
    world.channels.names = ("log",)
    assert world.all().waiting == 1
    world.clock.advance(sending.UNKNOWN)
    assert (world.all().watched, world.states(session)) == (0, ["failed"])


def test_an_alert_that_kills_whoever_sends_it(world: World) -> None:
    """It is given up as others are, after a day."""
    session = world.ran("s", FAILURE)
    claim(world, session, {**this_process(), "started": 1})
    world.clock.advance(sending.TRIED + sending.LONGEST)
    assert (world.all().failed, world.states(session)) == (0, ["failed"])


def test_a_channel_that_is_not_known_here_is_left_to_others(world: World) -> None:
    """It waits for a runner that knows it; after a week nobody waits any more."""
    session = world.ran("s", AlertRule("failure", "pager"))
    swept = world.all()
    assert (swept.waiting, swept.unknown, swept.next_at) == (1, {"pager"}, None)
    world.clock.advance(sending.TRIED)
    assert world.all().waiting == 1
    other = Sweep(world.store, knows := Recorder("pager"), world.clock)
    assert other.all().delivered == 1
    assert knows.told == [("failure", session)]
    late = world.ran("late", AlertRule("failure", "pager"))
    world.all()
    world.clock.advance(sending.UNKNOWN)
    world.all()
    assert world.states(late) == ["failed"]


# Crashes, and two at once


def test_who_died_before_it_was_sent_leaves_it(world: World) -> None:
    """What was noted to be due is sent by the next one."""
    world.ran("s", FAILURE)
    world.channels.fails = failing(SystemExit())  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        world.all()
    world.channels.fails = lambda _: None
    world.clock.advance(sending.PATIENCE + sending.MARGIN)
    assert world.another().all().delivered == 1


def test_who_died_while_it_was_sent_is_not_waited_for(world: World) -> None:
    """Where its process is certain to be gone; else for as long as an attempt may take."""
    session = world.ran("s", FAILURE)
    claim(world, session, {**this_process(), "started": 1})
    assert world.all().delivered == 1
    other = world.ran("other", FAILURE)
    claim(world, other, {"host": "elsewhere", "pid": 7})
    assert world.all().delivered == 0
    world.clock.advance(sending.PATIENCE + sending.MARGIN)
    assert world.all().delivered == 1


def claim(world: World, session: str, process: dict[str, Any]) -> None:
    """Has an alert be in the hands of another process."""
    world.channels.names = ()
    world.all()
    world.channels.names = ("ops",)
    found = watching.of_session(world.store, session)
    assert found is not None
    (delivery,) = found.deliveries
    claimed = delivery.claimed(world.clock.now(), sending.PATIENCE + sending.MARGIN)
    found.with_delivery(evolve(claimed, sender=process)).put(world.store, world.clock.now())


def test_two_at_once_send_one(world: World) -> None:
    """Twenty sessions, four who sweep them: each is told once."""
    sessions = {world.ran(f"s{i}", FAILURE) for i in range(20)}
    swept: list[Swept] = []
    gate = threading.Barrier(4)

    def look() -> None:
        one = world.another()
        gate.wait()
        swept.append(one.all())

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.all()
    assert len(swept) == 4
    assert sorted(world.channels.told) == sorted(("failure", session) for session in sessions)


def test_what_another_sends_meanwhile_is_not_sent_again(world: World) -> None:
    """While one is sent, somebody else sends the session's others: each is looked at anew before it is."""
    world.ran("s", AlertRule("failure", "ops"), AlertRule("failure", "ops", job="a"))
    other = world.another()

    def meanwhile(_: str) -> None:
        world.channels.fails = lambda _: None
        other.all()

    world.channels.fails = meanwhile
    assert world.all().delivered == 1
    assert sorted(str(alert.job) for _, alert in world.channels.sent) == ["None", "a"]


def test_several_at_once_send_each_once(world: World) -> None:
    """Sessions with several alerts at several channels, and four who sweep them."""
    world.channels.names = ("ops", "log", "pager")
    rules = AlertRule("failure", ["ops", "log", "pager"]), AlertRule("failure", ["ops", "log"], job="a")
    for i in range(6):
        world.ran(f"s{i}", *rules)
    gate = threading.Barrier(4)

    def look() -> None:
        one = world.another()
        gate.wait()
        one.all()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.all()
    sent = [(name, alert.id) for name, alert in world.channels.sent]
    assert (len(sent), len(set(sent))) == (30, 30)


def test_a_channel_that_hangs_holds_up_no_other(world: World) -> None:
    """What others have to tell is told while it hangs."""
    world.channels.names = ("ops", "log")
    others = {world.ran(f"o{i}", AlertRule("failure", "ops")) for i in range(2)}
    fine = [world.ran(f"s{i}", AlertRule("failure", "log")) for i in range(2)]
    told = threading.Event()

    def hangs(name: str) -> None:
        if name == "ops":
            assert told.wait(LONG), "the other channel had to wait"
        elif len(world.channels.sent) == 1:
            told.set()

    world.channels.fails = hangs
    assert world.all().delivered == 4
    assert world.channels.told[0][1] in fine
    assert {session for _, session in world.channels.told} == {*others, *fine}


def test_a_channel_that_seems_to_hang_is_left_alone(world: World) -> None:
    """What else waits for it waits on, and is not tried one after the other for as long each."""
    for i in range(3):
        world.ran(f"s{i}", FAILURE)

    def slow(_: str) -> None:
        world.clock.advance(20)
        raise bunsui.AlertNotTaken("no answer in 20 seconds")

    world.channels.fails = slow
    swept = world.all()
    assert (swept.failed, swept.waiting, swept.next_at) == (1, 3, world.at(5))
    world.channels.fails = lambda _: None
    world.clock.advance(5)
    assert world.all().delivered == 3


def test_what_is_due_is_noted_before_anything_is_sent(world: World) -> None:
    """Also of the sessions whose turn comes later: who is killed while a channel hangs loses none."""
    sessions = [world.ran(f"s{i}", FAILURE) for i in range(3)]
    noted: list[list[str]] = []
    world.channels.fails = lambda _: noted.append([state for one in sessions for state in world.states(one)])
    world.all()
    assert sorted(noted[0]) == ["pending", "pending", "sending"]


def test_alerts_of_one_session_are_claimed_together(world: World) -> None:
    """One write for all channels, not one for each."""
    world.channels.names = tuple("abcdefgh")
    world.ran("s", AlertRule("failure", list("abcdefgh")))
    gate = threading.Barrier(8)
    world.channels.fails = lambda _: gate.wait(LONG) and None
    before = world.channels.sent[:]
    puts = counted(world.store, "put")
    assert world.all().delivered == 8
    assert (before, len(puts) <= 2 + 8) == ([], True)


def test_more_that_is_due_meanwhile_is_not_lost(world: World) -> None:
    """Somebody else notes an alert while one is sent: both are kept, and neither is sent twice."""
    session = world.start("s", AlertRule("failure", "ops", job="a"), FAILURE, jobs="ab")
    now, error = world.clock.now(), bunsui.Failure("E", "m")
    world.write(session, ev.JobStarted(now, "a", 1, "k"))
    world.write(session, ev.JobFailed(now, "a", 1, error))
    other = Sweep(world.store, Recorder("none"), world.clock)

    def meanwhile(_: str) -> None:
        world.channels.fails = lambda _: None
        world.write(session, ev.JobSkipped(now, "b", "r"), ev.SessionFailed(now))
        other.all()

    world.channels.fails = meanwhile
    world.all()
    world.all()
    assert [alert.job for _, alert in world.channels.sent] == ["a", None]
    assert world.states(session) == ["delivered", "delivered"]


def test_a_store_that_fails_loses_nothing(world: World) -> None:
    """Whichever of its calls fails: afterwards each alert is sent, once more only where it was not noted."""
    for number in range(1, 12):
        session = world.ran(f"s{number}", FAILURE)
        before = len(world.channels.sent)
        with Broken(world.store, number), contextlib.suppress(StoreError):
            world.all()
        world.all()
        assert world.channels.told[before:] == [("failure", session)]
        assert world.states(session) == ["delivered"]


class Broken:
    """While this lasts, the n-th call of the store fails, before it does anything."""

    METHODS = ("get", "put", "find", "delete")

    def __init__(self, store: Store, number: int) -> None:
        self._store, self._left = store, number

    def __enter__(self) -> None:
        self._real = {name: getattr(self._store, name) for name in self.METHODS}
        for name, method in self._real.items():
            setattr(self._store, name, self._counted(method))

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise StoreError("the disk is full")
            return method(*given, **named)

        return call

    def __exit__(self, *_: object) -> None:
        for name, method in self._real.items():
            setattr(self._store, name, method)


def test_one_that_is_damaged_holds_up_no_other(world: World) -> None:
    """A document or an entry that nobody can read is left, and the next session is told of."""
    world.store.put(watching.KIND, "damaged", {"rules": 3}, groups=((watching.WATCHED, "0"),))
    unreadable = world.ran("u", FAILURE)
    found = world.store.get(index.KIND, unreadable)
    assert found is not None
    world.store.put(index.KIND, unreadable, {**found.value, "status": "odd"})
    session = world.ran("s", FAILURE)
    swept = world.all()
    assert world.channels.told == [("failure", session)]
    assert set(swept.errors) == {unreadable}


def test_a_session_that_never_began_is_forgotten(world: World) -> None:
    """After a day; before it its first commit may come."""
    Watched("x", "Load", world.clock.now(), (FAILURE,)).put(world.store, world.clock.now())
    world.all()
    assert world.store.get(watching.KIND, "x") is not None
    world.clock.advance(sweeping.ABANDONED)
    world.all()
    assert world.store.get(watching.KIND, "x") is None


def test_a_rule_of_a_newer_version_holds_up_no_other(world: World) -> None:
    """It is kept for whoever knows it; the session's other rules, and other sessions, are told of."""
    newer = [{"on": "odd", "channel": "ops"}, {"on": "failure", "channel": "ops", "newer": 1}]
    session = world.ran("s", FAILURE)
    found = world.store.get(watching.KIND, session)
    assert found is not None
    value = {**found.value, "rules": [*newer, *found.value["rules"]]}
    groups = ((watching.WATCHED, "0"),)
    world.store.put(watching.KIND, session, value, if_version=found.version, groups=groups)
    other = world.ran("o", FAILURE)
    swept = world.all()
    assert (swept.errors, swept.watched) == ({}, 1)
    assert sorted(world.channels.told) == sorted([("failure", session), ("failure", other)])
    found = world.store.get(watching.KIND, session)
    assert found is not None
    assert [rule for rule in found.value["rules"] if rule in newer] == newer
    world.clock.advance(sending.UNKNOWN + 1)
    assert world.all().watched == 0


# Silence


def test_silence(world: World) -> None:
    """Within it no other is sent, and the next one says how many there were."""
    rule = AlertRule("failure", "ops", silence=3600)
    sessions = []
    for i in range(4):
        sessions.append(world.ran(f"s{i}", rule))
        world.all()
        world.clock.advance(1000)
    assert [world.states(session) for session in sessions] == [["delivered"]] + [["silenced"]] * 3
    last = world.ran("last", rule)
    world.all()
    assert world.channels.told == [("failure", sessions[0]), ("failure", last)]
    assert [alert.silenced for _, alert in world.channels.sent] == [0, 3]
    world.clock.advance(3600)
    world.ran("again", rule)
    world.all()
    assert world.channels.sent[-1][1].silenced == 0


def test_silence_begins_with_what_was_sent(world: World) -> None:
    """While a channel is down all wait; one stands for the others once it was delivered, not if given up."""
    rule = AlertRule("failure", "ops", silence=86400 * 3)
    first = world.ran("first", rule)
    world.channels.fails = failing(bunsui.AlertNotTaken("down"))
    world.all()
    second = world.ran("second", rule)
    world.all()
    assert (world.states(first), world.states(second)) == (["pending"], ["pending"])
    world.channels.fails = lambda _: None
    world.clock.advance(60)
    world.all()
    assert world.channels.told == [("failure", first)]
    assert (world.states(first), world.states(second)) == (["delivered"], ["silenced"])
    given_up = AlertRule("failure", "ops", silence=86400 * 4)
    world.ran("third", given_up)
    world.channels.fails = failing(bunsui.AlertNotTaken("down"))
    world.all()
    world.clock.advance(sending.TRIED)
    world.all()
    world.channels.fails = lambda _: None
    fourth = world.ran("fourth", given_up)
    world.all()
    assert world.channels.told[1:] == [("failure", fourth)]


def test_no_alert_stands_for_others_that_nobody_got(world: World) -> None:
    """The first is given up: of those that were due meanwhile one is told, with how many there were."""
    rule = AlertRule("failure", "ops", silence=86400 * 3)
    before = world.ran("before", rule)
    world.all()
    swallowed = world.ran("swallowed", rule)
    world.all()
    assert (world.states(before), world.states(swallowed)) == (["delivered"], ["silenced"])
    world.clock.advance(86400 * 3)
    world.ran("first", rule)
    world.channels.fails = failing(bunsui.AlertNotTaken("down"))
    world.all()
    second, third = world.ran("second", rule), world.ran("third", rule)
    world.all()
    world.clock.advance(sending.TRIED)
    world.channels.fails = lambda _: None
    world.all()
    assert [session for _, session in world.channels.told[1:]] in ([second], [third])
    assert world.channels.sent[-1][1].silenced == 1
    assert sorted(world.states(second) + world.states(third)) == ["delivered", "silenced"]


def test_a_silence_that_is_damaged_silences_nobody(world: World) -> None:
    """Nobody knows since when it lasts."""
    rule = AlertRule("failure", "ops", silence=3600)
    world.ran("first", rule)
    world.all()
    (found,) = world.store.find("alert-silence")
    world.store.put("alert-silence", found.key, {**found.value, "at": 7, "silenced": "x"})
    world.ran("second", rule)
    assert world.all().delivered == 1


# What time and the past decide


def test_a_session_that_stalled(world: World) -> None:
    """It is told when nothing was recorded for the time, and looked at no sooner."""
    session = world.start("s", AlertRule("stalled", "ops", after=1800))
    assert world.all().next_at == world.at(1800)
    reads = counted(world.store, "read")
    world.clock.advance(1799)
    assert world.all().delivered == 0
    assert reads == []
    world.clock.advance(1)
    assert world.all().delivered == 1
    assert world.channels.told == [("stalled", session)]
    world.clock.advance(10_000)
    assert world.another().all().delivered == 0


def test_a_session_that_moves_does_not_stall(world: World) -> None:
    """What it recorded counts, also where its entry in the index is old."""
    session = world.start("s", AlertRule("stalled", "ops", after=1800))
    world.all()
    world.clock.advance(1700)
    world.write(session, ev.JobStarted(world.clock.now(), "a", 1, "k"))
    world.clock.advance(100)
    assert world.all().next_at == world.at(1700)


def test_a_run_that_takes_too_long_is_told_before_it_ends(world: World) -> None:
    """By the wall clock, of a session and of a job."""
    rules = AlertRule("duration", "ops", above=600), AlertRule("duration", "ops", above=60, job="a")
    session = world.start("s", *rules)
    world.all()
    world.clock.advance(100)
    world.write(session, ev.JobStarted(world.clock.now(), "a", 1, "k"))
    world.clock.advance(61)
    world.all()
    assert [(alert.job, alert.at) for _, alert in world.channels.sent] == [("a", world.at(-1))]
    world.clock.advance(440)
    world.all()
    assert len(world.channels.sent) == 2


def test_recovery(world: World) -> None:
    """It is told where the run before had failed, with how many had; cancelled ones do not count."""
    rule = AlertRule("recovery", "ops")
    for name, failed in (("s1", False), ("s2", True), ("s3", True)):
        world.ran(name, rule, failed=failed)
        world.clock.advance(1)
    cancelled = world.start("s4", rule)
    now = world.clock.now()
    world.write(cancelled, ev.CancelRequested(now, "r"), ev.JobCancelled(now, "a", "r"))
    world.write(cancelled, ev.SessionCancelled(now))
    world.clock.advance(1)
    session = world.ran("s5", rule, failed=False)
    world.clock.advance(1)
    world.ran("s6", rule, failed=False)
    world.all()
    assert world.channels.told == [("recovery", session)]
    assert world.channels.sent[0][1].details["failed_runs"] == 2


def test_the_median_of_past_runs(world: World) -> None:
    """What is compared are the runs before, however late somebody looks."""
    rule = AlertRule("duration", "ops", above_median=3, runs=10)
    for i, seconds in enumerate((10, 12, 11, 90, 500)):
        world.ran(f"s{i}", *([rule] if i else []), failed=False, seconds=seconds)
    world.all()
    assert [alert.details["seconds"] for _, alert in world.channels.sent] == [90, 500]
    assert [alert.details["limit"] for _, alert in world.channels.sent] == [33, pytest.approx(34.5)]


def test_the_success_rate(world: World) -> None:
    """It is told with the run with which it falls below, once, and again after it had risen."""
    rule = AlertRule("success_rate", "ops", below=0.5, runs=4)
    ids = []
    for i, failed in enumerate([1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1]):
        ids.append(world.ran(f"s{i}", rule, failed=bool(failed)))
        world.clock.advance(1)
    world.all()
    assert [session for _, session in world.channels.told] == [ids[5], ids[12]]
