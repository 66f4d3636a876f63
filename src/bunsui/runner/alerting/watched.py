"""What the store holds of the alerts of one session: its rules, and what became of each that was due.

One document for each session that has rules, put before the session's first commit: whatever becomes of its
runner, another one finds what is to be watched. It is changed by its version, so that of two that would send
one alert one does. Once the session has ended and all is told, it leaves the group of those that are watched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from bunsui.dsl.definition import to_rule
from bunsui.errors import StoreError
from bunsui.local.identity import is_dead, this_process
from bunsui.model.alerts import KINDS, AlertRule
from bunsui.model.times import from_text, to_text
from bunsui.ports.alerts import Alert
from bunsui.stores.records import DAMAGED

if TYPE_CHECKING:
    from bunsui.ports.store import Document, Store

__all__ = ["KIND", "Delivery", "Watched", "of_session", "watched"]

KIND = "alert"
#: The group of the sessions that have not ended, or of which something is to be told; by their start.
WATCHED = "watched"
#: Seconds for which the document is kept once all is told: it shows what became of the alerts.
KEPT = 30 * 24 * 3600.0
#: Sessions that are read at once.
PAGE = 200
#: The fields that any rule may have.
_ALWAYS = ("on", "channel", "silence", "pipeline")
#: What still has to be done: nobody has tried, or has succeeded; somebody tries just now.
PENDING, SENDING = "pending", "sending"
#: What is done: it was taken; an earlier one stands for it; it was given up.
DELIVERED, SILENCED, FAILED = "delivered", "silenced", "failed"


@frozen
class Delivery:
    """What became of one alert at one channel.

    Such as::

        print(session.alerts)  # ()
    """

    #: The rule's id, which says what is told of.
    rule: str
    #: The channel's name.
    channel: str
    #: What is told.
    alert: Alert
    #: ``pending``, ``sending``, ``delivered``, ``silenced`` (another one was sent a short time before) or
    #: ``failed`` (it was given up).
    state: str = PENDING
    #: How often somebody tried to send it.
    attempts: int = 0
    #: When it was found to be due, in UTC.
    found_at: datetime | None = None
    #: When it is tried next, where it has to be, or by when whoever sends it is taken for gone; in UTC.
    next_at: datetime | None = None
    #: Why the last attempt failed.
    error: str | None = None
    #: The process that sends it.
    sender: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def is_waiting(self) -> bool:
        """Whether somebody has yet to be told."""
        return self.state in (PENDING, SENDING)

    def may_be_sent(self, now: datetime) -> bool:
        """Whether it is time, and nobody who lives tries already."""
        if self.state == SENDING and self.sender is not None and is_dead(self.sender):
            return True
        return self.is_waiting and (self.next_at is None or self.next_at <= now)

    def claimed(self, now: datetime, seconds: float) -> Delivery:
        """The same, to be sent by this process within a time."""
        return evolve(
            self,
            state=SENDING,
            attempts=self.attempts + 1,
            sender=this_process(),
            next_at=now + timedelta(seconds=seconds),
        )

    def ended(self, state: str, error: str | None = None, next_at: datetime | None = None) -> Delivery:
        """The same, once that attempt is over."""
        return evolve(self, state=state, error=error, next_at=next_at, sender=None)


@frozen
class Watched:
    """The alerts of one session, as a store has them."""

    session: str
    pipeline: str
    #: When it was begun to be watched: before the session's first commit.
    since: datetime
    rules: tuple[AlertRule, ...]
    deliveries: tuple[Delivery, ...] = ()
    #: Whether all that will ever be due is among the deliveries: the session has ended.
    is_settled: bool = False
    #: Of the document; 0: there is none yet.
    version: int = 0
    #: Rules that are not understood here, as a newer version wrote them; they are kept for its runners.
    unread: tuple[Any, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be watched or told."""
        return self.is_settled and not any(one.is_waiting for one in self.deliveries)

    def delivery(self, rule: str, channel: str) -> Delivery | None:
        """What became of a rule's alert at a channel; None: it was not due."""
        return next((one for one in self.deliveries if (one.rule, one.channel) == (rule, channel)), None)

    def is_found(self, rule: AlertRule) -> bool:
        """Whether it was due already."""
        return any(one.rule == rule.id for one in self.deliveries)

    def with_delivery(self, changed: Delivery) -> Watched:
        """The same with one delivery in place of the one of that rule and channel."""
        key = (changed.rule, changed.channel)
        return evolve(
            self,
            deliveries=tuple(changed if (one.rule, one.channel) == key else one for one in self.deliveries),
        )

    def put(self, store: Store, now: datetime) -> Watched:
        """Writes it where it is still what was read, and returns it with its new version.

        Raises:
            Conflict: somebody else was faster.
            StoreError: the store failed.
        """
        version = store.put(
            KIND,
            self.session,
            self._value(),
            if_version=self.version,
            expires_at=now.timestamp() + KEPT if self.is_done else None,
            groups=() if self.is_done else ((WATCHED, to_text(self.since)),),
        )
        if self.is_done and not self.deliveries:
            # Nothing was to be told, so there is nothing to show. Not at once: that would also delete what
            # somebody else has found to be due meanwhile.
            store.delete(KIND, self.session)
        return evolve(self, version=version)

    def _value(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "pipeline": self.pipeline,
            "since": to_text(self.since),
            "rules": [*(rule.to_dict() for rule in self.rules), *self.unread],
        }
        if self.deliveries:
            # Each alert once, however many channels it goes to.
            value["alerts"] = {one.rule: one.alert.to_dict() for one in self.deliveries}
            value["deliveries"] = [_delivery_value(one) for one in self.deliveries]
        return value | ({"settled": True} if self.is_settled else {})


