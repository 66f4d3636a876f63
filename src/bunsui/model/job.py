"""A step of a pipeline: `Job`, and when it is tried again, `RetryPolicy`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOCAL_PREFIX", "CachePolicy", "Job", "RetryPolicy", "no_job", "with_keywords"]

#: Most items of a fan-out.
MAX_ITEMS = 10_000
#: What stands for a callable that other processes can't name; the name follows.
LOCAL_PREFIX = "local:"


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"a list of texts is wanted, not the text {values!r}")
    return tuple(values)


def with_keywords(given: Mapping[str, Any] | None, more: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping with what was given as keywords; what is no mapping stays, for the pipeline to refuse."""
    if not more:
        return {} if given is None else given
    return {**(given or {}), **more}


def no_job(where: str, id_: str, known: Iterable[str]) -> NotFound:
    """The error of a job that is not there."""
    first = [*islice(known, 11)]
    hint = f"it has: {', '.join(first[:10])}{', ...' * (len(first) > 10)}"
    return NotFound(f"{where} has no job '{id_}'", kind="job", name=id_, hint=hint)


@frozen
class RetryPolicy:
    """When a failed attempt is followed by another one.

    The wait before attempt n + 1 is ``min(max_delay, delay * backoff ** (n - 1))`` seconds; with
    ``full`` jitter a random time between 0 and that, after
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.

    Such as::

        retry = bunsui.RetryPolicy(max_attempts=3, delay=1, on=["ExitCode.*", "JobTimeout"])
        print(bunsui.Job("load", "custom", command=["./load"], retry=retry).retry.delay)  # 1
    """

    #: Counts the first; at least 1.
    max_attempts: int = 1
    #: Seconds before the second attempt.
    delay: float = 10
    #: The factor from one wait to the next; at least 1.
    backoff: float = 2
    #: Seconds; no wait is longer.
    max_delay: float = 300
    #: ``full`` or ``none``.
    jitter: str = "full"
    #: Patterns (``*`` stands for any text) of the error codes to retry on; empty: all that is retryable.
    on: tuple[str, ...] = field(default=(), converter=_texts)


@frozen
class CachePolicy:
    """When a job takes the output of an equal earlier one instead of running.

    Such as::

        cache = bunsui.CachePolicy(ttl=86400, key={"day": "${day}"})
        print(bunsui.Job("load", "custom", command=["./load"], cache=cache).cache.ttl)  # 86400
    """

    #: Seconds from the earlier job's end for which its output may be reused; more than 0.
    ttl: float = 3600
    #: Any JSON value, whose texts may hold references: what makes two jobs of one type and options equal.
    #: None: their parameters do, and the items of a fan-out.
    key: Any = None


#: What a job has that says nothing of it.
_ONCE = RetryPolicy()


def _retry(value: RetryPolicy | int) -> RetryPolicy:
    if type(value) is int and value > 0:
        return RetryPolicy(max_attempts=value)
    return value  # type: ignore[return-value] # Whatever it is, the pipeline says what is wrong with it.


