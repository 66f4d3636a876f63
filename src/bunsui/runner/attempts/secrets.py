"""The secrets that a Runner's configuration names, asked for when a job starts that needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bunsui.dsl.problems import did_you_mean
from bunsui.errors import AwsError, BunsuiError, ConfigError, JobError, PluginError
from bunsui.ports.made import made_for
from bunsui.ports.registered import left_out, unavailable, with_left_out
from bunsui.ports.secrets import SecretSource
from bunsui.runner.attempts.event_loop import drop
from bunsui.runner.attempts.missing import is_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from threading import Event

    from bunsui.configuration.settings import SecretReference
    from bunsui.ports.services import Services
    from bunsui.runner.attempts.kept_secrets import KeptSecrets

#: Seconds before AWS is asked again for a secret, at first and at most: each time it is asked several times.
FIRST_WAIT, LONGEST_WAIT = 1.0, 10.0
#: The code of a job that needs a secret which could not be had.
UNAVAILABLE = "SecretUnavailable"


class Secrets:
    """The configured secrets by name. It holds no value: what is kept of them, sessions keep.

    Args:
        references: where each of them is found.
        sources: the registered secret sources.
        services: what the runner has for them.

    Raises:
        ConfigError: a source is not registered, and no plugin is disabled that may have it: else only what
            needs the secret fails by that.
    """

    def __init__(
        self,
        references: Mapping[str, SecretReference],
        sources: Mapping[str, SecretSource],
        services: Services,
    ) -> None:
        #: Why a plugin can't be used that may have the source of a secret.
        self._missing: dict[str, PluginError] = {}
        for name, reference in references.items():
            if reference.source not in sources:
                # Not shown: a value with a colon may stand there.
                where = f"{reference.place}: " if reference.place else "config."
                what = f"{where}secrets.{name} names a source that does not exist"
                near = did_you_mean(reference.source, sources)
                if near is None and (why := left_out(sources)):
                    self._missing[name] = unavailable(what, why)
                    continue
                hint = None if near is None else with_left_out(near, sources)
                raise ConfigError(f"{what}; there are: {', '.join(sources)}", hint=hint)
        self._references = references
        self._sources = sources
        self._services = services
        #: The sources as this runner uses them, by name.
        self._made: dict[str, SecretSource] = {}

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that definitions may use, in the configuration's order."""
        return tuple(self._references)

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the environment in which secrets are found."""
        if not self._references:
            return frozenset()
        from bunsui.local.secret_sources import EnvironmentSource  # noqa: PLC0415 - where there are secrets

        named = self._references.values()
        return frozenset(
            each.key for each in named if isinstance(self._sources.get(each.source), EnvironmentSource)
        )

    def require(self, names: Iterable[str]) -> None:
        """Makes sure that the sources of these secrets are there; no secret is asked for.

        Raises:
            PluginError: one is not, and a plugin is disabled that may have it; or it can't be made for this
                runner.
        """
        for name in names:
            if name in self._missing:
                raise self._missing[name]
            if name in self._references:
                self._source(self._references[name].source)

    def source(self, name: str) -> tuple[SecretSource, str]:
        """The source of a secret, as this runner uses it, and by which key it knows it.

        Raises:
            PluginError: see `require`.
        """
        self.require([name])
        reference = self._references[name]
        return self._source(reference.source), reference.key

    def get(self, name: str, kept: KeptSecrets | None = None) -> str:
        """The value of a secret. It may ask the source, which may take its time.

        Args:
            name: the secret's.
            kept: those of the session that needs it, for sources whose values are kept that long; None: the
                source is asked.

        Raises:
            PluginError: see `require`.
            AwsError: AWS is busy or does not answer (``busy``), or there are no ``credentials``.
            JobError: it can't be had, with the code ``SecretUnavailable``.
        """
        self.require([name])
        reference = self._references.get(name)
        if reference is None:
            raise _unavailable(name, "this runner's configuration does not name it", retryable=False)
        if kept is not None and _is_kept(self._source(reference.source)):
            answer = kept.get(name, self._ask)
        else:
            answer = self._ask(name)
        # Out of the handler, so that what the source raised is not chained to it.
        if isinstance(answer, BunsuiError):
            raise answer
        return answer

    def _source(self, name: str) -> SecretSource:
        made = self._made.get(name)
        if made is None:
            # Of two threads that come at once one makes it for nothing.
            brought = self._sources[name]
            given: SecretSource = made_for(self._services, brought, SecretSource, "secret source", name)
            made = self._made.setdefault(name, given)
        return made

    def _ask(self, name: str) -> str | BunsuiError:
        """The value that a secret has now, or why it can't be had."""
        reference = self._references[name]
        source = self._source(reference.source)
        try:
            value = source.get(reference.key)
        except BaseException as error:  # Foreign code: it may raise SystemExit, too.
            said = _said(source, reference.key, error)
            if is_missing(error):
                return _unanswered(name, reference, said, "credentials")
            if said is not None and type(error) is AwsError and error.kind != "refused":
                return _unanswered(name, reference, said, "busy")  # To ask has no effect.
            reason = (
                said or f"source '{reference.source}' raised {type(error).__name__} for '{reference.key}'"
            )
            return _unavailable(name, reason, retryable=_can_pass(error))
        if issubclass(type(value), str):
            return str.__str__(value)  # What a subclass of str adds stays here.
        drop(value)
        reason = f"source '{reference.source}' gave {type(value).__name__}, not text"
        return _unavailable(name, f"{reason}, for '{reference.key}'", retryable=False)


