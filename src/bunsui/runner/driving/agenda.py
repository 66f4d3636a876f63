"""Whose turn it is: the sessions that a driver looks at next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunsui.runner.driving.live import Live


class Agenda:
    """Sessions about which something is new, and those that wait for a place."""

    def __init__(self) -> None:
        self._dirty: dict[str, Live] = {}
        #: Those that had more to start than they found places for.
        self._hungry: dict[str, Live] = {}
        #: Whether a place that one of them may have waited for is free now.
        self._has_room = False

    @property
    def is_pressing(self) -> bool:
        """Whether the next turn is due at once."""
        return bool(self._dirty) or self._has_room

    def touch(self, live: Live) -> None:
        """Something is new about a session."""
        self._dirty[live.id] = live

    def waits(self, live: Live, *, for_place: bool) -> None:
        """Whether a session has more to start than it found places for."""
        if for_place:
            self._hungry[live.id] = live
        else:
            self._hungry.pop(live.id, None)

    def room(self) -> None:
        """There was no place for an attempt, and now there is."""
        self._has_room = bool(self._hungry)

    def take(self) -> list[tuple[Live, bool]]:
        """Whose turn it is, and whether something is new about it: else it only waits for a place.

        Who has waited longest for a place comes first: no session waits for all that another one has to do.
        """
        dirty, self._dirty = self._dirty, {}
        hungry = self._hungry if self._has_room else {}
        self._has_room = False
        lives = sorted((dirty | hungry).values(), key=lambda live: live.served)
        return [(live, live.id in dirty) for live in lives]