@frozen(init=False)
class Job:
    """One step of a pipeline.

    Any further keyword is one of `options`: ``Job("load", "lambda", function="load-function")``.

    Such as::

        job = bunsui.Job("load", "lambda", function="load-function", depends_on=["extract"], retry=3)
        print(job.options, job.retry.max_attempts)  # {'function': 'load-function'} 3
    """

    #: A letter, then up to 63 letters, digits, ``_`` or ``-``; unique in its pipeline.
    id: str
    #: The name of its job type, such as ``lambda``.
    type: str
    #: The fields of the job's type, such as ``function`` of a lambda job.
    options: Mapping[str, Any] = field(factory=dict)
    #: The ids of the jobs that must have ended before.
    depends_on: tuple[str, ...] = field(default=(), converter=_texts)
    #: The job's input; texts in it may hold references.
    parameters: Mapping[str, Any] = field(factory=dict)
    #: What people call it; None: its id.
    name: str | None = None
    #: For people.
    description: str | None = None
    #: A whole number is short for `RetryPolicy` with so many attempts.
    retry: RetryPolicy = field(default=_ONCE, converter=_retry)
    #: What must be true for the job to run; None: that all jobs upstream succeeded.
    condition: str | None = None
    #: A list, or a reference to one: the job runs once for each item. None: it runs once.
    for_each: Any = None
    #: How many items of `for_each` may run at once; None: as many as the runner allows.
    max_concurrency: int | None = None
    #: The name of the runner's pool that its attempts count in.
    pool: str | None = None
    #: Seconds that one attempt may take; None: no limit. A `Pipeline` makes seconds of texts such as ``15m``.
    timeout: float | None = None
    #: ``thread`` or ``process``, for Python callables; None: process where there is a timeout, else thread.
    isolation: str | None = None
    #: Whether what follows, and the session, treat this job's failure as success.
    allow_failure: bool = False
    #: ``rerun``, ``unknown`` or ``fail``: what to do about an attempt of which, after its runner died, it
    #: can't be told whether it ran; None: what its type says.
    on_lost: str | None = None
    #: None: it runs each time. A mapping stands for `CachePolicy`; a `Pipeline` makes one of it.
    cache: CachePolicy | None = None
    #: The object behind a callable that has no name, by its ``local:`` name.
    function: Callable[..., Any] | None = field(default=None, eq=False, repr=False)

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name
        type: str,  # noqa: A002 - the field's name
        options: Mapping[str, Any] | None = None,
        depends_on: Iterable[str] = (),
        parameters: Mapping[str, Any] | None = None,
        name: str | None = None,
        description: str | None = None,
        retry: RetryPolicy | int = _ONCE,
        condition: str | None = None,
        for_each: Any = None,
        max_concurrency: int | None = None,
        pool: str | None = None,
        timeout: float | str | None = None,
        isolation: str | None = None,
        allow_failure: bool = False,
        on_lost: str | None = None,
        cache: CachePolicy | Mapping[str, Any] | None = None,
        function: Callable[..., Any] | str | None = None,
        **fields: Any,
    ) -> None:
        if function is not None and not callable(function):
            # The field of a lambda job, which has the same name.
            fields["function"], function = function, None
        self.__attrs_init__(
            id=id,
            type=type,
            options=with_keywords(options, fields),
            depends_on=depends_on,
            parameters={} if parameters is None else parameters,
            name=name,
            description=description,
            retry=retry,
            condition=condition,
            for_each=for_each,
            max_concurrency=max_concurrency,
            pool=pool,
            timeout=timeout,  # type: ignore[arg-type] # The pipeline makes seconds of a text.
            isolation=isolation,
            allow_failure=allow_failure,
            on_lost=on_lost,
            cache=cache,  # type: ignore[arg-type] # The pipeline makes a policy of a mapping.
            function=function,
        )

    @classmethod
    def from_callable(
        cls,
        function: Callable[..., Any],
        id: str | None = None,  # noqa: A002 - the field's name
        depends_on: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Job:
        """A custom job that calls `function` with `parameters` as keywords.

        Such as::

            def total(numbers):
                return sum(numbers)

            job = bunsui.Job.from_callable(total, parameters={"numbers": [1, 2]})
            session = runner.run(bunsui.Pipeline("Sums", [job]))
            print(session.outputs)  # {'total': 3}

        Args:
            function: what it returns, JSON-able, is the job's output.
            id: by default the function's name.
            depends_on: the ids of the jobs that must have ended before.
            parameters: the function's keywords; texts may hold references.
            fields: further fields of `Job`.

        Raises:
            TypeError: it is not callable, or has no name and no `id` was given.

        Returns:
            A job. Where another process can't import `function` by name (a lambda, a notebook's
            function), it is named ``local:NAME`` and runs in this process only.
        """
        if not callable(function):
            raise TypeError(f"a callable is wanted, not {function!r}; a text such as 'tasks:load' is a field")
        target = _importable_name(function)
        name = id or getattr(function, "__name__", "").strip("<>").replace(".", "_")
        if not name:
            raise TypeError(f"{function!r} has no name to make an id of: give it one, as in id='load'")
        return cls(
            id=name,
            type="custom",
            options={"callable": target or f"{LOCAL_PREFIX}{name}"},
            depends_on=depends_on,
            parameters={} if parameters is None else parameters,
            function=function,
            **fields,
        )


def _importable_name(function: Callable[..., Any]) -> str | None:
    """``module:qualname`` where another process can import `function` by it."""
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", "<")
    # __main__ is another file in every other process.
    if not module or module == "__main__" or "<" in qualname:
        return None
    # A method of an object, or a function that was replaced: the name stands for something else.
    named: Any = sys.modules.get(module)
    for part in qualname.split("."):
        named = getattr(named, part, None)
    return f"{module}:{qualname}" if named == function else None
