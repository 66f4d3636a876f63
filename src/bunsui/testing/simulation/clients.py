"""Those who start, pause, cancel, resume and adopt sessions, each in a thread of some process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.concurrency.notice import Notice
from bunsui.errors import BunsuiError
from bunsui.runner.handle import Session
from bunsui.runner.sessions import creation, orphans
from bunsui.testing.simulation.world import Lane

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobType
    from bunsui.runner.waiting import Steps, Wait
    from bunsui.testing.simulation.runners import RunnerProcess

#: Seconds between two looks at an event that is waited for.
LOOK = 0.1


class Client:
    """A thread that goes through the steps of one call.

    Args:
        process: whose thread it is.
        what: names the call in the trace.
        steps: the call.
        then: called with what came of it: None, or an error of this library.
    """

    def __init__(
        self,
        process: RunnerProcess,
        what: str,
        steps: Steps[Any],
        then: Callable[[Client, BunsuiError | None], None] = lambda *_: None,
    ) -> None:
        self.process = process
        self.what = what
        self.lane = Lane(f"{process.name}.client", process)
        self._steps = steps
        self._then = then
        process.unfinished.append(steps)
        process.world.soon(self.lane, self._go_on)

    def _go_on(self) -> None:
        process, world = self.process, self.process.world
        error: BunsuiError | None = None
        try:
            wait = next(self._steps)
        except StopIteration:
            world.note(process.name, f"{self.what}: done")
        except BunsuiError as raised:
            error = raised
            # Up to the number of this very process, which no other run of the seed has.
            text = str(raised).partition(" (pid")[0]
            world.note(process.name, f"{self.what}: {type(raised).__name__}: {text}")
        else:
            self._wait(wait)
            return
        self._then(self, error)

    def _wait(self, wait: Wait) -> None:
        world = self.process.world
        if isinstance(wait, Notice):
            if wait.is_set():
                self._go_on()
            else:
                world.after(LOOK, self.lane, lambda: self._wait(wait))
        else:
            world.after(wait, self.lane, self._go_on)


def starting(process: RunnerProcess, pipeline: Pipeline, key: str, types: dict[str, JobType]) -> Steps[None]:
    """What `Runner.start` does."""
    control = process.control
    control.require_open()
    live = creation.create(pipeline, {}, {}, types, control.parts, local=False, idempotency_key=key, tags={})
    if creation.exists(control.store, live):
        return
    creation.keep_definition(control.store, pipeline)
    control.claim(live)
    yield from control.driving(live)


def asking(process: RunnerProcess, session: str, pipeline: Pipeline, action: str) -> Steps[None]:
    """What `Session.pause` and `Session.cancel` do."""
    handle = Session(process.control, pipeline, session)
    return handle._asking(action, None)  # noqa: SLF001 - the steps of what is public


class Adopter:
    """Does what `Runner.recover` does, again and again."""

    def __init__(self, process: RunnerProcess, every: float) -> None:
        self._process = process
        self._every = every
        self._lane = Lane(f"{process.name}.adopter", process)
        self._again()

    def _again(self) -> None:
        world = self._process.world
        world.after(world.random.uniform(0.5, 1.0) * self._every, self._lane, self._look)

    def _look(self) -> None:
        process = self._process
        if not process.is_stopping:
            Client(process, "recover", orphans.adopting(process.control, None), lambda *_: self._again())
