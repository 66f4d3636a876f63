"""What all attempts of a runner share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bunsui.local.callables import find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bunsui.local.supervisor import Supervisor
    from bunsui.ports.clock import Clock
    from bunsui.ports.job_type import Function
    from bunsui.runner.attempts.caching import Caching
    from bunsui.runner.attempts.event_loop import EventLoop
    from bunsui.runner.attempts.keeping import Keeping
    from bunsui.runner.attempts.kept_secrets import KeptSecrets
    from bunsui.runner.attempts.logs import Logs


class Host:
    """What all attempts of a runner share."""

    def __init__(
        self,
        supervisor: Supervisor,
        logs: Logs,
        clock: Clock,
        secret: Callable[[str, KeptSecrets], str],
        event_loop: EventLoop,
        keeping: Keeping,
        caching: Callable[[], Caching] | None = None,
        machine_time: Callable[[float], float] | None = None,
    ) -> None:
        self.supervisor = supervisor
        self.logs = logs
        self.event_loop = event_loop
        #: Makes artifacts of large outputs.
        self.keeping = keeping
        self._make_caching = caching
        self._caching: Caching | None = None
        self.clock = clock
        self._machine_time = machine_time
        #: The value of a secret by its name, and what is kept of those of its session.
        self.secret = secret
        #: Callables that were found before: looking beside the definition costs more than a small job.
        self._found: dict[tuple[str, tuple[Path, ...]], Callable[..., Any]] = {}

    def machine_deadline(self, deadline: float | None) -> float | None:
        """A deadline by the runner's clock as one by `time.monotonic`, by which processes end."""
        return deadline if deadline is None or self._machine_time is None else self._machine_time(deadline)

    @property
    def caching(self) -> Caching | None:
        """The cached outputs of jobs, made when the first of them is asked for; on the driver's thread."""
        if self._caching is None and self._make_caching is not None:
            self._caching = self._make_caching()
        return self._caching

    def find(self, function: Function) -> Callable[..., Any]:
        """The callable that `function` names; see `bunsui.local.callables.find`."""
        if function.function is not None:
            return find(function)
        name = (function.target, function.folders)
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = find(function)
        return found
