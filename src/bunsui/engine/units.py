"""What attempts belong to: a job, or an item of one that fans out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine import events as ev

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from bunsui.engine.actions import Action, Recover, Stop

#: A job's id, or (job, item).
Unit = str | tuple[str, int]

#: Units that a message names.
SHOWN = 5


def about(action: type[Recover] | type[Stop], unit: Unit, attempt: int) -> Action:
    """The action about an attempt of a unit."""
    if isinstance(unit, str):
        return action(unit, attempt)
    return action(unit[0], attempt, unit[1])


def cancelled(at: datetime, unit: Unit, reason: str) -> ev.Event:
    """The fact that a unit was given up."""
    if isinstance(unit, str):
        return ev.JobCancelled(at, unit, reason)
    return ev.ItemCancelled(at, unit[0], unit[1], reason)


def named(units: Collection[Unit]) -> str:
    """Such as ``'load', 'extract' item 3 and 7 more``."""
    names = [f"'{unit}'" if isinstance(unit, str) else f"'{unit[0]}' item {unit[1]}" for unit in units]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
