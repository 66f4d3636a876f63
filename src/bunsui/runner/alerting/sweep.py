"""One look at the sessions that are watched: what is due is noted, what is noted is sent.

A session is looked at where its entry in the index says that something is due, or that it has ended, or where
something may be due because time has passed. What is due is put into its document first, and sent then: who
dies in between leaves it to the next one. An alert that was sent and not noted as sent is sent again.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from attrs import define, evolve, field

from bunsui.errors import AlertNotTaken, BunsuiError, Conflict, NotFound
from bunsui.monitoring.alerts import due, looks_back, next_look
from bunsui.monitoring.wording import MOST, alert_of
from bunsui.runner.alerting import watched as watching
from bunsui.runner.alerting.past import folded, runs_before
from bunsui.runner.alerting.silence import Silence
from bunsui.runner.alerting.watched import DELIVERED, FAILED, PENDING, SENDING, SILENCED, Delivery, Watched
from bunsui.runner.sessions import index

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from bunsui.engine.fold import Fold
    from bunsui.model.alerts import AlertRule
    from bunsui.monitoring.alerts import Run
    from bunsui.ports.alerts import Alert
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Document, Store

_log = logging.getLogger(__name__)
#: Seconds for which an alert is tried after it was found to be due.
TRIED = 24 * 3600.0
#: Seconds for which one waits for a runner that knows its channel.
UNKNOWN = 7 * 24 * 3600.0
#: Seconds before the second attempt, and between two attempts at most.
FIRST, LONGEST = 5.0, 600.0
#: Seconds that one attempt may take; see `Channels.send_within`.
PATIENCE = 60.0
#: Seconds more after which whoever sends is taken for gone, where that can't be told from here.
MARGIN = 30.0
#: Seconds after which a session that was never begun is not waited for any more.
ABANDONED = 24 * 3600.0


class Sender(Protocol):
    """By what alerts are sent: the channels of a runner."""

    @property
    def names(self) -> Collection[str]:
        """The channels that it knows."""

    def send_within(self, name: str, alert: Alert, seconds: float) -> None:
        """Sends an alert; when it returns, somebody has taken it. It ends in time."""


@define
class Swept:
    """What a sweep has done."""

    #: How many alerts were sent.
    delivered: int = 0
    #: How many attempts failed.
    failed: int = 0
    #: How many alerts wait, those of channels that are not known here included.
    waiting: int = 0
    #: How many sessions are still watched.
    watched: int = 0
    #: The channels that alerts wait for and that are not known here.
    unknown: set[str] = field(factory=set)
    #: Sessions that could not be looked at, each with the reason.
    errors: dict[str, str] = field(factory=dict)
    #: When something is to be done next, as far as it is known.
    next_at: datetime | None = None

    def wait_until(self, at: datetime | None) -> None:
        """Something is to be done at that time."""
        if at is not None and (self.next_at is None or at < self.next_at):
            self.next_at = at


class Sweep:
    """Looks at sessions that are watched. One thread uses it at a time.

    Args:
        store: where they are.
        channels: by what alerts are sent.
        clock: says what time it is.
    """

    def __init__(self, store: Store, channels: Sender, clock: Clock) -> None:
        self._store = store
        self._channels = channels
        self._clock = clock
        #: When a session has to be looked at again because time passes, and what its entry in the index said
        #: to be due when it was looked at.
        self._looks: dict[str, tuple[datetime | None, frozenset[str]]] = {}
        #: What became of alerts that could not be noted, as the store failed in that moment.
        self._unnoted: dict[tuple[str, str, str], Delivery] = {}
        #: Whether whoever uses it is about to end: no further session is begun.
        self.is_hurried = False
        #: Whether nothing more is to be begun, and the store is not to be touched.
        self.is_stopped = False

    def all(self) -> Swept:
        """Looks at all sessions that are watched.

        Raises:
            StoreError: the store can't be read.
        """
        swept = Swept()
        sessions = set()
        for one in watching.watched(self._store):
            if self.is_stopped or self.is_hurried:
                return swept
            sessions.add(one.session)
            self._look(one, swept, PATIENCE)
        self._looks = {session: at for session, at in self._looks.items() if session in sessions}
        return swept

    def some(self, sessions: Iterable[str], patience: float = PATIENCE) -> Swept:
        """Looks at some sessions, of which something is new.

        Args:
            sessions: their ids; those that are not watched are left out.
            patience: seconds that an attempt to send may take.
        """
        swept = Swept()
        for session in sessions:
            if self.is_stopped:
                break
            try:
                one = watching.of_session(self._store, session)
            except Exception as error:  # See `_look`.
                swept.errors[session] = str(error)
            else:
                if one is not None and not one.is_done:
                    self._look(one, swept, patience)
        return swept

    def _look(self, one: Watched, swept: Swept, patience: float) -> None:
        try:
            found = self._brought_up_to_date(one)
            if found is not None:
                found = self._sent(found, swept, patience)
        except Conflict:
            # Somebody else is at it, whose turn it is then.
            swept.wait_until(self._clock.now() + timedelta(seconds=FIRST))
            return
        except Exception as error:  # Foreign code: a third party's store.
            swept.errors[one.session] = str(error)
            _log.debug("alerts of session %s: %s", one.session, error)
            return
        if found is None:
            return
        swept.watched += not found.is_done
        swept.wait_until(self._looks.get(one.session, (None,))[0])
        for delivery in found.deliveries:
            if delivery.is_waiting:
                swept.waiting += 1
                if delivery.channel in self._channels.names:
                    swept.wait_until(delivery.next_at)
                else:
                    swept.unknown.add(delivery.channel)

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
            fold = folded(self._store, one.session)
        except NotFound:  # It was removed in this moment.
            return None
        open_rules = [rule for rule in one.rules if not one.is_found(rule)]
        past = self._past(one, open_rules, fold)
        found = due(open_rules, fold, past, now)
        is_over = fold.status.is_terminal
        left = [rule for rule in open_rules if all(each.rule is not rule for each in found)]
        told = frozenset(entry.value.get(index.ALERTS, ()))
        self._looks[one.session] = next_look(left, fold, past, now), told
        deliveries = [
            Delivery(each.rule.id, channel, alert_of(each, fold, one.session, one.pipeline), found_at=now)
            for each in found
            for channel in each.rule.channels
        ]
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
        """Forgets a session whose first commit never came, or that was removed."""
        if now - one.since >= timedelta(seconds=ABANDONED):
            self._store.delete(watching.KIND, one.session)

    # Sending

    def _sent(self, one: Watched, swept: Swept, patience: float) -> Watched:
        """The same session after each alert was sent whose time it is."""
        for delivery in one.deliveries:
            now = self._clock.now()
            if self.is_stopped or not delivery.is_waiting:
                continue
            if (reason := self._given_up(delivery, now)) is not None:
                one = one.with_delivery(delivery.ended(FAILED, reason)).put(self._store, now)
                if (silence := self._silence(one, delivery)) is not None:
                    silence.leave()
            elif (ended := self._unnoted.get((one.session, delivery.rule, delivery.channel))) is not None:
                one = self._noted(one, ended)
            elif delivery.channel in self._channels.names and delivery.may_be_sent(now):
                one = self._attempt(one, delivery, swept, patience)
        return one

    def _given_up(self, delivery: Delivery, now: datetime) -> str | None:
        """Why an alert is not tried any more; None: it is."""
        if delivery.found_at is None or delivery.state != PENDING:
            return None
        age = (now - delivery.found_at).total_seconds()
        if delivery.attempts and age >= TRIED:
            return delivery.error
        if not delivery.attempts and age >= UNKNOWN and delivery.channel not in self._channels.names:
            return f"no runner that was here knew a channel {delivery.channel!r}"
        return None

    def _attempt(self, one: Watched, delivery: Delivery, swept: Swept, patience: float) -> Watched:
        """The session after one attempt to send one of its alerts; it is claimed first."""
        claimed = delivery.claimed(self._clock.now(), patience + MARGIN)
        one = one.with_delivery(claimed).put(self._store, self._clock.now())
        silence, count = self._silence(one, delivery), 0
        if silence is not None:
            entered = silence.enter(self._clock.now())
            if entered is None:
                return one.with_delivery(claimed.ended(SILENCED)).put(self._store, self._clock.now())
            count = entered
        ended = self._tried(evolve(claimed, alert=evolve(claimed.alert, silenced=count)), patience)
        if self.is_stopped:
            return one  # The store may be closed: it is sent again by somebody else.
        if ended.state == DELIVERED:
            swept.delivered += 1
        else:
            swept.failed += 1
        self._unnoted[one.session, ended.rule, ended.channel] = ended
        one = self._noted(one, ended)
        if silence is not None and ended.state == DELIVERED:
            silence.told(count, self._clock.now())
        return one

    def _noted(self, one: Watched, ended: Delivery) -> Watched:
        """The session with what became of an attempt, also where somebody else has found more to be due."""
        key = one.session, ended.rule, ended.channel
        while True:
            there = one.delivery(ended.rule, ended.channel)
            if there is None or there.state != SENDING or there.attempts != ended.attempts:
                break  # Somebody else took this runner for gone.
            try:
                one = one.with_delivery(ended).put(self._store, self._clock.now())
            except Conflict:
                found = watching.of_session(self._store, one.session)
                if found is None:  # It was removed.
                    raise
                one = found
            else:
                break
        self._unnoted.pop(key, None)
        return one

    def _tried(self, delivery: Delivery, patience: float) -> Delivery:
        """What became of one attempt to send."""
        try:
            self._channels.send_within(delivery.channel, delivery.alert, patience)
        except BunsuiError as error:
            wait = min(FIRST * 2 ** min(delivery.attempts - 1, 20), LONGEST)
            if isinstance(error, AlertNotTaken) and error.retry_after is not None:
                wait = min(max(wait, error.retry_after), TRIED)
            at = self._clock.now() + timedelta(seconds=wait)
            return delivery.ended(PENDING, f"{type(error).__name__}: {error.message}"[:MOST], at)
        return delivery.ended(DELIVERED)

    def _silence(self, one: Watched, delivery: Delivery) -> Silence | None:
        rule = next((rule for rule in one.rules if rule.id == delivery.rule), None)
        if rule is None or rule.silence is None:
            return None
        return Silence(self._store, delivery, rule.silence)
