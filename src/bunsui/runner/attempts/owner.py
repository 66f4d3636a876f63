"""Whose work at services is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.runner.attempts.remote_work import RemoteWork
    from bunsui.runner.driving.live import Live


class Owner(Protocol):
    """The driver, as far as it is asked for."""

    def holds(self, work: RemoteWork) -> bool:
        """Whether the attempt is still this runner's to follow."""

    def guard(self, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Calls something for a session, on this thread; where it fails, the session is set aside."""

    def later(self, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Has `guard` called on the driver's thread. From any thread."""

    def submitted(self, work: RemoteWork) -> None:
        """The service has the work: its handle is to be recorded."""

    def ended(self, work: RemoteWork) -> None:
        """The work has an output or a failure."""

    def lost(self, work: RemoteWork, why: str) -> None:
        """Nobody can tell what became of the work."""

    def stalled(self, work: RemoteWork, missing: str) -> None:
        """The work can't be followed, as something is missing."""

    def not_begun(self, work: RemoteWork, missing: str) -> None:
        """The work can't be submitted, as something is missing: it is to start again after that."""

    def never_ran(self, work: RemoteWork) -> None:
        """The work that another runner was about to submit never was: it is to start again."""

    def may_submit(self, work: RemoteWork) -> bool:
        """Whether no other runner can have taken the session over; else it is known after the next commit."""
