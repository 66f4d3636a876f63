"""One attempt: what a job type is given, and the border at which its exceptions stop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.errors import BunsuiError, JobCancelled, SecretInOutput, StateError
from bunsui.expressions.resolution import reveal
from bunsui.local.callables import invoke
from bunsui.local.log_records import of_failure
from bunsui.local.results import encode, failure
from bunsui.model.artifact import owner
from bunsui.model.job import LOCAL_PREFIX
from bunsui.model.json import Json
from bunsui.ports.job_type import Command, Function, JobCall, JobType, current
from bunsui.runner.attempts.calls import call_of
from bunsui.runner.attempts.event_loop import drop
from bunsui.runner.attempts.idempotency import idempotency_key
from bunsui.runner.attempts.keeping import NoOutput, Unkept
from bunsui.runner.attempts.logs import logger
from bunsui.runner.attempts.missing import is_in_doubt, is_missing
from bunsui.runner.attempts.secrets import patiently
from bunsui.runner.attempts.stoppable import Stoppable

if TYPE_CHECKING:
    import logging
    from datetime import datetime

    from bunsui.engine.units import Unit
    from bunsui.errors import StoreError
    from bunsui.local.bindings import Bound
    from bunsui.local.redaction import Redactor
    from bunsui.logging.attempt import AttemptLog
    from bunsui.model.pipeline import Job
    from bunsui.model.session import Failure
    from bunsui.monitoring.spans import Carried
    from bunsui.runner.attempts.caching import Caching
    from bunsui.runner.attempts.host import Host
    from bunsui.runner.driving.live import Live


_making = threading.Lock()


class Work(Stoppable):
    """An attempt on its way through a thread of the pool, and the event loop; the `Workbench` of its call."""

    __slots__ = (
        "__weakref__",
        "_log",
        "_logger",
        "_values",
        "abandoned",
        "attempt",
        "bound",
        "cache_key",
        "cached_from",
        "caching",
        "carried",
        "failure",
        "finished_at",
        "goes_on",
        "has_ended",
        "in_doubt",
        "interrupted",
        "item",
        "item_index",
        "job",
        "job_type",
        "key",
        "live",
        "missing",
        "options",
        "output",
        "parameters",
        "redactor",
        "report",
        "secret_options",
        "secrets",
        "started_at",
        "unkept",
    )

    def __init__(
        self,
        live: Live,
        job: Job,
        attempt: int,
        job_type: JobType,
        bound: Bound | None,
        parameters: Mapping[str, Any],
        options: Mapping[str, Any],
        host: Host,
        item_index: int | None = None,
        item: Any = None,
    ) -> None:
        super().__init__(host)
        self.live = live
        self.job = job
        self.attempt = attempt
        self.job_type = job_type
        self.bound = bound
        self.parameters = parameters
        self.options = options
        self.item_index = item_index
        self.item = item
        self.key = idempotency_key(live.id, job.id, attempt, item_index)
        #: The names of the secrets that its input and options hold, which are put in when it begins.
        self.secrets: tuple[str, ...] = ()
        #: Whether any of them is in the options, which are validated after that.
        self.secret_options = False
        self.output: Json | None = None
        self.failure: Failure | None = None
        #: What it could not begin without, for a person, who has to give it; None: nothing.
        self.missing: str | None = None
        #: Why its output can't be kept: the session is set aside by that.
        self.unkept: StoreError | None = None
        #: By the history; None: not yet.
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        #: Whether it was reported as timed out while its code goes on.
        self.abandoned = False
        #: Whether its thread has come back.
        self.has_ended = False
        #: Whether it failed in a way that leaves open whether its work was done.
        self.in_doubt = False
        #: What of it goes on somewhere, so that no other attempt may follow; None: nothing.
        self.goes_on: str | None = None
        #: Whether the runner stopped it because the runner itself ends: then it counts as lost.
        self.interrupted = False
        #: Where it reports its end; set when it is submitted.
        self.report: Callable[[Work], None] = _unreported
        #: Where outputs of equal jobs are found; None: it runs each time.
        self.caching: Caching | None = None
        self.cache_key = ""
        #: The session whose output this is; None: its own.
        self.cached_from: str | None = None
        #: The trace that it belongs to; None: none.
        self.carried: Carried | None = None
        #: Made when something is written to it.
        self._log: AttemptLog | None = None
        self._logger: logging.LoggerAdapter[Any] | None = None
        #: Knows the values of the secrets (None where there are none), which follow.
        self.redactor: Redactor | None = None
        self._values: tuple[str, ...] = ()

    @property
    def unit(self) -> Unit:
        """What the attempt belongs to: its job, or an item of it."""
        return self.job.id if self.item_index is None else (self.job.id, self.item_index)

    # The thread's side

    def __call__(self) -> None:
        """Does the work and reports, from here or later from the event loop; never raises."""
        try:
            if self._call_code():
                return
        except BaseException as error:  # The border: a job's code may raise anything.
            self._take_error(error)
        if self._host.keeping.is_due(self.output):
            self.keep()
        self._end()

    def keep(self) -> None:
        """Makes an artifact of the output, or notes why that can't be done; in a thread that may wait."""
        assert self.output is not None  # noqa: S101 - it is due
        # Its code has ended: whoever wants it stopped has to wait only while the disk can't be written.
        self._endable, self._end_by = True, None
        try:
            whose = owner(self.job.id, self.item_index)
            self.output = self._host.keeping.keep(self.live.id, self.output, whose, self.cancelled)
        except Unkept as error:
            self.output = None
            if self.cancelled.is_set():
                self.failure = failure(JobCancelled("the attempt was stopped before its output was kept"))
            else:
                self.unkept = error
        except BaseException as error:  # The border: a fault of ours must not take the thread.
            self.output = None
            self._take_error(error)

    def keep_and_report(self) -> None:
        """The same for an attempt that has ended where nobody may wait; it then reports again."""
        self.keep()
        self.report(self)

    def _call_code(self) -> bool:
        """Calls the job's code; whether that is async, goes on in the event loop, and reports from there."""
        self._endable = False
        # After that line: a timeout before it is left to these checks, one after it to the driver.
        self._check_begin()
        if self.caching is not None:
            self._look_or_run(self.caching)
            return False
        return self._run_code()

    def _look_or_run(self, caching: Caching) -> None:
        """Takes the output of an equal attempt, also of one that runs, or runs and leaves its own there."""
        self._endable = True  # While it waits it looks whether it is to stop.
        policy = self.job.cache
        assert policy is not None  # noqa: S101 - what has a cache was given one
        whose = owner(self.job.id, self.item_index)
        try:
            found = caching.find_or_compute(
                self.cache_key, self.live.id, whose, self._computed, policy.ttl, self._check_begin
            )
        except NoOutput:
            return
        if self.output is None:
            self.output, self.cached_from = found.output, found.session

    def _computed(self) -> Json:
        """What its code returned, waited for and kept."""
        self._endable = False
        self._check_begin()  # Somebody else may have been waited for.
        if self._run_code(wait=True):
            raise BunsuiError(f"job '{self.job.id}' was not waited for")
        if self._host.keeping.is_due(self.output):
            self.keep()
        if self.output is None:
            raise NoOutput
        return self.output

    def _run_code(self, *, wait: bool = False) -> bool:
        """Calls the job's code; whether that goes on in the event loop: not where it is waited for."""
        if self.secrets:
            patiently(self._reveal, self._check_begin, self.cancelled)
            self._check_begin()  # The source may have taken its time.
        call = self._call()
        token = current.set(call)
        traced = None if self.carried is None else self.carried.attach()
        try:
            output = self._code(call)
            if hasattr(output, "__await__"):
                if wait:
                    self._take_output(self._waited_for(output))
                    return False
                self._endable = True
                self._await(output, self._ended)
                return True
            self._take_output(output)
        finally:
            if traced is not None:
                traced()
            current.reset(token)
        return False

    def _code(self, call: JobCall) -> Any:
        """The job's code itself: its output, or an awaitable of it."""
        return self.job_type.run(call) if self.bound is None else self.begin(self.bound, call)

    def _take_output(self, output: Any) -> None:
        self.output = self._safe(output if type(output) is Json else encode(output))

    def _take_error(self, error: BaseException) -> None:
        self.failure = failure(error, None if self.redactor is None else self.redactor.redact)
        self.missing = self.failure.message if is_missing(error) else None
        self.in_doubt = is_in_doubt(error)
        if (found := of_failure(error)) is not None:
            self.log.take(found)

    def _end(self) -> None:
        if self._log is not None:
            self._log.close()
        self.finished_at = self._host.clock.now()
        self.report(self)

    # The event loop's side

    def _ended(self, output: Any, error: BaseException | None) -> None:
        try:
            if error is not None:
                raise error
            self._take_output(output)
        except BaseException as raised:  # The border, for code that is async.
            self._take_error(raised)
        self._end()

    # The thread's side again

    def _call(self) -> JobCall:
        return call_of(self, self._host)

    def _reveal(self) -> None:
        """Puts the values of secrets into input and options, which from now on must not be shown."""
        from bunsui.dsl.options import check_options  # noqa: PLC0415 - jsonschema: 80 ms
        from bunsui.local.redaction import Redactor  # noqa: PLC0415 - where there are secrets

        values = {name: self._host.secret(name, self.live.secrets) for name in self.secrets}
        self._values = tuple(values.values())
        self.redactor = Redactor(self._values)
        self.parameters = reveal(self.parameters, values.__getitem__)
        self.options = reveal(self.options, values.__getitem__)
        if self.secret_options:
            check_options(self.job, self.job_type, self.options, hidden=self.secrets)

    def _safe(self, output: Json) -> Json:
        """The output, unless it holds a secret: then it can't be kept."""
        if self.redactor is not None and self.redactor.found_in(output.text):
            named = ", ".join(self.secrets)
            raise SecretInOutput(f"the job returned the value of a secret (it was given: {named})")
        return output

    def run(self, work: Command | Function, call: JobCall) -> Any:
        """See `Workbench.run`."""
        output = self.begin(work, call)
        if not hasattr(output, "__await__"):
            return output
        if self._host.event_loop.is_here:
            drop(output)
            raise StateError(
                f"job '{self.job.id}' would wait for its event loop in that loop",
                hint="await call.workbench.begin(...) instead of calling run",
            )
        return self._waited_for(output)

    def _waited_for(self, output: Awaitable[Any]) -> Any:
        """What an awaitable comes to in the event loop."""
        ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        with self._ending():
            self._await(output, lambda *outcome: ended.put(outcome))
            result, error = ended.get()
        if error is not None:
            raise error
        return result

    def begin(self, work: Command | Function, call: JobCall) -> Any:
        """See `Workbench.begin`."""
        if isinstance(work, Command):
            with self._ending():
                return self._host.supervisor.run(work, call, self.log, quote_log=self.redactor is None)
        if self._isolation(work) == "process":
            work = evolve(work, isolation="process")
            with self._ending():
                return self._host.supervisor.call(work, call, self._name, self.log, self._values)
        function = self.job.function if work.target == self.job.options.get("callable") else None
        return invoke(function or self._host.find(work), work.style, self._name, call)

    def _isolation(self, work: Function) -> str:
        if work.isolation is not None:
            return work.isolation
        if work.target.startswith(LOCAL_PREFIX):
            return "thread"
        return self.job.isolation or ("thread" if self.job.timeout is None else "process")

    @property
    def _name(self) -> str:
        field = self.job_type.binding_field
        return str(self.options.get(field)) if field is not None else self.job.id

    @property
    def log(self) -> AttemptLog:
        """What this attempt's stdout, stderr and log go to."""
        if self._log is None:
            with _making:
                if self._log is None:
                    self._log = self._host.logs.attempt(
                        self.live.id, self.job.id, self.attempt, self.item_index, self.redactor
                    )
        return self._log

    def is_of(self, host: Host) -> bool:
        """Whether a runner has made it, by what its attempts share."""
        return self._host is host

    @property
    def logger(self) -> logging.LoggerAdapter[Any]:
        """See `Workbench.logger`."""
        if self._logger is None:
            self._logger = logger(self.log, f"bunsui.job.{self.job.id}")
        return self._logger

    # The driver's side

    @property
    def is_async(self) -> bool:
        """Whether its code is known to be async, so that no thread is needed to begin it."""
        if self.secrets or self.caching is not None:  # Looking them up may take its time.
            return False
        try:
            if self.bound is None and iscoroutinefunction(self.job_type.run):
                return True
        except BaseException:  # Foreign code: its thread finds the same, and reports it.
            return False
        given = self.job.function if self.bound is None else getattr(self.bound, "function", None)
        if given is None or not iscoroutinefunction(given):
            return False
        function = self.bound if isinstance(self.bound, Function) else Function(self.options["callable"])
        return self._isolation(function) == "thread"


def _unreported(work: Work) -> None:
    raise BunsuiError(f"job '{work.job.id}' ran without having been submitted")
