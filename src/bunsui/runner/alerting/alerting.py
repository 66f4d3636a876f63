"""The thread in which a runner watches sessions and sends their alerts, where there is something to watch."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING

from bunsui.concurrency.threads import Sole
from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError, Conflict, StoreError
from bunsui.runner.alerting.swept import Swept
from bunsui.runner.sessions import index

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from bunsui.model.alerts import AlertRule
    from bunsui.model.pipeline import Pipeline
    from bunsui.monitoring.channels.channels import Channels
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.alerting.sweep import Sweep
    from bunsui.runner.driving.live import Live

_log = logging.getLogger(__name__)
#: Seconds between two looks at all sessions that are watched, while the runner drives one of its own.
EVERY = 60.0
#: Seconds after which is looked again where the store failed, twice as many each time, and at least where
#: something is to be done.
AGAIN, SOON = 5.0, 0.1
#: Seconds that closing waits for what is due, and for the thread to end that then does nothing more.
LAST, ENDING = 10.0, 1.0
#: How often somebody else may be faster in writing what is to be watched.
TRIES = 5


def require_channels(rules: Iterable[AlertRule], names: Collection[str], place: str) -> None:
    """Makes sure that there are the channels that rules of a configuration name.

    Args:
        rules: the rules.
        names: the channels that there are.
        place: where the rules stand.

    Raises:
        ConfigError: there is one that is not.
    """
    for name in (name for rule in rules for name in rule.channels if name not in names):
        hint = did_you_mean(name, names) or f"there are: {', '.join(names)}"
        at = f"{place}: alerts" if place else "alerts"
        raise ConfigError(f"{at}: there is no alert channel {quoted(name)}", hint=hint)


class Alerting:
    """Watches sessions for one runner. May be used from any thread; none of its calls waits for a channel.

    Args:
        store: where the sessions are.
        channels: makes what alerts are sent by; asked for when that is needed first.
        clock: the runner's.
        thread: makes the thread.
        is_driving: whether the runner drives any session.
        has_channels: whether the runner was given channels: then it watches the sessions of others, too.
        configured: the rules of the runner's configuration.
        place: where these stand.
        is_on: whether sessions have alerts.
    """

    def __init__(
        self,
        store: Store,
        channels: Callable[[], Channels],
        clock: Clock,
        thread: Callable[..., threading.Thread],
        is_driving: Callable[[], bool],
        *,
        has_channels: bool,
        configured: Sequence[AlertRule] = (),
        place: str = "",
        is_on: bool = True,
    ) -> None:
        self._store = store
        self._make_channels = channels
        self._clock = clock
        self._make_thread = thread
        self._is_driving = is_driving
        self._has_channels = has_channels
        self._configured = configured
        self._place = place
        self._is_on = is_on
        self._lock = threading.Lock()
        self._sole = Sole()
        self._event = threading.Event()
        #: Sessions of this runner of which something is new.
        self._news: dict[str, None] = {}
        self._is_closing = self._is_stopped = False
        #: When closing stops waiting (monotonic): the first call says so for all.
        self._deadline = math.inf
        self._sweep: Sweep | None = None
        self._channels: Channels | None = None
        #: Sweeps, one after the other, in which something could not be looked at.
        self._failures = 0

    def rules_of(self, pipeline: Pipeline) -> tuple[AlertRule, ...]:
        """The rules for a session of a pipeline: its own, and those of the configuration."""
        if not self._is_on:
            return ()
        jobs = {job.id for job in pipeline.jobs}
        more = [
            rule
            for rule in self._configured
            if rule.pipeline in (None, pipeline.name) and (rule.job is None or rule.job in jobs)
        ]
        return tuple({rule.id: rule for rule in (*pipeline.alerts, *more)}.values())

    def begin(self, live: Live, *, may_be_left: bool = False) -> None:
        """Has a new session watched, which nothing has been written of yet.

        Args:
            live: the session.
            may_be_left: whether somebody may have begun to start it before, and died.

        Raises:
            StoreError: the store failed.
        """
        live.alerts = self.rules_of(live.pipeline)
        if live.alerts or (may_be_left and self._is_on):
            self._put(live, may_be_left=may_be_left)
        self._watch(live)

    def _put(self, live: Live, *, may_be_left: bool) -> None:
        """Writes by which rules the session is watched, in place of what a start that died has left."""
        from attrs import evolve  # noqa: PLC0415 - few sessions have alerts, as below

        from bunsui.runner.alerting.watched import KIND, Watched  # noqa: PLC0415 - as above

        for _ in range(TRIES):
            left = self._store.get(KIND, live.id) if may_be_left else None
            if left is None and not live.alerts:
                return
            if left is not None and self._store.get(index.KIND, live.id) is not None:
                # Somebody was faster, by whose rules it is watched.
                live.alerts = self._rules_of_session(live.id)
                return
            now = self._clock.now()
            one = Watched(live.id, live.pipeline.name, now, live.alerts, is_settled=not live.alerts)
            try:
                evolve(one, version=0 if left is None else left.version).put(self._store, now)
            except Conflict:
                may_be_left = True
            else:
                return

    def require_channels(self, pipeline: Pipeline) -> None:
        """Makes sure that the channels of a pipeline's rules could be used, as far as their options tell.

        Whether there are those of its own rules is a matter of its definition.

        Raises:
            ConfigError: there is none of that name, no such type, or an option is wrong.
            PluginError: likewise, and a plugin is disabled that may have the type.
        """
        rules = self.rules_of(pipeline)
        if not rules:
            return
        channels = self._make_channels()
        require_channels([rule for rule in rules if rule in self._configured], channels.names, self._place)
        for name in dict.fromkeys(name for rule in rules for name in rule.channels):
            channels.check_one(name)

    def go_on(self, live: Live) -> None:
        """Has a session watched on that is taken over: by the rules that it was started with.

        Raises:
            StoreError: the store failed.
        """
        live.alerts = self._rules_of_session(live.id)
        self._watch(live)

    def _rules_of_session(self, session: str) -> tuple[AlertRule, ...]:
        from bunsui.runner.alerting.watched import of_session  # noqa: PLC0415 - only who takes over

        try:
            one = of_session(self._store, session)
        except StoreError as error:
            if not error.lasting:
                raise
            # Its jobs matter more than who is told.
            _log.warning("session %s goes on without alerts: %s", session, error)
            one = None
        return () if one is None else one.rules

    def _watch(self, live: Live) -> None:
        if live.alerts:
            live.alerted = self.alerted
            if any(rule.on in ("duration", "stalled") for rule in live.alerts):
                live.told = None  # It has no history yet in which its times could be found.
        if live.alerts or self._has_channels:
            with self._lock:
                self._sole.start(self._run, "bunsui-alerts", self._make_thread)
            self._event.set()

    def alerted(self, session: str) -> None:
        """Something may be due of a session of this runner, or it has ended."""
        with self._lock:
            self._news[session] = None
        self._event.set()

    # The thread

    def _run(self) -> None:
        with self._lock:
            if not self._sole.claim():
                return
        from bunsui.runner.alerting.sweep import Sweep  # noqa: PLC0415 - few runners have alerts

        try:
            channels = self._make_channels()
            sweep = Sweep(self._store, channels, self._clock, self._event.set)
        except Exception as error:  # Foreign code: a plugin's. The channels of others are left to them.
            _log.warning("no alerts are sent by this runner: %s", error)
            return
        with self._lock:
            self._sweep, self._channels = sweep, channels
            if self._is_stopped:
                return
        next_look = self._clock.monotonic()
        while not self._is_stopped:
            # Looked at once a turn: one in which the runner begins to close may be behind what it does then.
            is_closing = self._is_closing
            try:
                next_look = self._turn(sweep, next_look, is_closing=is_closing)
            except Exception as error:  # Foreign code, or a fault of ours: it ends no other alerts.
                _log.warning("alerts wait for a moment: %s: %s", type(error).__name__, error)
                next_look = self._due(Swept(errors={"": str(error)}))
            if is_closing:
                return
            if self._is_closing:
                continue
            if self._is_driving():
                # What others leave is looked for as long as this runner does something.
                next_look = min(next_look, self._clock.monotonic() + EVERY)
            pause = next_look - self._clock.monotonic()
            self._event.wait(None if pause == math.inf else max(pause, 0.0))

    def _turn(self, sweep: Sweep, next_look: float, *, is_closing: bool) -> float:
        """Does what is to be done now, and returns when the next look at all sessions is due (monotonic)."""
        next_look = min(next_look, self._own(sweep))
        if is_closing:
            # What is new of its own sessions is told before it ends, for a bounded time.
            next_look = min(next_look, self._own(sweep))
            sweep.finish(Swept(), self._deadline - self._clock.monotonic())
            return next_look
        if self._clock.monotonic() < next_look:
            return next_look
        swept, own = Swept(), []

        def between() -> bool:
            own.append(self._own(sweep))
            return not self._is_closing

        try:
            sweep.look_around(swept, between)
        except Exception as error:  # Foreign code: a third party's store.
            _log.debug("sessions can't be watched: %s", error)
            swept.errors[""] = str(error)
        return min(self._due(swept), *own, math.inf)

    def _own(self, sweep: Sweep) -> float:
        """Looks at what is new of its own sessions, and at what the channels have done.

        Returns:
            When something is to be done next, as far as that shows (monotonic).
        """
        self._event.clear()
        with self._lock:
            news, self._news = list(self._news), {}
        swept = Swept()
        sweep.look_at(news, swept)
        sweep.step(swept)
        return self._due(swept) if news or swept.errors or swept.next_at is not None else math.inf

    def _due(self, swept: Swept) -> float:
        """When something is to be done next (monotonic)."""
        seconds = math.inf
        if swept.next_at is not None:
            seconds = max((swept.next_at - self._clock.now()).total_seconds(), SOON)
        self._failures = self._failures + 1 if swept.errors else 0
        if self._failures:
            seconds = min(seconds, AGAIN * 2 ** min(self._failures - 1, 10), EVERY)
        return self._clock.monotonic() + seconds

    def close(self, seconds: float = LAST) -> None:
        """Sends what is due of this runner's sessions, for a bounded time; what is left is left to others.

        Programs that still run for an alert then are ended.

        Args:
            seconds: that it may take, at most `LAST`, from the first call on; 0: nothing is waited for.
        """
        with self._lock:
            until = self._clock.monotonic() + min(seconds, LAST)
            self._deadline = min(self._deadline, until)
            self._is_closing = True
            thread = self._sole.thread
        self._event.set()
        if thread is None or thread is threading.current_thread():
            self._is_stopped = True
            return
        try:
            thread.join(max(self._deadline - self._clock.monotonic(), 0.0))
        finally:
            with self._lock:
                self._is_stopped = True
                if self._sweep is not None:
                    self._sweep.stop()
                if self._channels is not None:
                    self._channels.close()
            self._event.set()
        # It waits for no channel any more, but may be in a call of the store, which is closed next.
        thread.join(ENDING)
