"""Who is told of a runner's sessions beside its plugins: OpenTelemetry, where somebody has set that up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bunsui.monitoring import telemetry
from bunsui.plugins.observer import Observer

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.monitoring.telemetry import Telemetry
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.observers import Observers


class Telling:
    """Has sessions followed that are claimed. Whom to tell is found out with the first of them.

    Args:
        observers: the runner's.
    """

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self._finding = threading.Lock()
        self._has_looked = False
        self._telemetry: Telemetry | None = None

    def follow(self, live: Live, at: datetime) -> None:
        """Begins to tell of a session that is about to be claimed; in the thread of who wants that."""
        found = self._find()
        if found is not None:
            live.followed = found.follow(live.pipeline, live.machine.state, live.epoch, at)
        elif (context := telemetry.current_context()) is not None:
            from bunsui.monitoring.spans import Carried  # noqa: PLC0415 - imports OpenTelemetry

            live.carried = Carried(context)

    def _find(self) -> Telemetry | None:
        with self._finding:
            if not self._has_looked:
                self._has_looked = True
                self._telemetry = telemetry.found()
                if self._telemetry is not None:
                    self._observers.add(Observer("of OpenTelemetry", self._telemetry.take))
            return self._telemetry
