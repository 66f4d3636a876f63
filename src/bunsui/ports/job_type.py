"""What a job type is, and what it is given for one attempt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from attrs import field, frozen

from bunsui.errors import StateError
from bunsui.ports.permissions import Unnamed
from bunsui.ports.remote_log import LogPage
from bunsui.ports.workbench import Command, Function, Workbench

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from logging import LoggerAdapter
    from pathlib import Path
    from threading import Event

    from bunsui.ports.permissions import Permission, Where
    from bunsui.ports.remote_log import RemoteLog
    from bunsui.ports.services import Services

__all__ = ["Command", "Finding", "Function", "Hinted", "JobCall", "JobType", "Workbench", "current_call"]


#: What to do about an attempt of which, after its runner died or an answer got lost, it can't be told whether
#: it ran.
OnLost = Literal["rerun", "unknown", "fail"]


@frozen
class JobCall:
    """One attempt of one job, as a job type sees it.

    Such as::

        def report(rows):
            call = bunsui.current_call()
            call.logger.info("%s rows, attempt %s", rows, call.attempt)
            return [call.job_id, call.parameters["rows"]]

        job = bunsui.Job.from_callable(report, parameters={"rows": 3})
        print(runner.run(bunsui.Pipeline("Report", [job])).outputs)  # {'report': ['report', 3]}
    """

    #: The session's: 16 characters of base32.
    session_id: str
    #: The pipeline's name.
    pipeline: str
    #: The job's id in its pipeline.
    job_id: str
    #: Starts at 1.
    attempt: int
    #: The job's input, resolved. It may hold secrets, so it is not shown.
    parameters: Mapping[str, Any] = field(repr=False)
    #: The fields of the job's type, resolved. They may hold secrets, too.
    options: Mapping[str, Any] = field(repr=False)
    #: The same for every run of this attempt, also after a crash; at most 64 characters.
    idempotency_key: str
    #: Seconds on the monotonic clock when the attempt's timeout ends; None: never.
    deadline: float | None = None
    #: A fan-out's item; None for other jobs.
    item: Any = field(default=None, repr=False)
    #: The item's index, which starts at 0; None for other jobs.
    item_index: int | None = None
    #: Further environment of the work, such as its trace context.
    environment: Mapping[str, str] = field(factory=dict)
    #: The folder of the definition; None where it has none.
    folder: Path | None = None
    #: Where callables are looked up before ``sys.path``: beside the definition, beside the bindings.
    callable_folders: tuple[Path, ...] = ()
    #: Seconds that the attempt may take; None: it has no timeout. What has been used of it, `deadline` says.
    timeout: float | None = None
    #: When the attempt started, by the session's history; None: that is not known.
    started_at: datetime | None = None
    #: What the job says about an attempt of which it can't be told whether it ran.
    on_lost: OnLost = "rerun"
    #: The runner's side: runs commands and functions.
    workbench: Workbench = field(eq=False, repr=False, kw_only=True)

    @property
    def logger(self) -> LoggerAdapter[Any]:
        """Writes to the job's log."""
        return self.workbench.logger

    @property
    def cancelled(self) -> Event:
        """Set when the work is to stop: look at it from time to time in work that takes long."""
        return self.workbench.cancelled


#: Something wrong with a job: the field it is about ("" for the whole job), a stable code, a message.
Finding = tuple[str, str, str]
#: The same, and what to do about it.
Hinted = tuple[str, str, str, str]


