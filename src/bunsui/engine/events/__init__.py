"""What happened: the facts that a session's history is made of.

Each is listed with its fields and version in docs/architecture/history.rst. A class is never changed
in a way that an older history could not be read by: new fields have defaults, new meanings new names.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from bunsui.engine.events import item, job, session
from bunsui.engine.events.base import Event as Event
from bunsui.engine.events.base import Unknown as Unknown
from bunsui.engine.events.item import *  # noqa: F403 - each of these rooms names its own
from bunsui.engine.events.job import *  # noqa: F403 - see above
from bunsui.engine.events.session import *  # noqa: F403 - see above
from bunsui.model.json import copied

#: What is no fact by itself, but what facts about one thing have in common.
KINDS = (job.JobEvent, item.ItemEvent)

#: Every event by its name in a history.
EVENTS: Mapping[str, type[Event]] = {
    cls.__name__: cls
    for room in (session, job, item)
    for name, cls in vars(room).items()  # In the order in which they are written.
    if name in room.__all__ and cls not in KINDS
}

#: The fields of events that hold mappings; all others are values that can't be changed.
MAPPINGS: Mapping[type[Event], tuple[str, ...]] = {
    session.SessionCreated: ("parameters", "bindings", "tags", "env"),
    session.RunnerClaimed: ("process",),
    Unknown: ("data",),
}


def detached(event: Event) -> Event:
    """The event for somebody who may do anything to it: what can be changed of it is a copy."""
    names = MAPPINGS.get(type(event))
    if names is None:
        return event
    return evolve(event, **{name: copied(dict(getattr(event, name))) for name in names})
