"""Opening files in a folder that jobs can write to: it may hold whatever one of them has put there.

A FIFO would hold up whoever opens it for ever, a link would lead out of the folder, and a file with a hole in
it has more bytes than there is memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def open_regular(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of a regular file; nothing is waited for, and no link is followed.

    Raises:
        OSError: it can't be opened, or is something else.
    """
    # Windows has none of these; there a file that is no regular one can't be made so easily.
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    file = os.open(path, flags, mode)
    try:
        _check(path, os.fstat(file).st_mode)
    except BaseException:  # Only to clean up: it goes on.
        os.close(file)
        raise
    return file


def regular_size(path: Path) -> int:
    """Bytes of a regular file.

    Raises:
        FileNotFoundError: there is none; what a link leads to is none of ours.
        OSError: it is something else.
    """
    about = path.lstat()
    if stat.S_ISLNK(about.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    _check(path, about.st_mode)
    return about.st_size


def _check(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
