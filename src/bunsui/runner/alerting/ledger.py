"""What becomes of alerts, as the documents of their sessions have it: claimed, sent, left out, given up.

Each change is made by the document's version: of two runners that would send one alert one does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from bunsui.errors import AlertNotTaken, BunsuiError, Conflict
from bunsui.monitoring.wording import MOST
from bunsui.runner.alerting import watched as watching
from bunsui.runner.alerting.silence import Entry, Silence
from bunsui.runner.alerting.watched import DELIVERED, FAILED, PENDING, SENDING, SILENCED, Delivery, Watched

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store

#: Seconds for which an alert is tried after it was found to be due.
TRIED = 24 * 3600.0
#: Seconds for which one waits for a runner that knows its channel.
UNKNOWN = 7 * 24 * 3600.0
#: Seconds before the second attempt, and between two attempts at most.
FIRST, LONGEST = 5.0, 600.0
#: Seconds until one is looked at again for which an earlier one may stand, which nobody has got yet.
BEHIND = 60.0
#: Seconds that one attempt may take; see `Channels.send_within`.
PATIENCE = 60.0
#: Seconds more after which whoever sends is taken for gone, where that can't be told from here.
MARGIN = 30.0
#: How often somebody else may change a session's document before it is left for later.
TRIES = 5


@frozen
class Attempt:
    """One alert in the hands of its channel, claimed by this process."""

    session: str
    delivery: Delivery
    silence: Silence | None
    #: How many alerts it stands for that were left out before.
    count: int


@frozen
class Outcome:
    """What became of an attempt."""

    attempt: Attempt
    delivery: Delivery


class Ledger:
    """The documents of the sessions whose alerts are sent from here. One thread uses it at a time.

    Args:
        store: where the sessions are.
        names: the channels that are known here.
        clock: says what time it is.
    """

    def __init__(self, store: Store, names: Collection[str], clock: Clock) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        #: As they were last known here, of sessions of which something is queued or sent.
        self._documents: dict[str, Watched] = {}
        #: What became of alerts that could not be noted, as the store failed in that moment.
        self._unnoted: dict[tuple[str, str, str], Outcome] = {}

    def keep(self, one: Watched) -> None:
        """Remembers a document, as it was just read or written."""
        self._documents[one.session] = one

    def forget(self, session: str) -> None:
        """Its document is read anew when it is needed."""
        self._documents.pop(session, None)

    def known(self, session: str) -> Watched | None:
        """The document as it was last known here, or as the store has it; None: there is none.

        Raises:
            StoreError: the store can't be read.
        """
        return self._documents.get(session) or watching.of_session(self._store, session)

    def without_old(self, one: Watched, held: Collection[Delivery]) -> Watched:
        """The session once what was tried for too long is given up, and what is known here is noted.

        Args:
            one: as it was just read or written.
            held: those that are in somebody's hands here.

        Raises:
            Conflict: somebody else changes it.
            StoreError: the store failed.
        """
        kept = self._documents.get(one.session)
        one = one if kept is None or kept.version < one.version else kept
        if left := [outcome for key, outcome in self._unnoted.items() if key[0] == one.session]:
            one = self._noted(one, left)
        now = self._clock.now()
        changed = one
        for delivery in one.deliveries:
            reason = None if delivery in held else self._given_up(delivery, now)
            if reason is not None:
                if (silence := self._silence(one, delivery)) is not None:
                    silence.leave(now)
                changed = changed.with_delivery(delivery.ended(FAILED, reason))
        return one if changed is one else changed.put(self._store, now)

    def _given_up(self, delivery: Delivery, now: datetime) -> str | None:
        """Why an alert is not tried any more; None: it is."""
        if delivery.found_at is None or not delivery.may_be_sent(now):
            return None
        age = (now - delivery.found_at).total_seconds()
        if delivery.channel not in self._names:
            name = delivery.channel
            return f"no runner that was here knew a channel {name!r}" if age >= UNKNOWN else None
        if not delivery.attempts:
            return None
        # Who was asked to come again so late tries once more then.
        asked = 0.0 if delivery.next_at is None else (delivery.next_at - delivery.found_at).total_seconds()
        asked += LONGEST if delivery.state == PENDING else 0
        return (delivery.error or "whoever sent it died") if age >= max(TRIED, asked) else None

    def claimed(
        self, session: str, batch: Iterable[tuple[str, str]], patience: float
    ) -> tuple[Watched | None, list[Attempt]]:
        """Those of some alerts that nobody else has sent, or sends: they are this process's then.

        Args:
            session: the session.
            batch: channel and rule of each.
            patience: seconds that an attempt may take.

        Returns:
            The session as it is then, None where it was removed, and what is to be sent.

        Raises:
            Conflict: somebody else changes it all the time.
            StoreError: the store failed.
        """
        for _ in range(TRIES):
            one = self.known(session)
            if one is None:
                return None, []
            changed, attempts = one, []
            for channel, rule in batch:
                delivery = one.delivery(rule, channel)
                if delivery is None or not delivery.may_be_sent(self._clock.now()):
                    continue
                found = self._entered(one, delivery, patience)
                if isinstance(found, Attempt):
                    attempts.append(found)
                changed = changed.with_delivery(found.delivery if isinstance(found, Attempt) else found)
            if changed is one:
                return one, []
            try:
                return changed.put(self._store, self._clock.now()), attempts
            except Conflict:
                # Another runner was faster. What it did is looked at before anything is sent.
                self.forget(session)
        raise Conflict(f"the alerts of session {session} are changed by others all the time")

    def _entered(self, one: Watched, delivery: Delivery, patience: float) -> Attempt | Delivery:
        """The claim of an alert; or the alert, where another one stands for it, or may."""
        now = self._clock.now()
        silence, count = self._silence(one, delivery), 0
        if silence is not None:
            entered = silence.enter(now)
            if entered is Entry.SILENCED:
                return delivery.ended(SILENCED)
            if entered is Entry.BEHIND:
                return delivery.ended(PENDING, delivery.error, now + timedelta(seconds=BEHIND))
            count = entered
        claimed = delivery.claimed(now, patience + MARGIN)
        return Attempt(one.session, claimed, silence, count)

    def _silence(self, one: Watched, delivery: Delivery) -> Silence | None:
        rule = next((rule for rule in one.rules if rule.id == delivery.rule), None)
        if rule is None or rule.silence is None:
            return None
        return Silence(self._store, delivery, rule.silence)

    def note(self, session: str, outcomes: Iterable[Outcome]) -> Watched | None:
        """The session with what became of attempts; None: it was removed.

        Raises:
            StoreError: the store failed. It is noted by a later `without_old`.
        """
        outcomes = list(outcomes)
        for outcome in outcomes:
            self._unnoted[session, outcome.delivery.rule, outcome.delivery.channel] = outcome
        one = self.known(session)
        return None if one is None else self._noted(one, outcomes)

    def _noted(self, one: Watched, outcomes: list[Outcome]) -> Watched:
        """The same of one that is there, also where somebody else has changed it meanwhile."""
        now = self._clock.now()
        for outcome in outcomes:
            if (silence := outcome.attempt.silence) is not None:
                if outcome.delivery.state == DELIVERED:
                    silence.told(outcome.attempt.count, now)
                elif outcome.delivery.state == FAILED:
                    silence.leave(now)
        while True:
            changed = one
            for outcome in outcomes:
                ended = outcome.delivery
                there = one.delivery(ended.rule, ended.channel)
                # Else somebody took this runner for gone.
                if there is not None and there.state == SENDING and there.attempts == ended.attempts:
                    changed = changed.with_delivery(ended)
            if changed is one:
                break
            try:
                one = changed.put(self._store, now)
            except Conflict:
                found = watching.of_session(self._store, one.session)
                if found is None:  # It was removed.
                    break
                one = found
            else:
                break
        for outcome in outcomes:
            ended = outcome.delivery
            self._unnoted.pop((one.session, ended.rule, ended.channel), None)
        return one


def judged(delivery: Delivery, error: Exception, now: datetime) -> Delivery:
    """What became of an attempt that failed: it is tried again, or given up.

    Args:
        delivery: what was to be sent.
        error: what it failed with.
        now: the time.
    """
    wait = pause(delivery.attempts)
    if isinstance(error, AlertNotTaken):
        wait = min(max(wait, _seconds(error.retry_after)), TRIED)
    # What else comes out of there is foreign, and could say what nobody is to see.
    said = f": {error.message}" if isinstance(error, BunsuiError) else ""
    text = f"{type(error).__name__}{said}"[:MOST]
    if delivery.found_at is not None and (now - delivery.found_at).total_seconds() >= TRIED:
        return delivery.ended(FAILED, text)
    return delivery.ended(PENDING, text, now + timedelta(seconds=wait))


def pause(times: int) -> float:
    """Seconds after so many attempts that failed."""
    return min(FIRST * 2.0 ** min(times - 1, 20), LONGEST)


def _seconds(given: object) -> float:
    """What a channel wants to be left alone for, where it is anything of the kind."""
    if not isinstance(given, int | float) or isinstance(given, bool):
        return 0.0
    return float(given) if math.isfinite(given) else 0.0
