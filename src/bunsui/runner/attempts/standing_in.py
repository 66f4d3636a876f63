"""What is done in place of a job's own work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.model.job import Job
    from bunsui.runner.attempts.work import Work

    #: Makes the work of an attempt, of what `Work` takes.
    WorkMaker = Callable[..., Work]
    #: What stands in for a job; None: its own work is done.
    StandIn = Callable[[Job], WorkMaker | None]


def nothing(_: Job) -> WorkMaker | None:
    """Each job's own work is done."""
    return None
