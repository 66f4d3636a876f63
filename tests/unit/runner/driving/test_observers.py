"""Observers see what is committed, each by itself: what one of them does changes nothing for anybody else."""

from __future__ import annotations

import logging
import threading
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bunsui
from bunsui.engine import events as ev
from bunsui.model.artifact import Artifact
from bunsui.model.json import Json
from bunsui.runner.driving.observers import LOGGED, Limits, Observers
from bunsui_tests.conditions import until

AT = datetime(2026, 1, 1, tzinfo=UTC)
#: Long enough for whatever is to end.
LONG = 60.0


class Observer:
    """A plugin that notes what it sees, and then does what a test wants."""

    def __init__(self, does: Callable[[Any], None] = lambda event: None) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.does = does

    @bunsui.hookimpl
    def bunsui_session_event(self, session_id: str, event: Any) -> None:
        self.seen.append((session_id, event))
        self.does(event)


class Hanging(Observer):
    """One whose calls end when the test does."""

    def __init__(self) -> None:
        super().__init__(self._hang)
        self.entered = threading.Event()
        self.left = threading.Event()

    def _hang(self, event: Any) -> None:
        self.entered.set()
        self.left.wait()


class Time:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


#: All that a test has made.
_made: list[Observers] = []


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    observer = Hanging()
    yield observer
    observer.left.set()
    for observers in _made:
        observers.close(LONG)
    _made.clear()
    until(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("bunsui-observer")]


def observers_of(*plugins: Any, monotonic: Callable[[], float] | None = None, **limits: Any) -> Observers:
    more = {} if monotonic is None else {"monotonic": monotonic}
    made = Observers(bunsui.Plugins(plugins, autoload=False), Limits(**limits), **more)
    _made.append(made)
    return made


def events(count: int, job: str = "a") -> list[ev.Event]:
    return [ev.JobStarted(AT, job, number, "k") for number in range(1, count + 1)]


