"""URLs of stores as they may be shown."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)([^/?#@]*:)[^/?#@]*(?=@)")
_SENSITIVE = re.compile(r"([?&][^=&]*(?:password|secret|token|key|pwd|pass)[^=&]*=)[^&#]*", re.IGNORECASE)


def shown(url: str) -> str:
    """A store's URL without the passwords that may stand in it."""
    return _SENSITIVE.sub(r"\1***", _PASSWORD.sub(r"\1***", url))