def _delivery_value(one: Delivery) -> dict[str, Any]:
    value: dict[str, Any] = {
        "rule": one.rule,
        "channel": one.channel,
        "state": one.state,
        "attempts": one.attempts,
    }
    for name, at in (("found_at", one.found_at), ("next_at", one.next_at)):
        if at is not None:
            value[name] = to_text(at)
    if one.error is not None:
        value["error"] = one.error
    if one.sender is not None:
        value["sender"] = dict(one.sender)
    return value


def watched(store: Store, damaged: list[str] | None = None) -> Iterator[Watched]:
    """The sessions that are watched, by when they were started.

    Args:
        store: where they are.
        damaged: gets the ids of those whose document can't be read; the others are watched all the same.

    Raises:
        StoreError: the store can't be read.
    """
    after: str | None = None
    while page := store.find(KIND, WATCHED, after=after, limit=PAGE):
        for document in page:
            try:
                found = _read(document)
            except StoreError:
                if damaged is not None:
                    damaged.append(document.key)
                continue
            yield found
        if len(page) < PAGE:
            return
        after = page[-1].cursor


def of_session(store: Store, session: str) -> Watched | None:
    """The alerts of one session; None: it has none, or none that are still known.

    Raises:
        StoreError: the store can't be read, or what is in it is damaged.
    """
    document = store.get(KIND, session)
    return None if document is None else _read(document)


def _read(document: Document) -> Watched:
    value = document.value
    try:
        rules = [(rule, _rule(rule)) for rule in value["rules"]]
        return Watched(
            session=document.key,
            pipeline=value["pipeline"],
            since=from_text(value["since"]),
            rules=tuple(rule for _, rule in rules if rule is not None),
            unread=tuple(given for given, rule in rules if rule is None),
            deliveries=tuple(
                _delivery(one, value["alerts"][one["rule"]]) for one in value.get("deliveries", ())
            ),
            is_settled=value.get("settled", False),
            version=document.version,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = f"the alerts of session {document.key!r} are damaged"
        raise StoreError(text, hint=DAMAGED, lasting=True) from error


def _rule(given: Any) -> AlertRule | None:
    """A rule; None: of a kind, or with a field, that this version does not know.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is none.
    """
    needed, others = KINDS.get(given["on"], ((), ()))
    if given["on"] not in KINDS or set(given) - {*_ALWAYS, *needed, *others}:
        return None
    return to_rule(given)


def _delivery(value: Mapping[str, Any], told: Mapping[str, Any]) -> Delivery:
    times = {
        name: None if value.get(name) is None else from_text(value[name]) for name in ("found_at", "next_at")
    }
    return Delivery(
        rule=value["rule"],
        channel=value["channel"],
        alert=Alert(**{**told, "at": from_text(told["at"])}),
        state=value["state"],
        attempts=value["attempts"],
        error=value.get("error"),
        sender=value.get("sender"),
        **times,
    )
