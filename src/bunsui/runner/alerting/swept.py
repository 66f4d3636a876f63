"""What a look at the sessions that are watched has done: `Swept`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from datetime import datetime


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
    #: The channels that failed, each with what its last attempt failed by.
    failures: dict[str, str] = field(factory=dict)
    #: Sessions that could not be looked at, each with the reason.
    errors: dict[str, str] = field(factory=dict)
    #: When something is to be done next, as far as it is known.
    next_at: datetime | None = None

    def wait_until(self, at: datetime | None) -> None:
        """Something is to be done at that time."""
        if at is not None and (self.next_at is None or at < self.next_at):
            self.next_at = at
