"""The names under which attempts ask for their work."""

from __future__ import annotations

import hashlib


def idempotency_key(session: str, job: str, attempt: int, item: int | None = None) -> str:
    """The name under which an attempt asks for its work: 64 hexadecimal digits, the same after a crash."""
    unit = job if item is None else f"{job}\0{item}"
    return hashlib.sha256(f"{session}\0{unit}\0{attempt}".encode()).hexdigest()
