"""The secrets that a Runner's configuration names, asked for when a job starts that needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.dsl.problems import did_you_mean
from bunsui.errors import ConfigError, JobError, PluginError
from bunsui.ports.registered import left_out, unavailable, with_left_out
from bunsui.runner.attempts.event_loop import drop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bunsui.configuration.settings import SecretReference
    from bunsui.ports.secrets import SecretSource

#: The code of a job that needs a secret which could not be had.
UNAVAILABLE = "SecretUnavailable"


class Secrets:
    """The configured secrets by name. It holds no value: each is asked for anew.

    Args:
        references: where each of them is found.
        sources: the registered secret sources.

    Raises:
        ConfigError: a source is not registered, and no plugin is disabled that may have it: else only what
            needs the secret fails by that.
    """

    def __init__(
        self, references: Mapping[str, SecretReference], sources: Mapping[str, SecretSource]
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
            PluginError: one is not, and a plugin is disabled that may have it.
        """
        for name in names:
            if name in self._missing:
                raise self._missing[name]

    def get(self, name: str) -> str:
        """The value that a secret has now. It asks the source, which may take its time.

        Raises:
            PluginError: see `require`.
            JobError: it can't be had, with the code ``SecretUnavailable``. Its text has nothing of what the
                source said.
        """
        self.require([name])
        reference = self._references.get(name)
        if reference is None:
            raise _unavailable(name, "this runner's configuration does not name it", retryable=False)
        try:
            value = self._sources[reference.source].get(reference.key)
        except BaseException as error:  # Foreign code: it may raise SystemExit, too.
            reason = _absent(self._sources[reference.source], reference.key, error) or (
                f"source '{reference.source}' raised {type(error).__name__} for '{reference.key}'"
            )
            failed = _unavailable(name, reason, retryable=_can_pass(error))
        else:
            if issubclass(type(value), str):
                return str.__str__(value)  # What a subclass of str adds stays here.
            drop(value)
            reason = f"source '{reference.source}' gave {type(value).__name__}, not text"
            failed = _unavailable(name, f"{reason}, for '{reference.key}'", retryable=False)
        # Out of the handler, so that what the source raised is not chained to it.
        raise failed


def _absent(source: SecretSource, key: str, error: BaseException) -> str | None:
    """What is missing where one of bunsui's own sources says so; of any other nobody knows what it means."""
    from bunsui.local.secret_sources import EnvironmentSource, FileSource  # noqa: PLC0415 - rarely needed

    if isinstance(error, LookupError):
        if type(source) is EnvironmentSource:
            return f"variable {key} is not set"
        if type(source) is FileSource:
            return f"there is no file {key}"
    return None


def _can_pass(error: BaseException) -> bool:
    """Whether the source may have failed for the moment only."""
    try:
        if isinstance(error, JobError):
            return getattr(error, "retryable", True) is not False
        return not isinstance(error, LookupError)
    except BaseException:  # Foreign code; what it raised would carry with it what the source raised.
        return True


def _unavailable(name: str, reason: str, *, retryable: bool) -> JobError:
    return JobError(f"secret '{name}' is not available: {reason}", code=UNAVAILABLE, retryable=retryable)
