"""`Config`: every setting, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from bunsui.aws.settings import AwsSettings, read_aws
from bunsui.configuration import files
from bunsui.configuration.checking import check, parsed
from bunsui.configuration.keys import HIDDEN, KEYS, USER_ONLY, schema_of, variable_of
from bunsui.configuration.origins import Origin, Setting, Source
from bunsui.configuration.places import PLACES, place_of
from bunsui.configuration.settings import Settings, default_store, read_alerts, read_reference
from bunsui.dsl.problems import did_you_mean
from bunsui.errors import ConfigError
from bunsui.model.alerts import AlertRule

if TYPE_CHECKING:
    from bunsui.monitoring.channels.configured import ConfiguredChannel

#: How those begin that a job is given, and one that is near to a key's: bunsui's own tests have it.
_OF_OTHERS = ("BUNSUI_PARAM", "BUNSUI_OUTPUT", "BUNSUI_FAULTS")


def _unchanging(mapping: Mapping[str, Setting]) -> Mapping[str, Setting]:
    return MappingProxyType(dict(mapping))


@frozen
class Config:
    """What is configured. Without arguments: nothing, so everything has its default.

    `Config.load` reads it. A value of a table, such as ``pools``, is put together from all places.

    Such as::

        config = bunsui.Config.load(lease=10, pools={"gpu": 2})
        print(config.lease, config.pools, config.origin("lease"))  # 10.0 {'gpu': 2} argument
        with bunsui.Runner("memory://", config=config) as runner:
            ...
    """

    #: What was set, by key; entries of tables under their dotted names, such as ``pools.gpu``.
    settings: Mapping[str, Setting] = field(factory=dict, converter=_unchanging)
    #: The project's file that was read, if any.
    project_file: Path | None = None
    #: The user's file that was read, if any.
    user_file: Path | None = None
    #: What was found and left out, with the reason.
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        folder: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        user_file: str | Path | None = None,
        **arguments: Any,
    ) -> Config:
        """Reads the configuration: later wins.

        ``bunsui.toml`` of the project, then the user's file, then the environment (``BUNSUI_<KEY>``), then
        the arguments. A project's file is looked for from the folder upwards, up to the user's home or the
        root; only one that belongs to the user and that nobody else may write is read.

        Args:
            folder: where the project is; None: the current folder.
            environ: the environment; None: that of this process.
            user_file: the user's file; None: BUNSUI_CONFIG, else ``bunsui/config.toml`` in the user's folder
                for configurations.
            arguments: values by key; None: not given.

        Raises:
            ConfigError: a value or a key is wrong, or a file can't be read. It names the file and the line,
                or the variable.
        """
        found: dict[str, Setting] = {}
        warnings: list[str] = []
        around = os.environ if environ is None else environ
        project = _project(None if folder is None else Path(folder), warnings)
        user = _user(around, user_file)
        for file in (project, user):
            if file is not None:
                found |= _of_file(file)
        found |= _of_environment(around)
        found |= _of_arguments(arguments)
        return cls(
            found,
            None if project is None else project.path,
            None if user is None else user.path,
            tuple(warnings),
        )

    def _value(self, key: str) -> Any:
        setting = self.settings.get(key)
        return KEYS[key].get("default") if setting is None else setting.value

    def _table(self, key: str) -> dict[str, Any]:
        begin = f"{key}."
        return {
            name.removeprefix(begin): setting.value
            for name, setting in self.settings.items()
            if name.startswith(begin)
        }

    @property
    def store(self) -> str:
        """The URL of the store; a SQLite file in the user's data directory by default."""
        found: str | None = self._value("store")
        return default_store() if found is None else found

    @property
    def artifacts(self) -> str | None:
        """The folder, or the place on S3, of outputs above 32 KiB.

        None: beside a SQLite store, else in the histories.
        """
        found: str | None = self._value("artifacts")
        return found

    @property
    def logs(self) -> str | None:
        """The folder, or the group of CloudWatch Logs, of the logs of jobs; ``none``: with the Runner only.

        None: as the store has it.
        """
        found: str | None = self._value("logs")
        return found

    @property
    def lease(self) -> float:
        """Seconds without a sign of life after which another runner may take a session over."""
        return float(self._value("lease"))

    @property
    def max_concurrency(self) -> int:
        """How many attempts a runner has at once."""
        found: int = self._value("max_concurrency")
        return found

    @property
    def local(self) -> bool:
        """Whether a job that would run on AWS is an error."""
        found: bool = self._value("local")
        return found

    @property
    def capture_logging(self) -> bool:
        """Whether what a job in a thread logs with `logging` also goes to the job's log."""
        found: bool = self._value("capture_logging")
        return found

    @property
    def telemetry(self) -> str:
        """Where traces and metrics go: ``auto``, ``otlp``, ``emf`` with or without a place, or ``off``."""
        found: str = self._value("telemetry")
        return found

    @property
    def log_level(self) -> str | None:
        """From which level on commands write the log of bunsui itself; None: that is not said."""
        found: str | None = self._value("log_level")
        return found

    @property
    def log_format(self) -> str | None:
        """How commands write that log: ``text`` or ``json``; None: that is not said."""
        found: str | None = self._value("log_format")
        return found

    @property
    def bindings(self) -> str | None:
        """The path of a bindings file; None: ``bindings.yaml`` beside the definition, where there is one."""
        found: str | None = self._value("bindings")
        return found

    @property
    def pools(self) -> Mapping[str, int]:
        """How many jobs of each pool run at once."""
        return self._table("pools")

    @property
    def aws(self) -> AwsSettings:
        """As whom, and where, AWS is called.

        Raises:
            ConfigError: an entry is no region, role or URL.
        """
        return evolve(read_aws(self._table("aws")), allowed_roles=self.aws_allowed_roles)

    @property
    def aws_allowed_roles(self) -> tuple[str, ...] | None:
        """The roles that jobs may name; None: any."""
        found = self._value("aws_allowed_roles")
        return None if found is None else tuple(found)

    @property
    def names(self) -> Settings:
        """What definitions may name, the channels of alerts, and whom OpenTelemetry tells."""
        references = {
            name: evolve(read_reference(text, name), place=str(self.origin(f"secrets.{name}")))
            for name, text in self._table("secrets").items()
        }
        env = tuple(dict.fromkeys(self._value("env")))
        place = str(self.origin("alerts")) if "alerts" in self.settings else ""
        return Settings(env, references, self.alert_channels, self.alerts, self.telemetry, place)

    @property
    def alerts(self) -> tuple[AlertRule, ...]:
        """Whom to tell of what, whatever the definitions say."""
        return read_alerts(self._value("alerts"), "")

    @property
    def alert_channels(self) -> Mapping[str, ConfiguredChannel]:
        """The channels that alerts are sent through, by name."""
        table = self._table("alert_channels")
        if not table:
            return {}
        from bunsui.monitoring.channels.configured import configured  # noqa: PLC0415 - few have channels

        return {
            name: configured(value, str(self.origin(f"alert_channels.{name}")))
            for name, value in table.items()
        }

    def origin(self, key: str) -> Origin:
        """Where the value of a key, or of an entry such as ``pools.gpu``, comes from.

        Raises:
            ConfigError: there is no such key.
        """
        schema_of(key)
        setting = self.settings.get(key)
        return Origin(Source.DEFAULT) if setting is None else setting.origin


