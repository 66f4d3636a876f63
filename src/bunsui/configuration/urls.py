"""The stores that configuration files name: where relative paths begin, and what lies in a folder."""

from __future__ import annotations

from pathlib import Path

from bunsui.stores.urls import sqlite_name, sqlite_url


def anchored(url: str, folder: Path) -> str:
    """A store's URL, in which a relative path to a SQLite file begins at `folder`."""
    name = sqlite_name(url)
    return url if name is None or Path(name).is_absolute() else sqlite_url(folder / name)


def stays_in(url: str, folder: Path) -> bool:
    """Whether a store is a SQLite file below `folder`, wherever symbolic links lead, or in memory only.

    Args:
        url: with an absolute path; see `anchored`.
        folder: absolute.
    """
    name = sqlite_name(url)
    return url == "memory://" if name is None else lies_in(Path(name), folder)


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is `folder` or below it, wherever symbolic links lead."""
    return path.resolve().is_relative_to(folder.resolve())
