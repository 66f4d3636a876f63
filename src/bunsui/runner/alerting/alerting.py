"""The thread in which a runner watches sessions and sends their alerts, where there is something to watch."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from bunsui.concurrency.threads import Sole
from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import BunsuiError, ConfigError, Conflict, StoreError
from bunsui.runner.alerting import watched as watching
from bunsui.runner.alerting.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bunsui.model.alerts import AlertRule
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.alerting.sweep import Sender, Sweep, Swept
    from bunsui.runner.driving.live import Live

_log = logging.getLogger(__name__)
#: Seconds between two looks at all sessions that are watched, while the runner drives one of its own.
EVERY = 60.0
#: Seconds after which is looked again where the store failed, twice as many each time, and at least where
#: something is to be done.
AGAIN, SOON = 5.0, 0.1
#: Seconds that closing waits for what is due.
LAST = 10.0


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
        is_on: whether sessions have alerts.
    """

    def __init__(
        self,
        store: Store,
        channels: Callable[[], Sender],
        clock: Clock,
        thread: Callable[..., threading.Thread],
        is_driving: Callable[[], bool],
        *,
        has_channels: bool,
        configured: Sequence[AlertRule] = (),
        is_on: bool = True,
    ) -> None:
        self._store = store
        self._make_channels = channels
        self._clock = clock
        self._make_thread = thread
        self._is_driving = is_driving
        self._has_channels = has_channels
        self._configured = configured
        self._is_on = is_on
        self._lock = threading.Lock()
        self._sole = Sole()
        self._event = threading.Event()
        #: Sessions of this runner of which something is new.
        self._news: dict[str, None] = {}
        self._is_closing = False
        self._sweep: Sweep | None = None
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

    def begin(self, live: Live) -> None:
        """Has a new session watched, which nothing has been written of yet.

        Raises:
            ConfigError: a rule of the configuration names a channel that there is not; nothing was written.
            StoreError: the store failed.
        """
        live.alerts = self.rules_of(live.pipeline)
        if live.alerts:
            self._require_channels(live.alerts)
            one = Watched(live.id, live.pipeline.name, self._clock.now(), live.alerts)
            with suppress(Conflict):  # Somebody starts the session of that idempotency key, too.
                one.put(self._store, self._clock.now())
        self._watch(live)

    def _require_channels(self, rules: Sequence[AlertRule]) -> None:
        names = self._make_channels().names
        for name in (name for rule in rules for name in rule.channels if name not in names):
            hint = did_you_mean(name, names) or f"there are: {', '.join(names)}"
            raise ConfigError(f"alerts: there is no alert channel {quoted(name)}", hint=hint)

    def go_on(self, live: Live) -> None:
        """Has a session watched on that is taken over: by the rules that it was started with.

        Raises:
            StoreError: the store failed.
        """
        try:
            one = watching.of_session(self._store, live.id)
        except StoreError as error:
            if not error.lasting:
                raise
            # Its jobs matter more than who is told.
            _log.warning("session %s goes on without alerts: %s", live.id, error)
            one = None
        live.alerts = () if one is None else one.rules
        self._watch(live)

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
            self._watching(Sweep(self._store, self._make_channels(), self._clock))
        except BunsuiError as error:  # The channels can't be made: those of others are left to them.
            _log.warning("no alerts are sent by this runner: %s", error)

    def _watching(self, sweep: Sweep) -> None:
        self._sweep = sweep
        next_look = self._clock.monotonic()
        while True:
            self._event.clear()
            with self._lock:
                news, self._news = list(self._news), {}
                is_closing = self._is_closing
            if is_closing:
                sweep.some(news, LAST)
                return
            if news:
                next_look = min(next_look, self._due(sweep.some(news)))
            if self._clock.monotonic() >= next_look:
                next_look = self._due(_all(sweep))
            if self._is_driving():
                # What others leave is looked for as long as this runner does something.
                next_look = min(next_look, self._clock.monotonic() + EVERY)
            pause = next_look - self._clock.monotonic()
            self._event.wait(None if pause == math.inf else max(pause, 0.0))

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
        """Sends what is due of this runner's sessions, for a bounded time; what is left is left to others."""
        with self._lock:
            self._is_closing = True
            thread = self._sole.thread
        if self._sweep is not None:
            self._sweep.is_hurried = True
        self._event.set()
        if thread is None or thread is threading.current_thread():
            return
        thread.join(seconds)
        if thread.is_alive() and self._sweep is not None:
            self._sweep.is_stopped = True


def _all(sweep: Sweep) -> Swept:
    from bunsui.runner.alerting.sweep import Swept  # noqa: PLC0415 - see above

    try:
        return sweep.all()
    except Exception as error:  # Foreign code: a third party's store.
        _log.debug("sessions can't be watched: %s", error)
        return Swept(errors={"": str(error)})
