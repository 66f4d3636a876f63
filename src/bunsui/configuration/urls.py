"""Stores in configuration files: which files they mean, and how they are shown."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

_SQLITE = "sqlite:///"
_PASSWORD = re.compile(r"(?<=://)([^/?#@]*:)[^/?#@]*(?=@)")
_SENSITIVE = re.compile(r"([?&][^=&]*(?:password|secret|token|key|pwd|pass)[^=&]*=)[^&#]*", re.IGNORECASE)


def anchored(url: str, folder: Path) -> str:
    """A store's URL, in which a relative path to a SQLite file begins at `folder`."""
    if not url.startswith(_SQLITE) or url.startswith(f"{_SQLITE}/") or url == _SQLITE:
        return url
    return f"{_SQLITE}{quote(str(folder / unquote(url[len(_SQLITE) :])))}"


def stays_in(url: str, folder: Path) -> bool:
    """Whether a store is a SQLite file below `folder`, wherever symbolic links lead, or in memory only.

    Args:
        url: with an absolute path; see `anchored`.
        folder: absolute.
    """
    if url == "memory://":
        return True
    if not url.startswith(_SQLITE):
        return False
    return Path(unquote(url[len(_SQLITE) :])).resolve().is_relative_to(folder.resolve())


def shown(url: str) -> str:
    """A store's URL without the passwords that may stand in it."""
    return _SENSITIVE.sub(r"\1***", _PASSWORD.sub(r"\1***", url))
