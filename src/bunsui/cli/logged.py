"""``--log-level`` and ``--log-format``: the log of bunsui itself, on stderr."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from bunsui.cli.options import Command
from bunsui.cli.streams import unread
from bunsui.configuration.config import Config
from bunsui.errors import ConfigError
from bunsui.model.log import LEVELS

if TYPE_CHECKING:
    from bunsui.logging.configuring import Format

#: Where an invocation keeps what was asked for, by key; options behind the name of a command count most.
_ASKED = "bunsui.logged"


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta.setdefault(_ASKED, {})[option.name] = value


_OPTIONS: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "log_level": click.option(
        "--log-level",
        type=click.Choice([name.lower() for name in LEVELS], case_sensitive=False),
        callback=_keep,
        expose_value=False,
        help="Write bunsui's own log to stderr, from this level on; by default as configured, else nothing.",
    ),
    "log_format": click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        callback=_keep,
        expose_value=False,
        help="How that log is written; by default as configured, else as text.",
    ),
}


def logged(command: Command) -> Command:
    """Gives a command both options, and has the log written while it runs where that is asked for."""

    @functools.wraps(command)
    def configured(*arguments: Any, **given: Any) -> Any:
        context = click.get_current_context()
        is_said_here = any(
            context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in _OPTIONS
        )
        # What the configuration says, the group has seen to.
        if context.parent is None or is_said_here:
            context.find_root().call_on_close(write_log(asked(context)))
        return command(*arguments, **given)

    made: Callable[..., Any] = configured
    for option in reversed([*_OPTIONS.values()]):
        made = option(made)
    return cast("Command", made)


def asked(context: click.Context) -> dict[str, str]:
    """What the options of an invocation say, by the keys of the configuration."""
    return dict(context.meta.get(_ASKED, {}))


def write_log(given: Mapping[str, str]) -> Callable[[], None]:
    """Has the log written to stderr where options or configuration ask for it.

    Args:
        given: what options say, by the keys of the configuration.

    Returns:
        What undoes it.
    """
    try:
        config = Config.load()
    except ConfigError:
        config = Config()  # What is wrong with it, a command says that needs it; others go on.
    level, form = given.get("log_level", config.log_level), given.get("log_format", config.log_format)
    if level is None and form is None:
        return lambda: None
    from bunsui.logging.configuring import configure  # noqa: PLC0415 - only where it is asked for

    return configure(level or "INFO", format=cast("Format", form or "text"), stream=_Stderr()).close


class _Stderr:
    """stderr as it is when something is written; see `unread`."""

    @property
    def encoding(self) -> str | None:
        return sys.stderr.encoding

    def write(self, text: str) -> None:
        with unread():
            sys.stderr.write(text)

    def flush(self) -> None:
        with unread():
            sys.stderr.flush()
