"""Carrying out what the engine decides: each action by who can do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine.actions import Action, Conclude, Evaluate, Expand, Gather, Record, Recover, Reuse, Start
from bunsui.model.artifact import Unread
from bunsui.runner.driving import reads
from bunsui.runner.sessions import reruns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bunsui.ports.clock import Clock
    from bunsui.runner.attempts.attempts import Attempts
    from bunsui.runner.attempts.starting import Starter
    from bunsui.runner.driving.gathering import Gathering
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.timers import Timers


class Performing:
    """Carries out actions, on the driver's thread.

    Args:
        touch: has a session looked at again.
        attempts: starts, recovers and stops attempts.
        gathering: makes and takes over large outputs, beside the turns.
        starter: resolves what a session refers to.
        timers: the driver's.
        clock: likewise.
        lease: seconds for which an output may be unreadable.
    """

    def __init__(
        self,
        touch: Callable[[Live], None],
        attempts: Attempts,
        gathering: Gathering,
        starter: Starter,
        timers: Timers,
        clock: Clock,
        lease: float,
    ) -> None:
        self._touch = touch
        self._attempts = attempts
        self._gathering = gathering
        self._starter = starter
        self._timers = timers
        self._clock = clock
        self._lease = lease

    def all(self, live: Live, actions: Sequence[Action]) -> bool:
        """Whether all of them were carried out: an output that one needs may not be readable for now.

        Raises:
            Unread: the session is to be set aside for such an output.
        """
        unread: Unread | None = None
        for action in actions:
            try:
                self._one(live, action)
            except Unread as error:
                if isinstance(action, Recover):  # It is decided once.
                    raise
                unread = error
        if unread is not None:
            seconds = reads.failed(live, unread, self._clock.monotonic(), self._lease)
            self._timers.after(seconds, live, self._touch)
        return unread is None

    def _one(self, live: Live, action: Action) -> None:
        if isinstance(action, Start):
            self._attempts.start(live, action)
        elif isinstance(action, Record):
            live.record(action.event)
        elif isinstance(action, Recover):
            self._attempts.recover(live, action)
        elif isinstance(action, Reuse):
            if not self._gathering.adopts(live, action.job):
                live.record(reruns.take_over(live, action.job, live.at(self._clock.now())))
        elif isinstance(action, Evaluate | Expand | Conclude):
            event = self._starter.resolve(live, action, live.at(self._clock.now()))
            if not self._gathering.takes(live, event):
                live.record(event)
        elif isinstance(action, Gather):
            self._gathering.gather(live, action.job)
        else:
            self._attempts.stop(live, action)
