"""The URLs of stores: which files they mean."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

_SQLITE = "sqlite:///"


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
    return lies_in(Path(unquote(url[len(_SQLITE) :])), folder)


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is `folder` or below it, wherever symbolic links lead."""
    return path.resolve().is_relative_to(folder.resolve())


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite store; None for any other."""
    if not url.startswith(_SQLITE) or url == _SQLITE or "?" in url or "#" in url:
        return None
    return Path(unquote(url[len(_SQLITE) :])).absolute()