def _project(folder: Path | None, warnings: list[str]) -> files.ConfigFile | None:
    """The nearest project file that can be trusted; what is nearer is as if it were not there."""
    for path in files.project_paths(folder):
        try:
            found = files.read(path, Source.PROJECT)
        except FileNotFoundError:
            found = "it is a link that leads nowhere"
        if isinstance(found, files.ConfigFile):
            return found
        warnings.append(f"{path} is ignored: {found}; a project's file belongs to you, and only you write it")
    return None


def _user(environ: Mapping[str, str], given: str | Path | None) -> files.ConfigFile | None:
    path = files.user_path(environ) if given is None else files.expanded(given).absolute()
    if path is None:
        return None
    named = "" if given is None and not environ.get(files.USER_FILE_VARIABLE) else path
    if str(path) == os.devnull:
        return None  # How one says that there is none, as to git.
    if given is None and named:
        named = f"{files.USER_FILE_VARIABLE} names {path}, which"
    try:
        found = files.read(path, Source.USER)
    except FileNotFoundError:
        if named:
            raise ConfigError(
                f"{named} is not there", hint="make it with: bunsui config set --user KEY VALUE"
            ) from None
        return None
    if isinstance(found, str):
        # Not left out in silence: what stands in it was set by somebody who relies on it.
        raise ConfigError(
            f"{path} is not read: {found}",
            hint=(
                f"it decides which secrets are read; try: chown \"$USER\" '{path}' && chmod go-w '{path}'"
                if path.is_file()
                else f"name a file, or {os.devnull} for none"
            ),
        )
    return found


