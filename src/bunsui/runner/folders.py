"""Folders of sessions: what is in them, and their removal."""

from __future__ import annotations

import shutil
from pathlib import Path


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