class JobType(ABC):
    """A kind of job. Subclass it, and register an instance with the hook ``bunsui_job_types``.

    Such as::

        class Greet(bunsui.JobType):
            name = "greet"
            schema = {"type": "object", "properties": {"greeting": {"type": "string"}}}

            def check(self, options, job):
                greeting = options.get("greeting", "Hello")
                return [] if greeting else [("greeting", "no-greeting", "the greeting is empty")]

            def run(self, call):
                return f"{call.options.get('greeting', 'Hello')}, {call.parameters['name']}"

        class Plugin:
            @bunsui.hookimpl
            def bunsui_job_types(self):
                return [Greet()]

        text = "{version: '1.0', name: p, jobs: [{id: a, type: greet, parameters: {name: Ada}}]}"
        with bunsui.Runner("memory://", plugins=[Plugin()]) as runner:
            pipeline = bunsui.Pipeline.parse(text, plugins=runner.plugins)
            print(runner.run(pipeline).outputs)  # {'a': 'Hello, Ada'}
    """

    #: What a definition's ``type:`` says.
    name: ClassVar[str]
    #: JSON Schema (draft 2020-12) of the type's own fields: an object schema with ``properties``.
    schema: ClassVar[Mapping[str, Any]]
    #: The field that bindings name, such as ``function``; None: the type can't be bound.
    binding_field: ClassVar[str | None] = None
    #: How a bound Python function is called: see `Function.style`.
    binding_style: ClassVar[str] = "keywords"
    #: Fields that others can read, such as a command line: they can't hold secrets. Neither can the
    #: field that bindings name. ``parameters`` among them: nor can the job's input.
    open_fields: ClassVar[frozenset[str]] = frozenset()
    #: What a job's ``on_lost`` is where it does not say.
    on_lost: ClassVar[OnLost] = "rerun"

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        """What is wrong beyond what the schema can say.

        Where it raises, or gives something else, that is a problem of the job. It must not block: for a job
        whose references have been resolved it is called again, on the thread that drives all sessions.

        Args:
            options: the type's own fields, valid by the schema, with references unresolved; a copy.
            job: the whole job as it stands in the definition; a copy.
        """
        del options, job
        return []

    def unavailable(self, options: Mapping[str, Any]) -> str | None:
        """Why this job can't run here unless it is bound, or None where it can.

        Asked before a session is created, and when the job starts; it must not block. Where it raises, or
        gives something else, that is a `PluginError`.

        Such as::

            import shutil

            class Query(bunsui.JobType):
                def unavailable(self, options):
                    return None if shutil.which("psql") else "the program psql is not installed"

        Args:
            options: the type's own fields; a copy.
        """
        del options
        return None

    def require(self, options: Mapping[str, Any]) -> None:
        """Makes sure, before a session is created, that this job could begin from here.

        Asked of each job that is not bound; it may block. A field that holds a reference has it unresolved.

        Such as::

            import os

            class Query(bunsui.JobType):
                def require(self, options):
                    if "PGPASSWORD" not in os.environ:
                        raise bunsui.ConfigError("no password is set", hint="set PGPASSWORD")

        Args:
            options: the type's own fields; a copy.

        Raises:
            BunsuiError: it could not; then there is no session. Anything else is a `PluginError`.
        """
        del options

    def verify(self, options: Mapping[str, Any]) -> Sequence[Finding | Hinted]:
        """What this job needs at a service, and is not there or not permitted; see `Runner.check`.

        Asked of each job that is not bound, once where the options of several are equal, and of several at
        once, in threads; it may block. It has no effect at the service.

        Such as::

            class Query(bunsui.JobType):
                def __init__(self, client):
                    self.client = client

                def verify(self, options):
                    if "${" in options["table"]:
                        return [("table", "not-checked", "the table is known only when the job starts")]
                    if self.client.has(options["table"]):
                        return []
                    wrong = f"there is no table '{options['table']}'"
                    return [("table", "unknown-table", wrong, "make it before the run")]

        Args:
            options: the type's own fields; a copy. What is known before a run is put in for references; a
                text with any other reference has it unresolved.

        Returns:
            What is wrong; the code ``denied`` says that something is not permitted. What has the code
            ``not-checked`` is a warning: it could not be looked at.

        Raises:
            BunsuiError: it could not be asked. Anything else is a `PluginError`.
        """
        del options
        return []

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """What whoever runs this job has to be allowed at AWS; see `bunsui.aws.iam_policy`.

        By default it can't be named. A type that does not call AWS gives nothing. It may ask AWS what is
        there, and has no effect.

        Such as::

            from bunsui.ports.permissions import Permission, Unnamed

            class Query(bunsui.JobType):
                def permissions(self, options, where):
                    if "${" in options["workgroup"]:
                        return [Unnamed("'workgroup' is known only when the job starts")]
                    workgroup = where.arn("athena", f"workgroup/{options['workgroup']}")
                    return [Permission(["athena:StartQueryExecution"], [workgroup])]

        Args:
            options: the type's own fields; a copy. What is known before a run is put in for references; a
                text with any other reference has it unresolved.
            where: the region and account in which the job is called: the runner's, or those of its
                ``region`` and ``role``.

        Raises:
            BunsuiError: it could not be asked.
        """
        del options, where
        return [Unnamed(f"job type '{self.name}' does not say what it calls at AWS")]

    def span_attributes(
        self, options: Mapping[str, Any], handle: Any
    ) -> Mapping[str, str | int | float | bool | Sequence[str]]:
        """What OpenTelemetry is told of an attempt beside its number; by default nothing.

        Asked on the thread that drives all sessions, so it must not block: when an attempt starts that is not
        bound, and again for work that was submitted, with its handle. Only where somebody has set
        OpenTelemetry up. Where it fails, nothing is told.

        They are attributes of the attempt's span. ``cicd.pipeline.task.run.url.full`` is one of its job's;
        ``faas.invoked_name`` makes a span of kind ``CLIENT`` with that name of the attempt, which has them.

        Such as::

            class Query(bunsui.JobType):
                def span_attributes(self, options, handle):
                    return {"db.system.name": "trino", "db.query.summary": options["table"]}

        Args:
            options: the type's own fields, resolved; a secret in them is not yet put in.
            handle: what the work was submitted under; None: it was not yet.
        """
        del options, handle
        return {}

    def for_runner(self, services: Services) -> JobType:
        """This type as one runner uses it, which calls AWS through that runner's connections.

        Asked once by each runner, and once by each reading of logs (see `log_page`), whose connections are
        its own; what comes back is asked for all else.

        Such as::

            class Query(bunsui.JobType):
                def __init__(self, aws=None):
                    self.aws = aws

                def for_runner(self, services):
                    return Query(services.aws)

        Args:
            services: what the runner has for its job types.
        """
        del services
        return self

    def log_page(self, about: RemoteLog, token: Any) -> LogPage:
        """Some lines of the log that the service has of an attempt; by default none.

        Asked for when somebody reads the session's logs, in their thread; it may block. It is asked of what
        was submitted, and where the job's own log says that it is only the end of one; see
        `bunsui.ports.remote_log.TAIL`. The values of secrets that the job was given are taken out of the
        lines.

        Such as::

            class Query(bunsui.JobType):
                def log_page(self, about, token):
                    page = self.client.log(about.handle["id"], token)
                    lines = [bunsui.LogLine(line.at, line.text) for line in page.lines]
                    return bunsui.LogPage(lines, page.next, is_end=page.next == token)

        Args:
            about: the attempt.
            token: of the page before; None: from the beginning.

        Raises:
            AwsError, OSError: it can't be read now. That, as anything else, keeps nobody from reading other
                logs: a record says so.
        """
        del about, token
        return LogPage()

    @abstractmethod
    def run(self, call: JobCall) -> Any:
        """Does the work of one attempt and returns its output, which must be JSON-able.

        It runs in a thread of its own. It may be ``async def``, or return an awaitable: that is awaited in
        the runner's event loop, together with those of other attempts, so it must not block; where the
        attempt is to stop, it is cancelled.

        Raises:
            JobError: it failed, with a code of its own. Any other exception fails the attempt with
                the exception's name as code.
            AwsError: of the kind ``open``, where nobody can tell whether the work was done: then the job's
                ``on_lost`` decides, ``rerun`` meaning that the attempt failed. Of the kind ``credentials``:
                the attempt begins again once there are some, under the same number and key, and the session
                pauses until then.
        """


#: The call that runs now; set by whoever runs a job's code.
current: ContextVar[JobCall] = ContextVar("bunsui_current_call")


def current_call() -> JobCall:
    """The call that this code runs for.

    Such as::

        def name():
            return bunsui.current_call().job_id

        pipeline = bunsui.Pipeline("Names", [bunsui.Job.from_callable(name)])
        print(runner.run(pipeline).outputs)  # {'name': 'name'}

    Raises:
        StateError: this code does not run in a job.
    """
    try:
        return current.get()
    except LookupError:
        raise StateError("current_call() was asked for outside a job") from None