def _of_file(file: files.ConfigFile) -> Iterator[tuple[str, Setting]]:
    for key, value in files.flat(file):
        where = file.where(key)
        made = setting(key, value, where, Origin(file.source, file.path, file.lines.get(key)))
        yield key, made


def setting(key: str, value: Any, where: str, origin: Origin) -> Setting:
    """A setting that was found somewhere, checked.

    Args:
        key: the key; of an entry of a table the dotted one.
        value: what was given for it.
        where: the place, for errors; ends with ``: ``.
        origin: the same.

    Raises:
        ConfigError: there is no such key, its value is wrong, or it may not be set there.
    """
    name = key.partition(".")[0]
    schema = schema_of(key, where)
    if origin.source is Source.PROJECT and name in USER_ONLY:
        raise ConfigError(
            f"{where}'{name}' may not be set in a project's file: it decides which commands run, what of"
            " yours they may read, in whose name AWS is called, or who is told",
            hint=f"set it in your own file with: bunsui config set --user {key} VALUE",
        )
    check(value, schema, where, key, hidden=name in HIDDEN)
    if name in PLACES:
        value = place_of(name, value, where, origin)
    elif name == "alerts":
        read_alerts(value, where)
    elif name in ("env", "aws_allowed_roles"):
        value = tuple(value)
    elif name == "aws" and "." in key:
        read_aws({key.partition(".")[2]: value}, f"{where}aws")
    return Setting(value, origin)


def _entries(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value; of a table its entries."""
    if "additionalProperties" in KEYS[key] and isinstance(value, Mapping):
        yield from ((f"{key}.{name}", item) for name, item in value.items())
    else:
        yield key, value


def _of_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Setting]]:
    for key, schema in KEYS.items():
        variable = variable_of(key)
        text = environ.get(variable)
        if text:
            value = parsed(text, schema)
            check(value, schema, "", variable, hidden=key in HIDDEN)
            for name, item in _entries(key, value):
                made = setting(name, item, f"{variable}: ", Origin(Source.ENVIRONMENT, variable=variable))
                yield name, made


def _of_arguments(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Setting]]:
    for key, value in arguments.items():
        schema = schema_of(key, "argument: ")  # Entries of tables are no names in Python.
        if value is None:
            continue
        where = "argument "
        check(value, schema, where, key, hidden=key in HIDDEN)
        for name, item in _entries(key, value):
            yield name, setting(name, item, where, Origin(Source.ARGUMENT))


def misspelt_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """A warning for each variable that is nearly one of a key; any other is a program's own."""
    from bunsui.plugins.faults import DISABLE_AUTOLOAD  # noqa: PLC0415 - only for who asks what is wrong

    known = [*map(variable_of, KEYS), files.USER_FILE_VARIABLE, DISABLE_AUTOLOAD]
    for variable in environ:
        if variable.startswith(_OF_OTHERS) or variable in known:
            continue
        if variable.startswith("BUNSUI_"):
            hint = did_you_mean(variable.removeprefix("BUNSUI_"), [name[7:] for name in known])
            if hint is not None:
                yield f"{variable} is not read; {hint.replace(chr(39), chr(39) + 'BUNSUI_', 1)}"