def complaints(observers: Observers) -> str:
    """What is said once everything is closed; empty where nothing is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        observers.warn()
    assert all(each.category is RuntimeWarning for each in caught)
    assert len(caught) <= 1
    return str(caught[0].message) if caught else ""


class TestOrder:
    """What is shown, and in which order."""

    @given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 4)), max_size=30), st.integers(1, 4))
    def test_each_sees_all_in_the_order_of_the_commits(
        self, commits: Sequence[tuple[str, int]], count: int
    ) -> None:
        """Also where commits of several sessions lie between each other."""
        plugins = [Observer() for _ in range(count)]
        observers = observers_of(*plugins)
        wanted: list[tuple[str, ev.Event]] = []
        for number, (session, size) in enumerate(commits):
            made = events(size, job=f"j{number}")
            observers.show(session, made)
            wanted += [(session, event) for event in made]
        observers.close(LONG)
        assert [wanted] * count == [plugin.seen for plugin in plugins]
        assert "" == complaints(observers)

    def test_no_thread_before_the_first_event(self) -> None:
        """Nor where nobody observes, nor for a commit without events; after closing there is none left."""
        observers, nobody = observers_of(Observer(), Observer()), observers_of()
        nobody.show("s", events(1))
        observers.show("s", [])
        assert [] == threads()
        observers.show("s", events(1))
        assert 2 == len(threads())
        observers.close(LONG)
        assert [] == threads()

    def test_a_thread_that_the_system_refuses_is_asked_for_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What came meanwhile waits for it; the driver hears nothing of it."""
        plugin = Observer()
        observers = observers_of(plugin)

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            observers.show("s", events(1))
        observers.show("s", events(1, job="b"))
        observers.close(LONG)
        assert ["a", "b"] == [event.job for _, event in plugin.seen]

    def test_what_no_thread_was_given_for_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody takes it for seen."""
        observers = observers_of(Observer())

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        observers.show("s", events(3))
        observers.close(LONG)
        assert "observer 'Observer' was too slow: it did not see 3 events" == complaints(observers)


class TestSlow:
    """One that does not keep up, or does not come back."""

    def test_who_is_slow_loses_its_own_events_alone(
        self, hanging: Hanging, caplog: pytest.LogCaptureFixture
    ) -> None:
        """They are counted; that they are lost is logged once, by name."""
        quick = Observer()
        observers = observers_of(hanging, quick, capacity=3)
        observers.show("s", events(1))
        assert hanging.entered.wait(LONG)
        for number in range(2, 11):
            observers.show("s", events(1))
            until(lambda number=number: number == len(quick.seen))  # type: ignore[misc]
        assert 1 == sum("observer 'Hanging' is too slow" in text for text in caplog.messages)
        hanging.left.set()
        observers.close(LONG)
        assert (3, 10) == (len(hanging.seen), len(quick.seen))
        assert "observer 'Hanging' was too slow: it did not see 7 events" == complaints(observers)

    def test_a_large_commit_is_shown_whole(self) -> None:
        """The bound is on what waits, so that a commit above it is not lost to everybody."""
        plugin = Observer()
        observers = observers_of(plugin, capacity=3)
        observers.show("s", events(10))
        observers.close(LONG)
        assert 10 == len(plugin.seen)

    def test_a_call_above_its_budget_drops_the_observer(
        self, hanging: Hanging, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nothing more is queued for it, closing does not wait for it, and the others go on."""
        quick, time = Observer(), Time()
        observers = observers_of(hanging, quick, budget=10.0, monotonic=time)
        observers.show("s", events(2))
        assert hanging.entered.wait(LONG)
        until(lambda: len(quick.seen) == 2)
        time.now = 10.5
        observers.show("s", events(3))
        assert "observer 'Hanging' was dropped: a call took longer than 10 seconds" in caplog.messages
        observers.close(3600.0)
        assert (1, 5) == (len(hanging.seen), len(quick.seen))
        assert complaints(observers) == (
            "observer 'Hanging' was dropped: a call took longer than 10 seconds; it did not see 5 events"
        )
        hanging.left.set()
        until(lambda: not threads())
        assert 1 == len(hanging.seen)

    def test_a_call_within_its_budget_drops_nobody(self, hanging: Hanging) -> None:
        """Its time begins with the call, not with the one before."""
        time = Time()
        observers = observers_of(hanging, budget=10.0, monotonic=time)
        observers.show("s", events(1))
        assert hanging.entered.wait(LONG)
        time.now = 9.5
        observers.show("s", events(1))
        hanging.left.set()
        until(lambda: len(hanging.seen) == 2)
        time.now = 30.0
        observers.show("s", events(1))
        observers.close(LONG)
        assert 3 == len(hanging.seen)
        assert "" == complaints(observers)

    def test_a_call_that_comes_back_late_drops_it_too(self) -> None:
        """Also where nothing was committed meanwhile."""
        time = Time()

        def late(event: Any) -> None:
            time.now += 11.0

        plugin = Observer(late)
        observers = observers_of(plugin, budget=10.0, monotonic=time)
        observers.show("s", events(5))
        observers.close(LONG)
        assert 1 == len(plugin.seen)
        assert "it did not see 4 events" in complaints(observers)

    def test_closing_notices_a_call_above_its_budget(self, hanging: Hanging) -> None:
        """And does not wait for it."""
        time = Time()
        observers = observers_of(hanging, budget=10.0, monotonic=time)
        observers.show("s", events(1))
        assert hanging.entered.wait(LONG)
        time.now = 11.0
        observers.close(3600.0)
        assert "a call took longer than 10 seconds; it did not see 1 event" in complaints(observers)

    def test_closing_waits_no_longer_than_it_is_told_to(self, hanging: Hanging) -> None:
        """What hangs is left behind, by name; what the others have not seen by then they still do."""
        quick = Observer()
        observers = observers_of(hanging, quick)
        observers.show("s", events(4))
        assert hanging.entered.wait(LONG)
        observers.close(0.1)
        assert (1, 4) == (len(hanging.seen), len(quick.seen))
        assert complaints(observers) == (
            "observer 'Hanging' was dropped: it had not come to an end when the runner was closed;"
            " it did not see 4 events"
        )

    def test_closing_again_after_an_interrupt(self, hanging: Hanging) -> None:
        """Goes on waiting: Ctrl-C may come while it does."""
        observers = observers_of(hanging)
        observers.show("s", events(2))
        assert hanging.entered.wait(LONG)
        hanging.left.set()
        observers.close(LONG)
        observers.close(LONG)
        assert 2 == len(hanging.seen)
        assert "" == complaints(observers)


