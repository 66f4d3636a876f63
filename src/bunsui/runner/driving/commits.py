"""One append for all sessions of a driver, and the certainty that they are still its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from attrs import define, field

from bunsui.errors import StoreError
from bunsui.ports.store import Appended
from bunsui.runner.driving.narrating import narrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Append, Store
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.observers import Observers


@define
class Flushed:
    """What became of the facts of some sessions."""

    #: All that these have is durable.
    durable: list[Live] = field(factory=list)
    #: Somebody else has claimed these.
    lost: list[Live] = field(factory=list)
    #: The store failed for these; the same commit is to be tried again.
    failed: list[tuple[Live, StoreError]] = field(factory=list)
    #: The index entries of these lag behind.
    unindexed: list[Live] = field(factory=list)


class Commits:
    """Makes the facts of sessions durable, and shows them to observers and in the log once they are."""

    def __init__(self, store: Store, clock: Clock, observers: Observers, lease: float) -> None:
        self._store = store
        self._clock = clock
        self._observers = observers
        self._lease = lease

    def seal(self, live: Live) -> None:
        """Makes commits of a session's facts."""
        live.seal(self._store.max_commit_bytes, self._clock.monotonic())

    def flush(self, lives: Sequence[Live]) -> Flushed:
        """Appends all facts of these sessions: one append, and another for each chunk of large ones."""
        for live in lives:
            self.seal(live)
        flushed = Flushed()
        waiting = [live for live in lives if live.unsent]
        while waiting:
            began = self._clock.monotonic()
            appends = [live.next_append() for live in waiting]
            again = []
            for live, append, outcome in zip(waiting, appends, self.append(appends), strict=True):
                if outcome.conflict:
                    flushed.lost.append(live)
                elif outcome.error is not None:
                    if live.in_doubt_since is None:
                        live.in_doubt_since = began
                    flushed.failed.append((live, outcome.error))
                else:
                    # A commit that may have been there already shows no more than that nobody had claimed
                    # the session when its first append began. To count it for nothing would have each start
                    # wait for another commit: for ever, where a store loses the first answer of every one.
                    live.confirmed_at = began if live.in_doubt_since is None else live.in_doubt_since
                    live.in_doubt_since = None
                    events = live.sent(append)
                    self._observers.show(live.id, events, live.followed)
                    trace = None if live.followed is None else live.followed.trace
                    narrate(live.id, live.pipeline, events, trace)
                    if append.document is None and live.is_behind:
                        flushed.unindexed.append(live)
                    if live.unsent:
                        again.append(live)
            waiting = again
        flushed.durable += [live for live in lives if not live.unsent]
        return flushed

    def left(self, live: Live) -> None:
        """Ends what is told of a session that is driven here no more."""
        if live.followed is not None:
            self._observers.left(live.id, live.followed, live.at(self._clock.now()))

    def append(self, appends: list[Append]) -> list[Appended]:
        """What became of each append; an exception of the store is a failure of all of them."""
        try:
            outcomes: Any = self._store.append(appends)
        except StoreError as error:
            return [Appended(error=error)] * len(appends)
        except Exception as error:  # Foreign code: a third party's store.
            fault = StoreError(f"the store failed: {type(error).__name__}: {error}")
            fault.__cause__ = error
            return [Appended(error=fault)] * len(appends)
        wrong = f"{len(outcomes)} outcomes" if isinstance(outcomes, list | tuple) else type(outcomes).__name__
        if isinstance(outcomes, list | tuple) and len(outcomes) == len(appends):
            if all(isinstance(outcome, Appended) for outcome in outcomes):
                return cast("list[Appended]", outcomes)
            wrong = "what is no Appended"
        fault = StoreError(f"the store gave {wrong} for {len(appends)} appends")
        return [Appended(error=fault)] * len(appends)

    def is_absent(self, live: Live) -> bool:
        """Whether it is certain that nothing of this driver's is in the session's history.

        An append that failed may be there all the same; what begins with the driver's token is its own.
        """
        try:
            there = self._store.read(live.id, max(live.position - 1, 0))
            return not any(live.made(commit) for commit in there)
        except StoreError:
            return False

    def still_mine(self, live: Live) -> bool:
        """Whether no other runner can have claimed the session, nor can in the next half of a lease.

        A process that was frozen between its append and the start of the work would else start work that
        another runner has already taken over, or is about to. A look into the history would not do: who has
        watched for a whole lease may claim right after it. Only a further commit shows the claim to stand,
        and to those who watch that the runner lives.
        """
        return self._clock.monotonic() - live.confirmed_at < self._lease / 2
