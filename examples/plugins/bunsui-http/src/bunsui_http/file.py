"""A file that is there with all of its content or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class NewFile:
    """Written beside its place under another name, and moved there once it is durable.

    Args:
        path: where it is to be; its folder is made. A file that is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".bunsui-{secrets.token_hex(8)}.part")
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._size = 0

    def open(self) -> None:
        """Begins it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._temporary.open("xb")

    def write(self, chunk: bytes) -> None:
        """Appends to it."""
        self._opened.write(chunk)
        self._digest.update(chunk)
        self._size += len(chunk)

    def keep(self) -> dict[str, Any]:
        """Puts it in its place, and returns what the job's output says of it."""
        self._opened.flush()
        os.fsync(self._opened.fileno())
        self._opened.close()
        self._temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # Only then the name is durable, too.
        finally:
            os.close(folder)
        return {"path": str(self._path), "bytes": self._size, "sha256": self._digest.hexdigest()}

    def discard(self) -> None:
        """Leaves nothing behind of one that was not kept."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # A full disk, of which something was still to be written.
                self._file.close()
            self._temporary.unlink(missing_ok=True)

    @property
    def _opened(self) -> IO[bytes]:
        assert self._file is not None
        return self._file
