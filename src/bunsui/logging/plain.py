"""Records in plain data, on their way to a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bunsui.logging.records import LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """Plain data with each of its texts redacted; a number too, where it is a secret as a whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): redacted(item, redact) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item, redact) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        shown = redact(text)
        return value if shown == text else shown
    return value


def to_record(
    found: Mapping[str, Any], time: str, job: str, attempt: int | None, item: int | None
) -> dict[str, Any]:
    """A record as its line has it, in the line's order; see `bunsui.logging.records`."""
    record: dict[str, Any] = {"time": time, "level": found["level"], "job": job}
    record |= {"item": item} if item is not None else {}
    record |= {"attempt": attempt} if attempt is not None else {}
    record |= {"stream": LOG, "logger": found["logger"], "message": found["message"]}
    return record | {key: found[key] for key in ("fields", "exception") if key in found}
