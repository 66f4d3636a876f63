"""The logs of jobs in a group of CloudWatch Logs: written, read, and removed with their session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from bunsui.aws.connections import Connections
from bunsui.logging.cloudwatch.calls import PATIENCE, Calls
from bunsui.logging.cloudwatch.jobs import CloudLogStore, stream_name
from bunsui.logging.cloudwatch.reading import GroupLogs
from bunsui.logging.cloudwatch.writer import CLOSING, FLUSH, Writer
from bunsui.ports.permissions import Permission, Where

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.aws.log_group import LogGroup
    from bunsui.aws.settings import AwsSettings
    from bunsui.ports.clock import Clock

#: Seconds for which who reads waits for what this process has yet to send.
_OWN = 5.0
#: What writing and reading take. What removes a session takes more.
_USED = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:GetLogEvents",
    "logs:PutLogEvents",
)
_RETENTION = "logs:PutRetentionPolicy"


class CloudLogs:
    """The logs of the sessions of a store, in a group; nothing is called before something is written or read.

    Args:
        group: which.
        settings: as whom, and where, AWS is called where the group's URL says nothing.
        clock: what records take their times from.
    """

    def __init__(self, group: LogGroup, settings: AwsSettings, clock: Clock) -> None:
        self.group = group
        self.settings = group.settings(settings)
        self._clock = clock
        self._making = threading.Lock()
        self._writer: Writer | None = None
        self._written: Connections | None = None

    def sinks(self) -> CloudLogStore:
        """What attempts write to. What is written by it is sent until `close`."""
        with self._making:
            if self._writer is None:
                self._written = Connections(self.settings, concurrency=CLOSING, patience=PATIENCE)
                self._writer = Writer(
                    Calls(self.group, self._written),
                    self.group.policy,
                    wall=lambda: self._clock.now().timestamp(),
                )
            return CloudLogStore(self._writer, self._clock)

    def source(
        self,
        session: str,
        ended: Callable[[], datetime | None],
        since: datetime | None = None,
        *,
        is_followed: bool = False,
        beside: Path | None = None,
    ) -> GroupLogs:
        """The logs of a session; see `GroupLogs`. Who has read closes it."""
        return GroupLogs(
            self._calls(), session, self._clock, ended, since, is_followed=is_followed, flush=self._flush,
            beside=beside,
        )  # fmt: skip

    def _flush(self) -> None:
        if self._writer is not None:
            self._writer.flush(_OWN)

    def _calls(self) -> Calls:
        """Those of a runner are closed with it, and a session stays readable."""
        return Calls(self.group, Connections(self.settings, patience=PATIENCE))

    def is_there(self) -> bool:
        """Whether the group is there; nothing is written.

        Raises:
            AwsError: it can't be asked.
        """
        calls = self._calls()
        try:
            return calls.is_there()
        finally:
            calls.connections.close()

    def remove(self, session: str) -> None:
        """Removes the logs of a session.

        Raises:
            AwsError: they can't be removed, or not all of them.
        """
        self._flush()
        calls = self._calls()
        try:
            for stream in list(calls.streams(stream_name(session, ""))):
                calls.remove(str(stream["logStreamName"]))
        finally:
            calls.connections.close()

    def permissions(self, where: Where) -> Iterable[Permission]:
        """What whoever writes and reads here has to be allowed; see `bunsui.aws.iam_policy`.

        Sessions are removed with other permissions, which no run needs.

        Args:
            where: the region and the account in which the group is.
        """
        # "Actions, resources, and condition keys for Amazon CloudWatch Logs" in the service authorization
        # reference: what is done to a group is asked about its ARN, with ":*" at its end in some of AWS's own
        # policies; what is done to a stream about one that begins so.
        group = where.arn("logs", f"log-group:{self.group.name}")
        more = () if self.group.retention is None else (_RETENTION,)
        yield Permission([*_USED, *more], [group, f"{group}:*"])

    def ending(self, timeout: float) -> None:
        """Says that `close` follows in so many seconds; see `Writer.ending`."""
        with self._making:
            writer = self._writer
        if writer is not None:
            writer.ending(timeout)

    def close(self, timeout: float = FLUSH) -> None:
        """Sends what there is, and ends; see `Writer.close`."""
        with self._making:
            writer, connections = self._writer, self._written
        if writer is not None:
            writer.close(timeout)
        if connections is not None:
            connections.close()
