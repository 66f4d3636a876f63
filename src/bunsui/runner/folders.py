"""Folders of sessions: where they are, what is in them, and their removal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError


def beside(store: Path, name: str) -> Path:
    """The folder with this name beside a store's file."""
    # Of the file itself, as SQLite's own log is: whatever link the store is named by, it is the same folder.
    return Path(f"{os.path.realpath(store)}-{name}")


def named(given: str | Path, key: str, hint: str) -> Path:
    """The folder that somebody has named, absolute; it need not exist.

    Args:
        given: what was given.
        key: as what; errors name it.
        hint: what it may be.

    Raises:
        ConfigError: it names none.
    """
    text = str(given)
    # A Path makes one slash of two; and one who forgets both means no folder of that name.
    is_url = "://" in text or text.startswith(("s3:", "cloudwatch:"))
    if not isinstance(given, str | Path) or not text.strip() or is_url:
        raise ConfigError(f"{key} is {given!r}", hint=hint)
    try:
        folder = Path(given).expanduser().absolute()
        is_taken = folder.exists() and not folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # Too long; no such user's home; a NUL.
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{key} is {quoted(str(given))}: {reason}", hint="name a folder") from error
    if is_taken:
        raise ConfigError(f"{key} is {folder}, which is no folder", hint="name a folder, or a new path")
    return folder


def size(folder: Path) -> int:
    """Bytes of the files in a folder and those below it; links are not followed."""
    if not folder.is_dir() or folder.is_symlink():
        return 0
    return sum(
        size(path) if path.is_dir() and not path.is_symlink() else path.lstat().st_size
        for path in folder.iterdir()
    )


def remove(folder: Path) -> None:
    """Removes a folder with all that is in it, where there is one.

    Raises:
        OSError: it can't be removed, or is a link.
    """
    if folder.exists() or folder.is_symlink():
        shutil.rmtree(folder)
