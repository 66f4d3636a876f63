"""Simulated remote services: they answer late or never, run work, and know more or less of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define

from bunsui.errors import AwsError, JobError
from bunsui.ports.job_type import JobCall
from bunsui.ports.remote import CannotTell, Failed, Found, NeverRan, RemoteJobType, Running, Succeeded
from bunsui.testing.simulation.pipelines import outcome
from bunsui.testing.simulation.world import Chance, Killed, Lane

if TYPE_CHECKING:
    from bunsui.testing.simulation.invariants import Invariants
    from bunsui.testing.simulation.world import World

#: What a service says that has too many calls.
THROTTLED = "Throttled"
Answer = Running | Succeeded | Failed | CannotTell


@define(eq=False)
class Execution:
    """Work that the service runs, or has run."""

    key: str
    ends_at: float
    comes_to: Succeeded | Failed
    #: How long its submission was under way, from the runner's last look at its claim on.
    under_way: float
    is_stopped: bool = False


class SimulatedService(RemoteJobType):
    """A service and its job type in one; subclasses say how much it knows."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"failing": {"type": "number", "minimum": 0, "maximum": 1}},
        "additionalProperties": False,
    }
    #: Whether `find` is certain.
    tells: ClassVar[bool] = True

    def __init__(self, world: World, invariants: Invariants) -> None:
        self._world = world
        self._invariants = invariants
        self._chance = Chance(world, f"service {self.name}")
        #: Its own, so that all else of a seed happens as it did before there were credentials.
        self._identity = Chance(world, f"credentials of {self.name}")
        #: Until when nobody has credentials for it.
        self._refused_until = 0.0
        self._lane = Lane(f"service {self.name}")
        self._executions: list[Execution] = []
        self._by_key: dict[str, list[int]] = {}

    # Disturbances

    def _before(self, what: str) -> None:
        """What can go wrong on the way to the service: without effect.

        Raises:
            Killed: the process that calls it dies.
            AwsError: there are no credentials, for a while.
            JobError: there were too many calls.
            OSError: the call did not get through.
        """
        self._under_way(f"before {what}")
        if (shape := self._identity.fault(f"the credentials of {self.name} expire", 0.06)) is not None:
            self._refused_until = self._world.time + shape * 30
        if self._world.time < self._refused_until:
            text = f"simulated: no credentials for {what}"
            raise AwsError(text, service=self.name, action=what, kind="credentials", hint="log in")
        if self._chance.fault(f"{what} is throttled", 0.03) is not None:
            raise JobError("simulated: too many calls", code=THROTTLED, retryable=True)
        if self._chance.fault(f"{what} does not get through", 0.03) is not None:
            raise ConnectionError(f"simulated: {what} did not get through")

    def _after(self, what: str) -> None:
        """What can go wrong on the way back.

        Raises:
            Killed: the process that calls it dies.
            OSError: the answer was lost.
        """
        self._under_way(f"after {what}")
        if self._chance.fault(f"the answer to {what} is lost", 0.1) is not None:
            raise TimeoutError(f"simulated: no answer to {what}")

    def _under_way(self, where: str) -> None:
        lane = self._world.current
        if lane is not None and lane.process is not None:
            if self._chance.fault(f"{lane.process.name} is killed {where}", 0.01) is not None:
                lane.process.dead = True
                raise Killed
            if (shape := self._chance.fault(f"{lane.process.name} is frozen {where}", 0.01)) is not None:
                self._world.pass_time(shape * 25, freeze=True)
        if (shape := self._chance.fault(f"slow {where}", 0.05)) is not None:
            self._world.pass_time(shape * 15)

    # The service

    def _run_under(self, call: JobCall) -> int:
        """Runs work, unless it is known by its key already; its number."""
        known = self._by_key.setdefault(call.idempotency_key, [])
        if known and self.resubmit_is_idempotent:
            return known[0]
        fate = Random(call.idempotency_key)  # noqa: S311 - a simulation
        ends_at = self._world.time + fate.choice((0.0, 1.0, 3.0, 12.0))
        comes_to: Succeeded | Failed
        try:
            comes_to = Succeeded(outcome(fate, call, call.options.get("failing", 0)))
        except JobError as error:
            comes_to = Failed(str(error.code), "simulated", retryable=error.retryable)
        execution = Execution(call.idempotency_key, ends_at, comes_to, self._world.under_way)
        self._executions.append(execution)
        known.append(len(self._executions) - 1)
        self._world.note(self.name, f"runs {call.job_id} {call.item_index} attempt {call.attempt}")
        if self.tells or self.resubmit_is_idempotent:
            runs = [self._executions[number] for number in known]
            self._invariants.ran_remotely(call, [run.under_way for run in runs])
        return known[-1]

    def submit(self, call: JobCall) -> Any:
        """See `RemoteJobType.submit`; what does not answer may have been delivered, later, or twice."""
        self._before("submit")
        if not self.tells or self.resubmit_is_idempotent:
            self._deliver_badly(call)
        number = self._run_under(call)
        self._after("submit")
        return number

    def _deliver_badly(self, call: JobCall) -> None:
        """Only where nobody relies on what was never delivered: else it would be a lie that it never ran."""
        if (shape := self._chance.fault("submit is delivered twice", 0.1)) is not None:
            self._world.after(shape * 20, self._lane, lambda: self._deliver_again(call))
        if (shape := self._chance.fault("submit is delivered late", 0.1)) is not None:
            self._world.after(shape * 20, self._lane, lambda: self._deliver_again(call))
            raise TimeoutError("simulated: no answer to submit")

    def _deliver_again(self, call: JobCall) -> None:
        self._run_under(call)

    def poll(self, handles: Sequence[Any]) -> list[Answer]:
        """See `RemoteJobType.poll`."""
        self._before("poll")
        answers = [self._answer(handle) for handle in handles]
        self._after("poll")
        return answers

    def _answer(self, handle: int) -> Answer:
        execution = self._executions[handle]
        if not self.tells and self._chance.fault(f"{self.name} has forgotten {handle}", 0.02) is not None:
            return CannotTell()
        if execution.is_stopped:
            return Failed("Stopped", "simulated: it was stopped", retryable=False)
        if self._world.time < execution.ends_at:
            return Running()
        if isinstance(execution.comes_to, Succeeded):
            self._invariants.ledger.note(execution.key, execution.comes_to.output)
        return execution.comes_to

    def cancel(self, handle: Any) -> None:
        """See `RemoteJobType.cancel`."""
        self._before("cancel")
        execution = self._executions[handle]
        if self._world.time < execution.ends_at:
            execution.is_stopped = True
        self._after("cancel")

    def find(self, call: JobCall) -> Found | NeverRan | CannotTell:
        """See `RemoteJobType.find`."""
        self._before("find")
        known = self._by_key.get(call.idempotency_key)
        found: Found | NeverRan | CannotTell
        if self.tells:
            found = Found(known[0]) if known else NeverRan()
        elif known and self._chance.random.random() < 0.5:
            found = Found(known[0])
        else:
            found = CannotTell()
        self._after("find")
        return found


class Named(SimulatedService):
    """Knows work by its key, and runs each key once: as Step Functions does, and ECS."""

    name: ClassVar[str] = "named"
    resubmit_is_idempotent: ClassVar[bool] = True


class Listed(SimulatedService):
    """Runs whatever it is told to, and tells what it was told: as Glue does, and Batch."""

    name: ClassVar[str] = "listed"


class Deaf(SimulatedService):
    """Runs each key once, and can't be asked for it."""

    name: ClassVar[str] = "deaf"
    resubmit_is_idempotent: ClassVar[bool] = True
    tells: ClassVar[bool] = False


class Forgetful(SimulatedService):
    """Runs whatever it is told to, and forgets what that was: nobody can promise more than at least once."""

    name: ClassVar[str] = "forgetful"
    tells: ClassVar[bool] = False


SERVICES: tuple[type[SimulatedService], ...] = (Named, Listed, Deaf, Forgetful)
