"""Which threads send events: what is logged in them must not be sent itself, and they wait for no room."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


def is_sending() -> bool:
    """Whether this thread sends events now: what is logged in it comes from that."""
    return getattr(_here, "active", False)


@contextmanager
def as_sender() -> Iterator[None]:
    """Meanwhile this thread sends events."""
    before, _here.active = is_sending(), True
    try:
        yield
    finally:
        _here.active = before
