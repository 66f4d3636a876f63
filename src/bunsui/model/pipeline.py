"""What a definition says: `Pipeline`, `Job`, `Parameter`, `RetryPolicy`, `CachePolicy`, `AlertRule`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from bunsui.model.alerts import AlertRule
from bunsui.model.graph import Graph
from bunsui.model.job import CachePolicy, Job, RetryPolicy, no_job, with_keywords
from bunsui.model.json import canonical
from bunsui.model.later import missing
from bunsui.model.lazy import cached_property

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.plugins.registry import Plugins
    from bunsui.ports.job_type import JobType

__all__ = ["AlertRule", "CachePolicy", "Job", "Parameter", "Pipeline", "RetryPolicy"]

#: The version of the definition language that this library reads.
LANGUAGE_VERSION = "1.0"
_Part = TypeVar("_Part")


@frozen(init=False)
class Parameter:
    """A value that a session is started with.

    Any further keyword is one of `constraints`: ``Parameter("rows", "integer", minimum=1)``.

    Such as::

        parameter = bunsui.Parameter("rows", "integer", default=10, minimum=1)
        print(parameter.schema)  # {'type': 'integer', 'minimum': 1}
    """

    #: A letter, then up to 63 letters, digits, ``_`` or ``-``.
    name: str
    #: string, integer, number, boolean, array or object.
    type: str = "string"
    #: Whether a session can't be started without it.
    required: bool = False
    #: None where there is no default, as for a default of null.
    default: Any = None
    #: For people.
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
            constraints=with_keywords(constraints, keywords),
        )

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of the value."""
        return {"type": self.type, **self.constraints}


def _jobs(values: Iterable[Job]) -> tuple[Job, ...]:
    return _all_of(Job, values)


def _parameters(values: Iterable[Parameter]) -> tuple[Parameter, ...]:
    return _all_of(Parameter, values)


def _alerts(values: Iterable[AlertRule]) -> tuple[AlertRule, ...]:
    return _all_of(AlertRule, values)


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

    Such as::

        who = bunsui.Parameter("who", default="Ada")
        greet = bunsui.Job("greet", "custom", command=["echo", "hello, ${who}"])
        greeting = bunsui.Pipeline("Greeting", [greet], [who])
        print(greeting.job("greet").options)  # {'command': ['echo', 'hello, ${who}']}

    Raises:
        DefinitionError: it is wrong; all its problems at once, each with the path of what is wrong.
    """

    #: Any printable text of 1 to 128 characters.
    name: str
    #: At least one, in the definition's order.
    jobs: tuple[Job, ...] = field(default=(), converter=_jobs)
    #: In the definition's order.
    parameters: tuple[Parameter, ...] = field(default=(), converter=_parameters)
    #: For people.
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
    #: Whom to tell of what.
    alerts: tuple[AlertRule, ...] = field(default=(), converter=_alerts)
    #: Anything that is JSON; bunsui only keeps it.
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
        alerts: Iterable[AlertRule] = (),
    ) -> None:
        from bunsui.dsl import loader  # noqa: PLC0415 - it is above; see import contracts

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
            alerts=alerts,
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

        Such as::

            pipeline = bunsui.Pipeline.load("pipeline.yaml")
            print([job.id for job in pipeline.jobs])  # ['extract_data', 'load_data']

        Raises:
            DefinitionError: the file can't be read, or is wrong; all its problems at once.
            PluginError: nothing is wrong with it but that a job type does not exist, and a plugin is disabled
                that may have it; or two plugins claim one name.
        """
        from bunsui.dsl import loader  # noqa: PLC0415 - it is above; see import contracts

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

        Such as::

            text = "{version: '1.0', name: Load, jobs: [{id: a, type: lambda, function: f}]}"
            print(bunsui.Pipeline.parse(text).job("a").options)  # {'function': 'f'}

        Raises:
            DefinitionError: it is wrong; all its problems at once.
        """
        from bunsui.dsl import loader  # noqa: PLC0415 - it is above; see import contracts

        return loader.parse_text(text, format, filename, _job_types(plugins))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], plugins: Plugins | None = None) -> Pipeline:
        """Reads a definition from a mapping of the language's shape; the inverse of `to_dict`.

        Such as::

            print(bunsui.Pipeline.from_dict(pipeline.to_dict()) == pipeline)  # True

        Raises:
            DefinitionError: it is wrong; all its problems at once.
        """
        from bunsui.dsl import loader  # noqa: PLC0415 - it is above; see import contracts

        return loader.from_mapping(mapping, _job_types(plugins))

    def to_dict(self) -> dict[str, Any]:
        """The definition in the language's shape; what equals its default is left out.

        Such as::

            print(list(pipeline.to_dict()))  # ['version', 'name', 'parameters', 'jobs']
        """
        from bunsui.dsl.definition import to_dict  # noqa: PLC0415 - it is above; see import contracts

        return to_dict(self)

    def to_yaml(self) -> str:
        """The definition as YAML, for people.

        Such as::

            print(pipeline.to_yaml().splitlines()[1])  # name: ETL Pipeline
        """
        from bunsui.dsl.printer import to_yaml  # noqa: PLC0415 - it is above; see import contracts

        return to_yaml(self.to_dict())

    def to_json(self) -> str:
        """The canonical form: compact JSON with sorted keys.

        Such as::

            print(pipeline.to_json()[:28])  # {"jobs":[{"callable":"steps:
        """
        return canonical(self.to_dict())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, as 64 hexadecimal digits."""
        import hashlib  # noqa: PLC0415 - 9 ms that nobody needs who only looks at definitions

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

        Such as::

            print(pipeline.job("load_data").depends_on)  # ('extract_data',)

        Raises:
            NotFound: there is none.
        """
        try:
            return self._by_id[id]
        except KeyError:
            raise no_job(f"pipeline '{self.name}'", id, self._by_id) from None

    if not TYPE_CHECKING:
        # Not for type checkers: to them a class with __getattr__ has every name.
        def __getattr__(self, name: str) -> Any:
            raise missing(self, name)

    def at(self, base_dir: Path | None, revision: int | None = None) -> Pipeline:
        """The same definition, with the folder where its commands run, and its registered revision.

        Such as::

            from pathlib import Path

            print(pipeline.at(Path("/srv/etl")).base_dir)  # /srv/etl
        """
        made = Pipeline.__new__(Pipeline)
        # What was derived from the definition stays true.
        vars(made).update(vars(self), base_dir=base_dir, revision=revision)
        return made


def checked(**fields: Any) -> Pipeline:
    """A pipeline of fields in which nothing is wrong: for who has checked them, or has them from a store."""
    made = Pipeline.__new__(Pipeline)
    made.__attrs_init__(**fields)
    return made


def _job_types(plugins: Plugins | None) -> Mapping[str, JobType]:
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - it is above; see import contracts

    return (Plugins() if plugins is None else plugins).usable.job_types
