"""What whoever runs a pipeline has to be allowed at AWS, as its jobs, artifacts, secrets and store say it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.aws.asking import ask
from bunsui.aws.connections import Caller
from bunsui.aws.errors import account_in
from bunsui.aws.policies import IamPolicy, document
from bunsui.aws.settings import REGION_PATTERN, ROLE_PATTERN
from bunsui.dsl.placing import placed
from bunsui.dsl.problems import Problem, pointer, quoted
from bunsui.errors import BunsuiError, ConfigError, DefinitionError, PluginError
from bunsui.jobs.aws import FIELDS
from bunsui.jobs.custom import CustomJobType
from bunsui.local.secret_sources import EnvironmentSource, FileSource
from bunsui.model.json import copied
from bunsui.model.text import text_of
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.remote import RemoteJobType
from bunsui.ports.store import Store
from bunsui.runner.attempts.artifacts import Artifacts
from bunsui.runner.attempts.event_loop import drop
from bunsui.runner.sessions import creation, verifying
from bunsui.runner.sessions.needs import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.expressions.references import Path
    from bunsui.model.alerts import AlertRule
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobType
    from bunsui.runner.assembly import Parts
    from bunsui.runner.sessions.verifying import Question

#: The types of channels that call nobody at AWS.
QUIET = frozenset({"command", "log", "webhook"})
_REMEDY = "add by hand what it needs to the rest, which --partial (partial=True) gives"
_ACCOUNT = re.compile(r"\d{12}")


@frozen
class Asked:
    """Whose policy is asked for, and where."""

    #: None: the runner's.
    region: str | None = None
    #: Twelve digits; None: AWS is asked whose credentials there are.
    account: str | None = None
    #: The role whose policy it is; None: it is that of whoever has the credentials.
    role: str | None = None

    def check(self) -> None:
        """Raises a `ConfigError` where something of it is wrong."""
        if self.region is not None and not re.match(REGION_PATTERN, self.region):
            raise ConfigError(f"region is {quoted(self.region)}", hint="such as 'eu-central-1'")
        if self.account is not None and not _ACCOUNT.fullmatch(self.account):
            raise ConfigError(f"account is {quoted(self.account)}", hint="it has twelve digits")
        if self.role is not None and not re.match(ROLE_PATTERN, self.role):
            raise ConfigError(
                f"role is {quoted(self.role)}",
                hint="it is an ARN, such as 'arn:aws:iam::123456789012:role/etl'",
            )


def policy(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    given: creation.Given,
    job_types: Mapping[str, JobType],
    parts: Parts,
    asked: Asked,
    *,
    local: bool,
    is_partial: bool,
) -> IamPolicy:
    """See `Runner.iam_policy`."""
    asked.check()
    inputs, used = creation.take_in(pipeline, parameters, given, job_types, parts, local=local)
    questions, problems = verifying.questions(pipeline, inputs, used, job_types, parts)
    if problems:
        raise DefinitionError(placed(problems, pipeline, parameters))
    calls = _Calls(pipeline, parts, asked)
    for question in questions:
        calls.of_job(question)
    calls.of_secrets(needs(pipeline, inputs.parameters).secrets)
    calls.of_channels(parts.alerting.rules_of(pipeline))
    calls.of_runner(any(_leaves_output(question.kind) for question in questions))
    if asked.role is not None and asked.role not in calls.roles:
        found = ", ".join(calls.roles)
        raise ConfigError(
            f"no run of this pipeline takes the role {asked.role}",
            hint=f"it takes {found}" if found else "it takes none: leave 'role' out",
        )
    unnamed = placed(calls.problems(), pipeline, parameters)
    if unnamed and not is_partial:
        raise DefinitionError(unnamed)
    warnings = [evolve(problem, severity="warning") for problem in unnamed]
    return IamPolicy(document(calls.permissions()), tuple(calls.roles), tuple(warnings))


def _leaves_output(kind: JobType) -> bool:
    return isinstance(kind, RemoteJobType) and kind.leaves_output


class _Calls:
    """What is called in a run, by the role in which it is.

    Args:
        pipeline: what would be run.
        parts: the runner's.
        asked: whose policy is asked for.
    """

    def __init__(self, pipeline: Pipeline, parts: Parts, asked: Asked) -> None:
        self._pipeline = pipeline
        self._parts = parts
        self._asked = asked
        self._named: dict[str | None, list[Permission]] = {}
        #: Where it stands, whose it is, and why something of it can't be named.
        self._unnamed: list[tuple[Path, str, str]] = []
        self._where = cache(self._find)

    @property
    def roles(self) -> list[str]:
        """The roles that are taken, sorted."""
        return sorted(filter(None, self._named))

    def permissions(self) -> Iterator[Permission]:
        """What whoever is asked for has to be allowed."""
        yield from self._named.get(self._asked.role, ())
        if self._asked.role is None and self.roles:
            yield Permission(["sts:AssumeRole"], self.roles)

    def problems(self) -> Iterator[Problem]:
        """What can't be named."""
        for path, whose, why in self._unnamed:
            text = f"{whose}: not all that it calls at AWS can be named: {why}"
            yield Problem("unnamed-permission", text, _REMEDY, path=pointer(path))

    def of_job(self, question: Question) -> None:
        """What jobs call."""
        kind, options = question.kind, question.options
        if type(kind) is CustomJobType:  # It calls nobody, so nobody has to be asked where.
            return
        place = [name for name in FIELDS if _has(kind, name)]
        unknown = [name for name in place if "${" in str(options.get(name, ""))]
        if unknown:  # All is called in that region, or as that role.
            self._leave_out(question, [f"'{name}' is known only when the job starts" for name in unknown])
            return
        region, own = (options.get(name) or None if name in place else None for name in FIELDS)
        where = self._where(region, own)
        if own is not None and own != self._asked.role:
            self._named.setdefault(own, [])  # What is called in it is that role's own affair.
            return
        role = own or self._parts.aws.settings.role
        if "region" in place:
            options = {**options, "region": where.region}
        found = _given(lambda: kind.permissions(copied(dict(options)), where), "job type", kind.name)
        self._take(found, role)
        if role == self._asked.role:
            self._leave_out(question, [each.why for each in found if isinstance(each, Unnamed)])

    def of_secrets(self, names: Mapping[str, Path]) -> None:
        """What the sources of secrets call.

        Args:
            names: the secrets', each with the first place that names it.
        """
        role = self._parts.aws.settings.role
        for name, path in names.items():
            source, key = self._parts.secrets.source(name)
            if type(source) in (EnvironmentSource, FileSource):  # As custom jobs.
                continue
            where = self._where(None, None)
            found = _given(partial(source.permissions, key, where), "secret source", type(source).__name__)
            self._take(found, role)
            if role == self._asked.role:
                reasons = [each.why for each in found if isinstance(each, Unnamed)]
                self._unnamed += [(path, f"secret '{name}'", why) for why in reasons]

    def of_runner(self, leaves_output: bool) -> None:
        """What the runner itself calls."""
        store, artifacts = self._parts.store, self._parts.artifacts
        found: list[Permission | Unnamed] = []
        # Where it would be called, nobody has to be asked for what calls nobody.
        if type(store).permissions is not Store.permissions:
            found += store.permissions(self._where(None, None))
        if artifacts is not None and type(artifacts).permissions is not Artifacts.permissions:
            found += artifacts.permissions(self._where(None, None), leaves_output=leaves_output)
        role = self._parts.aws.settings.role
        self._take(found, role)
        self._of_logs()
        if role == self._asked.role:
            self._unnamed += [((), "the store", each.why) for each in found if isinstance(each, Unnamed)]

    def of_channels(self, rules: Iterable[AlertRule]) -> None:
        """What the channels call that alerts are sent through.

        Args:
            rules: the definition's, then those of the configuration.
        """
        role = self._parts.aws.settings.role
        places: dict[str, Path] = {}
        for i, rule in enumerate(rules):
            path: Path = ("alerts", i, "channel") if i < len(self._pipeline.alerts) else ()
            for name in rule.channels:
                places.setdefault(name, path)
        for name, path in places.items():
            channels = self._parts.channels()
            if channels.type_of(name) in QUIET:  # As custom jobs.
                continue
            found = channels.permissions([name], self._where(None, None))
            self._take(found, role)
            if role == self._asked.role:
                reasons = [each.why for each in found if isinstance(each, Unnamed)]
                self._unnamed += [(path, f"alert channel '{name}'", why) for why in reasons]

    def _of_logs(self) -> None:
        """What keeping the logs of jobs calls, where they are kept at AWS."""
        cloud = self._parts.logs.cloud
        if cloud is not None:
            where = self._where(cloud.settings.region, None)
            self._take(cloud.permissions(where), cloud.settings.role)

    def _take(self, found: Iterable[Permission | Unnamed], role: str | None) -> None:
        for each in found:
            own = self._named.setdefault(role, [])  # Also where nothing of it can be named.
            if isinstance(each, Permission):
                own.append(each)

    def _leave_out(self, question: Question, reasons: Iterable[str]) -> None:
        for why in reasons:
            for i in question.jobs:
                self._unnamed.append((("jobs", i), f"job '{self._pipeline.jobs[i].id}'", why))

    def _find(self, region: str | None, role: str | None) -> Where:
        """Where a call is made.

        Raises:
            AwsError: no region is named, or the account can't be told.
            PermissionDenied: the role is none that jobs may name.
        """
        aws, asked = self._parts.aws, self._asked
        caller = Caller(region or asked.region, role)
        meta = aws.using("lambda", "", lambda client: client.meta, caller)
        account = account_in(role or aws.settings.role) or asked.account
        if account is None:
            account = str(ask(aws, "sts", caller, lambda: aws.account(caller)))
        return Where(str(meta.region_name), account, str(meta.partition))


def _has(kind: JobType, name: str) -> bool:
    """Whether a type has a field that all types at AWS have, and means the same by it."""
    properties = kind.schema.get("properties", {})
    return isinstance(properties, Mapping) and properties.get(name) == FIELDS[name]


def _given(ask_it: Callable[[], object], what: str, name: str) -> list[Permission | Unnamed]:
    """What a job type or a secret source says of what it calls.

    Raises:
        BunsuiError: it could not ask.
        PluginError: it failed to say so, or gave something else.
    """
    try:
        given = ask_it()
        if not isinstance(given, Iterable):
            drop(given)
            wrong = f"gave {type(given).__name__}, not an iterable of Permission and Unnamed"
        else:
            found = list(given)
            if all(isinstance(each, Permission | Unnamed) for each in found):
                return found
            wrong = "gave what is neither a Permission nor Unnamed"
    except (KeyboardInterrupt, BunsuiError):
        raise
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        wrong = f"failed: {type(error).__name__}: {text_of(error)}"
        raise PluginError(f"permissions() of {what} '{name}' {wrong}", plugin=name) from error
    raise PluginError(f"permissions() of {what} '{name}' {wrong}", plugin=name)
