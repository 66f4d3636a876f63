"""The channels that a runner can send alerts through: the configured ones, and types that need no options."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import AlertNotTaken, BunsuiError, ConfigError, JobError, PluginError
from bunsui.local.redaction import Redactor
from bunsui.monitoring.channels.configured import ConfiguredChannel
from bunsui.monitoring.channels.options import check_options, needs_none
from bunsui.ports.alerts import AlertChannel
from bunsui.ports.made import made_for
from bunsui.ports.permissions import Permission, Unnamed
from bunsui.ports.registered import left_out, unavailable, with_left_out

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from bunsui.ports.alerts import Alert
    from bunsui.ports.permissions import Where
    from bunsui.ports.services import Services

#: Seconds until one attempt to send an alert is given up. Each channel that comes with bunsui ends by itself
#: before, so that only one of a plugin, which hangs, is.
PATIENCE = 60.0


class Channels:
    """Sends alerts by the names that definitions use. Any number of threads may use it at once.

    It starts nothing, and looks at no channel before that is used.

    Args:
        configured: the configuration's, by name.
        types: the registered types, by name.
        services: what the runner has for them.
        secret: gives the value of a secret of the configuration by its name; it raises a `BunsuiError` where
            it is not to be had.
        secrets: the names that it knows.
    """

    def __init__(
        self,
        configured: Mapping[str, ConfiguredChannel],
        types: Mapping[str, AlertChannel],
        services: Services,
        secret: Callable[[str], str],
        secrets: Collection[str],
    ) -> None:
        self._configured = dict(configured)
        self._types = types
        self._services = services
        self._secret = secret
        self._secrets = secrets
        self._lock = threading.Lock()
        #: The types as this runner uses them.
        self._made: dict[str, AlertChannel] = {}
        #: Attempts that were given up and have not ended yet, by channel.
        self._hanging: dict[str, threading.Thread] = {}

    def __repr__(self) -> str:
        return f"Channels({', '.join(self._configured)})"

    @property
    def names(self) -> tuple[str, ...]:
        """What definitions may name: the configured channels, then types that need no option."""
        return (*self._configured, *(name for name in self._types if self._is_its_own(name)))

    def _is_its_own(self, name: str) -> bool:
        """Whether a type is also a channel, of its own name."""
        if name in self._configured or name not in self._types:
            return False
        kind = self._types[name]
        return not kind.user_only and needs_none(kind.schema)

    def type_of(self, name: str) -> str:
        """The type of a channel; that may be none that is registered.

        Raises:
            ConfigError: there is no such channel.
        """
        return self._channel(name).type

    def _channel(self, name: str) -> ConfiguredChannel:
        found = self._configured.get(name)
        if found is not None:
            return found
        if self._is_its_own(name):
            return ConfiguredChannel(name)
        if name in self._types:
            hint = f"it is a type of channels: configure one, as 'alert_channels.NAME' with the type {name}"
        else:
            hint = did_you_mean(name, self.names) or f"there are: {', '.join(self.names)}"
        raise ConfigError(f"there is no alert channel {quoted(name)}", hint=hint)

    # What is configured

    def check(self) -> None:
        """Makes sure that what is configured could be used, as far as that shows without using it.

        Raises:
            ConfigError: a type is not registered, or an option is wrong.
            PluginError: a type is not registered, and a plugin is disabled that may have it.
        """
        for name in self._configured:
            self.check_one(name)

    def check_one(self, name: str) -> None:
        """The same of one channel.

        Raises:
            ConfigError, PluginError: see `check`; or there is no such channel.
        """
        channel = self._channel(name)
        where = self._where(name, channel)
        kind = self._types.get(channel.type)
        if kind is None:
            text = f"{where}.type is {quoted(channel.type)}, and there is no such type of alert channels"
            near = did_you_mean(channel.type, self._types)
            if near is None and (why := left_out(self._types)):
                raise unavailable(text, why)
            hint = f"there are: {', '.join(self._types)}" if near is None else near
            raise ConfigError(text, hint=with_left_out(hint, self._types))
        check_options(channel.options, kind.schema, where)
        for option in kind.secret_options:
            self._check_secrets(channel.options.get(option), f"{where}.{option}")

    def _check_secrets(self, value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            for name, each in value.items():
                self._check_secrets(each, f"{where}.{name}")
        elif value is not None and value not in self._secrets:
            # Not shown: the secret itself may stand there.
            raise ConfigError(
                f"{where} is not the name of a secret that is configured",
                hint="configure it with: bunsui config set --user secrets.NAME SOURCE:KEY",
            )

    @staticmethod
    def _where(name: str, channel: ConfiguredChannel) -> str:
        return f"{channel.place}: alert_channels.{name}" if channel.place else f"alert_channels.{name}"

    # Sending

    def send(self, name: str, alert: Alert) -> None:
        """Sends an alert; when it returns, somebody has taken it. See `send_within` for who must not wait.

        Raises:
            ConfigError: there is no such channel, its type is not registered, or an option is wrong.
            AlertNotTaken: the channel has failed.
            BunsuiError: AWS refused it (`AwsError`), a secret is not to be had, a plugin is disabled.
        """
        self.check_one(name)
        channel = self._channel(name)
        kind = self._made_for(channel.type)
        what = f"alert channel {quoted(name)}"
        known: list[str] = []
        try:
            options = {
                option: self._revealed(value, known) if option in kind.secret_options else value
                for option, value in channel.options.items()
            }
        except JobError as error:  # It says which secret, and why; there is no job here.
            raise AlertNotTaken(f"{what}: {error.message}") from None
        failed = _failure(kind, alert, options, what, Redactor(known))
        if failed is not None:
            raise failed

    def send_within(self, name: str, alert: Alert, seconds: float = PATIENCE) -> None:
        """The same, given up after a time: a channel that hangs keeps a thread, and nobody else.

        While it does, nothing more is sent through it.

        Raises:
            AlertNotTaken: also where it has not ended in time, an earlier attempt still hangs, or it raised
                what is no `BunsuiError`.
            BunsuiError: as `send`.
        """
        self._channel(name)
        with self._lock:
            hanging = self._hanging.get(name)
            if hanging is not None and hanging.is_alive():
                raise AlertNotTaken(f"alert channel {quoted(name)} still hangs in an earlier attempt")
            self._hanging.pop(name, None)
        failures: list[BaseException] = []

        def attempt() -> None:
            try:
                self.send(name, alert)
            except BaseException as error:  # It is raised where it is waited for.
                failures.append(error)

        # It does not keep the process, as it may never end.
        sending = threading.Thread(target=attempt, name=f"bunsui-alert-{name}", daemon=True)
        sending.start()
        sending.join(seconds)
        if sending.is_alive():
            with self._lock:
                self._hanging[name] = sending
            raise AlertNotTaken(f"alert channel {quoted(name)} has not taken it in {seconds:g} seconds")
        if failures and isinstance(failures[0], BunsuiError):
            raise failures[0]
        if failures:  # No Ctrl-C comes into that thread: it is foreign code that raised it.
            raise AlertNotTaken(f"alert channel {quoted(name)} raised {type(failures[0]).__name__}")

    def close(self) -> None:
        """Ends what channels have left running, as far as that can be ended."""
        with self._lock:
            made = list(self._made.values())
        for kind in made:
            end = getattr(kind, "close", None)
            if end is not None and _is_builtin(kind):  # The port has no such method.
                end()

    def _revealed(self, value: Any, known: list[str]) -> Any:
        """The values of the secrets that an option names; `known` gets them, too."""
        if isinstance(value, str):
            known.append(self._secret(value))
            return known[-1]
        return {name: self._revealed(each, known) for name, each in value.items()}

    def _made_for(self, name: str) -> AlertChannel:
        """A type as this runner uses it.

        Raises:
            PluginError: it can't be made.
        """
        with self._lock:
            found = self._made.get(name)
            if found is None:
                found = self._made[name] = made_for(
                    self._services, self._types[name], AlertChannel, "alert channel", name, says=False
                )
        return found

    # What it needs

    def permissions(self, names: Iterable[str], where: Where) -> Sequence[Permission | Unnamed]:
        """What whoever sends through these channels has to be allowed at AWS. Nobody is asked.

        Args:
            names: the channels'.
            where: the region and account of the runner.

        Raises:
            ConfigError, PluginError: see `check_one`; or a plugin's channel failed to say it.
        """
        found: list[Permission | Unnamed] = []
        for name in dict.fromkeys(names):
            self.check_one(name)
            channel = self._channel(name)
            found += _needed(self._types[channel.type], channel, where)
        return found


def _failure(
    kind: AlertChannel, alert: Alert, options: Mapping[str, Any], what: str, redactor: Redactor
) -> BunsuiError | None:
    """What an attempt to send failed with; None: it was taken.

    It is given, not raised, as what is raised in a handler keeps the error that it handles, with whatever a
    plugin wrote into that.
    """
    try:
        kind.send(alert, options)
    except KeyboardInterrupt:  # Of who waits for this.
        raise
    except BunsuiError as error:
        shown = error
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        return AlertNotTaken(f"{what} raised {type(error).__name__}")
    else:
        return None
    if _is_builtin(kind) and not isinstance(shown, AlertNotTaken):
        return shown  # What is called at AWS says what helps.
    if not isinstance(shown, AlertNotTaken):
        return AlertNotTaken(f"{what} raised {type(shown).__name__}")
    hint = None if shown.hint is None else redactor.redact(shown.hint)
    after: object = shown.retry_after
    is_number = isinstance(after, int | float) and not isinstance(after, bool)
    return AlertNotTaken(
        f"{what}: {redactor.redact(str(shown.message))}",
        hint=hint,
        retry_after=shown.retry_after if is_number else None,
    )


def _is_builtin(kind: AlertChannel) -> bool:
    return type(kind).__module__.startswith("bunsui.")


def _needed(kind: AlertChannel, channel: ConfiguredChannel, where: Where) -> list[Permission | Unnamed]:
    name = channel.type
    try:
        given: list[Any] = list(kind.permissions(channel.options, where))
    except (KeyboardInterrupt, BunsuiError):
        raise
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        text = f"permissions() of alert channel '{name}' failed: {type(error).__name__}"
        raise PluginError(text, plugin=name) from error
    if not all(isinstance(each, Permission | Unnamed) for each in given):
        text = f"permissions() of alert channel '{name}' gave what is neither a Permission nor Unnamed"
        raise PluginError(text, plugin=name)
    return given
