"""Large outputs that no attempt's thread writes: fan-outs' lists, declared outputs, and what is taken over.

Each may be a gigabyte, so they are written in a thread, and the driver goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.engine import events as ev
from bunsui.engine.actions import Conclude, Gather, Reuse
from bunsui.errors import JobError, NotFound, StoreError
from bunsui.local.results import failure
from bunsui.model.artifact import Artifact, Unread, owner
from bunsui.model.status import SessionStatus
from bunsui.runner.attempts.keeping import Unkept

if TYPE_CHECKING:
    from bunsui.model.session import Failure
    from bunsui.ports.clock import Clock
    from bunsui.runner.attempts.attempts import Turns
    from bunsui.runner.attempts.keeping import Keeping
    from bunsui.runner.attempts.pool import Pools
    from bunsui.runner.driving.live import Live

#: The pool of the threads that write artifacts for the driver; no job type has an empty name.
THREADS = ""


class Gathering:
    """Has the lists and outputs of sessions written; called on the driver's thread."""

    def __init__(self, turns: Turns, calls: Pools, keeping: Keeping, clock: Clock) -> None:
        self._turns = turns
        self._calls = calls
        self._keeping = keeping
        self._clock = clock

    def gather(self, live: Live, job: str) -> None:
        """Makes the list of what a fan-out's items returned, which ends the fan-out."""
        if not self._keeping.has_place:
            live.record(ev.FanOutSucceeded(live.at(self._clock.now()), job))
            return
        outputs = [item.encoded_output for item in live.machine.state.items[job]]
        live.machine.begun(Gather(job))
        self._write(
            live,
            lambda: self._keeping.gather(live.id, job, outputs, live.done),
            lambda at, output: ev.FanOutSucceeded(at, job, output),
            lambda at, failed: ev.JobFailed(at, job, 0, failed),
            job,
        )

    def adopts(self, live: Live, job: str) -> bool:
        """Whether a job takes over an artifact of the session that this one runs again: that is begun."""
        created, found = live.machine.state.created, live.reusable.get(job)
        if created is None or created.rerun_of is None or found is None or not self._keeping.has_place:
            return False
        origin, output = found
        if not isinstance(output, Artifact):
            return False
        source = created.rerun_of
        live.machine.begun(Reuse(job))
        self._write(
            live,
            lambda: self._keeping.adopt(output, source, live.id, owner(job), live.done),
            lambda at, adopted: ev.JobReused(at, job, origin, adopted),
            lambda at, failed: ev.ReuseFailed(at, job, failed.message),
            job,
        )
        return True

    def takes(self, live: Live, event: ev.Event) -> bool:
        """Whether a fact holds declared outputs that have to be written first; then it is recorded later."""
        outputs = event.outputs if isinstance(event, ev.SessionSucceeded) else None
        if outputs is None or not self._keeping.is_due(outputs):
            return False
        live.machine.begun(Conclude())
        self._write(
            live,
            lambda: self._keeping.keep(live.id, outputs, owner(None), live.done),
            ev.SessionSucceeded,
            ev.SessionFailed,
        )
        return True

    def _write(
        self,
        live: Live,
        write: Callable[[], Artifact],
        succeeded: Callable[..., ev.Event],
        failed: Callable[..., ev.Event],
        job: str | None = None,
    ) -> None:
        def task() -> None:
            try:
                ends = partial(self._ended, live, job, succeeded, write())
            except (Unkept, Unread) as error:
                ends = partial(self._unkept, live, error)
            except (JobError, NotFound, StoreError) as error:
                wrong = evolve(failure(error), retryable=False)
                ends = partial(self._ended, live, job, failed, wrong)
            except BaseException as error:  # A fault of ours: the driver sets the session aside.
                ends = partial(self._unkept, live, error)
            self._turns.post(partial(self._turns.guard, live, ends))

        self._calls.submit(THREADS, [task])

    def _ended(
        self, live: Live, job: str | None, event: Callable[..., ev.Event], result: Artifact | Failure
    ) -> None:
        # Meanwhile it may have been cancelled and ended, or given back: the next runner does it again.
        if (
            not self._turns.is_driving(live)
            or live.is_released
            or live.error is not None
            or live.machine.state.status is not SessionStatus.RUNNING
            or (job is not None and live.machine.state.jobs[job].status.is_terminal)
        ):
            return
        live.record(event(live.at(self._clock.now()), result))
        self._turns.touch(live)

    def _unkept(self, live: Live, error: BaseException) -> None:
        if self._turns.is_driving(live) and live.error is None and not live.is_released:
            raise error
