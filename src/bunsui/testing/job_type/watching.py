"""A job type around another one, which sees what that is called with and what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from bunsui.model.json import Json
from bunsui.ports.job_type import JobType
from bunsui.ports.remote import RemoteJobType, Running, Succeeded

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from bunsui.ports.job_type import Finding, JobCall

#: Seconds between two polls in a test, at most.
SOON = 0.1
#: What every job type says of itself.
_SAID = ("name", "schema", "binding_field", "binding_style", "open_fields", "on_lost")

#: What every remote one says beside that, and beside its pace: a test does not wait for that.
_SAID_OF_A_SERVICE = ("resubmit_is_idempotent", "poll_patience", "poll_batch", "leaves_output")


@define
class Seen:
    """What a job type was called with, and what came of it, in the order of the calls."""

    calls: list[JobCall] = field(factory=list)
    #: The idempotency keys of what was submitted.
    submitted: list[str] = field(factory=list)
    #: The handles of what was submitted.
    handles: list[Any] = field(factory=list)
    outputs: list[Any] = field(factory=list)
    errors: list[BaseException] = field(factory=list)
    #: What it changed of that which it was given: the names of methods and of what they were given.
    changed: list[str] = field(factory=list)
    begun: threading.Event = field(factory=threading.Event)
    ended: threading.Event = field(factory=threading.Event)


def plain(value: Any) -> Any:
    """A copy of a JSON value, of dicts and lists that can be changed."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return deepcopy(value)


class _Given:
    """A call with an input of its own, which can be told when it was changed."""

    def __init__(self, call: JobCall) -> None:
        self.call = evolve(
            call, parameters=plain(call.parameters), options=plain(call.options), item=plain(call.item)
        )
        self._before = [plain(value) for value in self._values()]

    def _values(self) -> list[Any]:
        return [self.call.parameters, self.call.options, self.call.item]

    def changed(self, method: str) -> list[str]:
        """What was changed of it."""
        names = ("parameters", "options", "item")
        pairs = zip(names, self._before, self._values(), strict=True)
        return [f"{method}: {name}" for name, before, after in pairs if before != after]


class WatchedJobType(JobType):
    """A job type that does what `inner` does.

    Args:
        inner: the job type.
        seen: gets to know of it.
        before: called by each attempt before its work begins, in the attempt's thread.
    """

    def __init__(self, inner: JobType, seen: Seen, before: Callable[[], object] | None = None) -> None:
        for name in _SAID:
            setattr(self, name, getattr(inner, name))
        self._inner = inner
        self._seen = seen
        self._before = before

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        """See `JobType.check`."""
        return self._inner.check(options, job)

    def unavailable(self, options: Mapping[str, Any]) -> str | None:
        """See `JobType.unavailable`."""
        return self._inner.unavailable(options)

    def run(self, call: JobCall) -> Any:
        """See `JobType.run`."""
        given = _Given(call)
        self._seen.calls.append(given.call)
        if self._before is not None:
            self._before()
        self._seen.begun.set()
        is_over = True
        try:
            output = self._inner.run(given.call)
            if hasattr(output, "__await__"):
                is_over = False
                return self._awaited(output, given)
        except BaseException as error:  # Foreign code; it goes on.
            self._seen.errors.append(error)
            raise
        finally:
            if is_over:
                self._over(given)
        self._seen.outputs.append(output)
        return output

    async def _awaited(self, work: Awaitable[Any], given: _Given) -> Any:
        try:
            output = await work
        except BaseException as error:  # Foreign code; it goes on.
            self._seen.errors.append(error)
            raise
        finally:
            self._over(given)
        self._seen.outputs.append(output)
        return output

    def _over(self, given: _Given) -> None:
        self._seen.changed += given.changed("run")
        self._seen.ended.set()


class WatchedRemoteJobType(RemoteJobType):
    """A remote job type that does what `inner` does.

    Args:
        inner: the job type.
        seen: gets to know of it.
        after_submit: called by each submission before its handle is returned; it may raise.
        before: called by each submission before it reaches `inner`, in its thread.
        is_slow: whether nothing of it ever ends.
    """

    def __init__(
        self,
        inner: RemoteJobType,
        seen: Seen,
        after_submit: Callable[[], object] | None = None,
        *,
        before: Callable[[], object] | None = None,
        is_slow: bool = False,
    ) -> None:
        said = {name: getattr(inner, name) for name in (*_SAID, *_SAID_OF_A_SERVICE)}
        for name, value in {**said, "poll_interval": min(inner.poll_interval, SOON)}.items():
            setattr(self, name, value)
        self._inner = inner
        self._seen = seen
        self._after_submit = after_submit
        self._before = before
        self._is_slow = is_slow

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        """See `JobType.check`."""
        return self._inner.check(options, job)

    def unavailable(self, options: Mapping[str, Any]) -> str | None:
        """See `JobType.unavailable`."""
        return self._inner.unavailable(options)

    def submit(self, call: JobCall) -> Any:
        """See `RemoteJobType.submit`."""
        given = _Given(call)
        self._seen.calls.append(given.call)
        self._seen.submitted.append(call.idempotency_key)
        if self._before is not None:
            self._before()
        try:
            handle = self._inner.submit(given.call)
        except BaseException as error:  # Foreign code; it goes on.
            self._seen.errors.append(error)
            raise
        finally:
            self._seen.changed += given.changed("submit")
        self._seen.handles.append(plain(handle))
        if self._after_submit is not None:
            self._after_submit()
        return handle

    def poll(self, handles: Sequence[Any]) -> Any:
        """See `RemoteJobType.poll`."""
        if self._is_slow:
            return [Running()] * len(handles)
        given = [plain(handle) for handle in handles]
        outcomes = list(self._inner.poll(given))
        if given != list(handles):
            self._seen.changed.append("poll: handles")
        self._seen.outputs += [done.output for done in outcomes if isinstance(done, Succeeded)]
        return outcomes

    def poll_group(self, handle: Any) -> str:
        """See `RemoteJobType.poll_group`."""
        given = plain(handle)
        group = self._inner.poll_group(given)
        if given != handle:
            self._seen.changed.append("poll_group: handle")
        return group

    def cancel(self, handle: Any) -> None:
        """See `RemoteJobType.cancel`."""
        self._inner.cancel(handle)

    def find(self, call: JobCall) -> Any:
        """See `RemoteJobType.find`."""
        given = _Given(call)
        found = self._inner.find(given.call)
        self._seen.changed += given.changed("find")
        return found


def watched(job_type: JobType, seen: Seen, before: Callable[[], object] | None = None) -> JobType:
    """A job type, local or remote, that is watched."""
    if isinstance(job_type, RemoteJobType):
        return WatchedRemoteJobType(job_type, seen, before=before)
    return WatchedJobType(job_type, seen, before)


def as_json(output: Any) -> Any:
    """An output as it was returned; some of bunsui's own types return it encoded."""
    return output.value if isinstance(output, Json) else output