def _is_kept(source: SecretSource) -> bool:
    try:
        return bool(source.kept_for_session)
    except BaseException:  # Foreign code: the attribute of somebody's class.
        return False


def _said(source: SecretSource, key: str, error: BaseException) -> str | None:
    """What one of bunsui's own sources says; of any other nobody knows what its text holds."""
    from bunsui.aws.secret_sources import ParameterStore, SecretsManager  # noqa: PLC0415 - rarely needed
    from bunsui.local.secret_sources import EnvironmentSource, FileSource  # noqa: PLC0415 - rarely needed

    if isinstance(error, LookupError):
        if type(source) is EnvironmentSource:
            return f"variable {key} is not set"
        if type(source) is FileSource:
            return f"there is no file {key}"
    if type(source) in (SecretsManager, ParameterStore) and isinstance(
        error, LookupError | JobError | AwsError
    ):
        return str(error)
    return None


def patiently(ask: Callable[[], None], check: Callable[[], None], cancelled: Event) -> None:
    """Asks AWS for secrets until it answers: that it is busy or away fails no job.

    Args:
        ask: asks once, which takes several tries.
        check: raises where nobody waits any more.
        cancelled: ends a wait.

    Raises:
        AwsError: there are no credentials.
        JobError: one can't be had; or what `check` raises.
    """
    seconds = FIRST_WAIT
    while True:
        try:
            return ask()
        except AwsError as error:
            if error.kind != "busy":
                raise
        cancelled.wait(seconds)
        check()
        seconds = min(2 * seconds, LONGEST_WAIT)


def _unanswered(
    name: str, reference: SecretReference, said: str | None, kind: Literal["busy", "credentials"]
) -> AwsError:
    """Why a secret can't be had for now; a session pauses where there are no credentials."""
    reason = said or f"source '{reference.source}' has no valid credentials for '{reference.key}'"
    return AwsError(
        f"secret '{name}' is not available: {reason}",
        service=reference.source,
        action="get",
        kind=kind,
    )


def _can_pass(error: BaseException) -> bool:
    """Whether the source may have failed for the moment only."""
    try:
        if isinstance(error, JobError):
            return getattr(error, "retryable", True) is not False
        if type(error) is AwsError:
            return error.kind != "refused"
        return not isinstance(error, LookupError)
    except BaseException:  # Foreign code; what it raised would carry with it what the source raised.
        return True


def _unavailable(name: str, reason: str, *, retryable: bool) -> JobError:
    return JobError(f"secret '{name}' is not available: {reason}", code=UNAVAILABLE, retryable=retryable)
