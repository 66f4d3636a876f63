"""A checksum for each row, so that a byte that changed on the disk can't tell another story."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

#: Stands for None: no text that is stored begins so.
_NONE = "\x00none"


def of_commit(history: str, position: int, id: str) -> int:  # noqa: A002 - as the port calls it
    """The checksum of where a commit stands; its body carries one of its own, see `stores.records`."""
    return zlib.crc32(f"{history}\x00{position}\x00{id}".encode())


def of_document(
    kind: str, key: str, value: str, expires_at: float | None, places: Sequence[str | None]
) -> int:
    """The checksum of a document, of everything but its version, which SQLite counts.

    Args:
        kind: see `Store.put`.
        key: see there.
        value: its JSON text.
        expires_at: see there.
        places: its groups and sort keys, None for those that it has not.
    """
    expires = "" if expires_at is None else repr(float(expires_at))
    parts = (kind, key, expires, *(_NONE if place is None else place for place in places), value)
    return zlib.crc32("\x00".join(parts).encode())
