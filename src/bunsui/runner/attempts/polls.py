"""The polls of a job type: one that is on its way, and how long they may take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import define

from bunsui.errors import PluginError, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bunsui.ports.remote import RemoteJobType
    from bunsui.runner.attempts.remote_work import RemoteWork


@define(eq=False)
class Poll:
    """A poll that is on its way."""

    works: Sequence[RemoteWork]
    #: When it was handed to a thread, in seconds on the driver's clock.
    began: float


def seconds_of(kind: RemoteJobType, attribute: str, meaning: str) -> float:
    """What a job type says of its polls, in seconds.

    Raises:
        PluginError: it says something else; the session is set aside by that, and its work is not lost.
    """
    found: object = None
    try:
        found = getattr(kind, attribute)
        if isinstance(found, int | float) and 0 <= found < math.inf:
            return float(found)
        what = f"is {text_of(found)}"
    except BaseException as error:  # Foreign code, on the driver's thread.
        what = f"raised {type(error).__name__}"
    hint = f"it is the number of seconds {meaning}"
    raise PluginError(f"{attribute} of job type '{kind.name}' {what}", plugin=kind.name, hint=hint)
