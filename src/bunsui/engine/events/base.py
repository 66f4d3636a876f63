"""What all events are, and those of later versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen


@frozen
class Event:
    """A fact about a session."""

    #: When it happened: UTC, aware; never decreasing within a history.
    at: datetime


@frozen
class Unknown(Event):
    """An event of a later version that this one may ignore; kept as it is."""

    name: str
    data: Mapping[str, Any]
