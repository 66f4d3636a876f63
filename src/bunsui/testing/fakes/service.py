"""A service at the other end of a network, in memory, and the job type whose work it does."""

from __future__ import annotations

import itertools
import queue
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, field

from bunsui.errors import JobError
from bunsui.model.text import text_of
from bunsui.ports.hooks import hookimpl
from bunsui.ports.remote import CannotTell, Failed, Found, NeverRan, RemoteJobType, Running, Succeeded
from bunsui.testing.fakes.escaped import Escaped
from bunsui.testing.fakes.failing import Failing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bunsui.ports.job_type import JobCall

#: The calls to a service that can fail.
METHODS = ("submit", "poll", "cancel", "find")
#: What a stopped piece of work has failed with.
STOPPED = "Stopped"


@define(eq=False)
class FakeWork:
    """A piece of work that a `FakeService` has, which goes on until it is told how it ends.

    Such as::

        from bunsui.testing import FakeService

        service = FakeService()
        with bunsui.Runner("memory://", plugins=[service]) as runner:
            text = "{version: '1.0', name: p, jobs: [{id: a, type: fake}]}"
            session = runner.start(bunsui.Pipeline.parse(text, plugins=runner.plugins))
            work = service.begun()
            work.finish({"rows": 3})
            work.fail("Throttled")  # It has ended: neither this
            work.stop()  # nor that changes anything.
            print(session.wait(), session.outputs["a"])  # succeeded {'rows': 3}
    """

    #: What it was begun under: the idempotency key of an attempt.
    token: str
    #: What the service calls it.
    handle: str
    #: What it was begun with; it may hold secrets, so it is not shown.
    call: JobCall = field(repr=False)
    #: What has become of it.
    outcome: Running | Succeeded | Failed = field(factory=Running)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return isinstance(self.outcome, Running)

    def finish(self, output: Any = None) -> None:
        """Ends it well, unless it has ended."""
        self._end(Succeeded(output))

    def fail(self, code: str, message: str = "it failed", *, retryable: bool = True) -> None:
        """Ends it badly, unless it has ended."""
        self._end(Failed(code, message, retryable=retryable))

    def stop(self) -> None:
        """Stops it, as somebody does at the service, unless it has ended."""
        self._end(Failed(STOPPED, "it was stopped", retryable=False))

    def _end(self, outcome: Succeeded | Failed) -> None:
        if self.is_running:
            self.outcome = outcome


