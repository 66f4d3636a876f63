"""Where the logs of jobs are kept, as it is configured, or as the store has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bunsui.aws.log_group import CLOUDWATCH, LogGroup
from bunsui.aws.settings import AwsSettings
from bunsui.runner import folders
from bunsui.runner.attempts.logs import Logs
from bunsui.runner.clock import SystemClock

if TYPE_CHECKING:
    from bunsui.logging.cloudwatch.logs import CloudLogs
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store

#: Says that they are kept as long as the runner is, and no longer.
NONE = "none"
_HINT = (
    "it is the path of a folder, such as 'logs' or '/var/lib/bunsui/logs', a group of CloudWatch Logs as a"
    " text, such as 'cloudwatch:///bunsui/team', or 'none'"
)


def folder_of(given: str | Path | None, store: Path | None) -> Path | None:
    """The folder of the logs: the one that was given, else beside the store's file, if it is one.

    Raises:
        ConfigError: what was given is nothing where logs can be.
    """
    if given is None:
        return None if store is None else folders.beside(store, "logs")
    if given == NONE or (isinstance(given, str) and given.startswith(CLOUDWATCH)):
        return None
    return folders.named(given, "logs", _HINT)


def cloud_of(
    given: str | Path | None, store: Store, aws: AwsSettings | None, clock: Clock
) -> CloudLogs | None:
    """The group of CloudWatch Logs where they are kept: the given one, else the store's, if it has one.

    Nobody asks whether it is there.

    Raises:
        ConfigError: what was given names no group.
    """
    settings = aws or AwsSettings()
    if given is None:
        own = store.log_group()
        if own is None:
            return None
        given, settings = own
    elif not isinstance(given, str) or not given.startswith(CLOUDWATCH):
        return None
    # Few keep them there.
    from bunsui.logging.cloudwatch.logs import CloudLogs  # noqa: PLC0415 - see above

    return CloudLogs(LogGroup.parse(given), settings, clock)


def logs_of(
    given: str | Path | None, store: Store, aws: AwsSettings | None = None, clock: Clock | None = None
) -> Logs:
    """The logs of a store's sessions.

    Args:
        given: where they are kept: a folder, the URL of a group, or ``none``; None: as the store has it.
        store: whose sessions they are.
        aws: as whom, and where, AWS is called where the group's URL says nothing.
        clock: what records take their times from; None: the system's.

    Raises:
        ConfigError: what was given is nothing where logs can be.
    """
    clock = clock or SystemClock()
    beside = folder_of(None, store.path)
    return Logs(folder_of(given, store.path), clock, cloud_of(given, store, aws, clock), beside)
