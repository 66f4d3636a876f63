"""Sizes as texts."""

from __future__ import annotations


def in_bytes(number: int) -> str:
    """A number of bytes, in the unit in which it is less than 1024."""
    size = float(number)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
