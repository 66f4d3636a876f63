"""What is to be sent, by channel: each channel sends one alert at a time, in a thread of its own.

So one that hangs keeps up none of the others. What they are given is claimed in its session's document first,
and what became of it is noted there, both by the one thread that uses the outbox.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from attrs import evolve, frozen

from bunsui.errors import Conflict
from bunsui.runner.alerting.ledger import FIRST, PATIENCE, Attempt, Ledger, Outcome, judged, pause
from bunsui.runner.alerting.watched import DELIVERED, Delivery, Watched

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from bunsui.ports.alerts import Alert
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.alerting.swept import Swept

_log = logging.getLogger(__name__)
#: Seconds after which a channel that fails is taken for one that hangs: what else waits for it waits on.
SLOW = 2.0


class Sender(Protocol):
    """By what alerts are sent: the channels of a runner."""

    @property
    def names(self) -> Collection[str]:
        """The channels that it knows."""

    def send_within(self, name: str, alert: Alert, seconds: float) -> None:
        """Sends an alert; when it returns, somebody has taken it. It ends in time; any thread may call it."""


@frozen
class _Ended:
    """One that is over."""

    attempt: Attempt
    #: What it failed with.
    error: BaseException | None = None
    #: How long it took.
    seconds: float = 0.0


class Outbox:
    """Sends what is due. One thread uses it at a time, but for `stop`.

    Args:
        store: where the sessions are.
        channels: by what alerts are sent.
        clock: says what time it is.
        woken: called by the threads of the channels when there is something to be noted.
    """

    def __init__(
        self, store: Store, channels: Sender, clock: Clock, woken: Callable[[], None] = lambda: None
    ) -> None:
        self._channels = channels
        self._clock = clock
        self._woken = woken
        self._ledger = Ledger(store, channels.names, clock)
        #: By channel, the session and the rule of what it is given next.
        self._queues: dict[str, dict[tuple[str, str], None]] = {}
        self._running: dict[str, Attempt] = {}
        self._ended: SimpleQueue[_Ended | None] = SimpleQueue()
        #: Sessions whose alerts come before those of others.
        self._first: set[str] = set()
        #: Channels that seem to hang, with how often in a row they did, and until when they are left alone.
        self._resting: dict[str, tuple[int, datetime]] = {}
        #: Seconds that an attempt may take.
        self.patience = PATIENCE
        #: Whether nothing more is to be begun, and the store is not to be touched.
        self.is_stopped = False

    def stop(self) -> None:
        """Has `finish` end; any thread may call it."""
        self.is_stopped = True
        self._ended.put(None)

    def holds(self, session: str, delivery: Delivery) -> bool:
        """Whether an alert is queued or sent here just now, so that nobody has to look at it."""
        key = session, delivery.rule
        running = self._running.get(delivery.channel)
        is_running = running is not None and (running.session, running.delivery.rule) == key
        return is_running or key in self._queues.get(delivery.channel, ())

    def rests_until(self, channel: str) -> datetime | None:
        """Until when a channel is left alone; None: it is not."""
        return self._resting.get(channel, (0, None))[1]

    def add(self, one: Watched, *, first: bool = False) -> Watched:
        """Queues what may be sent of a session, and gives up what was tried for too long.

        Args:
            one: the session, as it was just read or written.
            first: whether it comes before others.

        Returns:
            The session as it is then.

        Raises:
            Conflict: somebody else changes it.
            StoreError: the store failed.
        """
        if first:
            self._first.add(one.session)
        held = [delivery for delivery in one.deliveries if self.holds(one.session, delivery)]
        one = self._ledger.without_old(one, held)
        now = self._clock.now()
        for delivery in one.deliveries:
            known = delivery.channel in self._channels.names
            if known and delivery.may_be_sent(now) and not self.holds(one.session, delivery):
                queue = self._queues.setdefault(delivery.channel, {})
                queue[one.session, delivery.rule] = None
        self._keep(one)
        return one

    def _keep(self, one: Watched) -> None:
        """Has the document kept as long as it is needed here."""
        if any(self.holds(one.session, delivery) for delivery in one.deliveries):
            self._ledger.keep(one)
            return
        self._ledger.forget(one.session)
        if one.is_done:
            self._first.discard(one.session)

    # Sending

    def finish(
        self, swept: Swept, until: float | None = None, *, only_first: bool = False
    ) -> Iterator[Watched]:
        """Sends what is queued, and waits for what is sent.

        Args:
            swept: gets what was done.
            until: when to stop waiting (by the clock's monotonic); None: it takes what time it takes.
            only_first: whether only for what comes before others.

        Yields:
            The sessions that were changed.
        """
        if only_first:
            for queue in self._queues.values():
                for key in [key for key in queue if key[0] not in self._first]:
                    del queue[key]
        while not self.is_stopped:
            yield from self.step(swept)
            running = self._running.values()
            if not (any(one.session in self._first for one in running) if only_first else running):
                return
            left = None if until is None else max(until - self._clock.monotonic(), 0.0)
            try:
                ended = self._ended.get(timeout=left)
            except Empty:
                return
            if ended is not None:
                yield from self._take([ended, *self._at_once()], swept)

    def _at_once(self) -> Iterator[_Ended]:
        """What else has ended by now."""
        with suppress(Empty):
            while True:
                if (ended := self._ended.get_nowait()) is not None:
                    yield ended

    def step(self, swept: Swept) -> list[Watched]:
        """Notes what channels have done, and gives them what is next; waits for none of them.

        Returns:
            The sessions that were changed.
        """
        changed = self._take(self._at_once(), swept)
        while not self.is_stopped and (session := self._next()) is not None:
            changed += self._begin(session, swept)
        return changed

    def _next(self) -> str | None:
        """The session of which something is sent next, by a channel that has nothing to do."""
        for channel, queue in self._queues.items():
            if channel not in self._running:
                if (found := next((of for of, _ in queue if of in self._first), None)) is not None:
                    return found
                if queue and self._is_free(channel, (found := next(iter(queue))[0])):
                    return found
        return None

    def _is_free(self, channel: str, session: str) -> bool:
        """Whether a channel has nothing to do, and is not left alone."""
        until = self.rests_until(channel)
        rests = until is not None and until > self._clock.now() and session not in self._first
        return channel not in self._running and not rests

    def _begin(self, session: str, swept: Swept) -> list[Watched]:
        """Gives each idle channel one of the session's alerts that it has to send."""
        batch: list[tuple[str, str]] = []
        for channel, queue in self._queues.items():
            if self._is_free(channel, session):
                batch += [(channel, rule) for of, rule in queue if of == session][:1]
        for channel, rule in batch:
            del self._queues[channel][session, rule]
        try:
            one, attempts = self._ledger.claimed(session, batch, self.patience)
        except Conflict:  # Somebody else is at it, whose turn it is then.
            swept.wait_until(self._clock.now() + timedelta(seconds=FIRST))
            return []
        except Exception as error:  # Foreign code: a third party's store.
            swept.errors[session] = str(error)
            _log.debug("alerts of session %s: %s", session, error)
            return []
        for attempt in attempts:
            self._running[attempt.delivery.channel] = attempt
            self._start(attempt)
        if one is None:
            return []
        self._keep(one)
        return [one]

    def _start(self, attempt: Attempt) -> None:
        channel = attempt.delivery.channel
        alert = evolve(attempt.delivery.alert, silenced=attempt.count)
        patience = self.patience

        def send() -> None:
            failed: BaseException | None = None
            began = self._clock.monotonic()
            try:
                self._channels.send_within(channel, alert, patience)
            except BaseException as error:  # It is looked at by the thread that uses this.
                failed = error
            self._ended.put(_Ended(attempt, failed, self._clock.monotonic() - began))
            self._woken()

        # It does not keep the process: a channel may hang.
        thread = threading.Thread(target=send, name=f"bunsui-alerts-{channel}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # The system gives no more threads: another time, then.
            self._ended.put(_Ended(attempt, error))

    # What became of it

    def _take(self, ended: Iterable[_Ended], swept: Swept) -> list[Watched]:
        """Notes what became of attempts, of those of one session at once."""
        outcomes: dict[str, list[Outcome]] = {}
        for one in ended:
            attempt = one.attempt
            self._running.pop(attempt.delivery.channel, None)
            outcome = Outcome(attempt, self._judged(one, swept))
            outcomes.setdefault(attempt.session, []).append(outcome)
        return [] if self.is_stopped else list(self._noted(outcomes, swept))

    def _noted(self, outcomes: dict[str, list[Outcome]], swept: Swept) -> Iterator[Watched]:
        for session, found in outcomes.items():
            try:
                one = self._ledger.note(session, found)
            except Exception as error:  # Foreign code: a third party's store.
                swept.errors[session] = str(error)
                _log.debug("what became of alerts of session %s: %s", session, error)
            else:
                if one is not None:
                    self._keep(one)
                    yield one

    def _judged(self, ended: _Ended, swept: Swept) -> Delivery:
        """What became of an attempt."""
        delivery, error = ended.attempt.delivery, ended.error
        if error is None:
            swept.delivered += 1
            self._resting.pop(delivery.channel, None)
            return delivery.ended(DELIVERED)
        if not isinstance(error, Exception):
            raise error
        swept.failed += 1
        now = self._clock.now()
        self._let_rest(ended, now, swept)
        noted = judged(delivery, error, now)
        swept.failures[delivery.channel] = noted.error or ""
        return noted

    def _let_rest(self, ended: _Ended, now: datetime, swept: Swept) -> None:
        """Leaves a channel alone for a while that took long to fail; what waits for it is looked at then."""
        channel = ended.attempt.delivery.channel
        if ended.seconds < SLOW:
            self._resting.pop(channel, None)
            return
        times = self._resting.get(channel, (0, now))[0] + 1
        until = now + timedelta(seconds=pause(times))
        self._resting[channel] = times, until
        swept.wait_until(until)
        queue = self._queues.get(channel, {})
        for key in [key for key in queue if key[0] not in self._first]:
            del queue[key]
