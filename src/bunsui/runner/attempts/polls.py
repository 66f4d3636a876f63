"""What a job type says of its polls: how often, of how many at once, and of which together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bunsui.errors import PluginError
from bunsui.model.text import text_of

if TYPE_CHECKING:
    from bunsui.ports.remote import RemoteJobType


def seconds_of(kind: RemoteJobType, attribute: str, meaning: str) -> float:
    """What a job type says of its polls, in seconds.

    Raises:
        PluginError: it says something else; the session is set aside by that, and its work is not lost.
    """
    seconds: float = _said(
        kind,
        attribute,
        lambda: getattr(kind, attribute),
        _is_seconds,
        f"it is the number of seconds {meaning}",
    )
    return float(seconds)


def longest_of(kind: RemoteJobType) -> float | None:
    """The most seconds between two polls of a job type whose pace adapts; None: it is always the same.

    Raises:
        PluginError: see `seconds_of`.
    """
    hint = "it is the most seconds between two polls, or None"
    seconds: float | None = _said(
        kind,
        "poll_interval_max",
        lambda: kind.poll_interval_max,
        lambda found: found is None or _is_seconds(found),
        hint,
    )
    # No less than at first, whatever it says.
    return (
        None
        if seconds is None
        else max(float(seconds), seconds_of(kind, "poll_interval", "between two polls"))
    )


def count_of(kind: RemoteJobType) -> int:
    """How many handles a call of a job type's `poll` gets.

    Raises:
        PluginError: see `seconds_of`.
    """
    hint = "it is the number of handles in one call of poll, at least 1"
    count: int = _said(
        kind,
        "poll_batch",
        lambda: kind.poll_batch,
        lambda found: isinstance(found, int) and not isinstance(found, bool) and found >= 1,
        hint,
    )
    return count


def group_of(kind: RemoteJobType, handle: Any) -> str:
    """What work is polled together with.

    Raises:
        PluginError: see `seconds_of`.
    """
    group: str = _said(
        kind,
        "poll_group",
        lambda: kind.poll_group(handle),
        lambda found: isinstance(found, str),
        "it gives a text, such as an account and a region",
    )
    return str(group)


def _is_seconds(found: object) -> bool:
    return isinstance(found, int | float) and 0 <= found < math.inf


def _said(
    kind: RemoteJobType,
    attribute: str,
    ask: Callable[[], object],
    is_right: Callable[[object], bool],
    hint: str,
) -> Any:
    try:
        found = ask()
        if is_right(found):
            return found
        what = f"is {text_of(found)}"
    except BaseException as error:  # Foreign code, on the driver's thread.
        what = f"raised {type(error).__name__}"
    raise PluginError(f"{attribute} of job type '{kind.name}' {what}", plugin=kind.name, hint=hint)
