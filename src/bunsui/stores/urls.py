"""The URLs of stores: as they may be shown, and which files they mean."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from bunsui.dsl.problems import printable

if TYPE_CHECKING:
    from bunsui.ports.store import Store

#: How the URL of a SQLite store begins; a relative path follows, or an absolute one with its own slash.
SQLITE = "sqlite:///"
#: The names of files are bytes: those that are no UTF-8 come to Python as lone surrogates, and go so.
_BYTES = "surrogateescape"
_PASSWORD = re.compile(r"(?<=://)([^/?#@]*:)[^/?#@]*(?=@)")
_SENSITIVE = re.compile(r"([?&][^=&]*(?:password|secret|token|key|pwd|pass)[^=&]*=)[^&#]*", re.IGNORECASE)


def shown(url: str) -> str:
    """A store's URL without the passwords that may stand in it."""
    return _SENSITIVE.sub(r"\1***", _PASSWORD.sub(r"\1***", url))


def named(store: Store) -> str:
    """A store within a message: ``store /path/to/its.db`` where it is a file, else ``this store``."""
    path = store.path
    return "this store" if path is None else f"store {printable(str(path))}"


def sqlite_url(path: Path) -> str:
    """The URL of the SQLite store in a file; `sqlite_path` gives the path back."""
    return f"{SQLITE}{quote(str(path), errors=_BYTES)}"


def sqlite_name(url: str) -> str | None:
    """The file of a SQLite store as its URL names it, relative or absolute; None for any other URL."""
    if not url.startswith(SQLITE) or url == SQLITE or "?" in url or "#" in url:
        return None
    return unquote(url.removeprefix(SQLITE), errors=_BYTES)


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite store, as an absolute path; None for any other URL.

    It is relative where the working directory was removed.
    """
    name = sqlite_name(url)
    if name is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        return Path(name).absolute()
    return Path(name)
