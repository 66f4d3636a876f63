"""Job types whose work runs at a remote service, which this process only submits, watches and stops."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import field, frozen

from bunsui.errors import JobError
from bunsui.ports.job_type import JobCall, JobType, OnLost

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CannotTell", "Failed", "Found", "NeverRan", "RemoteJobType", "Running", "Succeeded"]


@frozen
class Found:
    """The service has the work that was looked for, running or ended."""

    #: As `RemoteJobType.submit` returns it.
    handle: Any


@frozen
class NeverRan:
    """The service is certain that it never had the work: it may be submitted."""


@frozen
class CannotTell:
    """The service does not know (any more) whether it had the work, or what came of it."""


@frozen
class Running:
    """The work has not ended."""


@frozen
class Succeeded:
    """The work ended well."""

    #: What it returned; JSON-able.
    output: Any = None


@frozen
class Failed:
    """The work ended badly."""

    #: A stable name that ``retry: {on: [...]}`` matches; ``JobError`` where it is empty.
    code: str
    message: str
    #: Whether another attempt can help.
    retryable: bool = field(default=True, kw_only=True)


class RemoteJobType(JobType):
    """A kind of job that a remote service runs. Subclass it, and register an instance as any job type.

    Every method may block: it is called in a thread. What it raises:

    * a `JobError` is the service's answer: the call had no effect, and the attempt fails with it (of
      `submit`) or the call is made again later (of the others, where it is retryable);
    * an `OSError` (a lost connection, a timeout) or an `AwsError` leaves open whether the call had an
      effect: after `submit`, `find` is asked; the others are called again later;
    * anything else is a fault of the type, and fails the attempt.
    """

    #: Whether submitting the same call twice, with its idempotency key, starts the work only once.
    resubmit_is_idempotent: ClassVar[bool] = False
    #: Seconds between two calls of `poll`.
    poll_interval: ClassVar[float] = 1.0
    #: Seconds after which a call of `poll` counts as hanging: each of its handles is then polled by itself,
    #: in other threads, so that one that hangs holds up no other.
    poll_patience: ClassVar[float] = 30.0
    on_lost: ClassVar[OnLost] = "unknown"

    @abstractmethod
    def submit(self, call: JobCall) -> Any:
        """Has the service begin the work, under ``call.idempotency_key``.

        Returns:
            A handle: a JSON value, not None and of at most 32 KiB, by which any other process finds the work
            again. It is put into the session's history.
        """

    @abstractmethod
    def poll(self, handles: Sequence[Any]) -> Sequence[Running | Succeeded | Failed | CannotTell]:
        """What became of pieces of work, in the order of their handles; the answer has one for each."""

    @abstractmethod
    def cancel(self, handle: Any) -> None:
        """Has the service stop the work; it may have ended. Whether it did is asked with `poll`."""

    @abstractmethod
    def find(self, call: JobCall) -> Found | NeverRan | CannotTell:
        """Looks for work that was, or was to be, submitted under ``call.idempotency_key``."""

    def run(self, call: JobCall) -> Any:
        """Not for remote work: a runner submits it and does not wait in a thread."""
        del call
        raise JobError(f"'{self.name}' jobs are submitted, not run", code="NotSupported", retryable=False)
