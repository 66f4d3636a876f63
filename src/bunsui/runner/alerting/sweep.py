"""One look at the sessions that are watched: what is due is noted, what is noted is sent.

A session is looked at where its entry in the index says that something is due, or that it has ended, or where
something may be due because time has passed. What is due is put into its document first, and sent then: who
dies in between leaves it to the next one. An alert that was sent and not noted as sent is sent again.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.errors import Conflict, NotFound
from bunsui.monitoring.alerts import due, looks_back, next_look
from bunsui.monitoring.wording import alert_of
from bunsui.runner.alerting import watched as watching
from bunsui.runner.alerting.ledger import FIRST, UNKNOWN
from bunsui.runner.alerting.outbox import Outbox
from bunsui.runner.alerting.past import history, runs_before
from bunsui.runner.alerting.swept import Swept
from bunsui.runner.alerting.watched import Delivery, Watched
from bunsui.runner.sessions import index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from bunsui.engine.fold import Fold
    from bunsui.model.alerts import AlertRule
    from bunsui.monitoring.alerts import Run
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Document, Store
    from bunsui.runner.alerting.outbox import Sender

_log = logging.getLogger(__name__)
#: Seconds after which a session that was never begun is not waited for any more.
ABANDONED = 24 * 3600.0


class Sweep:
    """Looks at sessions that are watched. One thread uses it at a time, but for `stop`.

    Args:
        store: where they are.
        channels: by what alerts are sent.
        clock: says what time it is.
        woken: called by the threads of the channels when `step` has something to do.
    """

    def __init__(
        self, store: Store, channels: Sender, clock: Clock, woken: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._channels = channels
        self._clock = clock
        self._outbox = Outbox(store, channels, clock, woken)
        #: When a session has to be looked at again because time passes, and what its entry in the index said
        #: to be due when it was looked at.
        self._looks: dict[str, tuple[datetime | None, frozenset[str]]] = {}

    def stop(self) -> None:
        """Nothing more is begun, and the store is not touched any more; any thread may call it."""
        self._outbox.stop()

    # For who waits

    def all(self) -> Swept:
        """Looks at all sessions that are watched, and returns when all was tried that is due.

        Raises:
            StoreError: the store can't be read.
        """
        swept = Swept()
        looked: dict[str, Watched] = {}
        self._around(swept, looked, lambda: True)
        return self._finished(looked, swept)

    def some(self, sessions: Iterable[str]) -> Swept:
        """The same for some sessions; those that are not watched are left out."""
        swept = Swept()
        looked: dict[str, Watched] = {}
        self._at(sessions, swept, looked)
        return self._finished(looked, swept)

    def _finished(self, looked: dict[str, Watched], swept: Swept) -> Swept:
        for one in self._outbox.finish(swept):
            looked[one.session] = one
        for one in looked.values():
            self._count(one, swept)
        return swept

    # For a thread that waits for no channel

    def look_around(self, swept: Swept, go_on: Callable[[], bool]) -> None:
        """Notes what is due of all sessions that are watched, and begins to send it.

        Args:
            swept: gets what was done.
            go_on: called after each; whether to go on.

        Raises:
            StoreError: the store can't be read.
        """
        looked: dict[str, Watched] = {}
        self._around(swept, looked, go_on)
        for one in looked.values():
            self._count(one, swept)

    def look_at(self, sessions: Iterable[str], swept: Swept) -> None:
        """The same for some sessions, whose alerts come before those of others from now on."""
        looked: dict[str, Watched] = {}
        self._at(sessions, swept, looked)
        for one in looked.values():
            self._count(one, swept)

    def step(self, swept: Swept) -> None:
        """Notes what channels have done meanwhile, and gives them what is next."""
        for one in self._outbox.step(swept):
            self._count(one, swept)

    def finish(self, swept: Swept, seconds: float) -> None:
        """Waits for the alerts that come first, for a time; no others are begun."""
        until = self._clock.monotonic() + seconds
        self._outbox.patience = max(seconds, 1.0)
        for one in self._outbox.finish(swept, until, only_first=True):
            self._count(one, swept)

    # Looking

    def _around(self, swept: Swept, looked: dict[str, Watched], go_on: Callable[[], bool]) -> None:
        seen = set()
        for one in watching.watched(self._store):
            seen.add(one.session)
            self._look(one, swept, looked)
            if self._outbox.is_stopped or not go_on():
                return
        self._looks = {session: at for session, at in self._looks.items() if session in seen}

    def _at(self, sessions: Iterable[str], swept: Swept, looked: dict[str, Watched]) -> None:
        for session in sessions:
            if self._outbox.is_stopped:
                return
            try:
                one = watching.of_session(self._store, session)
            except Exception as error:  # See `_look`.
                swept.errors[session] = str(error)
            else:
                if one is not None and not one.is_done:
                    self._look(one, swept, looked, first=True)

    def _look(self, one: Watched, swept: Swept, looked: dict[str, Watched], *, first: bool = False) -> None:
        try:
            found = self._brought_up_to_date(one)
            if found is not None:
                looked[one.session] = self._outbox.add(found, first=first)
        except Conflict:
            # Somebody else is at it, whose turn it is then.
            swept.wait_until(self._clock.now() + timedelta(seconds=FIRST))
        except Exception as error:  # Foreign code: a third party's store.
            swept.errors[one.session] = str(error)
            _log.debug("alerts of session %s: %s", one.session, error)

    def _count(self, one: Watched, swept: Swept) -> None:
        swept.watched += not one.is_done
        swept.wait_until(self._looks.get(one.session, (None,))[0])
        for delivery in one.deliveries:
            if not delivery.is_waiting:
                continue
            swept.waiting += 1
            if delivery.channel not in self._channels.names:
                swept.unknown.add(delivery.channel)
            elif not self._outbox.holds(one.session, delivery):
                times = (delivery.next_at, self._outbox.rests_until(delivery.channel))
                swept.wait_until(max((at for at in times if at is not None), default=self._clock.now()))

    # What is due

    def _brought_up_to_date(self, one: Watched) -> Watched | None:
        """The session with all that is due among its deliveries; None: there is no such session."""
        now = self._clock.now()
        entry = self._store.get(index.KIND, one.session)
        if entry is None:
            self._forget_abandoned(one, now)
            return None
        if one.is_settled or not self._is_to_be_read(one, entry, now):
            return one
        try:
            fold, allowed = history(self._store, one.session)
        except NotFound:  # It was removed in this moment.
            return None
        open_rules = [rule for rule in one.rules if not one.is_found(rule)]
        past = self._past(one, open_rules, fold)
        found = due(open_rules, fold, past, now)
        # Rules of a newer version are left to its runners for a time.
        ended_at = fold.finished_at
        is_known = not one.unread or (ended_at is not None and now - ended_at > timedelta(seconds=UNKNOWN))
        is_over = fold.status.is_terminal and is_known
        left = [rule for rule in open_rules if all(each.rule is not rule for each in found)]
        told = frozenset(entry.value.get(index.ALERTS, ()))
        self._looks[one.session] = next_look(left, fold, past, now), told
        deliveries = []
        for each in found:
            alert = alert_of(each, fold, one.session, one.pipeline, allowed)
            deliveries += [Delivery(each.rule.id, name, alert, found_at=now) for name in each.rule.channels]
        if not deliveries and not is_over:
            return one
        changed = evolve(one, deliveries=(*one.deliveries, *deliveries), is_settled=is_over)
        return changed.put(self._store, now)

    def _is_to_be_read(self, one: Watched, entry: Document, now: datetime) -> bool:
        """Whether the session's history has to be read to tell what is due.

        Raises:
            StoreError: its entry in the index is damaged.
        """
        if index.summary(entry).status.is_terminal:
            return True
        left = [rule for rule in one.rules if not one.is_found(rule)]
        at, told = self._looks.get(one.session, (None, frozenset()))
        new = {*entry.value.get(index.ALERTS, ())} - told
        if any(rule.id in new for rule in left) or (at is not None and at <= now):
            return True
        # Else one that was looked at here before; which of the others are overdue is not known.
        return one.session not in self._looks and any(rule.on in ("duration", "stalled") for rule in left)

    def _past(self, one: Watched, rules: Sequence[AlertRule], fold: Fold) -> list[Run] | None:
        if not looks_back(rules, fold) or fold.created is None:
            return None
        jobs = {rule.job for rule in rules if rule.above_median is not None and rule.job is not None}
        most = max(rule.runs for rule in rules) + 1
        return runs_before(
            self._store, one.session, one.pipeline, fold.created.at, fold.finished_at, most, jobs
        )

    def _forget_abandoned(self, one: Watched, now: datetime) -> None:
        """Forgets a session whose first commit never came, or that was removed.

        By its version: somebody may start the session in this moment.
        """
        if now - one.since >= timedelta(seconds=ABANDONED):
            evolve(one, deliveries=(), is_settled=True).put(self._store, now)
