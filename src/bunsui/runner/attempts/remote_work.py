"""An attempt whose work runs at a remote service: the calls to it, each in a thread of the pool."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.engine.reasons import too_late
from bunsui.errors import AwsError, JobCancelled, JobError, JobTimeout, PermissionDenied, SecretInOutput
from bunsui.local.results import encode, failure
from bunsui.model.artifact import owner
from bunsui.model.json import NULL, Json, copied
from bunsui.model.session import Failure
from bunsui.ports.remote import CannotTell, Failed, Found, NeverRan, RemoteJobType, Running, Succeeded
from bunsui.runner.attempts.event_loop import drop
from bunsui.runner.attempts.work import Work

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall


#: The code of a failure that is the job type's, not the work's.
PLUGIN_ERROR = "PluginError"
#: Bytes of the JSON of a handle: all of it is in the history, and in memory.
MAX_HANDLE = 32 * 1024
#: What stands in place of a text that may hold secrets which nobody here knows.
HIDDEN = "it may show secrets, which could not be looked up"


class Kind(Enum):
    """What a call to a service came to."""

    #: It answered.
    DONE = auto()
    #: It refused: the call had no effect.
    REFUSED = auto()
    #: It had no time for the call, or was not reached: there was no effect, but there may be one later.
    BUSY = auto()
    #: There are no credentials for it: there was no effect, nor will there be before somebody gives them.
    CREDENTIALS = auto()
    #: It did not answer: whether the call had an effect is open.
    OPEN = auto()
    #: The job type failed in a way that says nothing.
    FAULT = auto()


@frozen
class Told:
    """The answer of a service to one call."""

    kind: Kind
    value: Any = None
    failure: Failure | None = None

    @property
    def is_passing(self) -> bool:
        """Whether the same call may be answered later."""
        refused = self.kind is Kind.REFUSED and self.failure is not None and self.failure.retryable
        return self.kind in (Kind.OPEN, Kind.BUSY, Kind.CREDENTIALS) or refused

    @property
    def message(self) -> str:
        """The same as `text`, for a person who is to mend it."""
        return "" if self.failure is None else self.failure.message

    @property
    def text(self) -> str:
        """Why there is no value."""
        if self.failure is None:
            return ""
        if self.failure.code == PLUGIN_ERROR:
            return self.failure.message
        return f"{self.failure.code}: {self.failure.message}"


@frozen
class Ended:
    """The work has ended, with an output or a failure."""

    output: Json | None = None
    failure: Failure | None = None


@frozen
class Junk:
    """What a job type said of its work is no answer."""

    #: What it said instead.
    text: str


def ask(call: Callable[[], Any], redact: Callable[[str], str] | None = None) -> Told:
    """Calls a job type; never raises."""
    try:
        return Told(Kind.DONE, call())
    except BaseException as error:  # The border: a plugin's code may raise anything.
        return Told(_kind_of(error), failure=failure(error, redact))


#: What is known of a call to AWS, by `AwsError.kind`.
_KINDS_OF_AWS = {
    "refused": Kind.REFUSED,
    "busy": Kind.BUSY,
    "credentials": Kind.CREDENTIALS,
}


def _kind_of(error: BaseException) -> Kind:
    # By their types, and of no class of somebody's what that says itself: it may say anything.
    if type(error) is AwsError:
        return _KINDS_OF_AWS.get(error.kind, Kind.OPEN)
    if type(error) is PermissionDenied or issubclass(type(error), JobError):
        return Kind.REFUSED
    return Kind.OPEN if issubclass(type(error), OSError | AwsError) else Kind.FAULT


class RemoteWork(Work):
    """An attempt at a remote service. It holds a place, and a thread only while the service is called."""

    __slots__ = (
        "_made",
        "fault",
        "group",
        "handle",
        "has_stalled",
        "is_absent",
        "may_be_there",
        "recovered",
        "stopping",
        "tries",
        "unasked",
        "why",
    )

    job_type: RemoteJobType

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        #: What the service knows it by; None until it was submitted.
        self.handle: Json | None = None
        #: What it is polled together with; None: it is not polled.
        self.group: str | None = None
        #: Whether another runner had started it.
        self.recovered = False
        #: What it fails with once it has been stopped; None: nobody wants it stopped.
        self.stopping: Failure | None = None
        #: What the type failed with when it was submitted, where it is not known whether that had an effect.
        self.fault: Failure | None = None
        #: Whether it waits to be submitted again, and the service has none of it.
        self.is_absent = False
        #: Whether the service may have it all the same, and takes its key twice.
        self.may_be_there = False
        #: Whether it was recorded that it can't be followed.
        self.has_stalled = False
        #: Why the service could not be asked to stop it; None: it was, or nobody has tried.
        self.unasked: str | None = None
        #: Calls that the service did not answer, one after the other.
        self.tries = 0
        #: What the last call that was not answered failed with.
        self.why = ""
        self._made: JobCall | None = None

    def redact(self, text: str) -> str:
        """A text about the work without the values of its secrets, as far as they have been looked up.

        Of work that is watched and whose secrets could not be, nothing is shown.
        """
        if self.redactor is not None:
            return self.redactor.redact(text)
        return HIDDEN if self._is_in_the_dark else text

    @property
    def is_watched(self) -> bool:
        """Whether it is polled: then its end needs nothing of this process."""
        return self.group is not None

    @property
    def _is_in_the_dark(self) -> bool:
        """Whether the service may show secrets that nobody here knows."""
        return bool(self.secrets) and self.is_watched and self.redactor is None

    def look_up_secrets(self) -> None:
        """Finds out what the work was given by another runner, and must not show."""
        self._asking()

    def submit(self) -> Json:
        """Has the service begin the work; its handle."""
        # A session that was let go of while this waited for a thread may be another runner's by now.
        self._check_submit()
        if self.caching is not None:
            found = self.caching.find(self.cache_key, self.live.id, owner(self.job.id, self.item_index))
            if found is not None:
                self.output, self.cached_from = found.output, found.session
                return NULL
        asking = self._asking()
        self._check_submit()  # The sources of secrets may have taken their time.
        answer = self._answer("submit", self.job_type.submit(asking))
        return self._as_handle(answer, "submit() of job type '{}' returned")

    def _check_submit(self) -> None:
        """Raises where it must not be submitted any more."""
        if self.cancelled.is_set() or self.interrupted:
            raise JobCancelled("the attempt was stopped before it was submitted")
        if self.deadline is not None and self._host.clock.monotonic() >= self.deadline:
            raise JobTimeout(too_late(self.timeout, "was submitted"))

    def remember(self) -> None:
        """Leaves its output for equal jobs; in a thread."""
        if self.caching is not None and self.job.cache is not None and self.output is not None:
            self.caching.remember(self.cache_key, self.output, self.live.id, self.job.cache.ttl)

    def find(self) -> Any:
        """Asks the service for work under this attempt's key; see `RemoteJobType.find`.

        The handle of what it found is JSON.
        """
        answer = self._answer("find", self.job_type.find(self._asking()))
        if isinstance(answer, Found):
            return Found(self._as_handle(answer.handle, "find() of job type '{}' found"))
        if isinstance(answer, NeverRan):
            return NeverRan(is_certain=bool(answer.is_certain))
        if isinstance(answer, CannotTell):
            return CannotTell()
        raise TypeError(f"find() of job type '{self.job_type.name}' returned {type(answer).__name__}")

    def stop(self) -> None:
        """Asks the service to stop the work."""
        assert self.handle is not None  # noqa: S101 - only what has a handle is stopped
        self._answer("cancel", self.job_type.cancel(self.handle.value))

    def _answer(self, method: str, answer: Any) -> Any:
        """What a method gave, where that is no awaitable: nobody awaits it."""
        return refuse_awaitable(answer, f"{method}() of job type '{self.job_type.name}'")

    def _as_handle(self, value: Any, came_from: str) -> Json:
        came_from = came_from.format(self.job_type.name)
        if value is None:
            raise TypeError(f"{came_from} None, not a handle")
        try:
            handle = self._safe(encode(value, f"the handle that {came_from}"))
        except JobError as error:  # Not the service's answer: the work may be there.
            raise TypeError(error.message) from None
        if handle.size > MAX_HANDLE:
            text = f"the handle that {came_from} has {handle.size:,} bytes; at most {MAX_HANDLE:,} are kept"
            raise ValueError(text)
        return handle

    def _asking(self) -> JobCall:
        if self._made is None:
            if self.secrets:
                self._reveal()
            self._made = self._call()
        made = self._made
        # What a method does to its call reaches no other one: the work may be submitted again under its key.
        return evolve(
            made,
            parameters=copied(made.parameters),
            options=copied(made.options),
            item=copied(made.item),
            environment=dict(made.environment),
        )

    def read(self, outcome: Any) -> Running | CannotTell | Ended | Junk:
        """What the service said has become of the work, in values of our own; never raises.

        It may take its time, and call code of the type: in a thread.
        """
        try:
            if isinstance(outcome, Running):
                return Running()
            if isinstance(outcome, CannotTell):
                return CannotTell()
            if isinstance(outcome, Succeeded):
                return self._read_output(outcome.output)
            if isinstance(outcome, Failed):
                error = JobError(outcome.message, code=outcome.code, retryable=outcome.retryable)
                return Ended(failure=failure(error, self.redact))
            return Junk(f"poll() gave {type(outcome).__name__}")
        except BaseException as error:  # The border: what the type gave may raise anything.
            return Junk(f"what poll() gave can't be read: {self.redact(type(error).__name__)}")

    def _read_output(self, output: Any) -> Ended:
        try:
            if self._is_in_the_dark:
                raise SecretInOutput(f"the job's output is not kept: {HIDDEN}")
            return Ended(self._safe(encode(output)))
        except JobError as error:
            return Ended(failure=failure(error, self.redact))


def refuse_awaitable(answer: Any, whose: str) -> Any:
    """What a method of a remote job type gave; TypeError where it is async: nobody awaits it."""
    if hasattr(answer, "__await__"):
        drop(answer)
        raise TypeError(f"{whose} gave {type(answer).__name__}: it must not be async, it has a thread")
    return answer
