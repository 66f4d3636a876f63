"""Options that several commands have."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bunsui.dsl.problems import printable, quoted
from bunsui.dsl.tree import encodable
from bunsui.errors import ConfigError, NotFound
from bunsui.model.times import to_text
from bunsui.stores.urls import named

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline
    from bunsui.runner.runner import Runner

Command = TypeVar("Command", bound=Callable[..., Any])

store_option = click.option(
    "--store",
    metavar="URL",
    help="Where sessions live, such as sqlite:///bunsui.db; by default the configured one, else in the"
    " user's data directory.",
)
bindings_option = click.option(
    "--bindings",
    type=click.Path(dir_okay=False),
    help="What runs on this machine in place of AWS; by default the configured file, else"
    " bindings.yaml beside the definition.",
)

parameter_option = click.option(
    "-p",
    "--parameter",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE|@FILE",
    help="A parameter; may be given more than once. A string takes VALUE as it is, any other type JSON."
    " @FILE: all those of a JSON object (YAML by its ending; @- is standard input); what stands later wins.",
)
plan_option = click.option(
    "--plan", "is_plan", is_flag=True, help="Say what would run, in which order and why, and start nothing."
)
session_argument = click.argument("text", metavar="SESSION")
registered_argument = click.argument("pipeline", metavar="NAME[@REVISION]")
local_option = click.option(
    "--local", is_flag=True, default=None, help="Fail rather than run anything on AWS; see 'bunsui config'."
)


def format_option(*formats: str) -> Callable[[Command], Command]:
    """``--format``, the first one being the default."""
    return click.option("--format", "form", type=click.Choice(formats), default=formats[0], show_default=True)


def registered(runner: Runner, text: str) -> Pipeline:
    """The registered pipeline that ``NAME[@REVISION]`` means; the newest revision where none is given.

    Raises:
        NotFound: there is none.
    """
    from bunsui.runner.registered import parse_name  # noqa: PLC0415 - with all that sessions are made of

    try:
        return runner.pipeline(*parse_name(text))
    except NotFound as error:
        if os.path.isfile(text):  # noqa: PTH113 - false, and no error, also for what can't be a path
            hint = f"a file is run with 'bunsui run {text}'"
            raise NotFound(error.message, kind=error.kind, name=error.name, hint=hint) from error
        raise


#: Stands for the newest session.
LAST = "@last"
#: Characters of a whole session id.
_ID_LENGTH = 16
#: Sessions that are named where one has to be chosen.
_SHOWN = 10


def session_id(runner: Runner, text: str) -> str:
    """The id of the session that `text` means: its id, the beginning of it, or ``@last``, the newest.

    Raises:
        NotFound: there is no such session.
        ConfigError: more than one id begins so.
    """
    from bunsui.runner.sessions import index  # noqa: PLC0415 - with all that sessions are made of

    if text == LAST:
        newest = runner.sessions(limit=1)
        if newest:
            return newest[0].session_id
        raise NotFound(f"there are no sessions in {named(runner.store)}", kind="session", name=text)
    if len(text) >= _ID_LENGTH:
        return text  # Who opens the session says whether there is one.
    found = index.beginning(runner.store, text, _SHOWN + 1) if text and encodable(text) else []
    if not found:
        raise NotFound(
            f"there is no session {quoted(text)} in {named(runner.store)}",
            kind="session",
            name=text,
            hint="'bunsui session list' shows those that there are; the beginning of an id is enough, and"
            f" {LAST} is the newest",
        )
    if len(found) == 1:
        return found[0].session_id
    lines = [
        f"  {one.session_id}  {one.status}, {to_text(one.created_at)}, {printable(one.pipeline)}"
        for one in found[:_SHOWN]
    ]
    raise ConfigError(
        "\n".join(
            [
                f"{quoted(text)} is the beginning of more than one session's id:",
                *lines,
                *(["  ..."] if len(found) > _SHOWN else []),
                "give more characters of the one that is meant",
            ]
        )
    )
