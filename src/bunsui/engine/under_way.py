"""Attempts that have started and not ended, and what is to be done about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine.actions import Recover, Stop
from bunsui.engine.units import about

if TYPE_CHECKING:
    from bunsui.engine.actions import Action
    from bunsui.engine.units import Unit


class UnderWay:
    """The attempts of a session that are under way, by what they belong to."""

    def __init__(self) -> None:
        #: Those that have started and not ended.
        self.running: dict[Unit, int] = {}
        #: Those of which nobody can tell what became, until somebody says it.
        self.unknown: dict[Unit, int] = {}
        #: Of those that run: which can't be followed from here, until somebody gives what is missing.
        self.stalled: set[Unit] = set()
        #: What ran when the last runner died.
        self.suspects: tuple[Unit, ...] = ()
        self._to_stop: dict[Unit, int] = {}
        self._to_recover: dict[Unit, int] = {}

    def ended(self, unit: Unit) -> None:
        """The attempt has come to an end, of whatever kind."""
        for plans in (self.running, self.unknown, self._to_recover, self._to_stop):
            plans.pop(unit, None)
        self.stalled.discard(unit)

    def claimed(self) -> None:
        """Whatever ran, ran under the claim before: this runner must ask what became of it."""
        self._to_recover = dict(self.running)
        self.suspects = tuple(self.running)
        self.stalled.clear()

    def stop(self) -> None:
        """What runs is to be stopped, and is waited for, whatever it lacks."""
        self._to_stop = dict(self.running)
        self.stalled.clear()

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing runs that this runner could follow."""
        return len(self.running) == len(self.stalled)

    def asked(self) -> list[Action]:
        """What is to be asked about attempts, each once: what became of them, and then to stop."""
        if self._to_recover:
            lost = [about(Recover, unit, attempt) for unit, attempt in self._to_recover.items()]
            self._to_recover.clear()
            return lost
        stops = [about(Stop, unit, attempt) for unit, attempt in self._to_stop.items()]
        self._to_stop.clear()
        return stops
