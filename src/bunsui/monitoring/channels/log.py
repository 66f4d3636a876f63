"""Alerts in the application's own log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.dsl.problems import printable
from bunsui.errors import AlertNotTaken
from bunsui.ports.alerts import AlertChannel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bunsui.ports.alerts import Alert
    from bunsui.ports.permissions import Permission, Where

#: The logger that alerts are written to.
LOGGER = "bunsui.alerts"


class LogChannel(AlertChannel):
    """Writes alerts with Python's logging, a failure as an error, all else as a warning."""

    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        """See `AlertChannel.send`.

        Raises:
            AlertNotTaken: no handler takes it, so that nobody would see it.
        """
        del options
        logger = logging.getLogger(LOGGER)
        level = logging.ERROR if alert.on == "failure" else logging.WARNING
        if not _is_heard(logger, level):
            raise AlertNotTaken(
                f"no handler of the logger {LOGGER} takes records of level {logging.getLevelName(level)}",
                hint="configure Python's logging, such as with logging.basicConfig()",
            )
        fields = {name: value for name, value in alert.to_dict().items() if name not in ("summary", "at")}
        # One key, as others may be taken by a record itself; one line, whatever stands in the text.
        logger.log(
            level, "%s", printable(alert.summary), extra={"alert": fields, "session_id": alert.session_id}
        )

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission]:
        """See `AlertChannel.permissions`: nothing is called."""
        del options, where
        return ()


def _is_heard(logger: logging.Logger, level: int) -> bool:
    """Whether some handler would take a record of that level."""
    if logger.disabled or not logger.isEnabledFor(level):
        return False
    has_any = False
    at: logging.Logger | None = logger
    while at is not None:
        for handler in at.handlers:
            has_any = True
            if not isinstance(handler, logging.NullHandler) and handler.level <= level:
                return True
        at = at.parent if at.propagate else None
    last = logging.lastResort  # Where there is no handler at all, this one writes to the standard error.
    return not has_any and last is not None and last.level <= level
