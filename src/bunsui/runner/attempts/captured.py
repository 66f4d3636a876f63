"""What jobs in threads log with `logging`, into their own logs: see `Runner`, ``capture_logging``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bunsui.local.log_records import RecordHandler
from bunsui.ports.job_type import current
from bunsui.runner.attempts.work import Work

if TYPE_CHECKING:
    from bunsui.runner.attempts.host import Host


class Captured(logging.Handler):
    """Hands each record to the log of the call that it is logged in, if the runner runs that call.

    What else the host has set up is untouched, its levels too: what they rule out comes to no handler.

    Args:
        host: of the runner.
    """

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def emit(self, record: logging.LogRecord) -> None:
        """See `RecordHandler.emit`."""
        call = current.get(None)
        bench = None if call is None else call.workbench
        # A job may run a Runner of its own, and a worker's bench is no work of anybody here.
        if isinstance(bench, Work) and bench.is_of(self._host):
            RecordHandler(bench.log.take).emit(record)

    def install(self) -> None:
        """Has the root logger ask this handler, too."""
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        """Has it do so no more."""
        logging.getLogger().removeHandler(self)
        super().close()
