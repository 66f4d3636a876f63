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
    """The service has the work that was looked for, running or ended.

    Such as::

        runs = {"token-1": "run-7"}  # What the service has.
        print(bunsui.Found(runs["token-1"]))  # Found(handle='run-7')
    """

    #: As `RemoteJobType.submit` returns it.
    handle: Any


@frozen
class NeverRan:
    """The service never had the work: it may be submitted.

    It may also be submitted where the service does not show it and may have it all the same, but is certain
    to take it for the same work, by its key: then it is not certain that it never ran.

    Such as::

        runs = {"token-1": "run-7"}  # What the service has, which forgets nothing.
        run = runs.get("token-2")
        print(bunsui.NeverRan() if run is None else bunsui.Found(run))  # NeverRan(is_certain=True)
    """

    #: False: it may run, and is only not shown (yet). Whoever is to stop it looks for it again.
    is_certain: bool = True


@frozen
class CannotTell:
    """The service does not know (any more) whether it had the work, or what came of it.

    Such as::

        days = 9  # Since it was submitted; the service forgets after a week.
        print(bunsui.CannotTell() if days > 7 else bunsui.NeverRan())  # CannotTell()
    """


@frozen
class Running:
    """The work has not ended.

    Such as::

        state = "QUEUED"
        print(bunsui.Running() if state in ("QUEUED", "RUNNING") else bunsui.Succeeded())  # Running()
    """


@frozen
class Succeeded:
    """The work ended well.

    Such as::

        print(bunsui.Succeeded({"rows": 3}).output)  # {'rows': 3}
    """

    #: What it returned; JSON-able.
    output: Any = None


@frozen
class Failed:
    """The work ended badly.

    Such as::

        print(bunsui.Failed("Query.Syntax", "line 1: FORM", retryable=False).code)  # Query.Syntax
    """

    #: A stable name that ``retry: {on: [...]}`` matches; ``JobError`` where it is empty.
    code: str
    #: What happened, for a person.
    message: str
    #: Whether another attempt can help.
    retryable: bool = field(default=True, kw_only=True)


class RemoteJobType(JobType):
    """A kind of job that a remote service runs. Subclass it, and register an instance as any job type.

    Every method may block: it is called in a thread. What it raises:

    * a `JobError` is the service's answer: the call had no effect, and the attempt fails with it (of
      `submit`) or the call is made again later (of the others, where it is retryable);
    * an `OSError` (a lost connection, a timeout) leaves open whether the call had an effect: after `submit`,
      `find` is asked; the others are called again later;
    * an `AwsError` is, by its `kind`, the service's answer (``refused``), leaves it open (``open``), or says
      that there was no effect (``busy``): then the call is made again later, `submit` under the same key.
      Where there are no ``credentials``, the session pauses, and whoever resumes it goes on;
    * anything else is a fault of the type, and fails the attempt.

    Such as::

        class Query(bunsui.RemoteJobType):
            name = "query"
            schema = {"type": "object", "properties": {"sql": {"type": "string"}}, "required": ["sql"]}
            poll_interval = 5.0

            def __init__(self, client):
                self.client = client

            def submit(self, call):
                return self.client.begin(call.options["sql"], token=call.idempotency_key)

            def poll(self, handles):
                states = self.client.states(handles)
                return [bunsui.Succeeded(state.rows) if state.ended else bunsui.Running() for state in states]

            def cancel(self, handle):
                self.client.stop(handle)

            def find(self, call):
                handle = self.client.with_token(call.idempotency_key)
                return bunsui.NeverRan() if handle is None else bunsui.Found(handle)
    """

    #: Whether submitting the same call twice, with its idempotency key, starts the work only once.
    resubmit_is_idempotent: ClassVar[bool] = False
    #: Seconds between two calls of `poll`.
    poll_interval: ClassVar[float] = 1.0
    #: Seconds after which a call of `poll` counts as hanging: each of its handles is then polled by itself,
    #: in other threads, so that one that hangs holds up no other.
    poll_patience: ClassVar[float] = 30.0
    #: Handles in one call of `poll`, at most: as many as the service takes in one request.
    poll_batch: ClassVar[int] = 100
    #: The most seconds between two calls of `poll`. Where it is set, the pace adapts: the seconds grow by
    #: half with each call after which nothing has ended, from `poll_interval` on, and are `poll_interval`
    #: again once something ended or more is watched; each time up to 20% more or less, so that many runners
    #: don't poll in step. None: always `poll_interval`.
    poll_interval_max: ClassVar[float | None] = None
    #: As of any job type, but that work at a service may go on without its runner: somebody is asked.
    on_lost: ClassVar[OnLost] = "unknown"
    #: Whether its work may leave its output at `Objects.output_url`: then the runner has to be allowed to
    #: find out that it has left none.
    leaves_output: ClassVar[bool] = False

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

    def poll_group(self, handle: Any) -> str:
        """What the work is polled together with: one call of `poll` has handles of one group only.

        Each group has its own pace: what one region does not answer holds up no other. Called on the thread
        that drives all sessions: it reads the handle, and asks nobody.

        Such as::

            def poll_group(self, handle):
                return f"{handle['account']} {handle['region']}"
        """
        del handle
        return ""

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
