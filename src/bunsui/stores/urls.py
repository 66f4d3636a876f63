"""Stores as they may be shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bunsui.dsl.problems import printable

if TYPE_CHECKING:
    from bunsui.ports.store import Store

_PASSWORD = re.compile(r"(?<=://)([^/?#@]*:)[^/?#@]*(?=@)")
_SENSITIVE = re.compile(r"([?&][^=&]*(?:password|secret|token|key|pwd|pass)[^=&]*=)[^&#]*", re.IGNORECASE)


def shown(url: str) -> str:
    """A store's URL without the passwords that may stand in it."""
    return _SENSITIVE.sub(r"\1***", _PASSWORD.sub(r"\1***", url))


def named(store: Store) -> str:
    """A store within a message: ``store /path/to/its.db`` where it is a file, else ``this store``."""
    path = getattr(store, "path", None)
    return "this store" if path is None else f"store {printable(str(path))}"
