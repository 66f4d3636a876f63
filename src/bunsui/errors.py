"""Every error that bunsui raises.

The tree::

    BunsuiError
    ├── DefinitionError          a definition or parameters are wrong (.problems)
    ├── NotFound                 pipeline, session, job, plugin
    ├── StateError               the operation does not fit the session's status
    ├── Conflict                 somebody else changed it first
    ├── SessionFailed            from raise_for_status(): names the failed jobs
    ├── JobError                 code, message, retryable
    │   ├── JobTimeout
    │   ├── JobCancelled
    │   ├── JobLost
    │   ├── OutcomeUnknown
    │   └── SecretInOutput
    ├── StoreError               unavailable, full, corrupt, newer than this library
    ├── AwsError                 service, action, resource, account, request id
    ├── AlertNotTaken            a channel did not take an alert
    ├── AuthenticationError
    ├── PermissionDenied
    ├── PluginError              names the plugin and its distribution
    └── ConfigError

Each keeps what it was made of as attributes, says in its text what to do next, and survives pickling.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bunsui.dsl.problems import Problem

__all__ = [
    "AlertNotTaken",
    "AuthenticationError",
    "AwsError",
    "BunsuiError",
    "ConfigError",
    "Conflict",
    "DefinitionError",
    "JobCancelled",
    "JobError",
    "JobLost",
    "JobTimeout",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "PluginError",
    "SecretInOutput",
    "SessionFailed",
    "StateError",
    "StoreError",
]


class BunsuiError(Exception):
    """The base of every error of this library.

    Such as::

        try:
            runner.session("nosuch")
        except bunsui.BunsuiError as error:
            print(error.message)  # there is no session 'nosuch' in this store
            print(error.hint)  # 'bunsui session list' shows those that there are

    Args:
        message: what happened, and where.
        hint: what to do next; shown after the message.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}; {hint}")
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class again, as exceptions do: a subclass may ask for other arguments.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class DefinitionError(BunsuiError):
    """A definition, or the parameters given to it, are wrong.

    Such as::

        try:
            runner.run(pipeline, {"source_buckt": "flights"})
        except bunsui.DefinitionError as error:
            print([problem.hint for problem in error.problems])  # ["did you mean 'source_bucket'?"]

    Attributes:
        problems: all that is wrong, sorted by position; never empty.
    """

    problems: Sequence[Problem]

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = tuple(problems)