class FakeService:
    """A remote service in memory. It is a plugin: ``Runner(plugins=[service])`` knows its job type.

    Work begins when it is submitted, once for each token, and ends when somebody says so: the test, by
    what `begun` gives; the definition, by the fields ``output`` and ``error`` of the job; or `answer`.

    Such as::

        from bunsui.testing import FakeService, run_pipeline

        service = FakeService(lambda call: call.parameters["day"])
        service.fail_next(method="submit", after=True)  # The work begins, and the answer is lost.
        text = "{version: '1.0', name: p, jobs: [{id: a, type: fake, parameters: {day: monday}}]}"
        pipeline = bunsui.Pipeline.parse(text, plugins=bunsui.Plugins([service]))
        run = run_pipeline(pipeline, plugins=[service])
        print(run.outputs, len(service.works), service.calls["find"])  # {'a': 'monday'} 1 1

    Args:
        answer: is given the `bunsui.JobCall` of work that begins, and returns its output or raises what it
            fails with: a JobError has a code of its own, anything else counts by its name, and is not
            retried. None: such work goes on until the test ends it.
    """

    def __init__(self, answer: Callable[[JobCall], Any] | None = None) -> None:
        self._answer = answer
        self._by_token: dict[str, FakeWork] = {}
        self._by_handle: dict[str, FakeWork] = {}
        self._forgotten: set[str] = set()
        self._failing = Failing("a service", METHODS)
        self._begun: queue.SimpleQueue[FakeWork] = queue.SimpleQueue()
        self._kinds: list[RemoteJobType] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        #: What `answer` has raised that is about the test; `run_pipeline` raises it.
        self.escaped = Escaped()
        #: How often each token was submitted: more than once where an answer was lost.
        self.submissions: Counter[str] = Counter()

    @property
    def calls(self) -> Counter[str]:
        """How many times each of ``submit``, ``poll``, ``cancel`` and ``find`` was called."""
        return self._failing.calls

    @property
    def works(self) -> tuple[FakeWork, ...]:
        """All that it has, in the order in which it began."""
        with self._lock:
            return tuple(self._by_handle.values())

    def begun(self, timeout: float = 10.0) -> FakeWork:
        """The next work that begins: each is given once.

        Args:
            timeout: real seconds to wait for it.

        Raises:
            TimeoutError: none did.
        """
        try:
            return self._begun.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no work has begun at the service within {timeout:g} seconds") from None

    def forget(self, token: str | None = None) -> None:
        """Has it lose all trace of the work of a token, or (None) of all: it can't tell what became of it.

        Such as::

            from bunsui.testing import FakeService

            service = FakeService()
            with bunsui.Runner("memory://", plugins=[service]) as runner:
                text = "{version: '1.0', name: p, jobs: [{id: a, type: fake}]}"
                session = runner.start(bunsui.Pipeline.parse(text, plugins=runner.plugins))
                service.forget(service.begun().token)
                print(session.wait(), session.paused_reason)  # paused unknown-job
        """
        with self._lock:
            for known in [token] if token is not None else [*self._by_token]:
                self._forgotten.add(known)
                work = self._by_token.pop(known, None)
                if work is not None:
                    del self._by_handle[work.handle]

    def fail_next(
        self,
        times: int = 1,
        *,
        method: str | None = None,
        after: bool = False,
        error: BaseException | None = None,
    ) -> None:
        """Has the next calls fail. What was told before comes first.

        Args:
            times: how many; at least 1.
            method: of which kind: ``submit``, ``poll``, ``cancel`` or ``find``; None: of any.
            after: whether they fail after their effect, so that only the answer is lost.
            error: what they fail with; None: a ConnectionError, or (`after`) a TimeoutError, which leaves
                open whether there was an effect. A JobError is the service's refusal; with an AwsError whose
                `kind` is ``credentials``, the session pauses.

        Raises:
            ConfigError: there is no such method, or `times` is less than 1.
        """
        if error is None:
            error = TimeoutError("no answer") if after else ConnectionError("no way to the service")
        self._failing.tell(times, method, error, after=after)

    def job_type(
        self, name: str = "fake", *, resubmit_is_idempotent: bool = True, poll_interval: float = 0.02
    ) -> RemoteJobType:
        """A job type whose work is done here; the plugin brings it from now on.

        Such as::

            from bunsui.testing import FakeService

            service = FakeService()
            service.job_type("query", resubmit_is_idempotent=False)
            print([kind.name for kind in service.bunsui_job_types()])  # ['query']

        Args:
            name: what a definition's ``type:`` says.
            resubmit_is_idempotent: what the type promises; this service keeps it in any case.
            poll_interval: seconds between two looks at what became of work.
        """
        said = {
            "name": name,
            "resubmit_is_idempotent": resubmit_is_idempotent,
            "poll_interval": poll_interval,
        }
        made: RemoteJobType = type("FakeJobType", (FakeJobType,), said)(self)
        self._kinds.append(made)
        return made

    @hookimpl
    def bunsui_job_types(self) -> list[RemoteJobType]:
        """The job types that were made; one called ``fake``, where none was."""
        if not self._kinds:
            self.job_type()
        return list(self._kinds)

    # What its job type asks

    def submit(self, call: JobCall) -> str:
        """Begins work under a token, or finds what was begun under it; its handle."""
        with self._failing.call("submit"):
            token = call.idempotency_key
            with self._lock:
                self.submissions[token] += 1
                work = self._by_token.get(token)
                if work is not None:
                    return work.handle
                self._forgotten.discard(token)
                work = FakeWork(token, f"work-{next(self._numbers)}", call)
                self._by_token[token] = self._by_handle[work.handle] = work
            # The answer may use the service, too.
            self._end_at_once(work)
            self._begun.put(work)
            return work.handle

    def _end_at_once(self, work: FakeWork) -> None:
        options = work.call.options
        if "error" in options:
            work.fail(options["error"], "the definition says so", retryable=False)
        elif "output" in options:
            work.finish(options["output"])
        elif self._answer is not None:
            try:
                work.finish(self._answer(work.call))
            except JobError as error:
                work.fail(str(error.code), error.message, retryable=error.retryable)
            except BaseException as error:  # The test's own code.
                self.escaped.notice(error)
                work.fail(type(error).__name__, text_of(error), retryable=False)

    def poll(self, handles: Sequence[str]) -> list[Running | Succeeded | Failed | CannotTell]:
        """What became of work."""
        with self._failing.call("poll"), self._lock:
            found = [self._by_handle.get(handle) for handle in handles]
            return [CannotTell() if work is None else work.outcome for work in found]

    def cancel(self, handle: str) -> None:
        """Stops work that it has."""
        with self._failing.call("cancel"), self._lock:
            if (work := self._by_handle.get(handle)) is not None:
                work.stop()

    def find(self, token: str) -> Found | NeverRan | CannotTell:
        """Looks for work by its token.

        Such as::

            from bunsui.testing import FakeService

            service = FakeService()
            with bunsui.Runner("memory://", plugins=[service]) as runner:
                text = "{version: '1.0', name: p, jobs: [{id: a, type: fake}]}"
                session = runner.start(bunsui.Pipeline.parse(text, plugins=runner.plugins))
                work = service.begun()
                print(service.find(work.token), service.submit(work.call))  # Found(handle='work-1') work-1
                service.cancel(work.handle)
                print(service.poll([work.handle])[0].code)  # Stopped
                session.wait()
        """
        with self._failing.call("find"), self._lock:
            if token in self._forgotten:
                return CannotTell()
            work = self._by_token.get(token)
            return NeverRan() if work is None else Found(work.handle)


class FakeJobType(RemoteJobType):
    """Has a `FakeService` do the work."""

    schema: ClassVar[Mapping[str, Any]] = {
        "title": "Fake job",
        "description": "Work at a service in memory, which ends when a test says so.",
        "type": "object",
        "properties": {
            "output": {"description": "What the work returns, at once."},
            "error": {
                "description": "The code that the work fails with, at once.",
                "type": "string",
                "minLength": 1,
            },
        },
    }

    def __init__(self, service: FakeService) -> None:
        #: What has its work.
        self.service = service

    def submit(self, call: JobCall) -> Any:
        """See `RemoteJobType.submit`."""
        return self.service.submit(call)

    def poll(self, handles: Sequence[Any]) -> Sequence[Running | Succeeded | Failed | CannotTell]:
        """See `RemoteJobType.poll`."""
        return self.service.poll(handles)

    def cancel(self, handle: Any) -> None:
        """See `RemoteJobType.cancel`."""
        self.service.cancel(handle)

    def find(self, call: JobCall) -> Found | NeverRan | CannotTell:
        """See `RemoteJobType.find`."""
        return self.service.find(call.idempotency_key)
