"""`Stubs`: what jobs do instead of their work, and what each of them received."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from bunsui.dsl.problems import did_you_mean
from bunsui.errors import ConfigError, JobError
from bunsui.model.text import text_of
from bunsui.testing.fakes.escaped import Escaped

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobCall


@frozen
class Takes:
    """A stub that takes its time: the run's own time, which nobody waits for.

    Where the job's timeout, or the pipeline's, comes first, the attempt is stopped as real work would be.

    Such as::

        from bunsui.testing import Takes, run_pipeline

        run = run_pipeline(pipeline, stubs={"extract_data": Takes(3600, {"rows": 7}), "load_data": None})
        print(run.status, run.seconds >= 3600)  # succeeded True
    """

    #: How long it takes; 0 or more.
    seconds: float = field()
    #: What it comes to then: an output, an exception, or a callable, which is called when the attempt begins.
    output: Any = field(default=None)

    @seconds.validator
    def _check(self, _: object, seconds: Any) -> None:
        if not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            raise ConfigError(f"Takes({seconds!r}): it is a number of seconds, 0 or more")

    @output.validator
    def _check_output(self, _: object, output: Any) -> None:
        _check_class(output)


class _InTurn:
    """See `in_turn`."""

    def __init__(self, outcomes: tuple[Any, ...]) -> None:
        self._outcomes = outcomes
        self._used = 0

    def next(self, call: JobCall) -> Any:
        """The next one.

        Raises:
            JobError: there is none.
        """
        if self._used == len(self._outcomes):
            raise JobError(
                f"the stub of '{call.job_id}' was given {self._used} outcomes in turn, and is called once"
                f" more (attempt {call.attempt})",
                code="StubExhausted",
                retryable=False,
            )
        self._used += 1
        return self._outcomes[self._used - 1]


def in_turn(*outcomes: Any) -> Any:
    """A stub that comes to one thing after the other: each call, of any attempt or item, takes the next.

    A call for which none is left fails its job, with the code ``StubExhausted``.

    Such as::

        from bunsui.testing import in_turn, run_pipeline

        job = bunsui.Job("load", "lambda", function="load-function", retry=2)
        stub = in_turn(ConnectionError("away"), "loaded")
        run = run_pipeline(bunsui.Pipeline("Load", [job]), stubs={"load": stub})
        print(run.outputs, len(run.calls["load"]))  # {'load': 'loaded'} 2

    Args:
        outcomes: each what a stub may be: an output, an exception, a callable, a `Takes`.

    Raises:
        ConfigError: one is a class of exceptions that can't be made without arguments.
    """
    for outcome in outcomes:
        _check_class(outcome)
    return _InTurn(outcomes)


class Stubs(MutableMapping[str, Any]):
    """By the id of a job, what it does instead of its work.

    * an output: is returned; it has to be JSON, as that of any job;
    * an exception, or a class of exceptions that needs no arguments: is raised; a `JobError` has a code of
      its own;
    * a callable: is given the `bunsui.JobCall`, and returns the output, or raises, or is async;
    * a `Takes`: lets time pass first;
    * what `in_turn` makes: one of these after the other.

    Such as::

        from bunsui.testing import Stubs, run_pipeline

        stubs = Stubs({"extract_data": {"rows": 7}})
        stubs["load_data"] = lambda call: call.parameters["rows"] + 1
        print(run_pipeline(pipeline, stubs=stubs).outputs["load_data"])  # 8
        print(stubs.received("load_data"), len(stubs.calls["extract_data"]))  # {'rows': 7} 1

    Args:
        stubs: those to begin with.

    Raises:
        ConfigError: `stubs` is no mapping, or one is a class of exceptions that needs arguments.
    """

    def __init__(self, stubs: Mapping[str, Any] | None = None) -> None:
        if stubs is not None and not isinstance(stubs, Mapping):
            kind = type(stubs).__name__
            raise ConfigError(f"stubs are of type {kind}, not a mapping", hint="write stubs={'job': ...}")
        self._stubs: dict[str, Any] = {}
        self.update(stubs or {})
        self._calls: dict[str, list[JobCall]] = {}
        #: What stubs have raised that is about the test, not about the job.
        self.escaped = Escaped()

    def __getitem__(self, job: str) -> Any:
        return self._stubs[job]

    def __setitem__(self, job: str, stub: Any) -> None:
        _check_class(stub)
        self._stubs[job] = stub

    def __delitem__(self, job: str) -> None:
        del self._stubs[job]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stubs)

    def __len__(self) -> int:
        return len(self._stubs)

    def __repr__(self) -> str:
        return f"<Stubs for {', '.join(self._stubs) or 'nothing'}>"

    @property
    def calls(self) -> Mapping[str, tuple[JobCall, ...]]:
        """By job, all calls so far in their order: each attempt, each item. Empty for a stub without calls.

        Each is as it was when the stub was called, whatever that has done to it since.
        """
        seen = {job: tuple(self._calls.get(job, ())) for job in (*self._stubs, *self._calls)}
        return MappingProxyType(seen)

    def received(self, job: str) -> Mapping[str, Any]:
        """The parameters of the only call of a job.

        Raises:
            AssertionError: it was not called once; the message says what each call received.
        """
        return received(self.calls, job)

    # What the runner asks

    def check(self, pipeline: Pipeline) -> None:
        """Makes sure that each stub is for a job that there is.

        Such as::

            from bunsui.testing import Stubs

            try:
                Stubs({"laod_data": 7}).check(pipeline)
            except bunsui.ConfigError as error:
                print(error.hint)  # did you mean 'load_data'?

        Raises:
            ConfigError: one is not.
        """
        ids = [job.id for job in pipeline.jobs]
        for job in self._stubs:
            if job not in ids:
                raise ConfigError(
                    f"there is a stub for '{job}', which is no job of the pipeline '{pipeline.name}'",
                    hint=did_you_mean(str(job), ids) or f"it has: {', '.join(ids)}",
                )

    def answer(self, call: JobCall) -> Any:
        """What a call comes to: an output, an awaitable of one, or `Takes` whose output is one.

        Such as::

            from bunsui.testing import Stubs, run_pipeline

            stubs = Stubs({"load_data": 7})
            run = run_pipeline(pipeline, stubs={"load_data": stubs.answer})
            print(run.outputs["load_data"], stubs.received("load_data"))  # 7 {'rows': 3}

        Raises:
            BaseException: what the stub is, or has raised.
        """
        # Copies: the stub may change what it is given.
        seen = evolve(
            call,
            parameters=deepcopy(call.parameters),
            options=deepcopy(call.options),
            item=deepcopy(call.item),
        )
        self._calls.setdefault(call.job_id, []).append(seen)
        return self._came_to(self._stubs[call.job_id], call)

    def _came_to(self, stub: Any, call: JobCall) -> Any:
        if isinstance(stub, _InTurn):
            return self._came_to(stub.next(call), call)
        if isinstance(stub, Takes):
            return self._in_time(stub, call)
        if isinstance(stub, BaseException):
            raise stub.with_traceback(None)
        if isinstance(stub, type) and issubclass(stub, BaseException):
            raise stub
        if not callable(stub):
            return stub
        try:
            result = stub(call)
        except BaseException as error:  # The test's own code.
            self.escaped.notice(error)
            raise
        if hasattr(result, "__await__"):
            return self._watched(result)
        return self._in_time(result, call) if isinstance(result, Takes) else result

    def _in_time(self, stub: Takes, call: JobCall) -> Takes:
        try:
            came_to = self._came_to(stub.output, call)
        except BaseException as error:  # It comes out when the time is over.
            came_to = error
        if isinstance(came_to, Takes):
            return Takes(stub.seconds + came_to.seconds, came_to.output)
        return evolve(stub, output=came_to)

    async def _watched(self, awaitable: Awaitable[Any]) -> Any:
        try:
            return await awaitable
        except BaseException as error:  # As above.
            self.escaped.notice(error)
            raise


def _check_class(stub: Any) -> None:
    """Makes sure that a class of exceptions can be raised as it is.

    Raises:
        ConfigError: it can't.
    """
    if not (isinstance(stub, type) and issubclass(stub, BaseException)):
        return
    try:
        stub()
    except Exception as error:  # The test's own code.
        text = f"a stub can't raise the class {stub.__name__}, which needs arguments: {text_of(error)}"
        raise ConfigError(text, hint=f"give an instance, such as {stub.__name__}('why')") from None


def received(calls: Mapping[str, tuple[JobCall, ...]], job: str, became: str = "") -> Mapping[str, Any]:
    """The parameters of the only call of a job.

    Args:
        calls: by job.
        job: its id.
        became: what became of it, for the message.

    Raises:
        AssertionError: it was not called once.
    """
    if job not in calls:
        hint = did_you_mean(job, calls) or f"there are stubs for: {', '.join(calls) or 'no job'}"
        raise AssertionError(f"job '{job}' has no stub, so nobody sees its calls; {hint}")
    found = calls[job]
    if len(found) == 1:
        return found[0].parameters
    if not found:
        raise AssertionError(f"job '{job}' was not called{became}")
    lines = "".join(f"\n  {_place(call)}: {dict(call.parameters)!r}" for call in found)
    raise AssertionError(f"job '{job}' was called {len(found)} times, not once:{lines}")


def _place(call: JobCall) -> str:
    item = "" if call.item_index is None else f"item {call.item_index} "
    return f"{item}attempt {call.attempt}"