class Nameless(BaseException):
    """One that nobody expects, and whose text can't be made."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class TestFailing:
    """One that raises."""

    @pytest.mark.parametrize(
        "error", [ValueError("oops"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Nameless()]
    )
    def test_whatever_it_raises(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged, once with its traceback, and shown the next event; the others see nothing of it."""

        def fail(event: Any) -> None:
            raise error

        failing, fine = Observer(fail), Observer()
        observers = observers_of(failing, fine)
        observers.show("s", events(3))
        observers.close(LONG)
        assert (3, 3) == (len(failing.seen), len(fine.seen))
        assert "observer 'Observer' failed on JobStarted (failure 3)" in caplog.messages
        assert error is caplog.records[0].exc_info[1]  # type: ignore[index]
        assert [True, False, False] == [bool(record.exc_info) for record in caplog.records]
        assert "" == complaints(observers)

    def test_one_traceback_for_each_class(self, caplog: pytest.LogCaptureFixture) -> None:
        """An error of another kind is a new one; how its class compares has no say."""

        class Same(type):
            def __eq__(cls, other: object) -> bool:
                return True

            def __hash__(cls) -> int:
                raise ValueError

        class Odd(Exception, metaclass=Same):
            pass

        raised: Iterator[BaseException] = iter([KeyError(), Odd(), KeyError(), Odd(), ValueError()])

        def fail(event: Any) -> None:
            raise next(raised)

        observers = observers_of(Observer(fail))
        observers.show("s", events(5))
        observers.close(LONG)
        assert [True, True, False, False, True] == [bool(record.exc_info) for record in caplog.records]

    def test_too_many_failures_in_a_row_drop_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """With a warning that names it."""

        def fail(event: Any) -> None:
            raise ValueError

        failing, fine = Observer(fail), Observer()
        observers = observers_of(failing, fine, failures=10)
        observers.show("s", events(30))
        until(lambda: "observer 'Observer' was dropped: it failed 10 times in a row" in caplog.messages)
        observers.show("s", events(2))
        observers.close(LONG)
        assert (10, 32) == (len(failing.seen), len(fine.seen))
        assert complaints(observers) == (
            "observer 'Observer' was dropped: it failed 10 times in a row; it did not see 22 events"
        )

    def test_failures_that_are_not_in_a_row_do_not(self) -> None:
        """One success, and the count begins anew."""

        def fail(event: Any) -> None:
            if event.attempt % 10:
                raise ValueError

        plugin = Observer(fail)
        observers = observers_of(plugin, failures=10)
        observers.show("s", events(200))
        observers.close(LONG)
        assert 200 == len(plugin.seen)
        assert "" == complaints(observers)

    def test_the_log_is_not_flooded(self, caplog: pytest.LogCaptureFixture) -> None:
        """Of ten thousand failures some are logged, the later the fewer."""

        def fail(event: Any) -> None:
            if event.attempt % 2:
                raise ValueError

        observers = observers_of(Observer(fail))
        observers.show("s", events(20_000))
        observers.close(LONG)
        assert LOGGED < len(caplog.messages) <= LOGGED + 10
        assert "observer 'Observer' failed on JobStarted (failure 8192)" == caplog.messages[-1]

    def test_a_handler_of_the_host_that_fails_does_no_harm(self) -> None:
        """What logs a failure is foreign code, too."""

        class Bad(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise SystemExit

        def fail(event: Any) -> None:
            raise ValueError

        plugin, handler = Observer(fail), Bad()
        logging.getLogger("bunsui").addHandler(handler)
        try:
            observers = observers_of(plugin)
            observers.show("s", events(3))
            observers.close(LONG)
        finally:
            logging.getLogger("bunsui").removeHandler(handler)
        assert 3 == len(plugin.seen)


class TestComplaints:
    """What is said at the end."""

    def test_all_at_once_and_only_once(self, hanging: Hanging) -> None:
        """Where warnings are errors, the first one would else hide the others."""

        def fail(event: Any) -> None:
            raise ValueError

        observers = observers_of(hanging, Observer(fail), failures=1)
        observers.show("s", events(2))
        assert hanging.entered.wait(LONG)
        observers.close(0.1)
        with pytest.warns(RuntimeWarning, match=r"(?s)'Hanging' was dropped.*\n.*'Observer' was dropped"):
            observers.warn()
        assert "" == complaints(observers)

    def test_the_driver_is_never_warned(self, hanging: Hanging) -> None:
        """A filter that makes errors of warnings reaches nothing that it runs: all of it is logged."""
        time = Time()
        observers = observers_of(hanging, budget=10.0, capacity=1, monotonic=time)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            observers.show("s", events(1))
            assert hanging.entered.wait(LONG)
            observers.show("s", events(1))
            time.now = 11.0
            observers.show("s", events(1))
        observers.close(LONG)
        assert "it did not see 3 events" in complaints(observers)


#: An event of each kind that has mappings, with something in each of them at two levels.
CHANGEABLE = [
    ev.SessionCreated(
        AT,
        "s",
        "p",
        "d",
        {"list": [1, [2]], "map": {"x": {"y": 1}}},
        bindings={"lambda": {"f": {"command": ["true"]}}},
        tags={"a": "b"},
        env={"A": "B"},
    ),
    ev.RunnerClaimed(AT, "r", 1, {"host": "h", "more": {"x": [1]}}),
    ev.Unknown(AT, "Later", {"x": {"y": [1]}}),
]


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


class TestChanged:
    """One that changes what it is shown."""

    @pytest.mark.parametrize("event", CHANGEABLE, ids=lambda event: type(event).__name__)
    def test_nobody_else_sees_it(self, event: ev.Event) -> None:
        """Neither the next observer nor the driver, whose own the event is."""

        def change(shown: Any) -> None:
            for name in ev.MAPPINGS[type(shown)]:
                spoil(getattr(shown, name))

        before = repr(event)
        plugins = [Observer(change), Observer(), Observer(change)]
        observers = observers_of(*plugins)
        observers.show("s", [event])
        observers.close(LONG)
        assert (before, before) == (repr(event), repr(plugins[1].seen[0][1]))
        assert "spoilt" in repr(plugins[0].seen[0][1])

    @pytest.mark.parametrize("event", CHANGEABLE, ids=lambda event: type(event).__name__)
    def test_plain_data_stays_plain(self, event: ev.Event) -> None:
        """It is equal, and can be encoded as before."""
        shown = ev.detached(event)
        assert event == shown
        assert all(type(getattr(shown, name)) is dict for name in ev.MAPPINGS[type(event)])

    @pytest.mark.parametrize("cls", [*ev.EVENTS.values(), ev.Unknown], ids=lambda cls: cls.__name__)
    def test_every_field_that_can_be_changed_is_known(self, cls: type[ev.Event]) -> None:
        """A new event whose mapping were forgotten would be shared by all who see it."""
        unchangeable = {str, int, float, bool, type(None), datetime, bunsui.Failure, Json, Artifact}
        hints = typing.get_type_hints(cls)
        found = set()
        for attribute in attrs.fields(cls):
            hint = hints[attribute.name]
            parts = [hint, *typing.get_args(hint)] if typing.get_origin(hint) is not Mapping else [Mapping]
            if hint != tuple[str, ...] and not any(part in unchangeable for part in parts):
                found.add(attribute.name)
        assert found == set(ev.MAPPINGS.get(cls, ()))
