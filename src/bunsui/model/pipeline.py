"""What a definition says: `Pipeline`, `Job`, `Parameter`, `RetryPolicy`."""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from bunsui.model.graph import Graph
from bunsui.model.json import canonical

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bunsui.plugins.registry import Plugins
    from bunsui.ports.job_type import JobType

__all__ = ["Job", "Parameter", "Pipeline", "RetryPolicy"]

#: The version of the definition language that this library reads.
LANGUAGE_VERSION = "1.0"
_Part = TypeVar("_Part")

#: What stands for a callable that other processes can't name; the name follows.
LOCAL_PREFIX = "local:"


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"a list of texts is wanted, not the text {values!r}")
    return tuple(values)


def _with(given: Mapping[str, Any] | None, more: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping with what was given as keywords; what is no mapping stays, for the pipeline to refuse."""
    if not more:
        return {} if given is None else given
    return {**(given or {}), **more}


@frozen(init=False)
class Parameter:
    """A value that a session is started with.

    Any further keyword is one of `constraints`: ``Parameter("rows", "integer", minimum=1)``.
    """

    name: str
    #: string, integer, number, boolean, array or object.
    type: str = "string"
    required: bool = False
    #: None where there is no default, as for a default of null.
    default: Any = None
    description: str | None = None
    #: Whether its value must be a reference to a secret, such as ``${secrets.db_password}``.
    secret: bool = False
    #: Further JSON Schema keywords that the value must satisfy, such as ``enum`` or ``pattern``.
    constraints: Mapping[str, Any] = field(factory=dict)

    def __init__(
        self,
        name: str,
        type: str = "string",  # noqa: A002 - the field's name
        required: bool = False,
        default: Any = None,
        description: str | None = None,
        secret: bool = False,
        constraints: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        self.__attrs_init__(
            name=name,
            type=type,
            required=required,
            default=default,
            description=description,
            secret=secret,
            constraints=_with(constraints, keywords),
        )

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of the value."""
        return {"type": self.type, **self.constraints}


@frozen
class RetryPolicy:
    """When a failed attempt is followed by another one.

    The wait before attempt n + 1 is ``min(max_delay, delay * backoff ** (n - 1))`` seconds; with
    ``full`` jitter a random time between 0 and that, after
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
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
    """

    id: str
    type: str
    #: The fields of the job's type, such as ``function`` of a lambda job.
    options: Mapping[str, Any] = field(factory=dict)
    depends_on: tuple[str, ...] = field(default=(), converter=_texts)
    #: The job's input; texts in it may hold references.
    parameters: Mapping[str, Any] = field(factory=dict)
    name: str | None = None
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
        function: Callable[..., Any] | str | None = None,
        **fields: Any,
    ) -> None:
        if function is not None and not callable(function):
            # The field of a lambda job, which has the same name.
            fields["function"], function = function, None
        self.__attrs_init__(
            id=id,
            type=type,
            options=_with(options, fields),
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


def _jobs(values: Iterable[Job]) -> tuple[Job, ...]:
    return _all_of(Job, values)


def _parameters(values: Iterable[Parameter]) -> tuple[Parameter, ...]:
    return _all_of(Parameter, values)


def _all_of(cls: type[_Part], values: Iterable[_Part]) -> tuple[_Part, ...]:
    found = tuple(values)
    for value in found:
        if not isinstance(value, cls):
            raise TypeError(f"a list of bunsui.{cls.__name__} is wanted, not of {type(value).__name__}")
    return found


@frozen(slots=False, init=False, eq=False)
class Pipeline:
    """A DAG of jobs and the parameters that it takes.

    A pipeline made in Python is checked as one that is loaded is, with the installed job types; what
    those of a Runner's own plugins say, when it is started.

    Raises:
        DefinitionError: it is wrong; all its problems at once, each with the path of what is wrong.
    """

    name: str
    jobs: tuple[Job, ...] = field(default=(), converter=_jobs)
    parameters: tuple[Parameter, ...] = field(default=(), converter=_parameters)
    description: str | None = None
    #: The version of the language.
    version: str = LANGUAGE_VERSION
    #: ``continue`` or ``stop``.
    on_failure: str = "continue"
    #: How many attempts of one session, those of items included, may run at once; None: as many as the runner
    #: allows.
    max_concurrency: int | None = None
    #: Seconds that a session may take, the time in which it is paused not counted; None: no limit.
    timeout: float | None = None
    #: What a session that succeeded gives as its outputs, by name; empty: every job's output by its id.
    outputs: Mapping[str, Any] = field(factory=dict)
    metadata: Mapping[str, Any] = field(factory=dict)
    #: The folder of the file that it was loaded from; where commands run and bindings are looked for.
    base_dir: Path | None = field(default=None, repr=False)
    #: 1, 2, ... of a registered pipeline; None of any other.
    revision: int | None = None

    def __init__(
        self,
        name: str,
        jobs: Iterable[Job] = (),
        parameters: Iterable[Parameter] = (),
        description: str | None = None,
        version: str = LANGUAGE_VERSION,
        on_failure: str = "continue",
        max_concurrency: int | None = None,
        timeout: float | str | None = None,
        outputs: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        base_dir: Path | None = None,
        revision: int | None = None,
    ) -> None:
        from bunsui.dsl import loader  # noqa: PLC0415

        self.__attrs_init__(
            name=name,
            jobs=jobs,
            parameters=parameters,
            description=description,
            version=version,
            on_failure=on_failure,
            max_concurrency=max_concurrency,
            timeout=timeout,  # type: ignore[arg-type] # The pipeline makes seconds of a text.
            outputs={} if outputs is None else outputs,
            metadata={} if metadata is None else metadata,
            base_dir=base_dir,
            revision=revision,
        )
        # What is kept is a copy in plain data, equal to what a file with the same definition gives: who
        # changes a list that he gave changes nothing here. `checked` leaves all this out.
        vars(self).update(vars(loader.made(self, _job_types(None))))

    def __eq__(self, other: object) -> bool:
        """Whether both say the same; where they come from does not count."""
        return self.digest == other.digest if isinstance(other, Pipeline) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    @classmethod
    def load(cls, path: str | Path, plugins: Plugins | None = None) -> Pipeline:
        """Reads a definition from a YAML or JSON file (by its ending; anything else is YAML).

        Raises:
            DefinitionError: the file can't be read, or is wrong; all its problems at once.
        """
        from bunsui.dsl import loader  # noqa: PLC0415

        return loader.load(path, _job_types(plugins))

    @classmethod
    def parse(
        cls,
        text: str | bytes,
        format: str = "yaml",  # noqa: A002 - the public name
        filename: str | None = None,
        plugins: Plugins | None = None,
    ) -> Pipeline:
        """Reads a definition from text; `format` is ``yaml`` or ``json``.

        Raises:
            DefinitionError: it is wrong; all its problems at once.
        """
        from bunsui.dsl import loader  # noqa: PLC0415

        return loader.parse_text(text, format, filename, _job_types(plugins))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], plugins: Plugins | None = None) -> Pipeline:
        """Reads a definition from a mapping of the language's shape; the inverse of `to_dict`.

        Raises:
            DefinitionError: it is wrong; all its problems at once.
        """
        from bunsui.dsl import loader  # noqa: PLC0415

        return loader.from_mapping(mapping, _job_types(plugins))

    def to_dict(self) -> dict[str, Any]:
        """The definition in the language's shape; what equals its default is left out."""
        from bunsui.dsl.definition import to_dict  # noqa: PLC0415

        return to_dict(self)

    def to_yaml(self) -> str:
        """The definition as YAML, for people."""
        from bunsui.dsl.printer import to_yaml  # noqa: PLC0415

        return to_yaml(self.to_dict())

    def to_json(self) -> str:
        """The canonical form: compact JSON with sorted keys."""
        return canonical(self.to_dict())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, as 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def graph(self) -> Graph:
        """Who waits for whom."""
        return Graph({job.id: job.depends_on for job in self.jobs})

    @cached_property
    def _by_id(self) -> dict[str, Job]:
        return {job.id: job for job in self.jobs}

    def job(self, id: str) -> Job:  # noqa: A002 - the field's name
        """The job with this id.

        Raises:
            KeyError: there is none.
        """
        return self._by_id[id]

    def at(self, base_dir: Path | None, revision: int | None = None) -> Pipeline:
        """The same definition, with the folder where its commands run, and its registered revision."""
        made = copy.copy(self)  # What was derived from the definition stays true.
        vars(made).update(base_dir=base_dir, revision=revision)
        return made


def checked(**fields: Any) -> Pipeline:
    """A pipeline of fields in which nothing is wrong: for who has checked them, or has them from a store."""
    made = Pipeline.__new__(Pipeline)
    made.__attrs_init__(**fields)
    return made


def _job_types(plugins: Plugins | None) -> Mapping[str, JobType]:
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - it is above; see import contracts

    return (Plugins() if plugins is None else plugins).job_types


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