class NotFound(BunsuiError):
    """A pipeline, session, job or plugin that does not exist.

    Such as::

        try:
            pipeline.job("load")
        except bunsui.NotFound as error:
            print(error.kind, error.name)  # job load

    Attributes:
        kind: what was looked for, such as ``"session"``.
        name: the name that was asked for.
    """

    def __init__(self, message: str, *, kind: str, name: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.name = name


class StateError(BunsuiError):
    """The operation does not fit the session's status.

    Such as::

        try:
            session.pause()
        except bunsui.StateError as error:
            print(error.hint.partition(":")[0])  # to run it again
    """


class Conflict(BunsuiError):
    """Somebody else changed it first.

    Such as::

        runner.create_pipeline(pipeline)
        try:
            runner.create_pipeline(pipeline)
        except bunsui.Conflict as error:
            print(error.hint)  # update it to make another revision
    """


class SessionFailed(BunsuiError):
    """A session came to rest without success.

    Such as::

        try:
            runner.run(pipeline, {"source_bucket": "missing"}).raise_for_status()
        except bunsui.SessionFailed as error:
            print(error.status, error.errors["extract_data"].code)  # failed LookupError

    Attributes:
        session_id: the session.
        status: its status, as text.
        errors: each failed job's error, by job id.
        reason: why it failed, where it was not a job that did: its outputs could not be made.
    """

    def __init__(
        self,
        session_id: str,
        status: str,
        errors: Mapping[str, JobError],
        reason: JobError | None = None,
    ) -> None:
        named = [*errors.items(), *([] if reason is None else [("outputs", reason)])]
        lines = "".join(f"\n  {name}: {error.code}: {error.message}" for name, error in named)
        super().__init__(f"session {session_id} is {status}{':' if lines else ''}{lines}")
        self.reason = reason
        self.session_id = session_id
        self.status = status
        self.errors: dict[str, JobError] = dict(errors)


class JobError(BunsuiError):
    """A job failed. A job may raise it to choose code and retryability itself.

    Such as::

        def load():
            raise bunsui.JobError("the table is locked", code="Table.Locked", retryable=True)

        session = runner.run(bunsui.Pipeline("Load", [bunsui.Job.from_callable(load)]))
        print(session.jobs["load"].error.code)  # Table.Locked

    Args:
        message: what happened, for a person.
        code: a stable name that ``retry: {on: [...]}`` matches; the class's own by default.
        retryable: whether another attempt can help.
    """

    #: What `code` is where none is given.
    default_code: ClassVar[str] = "JobError"
    #: What `retryable` is where it is not given.
    default_retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        self.code: str = self.default_code if code is None else code
        self.retryable: bool = self.default_retryable if retryable is None else retryable
        super().__init__(message)


class JobTimeout(JobError):
    """An attempt ran longer than its job's timeout.

    Such as::

        error = bunsui.JobTimeout("it took longer than 5 seconds")
        print(error.code, error.retryable)  # JobTimeout True
    """

    default_code = "JobTimeout"


class JobCancelled(JobError):
    """The work was stopped because its session was cancelled.

    Such as::

        print(bunsui.JobCancelled("the session was cancelled").retryable)  # False
    """

    default_code = "JobCancelled"
    default_retryable = False


class JobLost(JobError):
    """The runner of the attempt died, and the job's ``on_lost`` is ``fail``.

    Such as::

        print(bunsui.JobLost("its runner died").code)  # JobLost
    """

    default_code = "JobLost"
    default_retryable = False


class OutcomeUnknown(JobError):
    """It can't be told whether the attempt ran.

    Such as::

        print(bunsui.OutcomeUnknown("the service has forgotten it").retryable)  # False
    """

    default_code = "OutcomeUnknown"
    default_retryable = False


class SecretInOutput(JobError):
    """A job returned the value of a secret.

    Such as::

        print(bunsui.SecretInOutput("it returned the secret 'db'").code)  # SecretInOutput
    """

    default_code = "SecretInOutput"
    default_retryable = False


class StoreError(BunsuiError):
    """The store is unavailable, full, read-only, corrupt, or newer than this library.

    Such as::

        from pathlib import Path
        Path("orders.db").write_text("no database at all")
        try:
            bunsui.Runner("sqlite:///orders.db").sessions()
        except bunsui.StoreError as error:
            print(error.hint)  # the file is damaged, or no bunsui store; restore it from a backup

    Attributes:
        lasting: whether trying again is of no use before somebody has mended the store, such as a full disk.
    """

    def __init__(self, message: str, *, hint: str | None = None, lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting


class AwsError(BunsuiError):
    """AWS refused or failed a call, or could not be asked.

    Such as::

        error = bunsui.AwsError("AWS refused it", service="lambda", action="Invoke")
        print(error.service, error.action, error.request_id)  # lambda Invoke None

    Attributes:
        service: such as ``"lambda"``. action: such as ``"Invoke"``. resource: an ARN or name.
        account: the account id, where known. request_id: AWS's own, for its support.
        code: AWS's own name for the error, such as ``"ThrottlingException"``; None: there is none.
        kind: what is known of the call. ``refused``: AWS answered that it will not, so it had no effect, and
            has none the next time. ``busy``: it was throttled, or did not reach AWS; it had no effect, and
            may have one later. ``open``: it failed, or its answer was lost; it may have had an effect.
            ``credentials``: there are no valid credentials; it had no effect.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str,
        action: str,
        resource: str | None = None,
        account: str | None = None,
        request_id: str | None = None,
        code: str | None = None,
        kind: Literal["refused", "busy", "open", "credentials"] = "open",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.service = service
        self.action = action
        self.resource = resource
        self.account = account
        self.request_id = request_id
        self.code = code
        self.kind = kind

    @property
    def job_code(self) -> str:
        """The code of a job that fails by it, such as ``Lambda.ThrottlingException``."""
        names = {"batch": "Batch", "glue": "Glue", "lambda": "Lambda", "stepfunctions": "StepFunctions"}
        service = names.get(self.service, self.service.upper())
        return type(self).__name__ if self.code is None else f"{service}.{self.code}"


class AlertNotTaken(BunsuiError):
    """Nobody has taken an alert: the channel failed, or whoever is behind it. Channels raise it.

    Such as::

        error = bunsui.AlertNotTaken("the pager is busy", retry_after=30)
        print(error.message, error.retry_after)  # the pager is busy 30

    Attributes:
        retry_after: seconds after which the other side wants to be asked again; None: it said nothing.
    """

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class AuthenticationError(BunsuiError):
    """Who is asking could not be established. Nothing in this version asks, so nothing raises it.

    Such as::

        print(bunsui.AuthenticationError("the token has expired", hint="log in again").hint)  # log in again
    """


class PermissionDenied(BunsuiError):
    """The one who asks may not do this, such as take a role that jobs may not name.

    Such as::

        job = bunsui.Job("load", "lambda", function="load", role="arn:aws:iam::123456789012:role/admin")
        try:
            bunsui.Runner("memory://", aws={"allowed_roles": []}).run(bunsui.Pipeline("Load", [job]))
        except bunsui.PermissionDenied as error:
            print(error.hint.partition(",")[0])  # name it in 'aws_allowed_roles' of the configuration
    """


class PluginError(BunsuiError):
    """A plugin failed, or two plugins exclude each other.

    Such as::

        try:
            bunsui.Plugins([object()])
        except bunsui.PluginError as error:
            print(error.plugin, error.distribution)  # object None

    Attributes:
        plugin: the plugin's name. distribution: the distribution that it came with, where known.
    """

    def __init__(
        self, message: str, *, plugin: str, distribution: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.plugin = plugin
        self.distribution = distribution


class ConfigError(BunsuiError):
    """The configuration, a store URL or an argument of a Runner is wrong.

    Such as::

        try:
            bunsui.Runner("nosuch://store")
        except bunsui.ConfigError as error:
            print(error.hint)  # a store is named by a URL, such as sqlite:///bunsui.db
    """
