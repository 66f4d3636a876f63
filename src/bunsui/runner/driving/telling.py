"""Who is told of a runner's sessions beside its plugins: OpenTelemetry, where somebody has set that up."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from bunsui.monitoring.looking import current_context, is_in_use

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.monitoring.exporting import Providers
    from bunsui.monitoring.telemetry import Telemetry
    from bunsui.runner.attempts.work import Work
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.observers import Observers

_log = logging.getLogger(__name__)

#: Seconds that closing waits for what is left to be sent, where that is this runner's affair.
CLOSING = 5.0


class Telling:
    """Has sessions followed that are claimed. Whom to tell is found out with the first of them.

    Args:
        observers: the runner's.
        to: whom, as it is configured.
    """

    def __init__(self, observers: Observers, to: str | Providers = "auto") -> None:
        self._observers = observers
        self._to = to
        self._finding = threading.Lock()
        self._providers: Providers | None = None
        self._telemetry: Telemetry | None = None

    def follow(self, live: Live, at: datetime) -> None:
        """Begins to tell of a session that is about to be claimed; in the thread of who wants that.

        Raises:
            ConfigError: what is configured can't be had, such as an extra that is not installed, or one of
                OpenTelemetry's variables is wrong.
        """
        if self._to == "off" or (self._to == "auto" and not is_in_use()):
            return
        from bunsui.monitoring.extra import standard_variables  # noqa: PLC0415 - only where it is in use

        context = current_context()
        with standard_variables():
            found = self._find()
            if context is not None:
                from bunsui.monitoring.spans import Carried  # noqa: PLC0415 - imports OpenTelemetry

                live.carried = Carried(context)
        if found is not None:
            live.followed = found.follow(live.pipeline, live.machine.state, at, context)

    def _find(self) -> Telemetry | None:
        """Whom to tell; None: nobody, for now."""
        with self._finding:
            if self._telemetry is None:  # A program may set its providers at any time.
                from bunsui.monitoring.exporting import providers  # noqa: PLC0415 - only where it is in use
                from bunsui.monitoring.telemetry import Telemetry  # noqa: PLC0415 - as above

                found = providers(self._to) if isinstance(self._to, str) else self._to
                self._providers = found
                if found.tracer_provider or found.meter_provider:
                    try:
                        self._telemetry = Telemetry(found)
                    except ValueError:
                        self.close()  # The next session would find it out with others.
                        raise
                    self._observers.follow()
            return self._telemetry if self._observers.follows else None

    def close(self) -> None:
        """Sends what is left, where the providers are this runner's own."""
        if (
            self._providers is not None
            and isinstance(self._to, str)
            and not self._providers.shutdown(CLOSING)
        ):
            # The SDK logs what a collector answers, and nothing of one that does not.
            _log.warning(
                "the last traces or metrics are lost: telemetry '%s' has not taken them in %g seconds",
                self._to,
                CLOSING,
            )


def tell(live: Live, work: Work, at: datetime, *, is_durable: bool = False) -> str | None:
    """Begins to tell of an attempt, and gives it the trace that it belongs to; on the driver's thread.

    Args:
        live: the session.
        work: the attempt.
        at: when it begins.
        is_durable: whether its start is in the history already.

    Returns:
        The attempt's span, as the history has it; None: nobody is told.
    """
    work.carried = live.carried
    if live.followed is None:
        return None
    kind = work.job_type if work.bound is None else None
    carried = live.followed.attempt(
        work.job, kind, work.options, work.item_index, work.attempt, at, is_durable=is_durable
    )
    if carried is None:
        return None
    work.carried = carried
    return carried.trace
