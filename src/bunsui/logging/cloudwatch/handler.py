"""`CloudWatchHandler`: the log of a program in CloudWatch Logs."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from bunsui.aws.connections import Connections
from bunsui.aws.log_group import CLOUDWATCH, POLICIES, LogGroup
from bunsui.aws.settings import AwsSettings, read_aws
from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError
from bunsui.logging.cloudwatch.calls import PATIENCE, Calls
from bunsui.logging.cloudwatch.events import MAX_BATCH, fitting_text
from bunsui.logging.cloudwatch.queue import MOST_BYTES, MOST_EVENTS, Stream
from bunsui.logging.cloudwatch.sending import is_sending
from bunsui.logging.cloudwatch.writer import CLOSING, FLUSH, THREAD, Writer
from bunsui.logging.formats import JsonFormatter

#: What the name of a stream may be: "CreateLogStream" in the API reference of CloudWatch Logs.
_STREAM = re.compile(r"[^:*]{1,512}(?![\s\S])")
#: Seconds that a record's time may be from now; beyond that it is a mistake, and AWS might refuse it.
_TOO_FAR = 3600.0


class CloudWatchHandler(logging.Handler):
    """Sends what a program logs to a stream of CloudWatch Logs: in batches, from threads of its own.

    Nothing is called, and no thread started, before the first record. It never raises into the program,
    whatever CloudWatch Logs does: what can't be sent waits and is tried again, and what does not fit is
    counted; the log says how many records are missing, and where. `close`, which `logging.shutdown` calls at
    the program's end, sends what is left. What sending itself logs, such as botocore at ``DEBUG``, is not
    sent.

    A record is a line of JSON, as `bunsui.logging.json_schema` says, in which of what a job logs its secrets
    are masked. With another formatter it is what that makes of it; that knows no secrets.

    Such as::

        import logging

        import bunsui.logging

        handler = bunsui.logging.CloudWatchHandler("/etl/app", aws={"region": "eu-central-1"})
        logging.getLogger("app").addHandler(handler)
        handler.close()

    Args:
        group: its name, or its URL, such as ``cloudwatch:///etl/app?retention=30``. It is made where it is
            not there, and then keeps events for so many days; 90 where nothing is said.
        stream: its name, made likewise; None: ``HOST/PID``, of each process its own.
        aws: as whom, and where, AWS is called; as that of a Runner. None: as AWS's own tools would.
        policy: what is done where the queue is full: ``drop`` counts the record, with ``block`` who logs
            waits for room, for up to a minute, and not while CloudWatch Logs refuses what it is sent. None:
            what the URL says, else ``drop``.
        level: the lowest that is sent.
        most_events: records that wait at most.
        most_bytes: bytes of them.
            At least 1,048,576, as much as is sent at once.
        timeout: seconds for which `flush` and `close` go on where nothing can be sent; where something is, up
            to 6 times as long.

    Raises:
        ConfigError: a group, stream or policy is none, `aws` is wrong, or a number is too small.
    """

    def __init__(
        self,
        group: str,
        stream: str | None = None,
        *,
        aws: Mapping[str, Any] | AwsSettings | None = None,
        policy: str | None = None,
        level: int | str = logging.NOTSET,
        most_events: int = MOST_EVENTS,
        most_bytes: int = MOST_BYTES,
        timeout: float = FLUSH,
    ) -> None:
        super().__init__(level)
        self.setFormatter(JsonFormatter())
        found = LogGroup.parse(group if str(group).startswith(CLOUDWATCH) else f"{CLOUDWATCH}{group}")
        if policy is not None and policy not in POLICIES:
            raise ConfigError(f"policy is {quoted(policy)}", hint=f"it is {' or '.join(POLICIES)}")
        if stream is not None and not _STREAM.match(stream):
            raise ConfigError(
                f"stream is {quoted(stream)}",
                hint="its name has 1 to 512 characters, none of them ':' or '*'",
            )
        for name, value, least in (
            ("most_events", most_events, 1),
            ("most_bytes", most_bytes, MAX_BATCH),
            ("timeout", timeout, 0),
        ):
            if not value >= least:  # NaN, too.
                raise ConfigError(f"{name} is {value}", hint=f"it is {least} or more")
        self._group = evolve(found, policy=policy or found.policy)
        self._name = stream
        settings = self._group.settings(None if aws is None else read_aws(aws))
        self._connections = Connections(settings, concurrency=CLOSING, patience=PATIENCE)
        self._writer = Writer(
            Calls(self._group, self._connections),
            self._group.policy,
            most_events=most_events,
            most_bytes=most_bytes,
        )
        self._timeout = timeout
        #: The stream of this process, and its id: a forked child has one of its own.
        self._stream: tuple[Stream, int] | None = None
        #: Whether the last flush could not send everything: then the end does not wait for that once more.
        self._in_vain = False

    @property
    def lost(self) -> int:
        """How many records did not fit, or could not be sent."""
        return self._writer.lost

    def handle(self, record: logging.LogRecord) -> Any:
        """See `logging.Handler.handle`."""
        # Its own records: here, or from a `QueueListener`, in whose thread they come.
        if is_sending() or record.threadName == THREAD:
            return False
        # Without the handler's lock: who waits for room would hold it, and `logging.shutdown` takes it first.
        # The writer takes records from any thread.
        taken = self.filter(record)
        if isinstance(taken, logging.LogRecord):  # Since Python 3.12 a filter may give another one.
            record = taken
        if taken:
            self.emit(record)
        return taken

    def emit(self, record: logging.LogRecord) -> None:
        """Has a record sent."""
        try:
            text = fitting_text(self.format(record))
            now = time.time()
            at = record.created if abs(record.created - now) < _TOO_FAR else now
            self._writer.put(self._opened(), int(at * 1000), [text])
        except Exception:  # As every handler does: what can't be logged must not fail the program.
            self.handleError(record)
            return
        self._writer.warn()

    def _opened(self) -> Stream:
        pid = os.getpid()
        if self._stream is None or self._stream[1] != pid:
            name = self._name
            if name is None:
                host = re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname())[:255] or "host"
                name = f"{host}/{pid}"
            self._stream = self._writer.open(name, _missing), pid
        return self._stream[0]

    def flush(self) -> None:
        """Sends what there is, for as long as `timeout` says."""
        if not is_sending():
            self._in_vain = not self._writer.flush(self._timeout)

    def close(self) -> None:
        """Sends what there is, likewise, and ends. What is lost is warned of, once."""
        self._writer.close(0.0 if self._in_vain else self._timeout)
        self._connections.close()
        super().close()


def _missing(records: int, why: str) -> bytes:
    return f"{records} {'record is' if records == 1 else 'records are'} missing here: {why}".encode()
