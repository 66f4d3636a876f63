"""The hooks that a plugin may implement, marked with `bunsui.hookimpl`.

A plugin is a module or an object. It is found by an entry point of the group ``bunsui`` or given to
`bunsui.Plugins` or to a Runner. An implementation may leave out arguments that it does not need.

docs/guides/developer/plugins/hooks.md is made of the docstrings here: each says when its hook is called and
from which thread, what it may return, and what happens on an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from bunsui.ports.hooks import hookspec

if TYPE_CHECKING:
    import click

    from bunsui.engine.events import Event
    from bunsui.ports.alerts import AlertChannel
    from bunsui.ports.job_type import JobType
    from bunsui.ports.secrets import SecretSource
    from bunsui.ports.store import Store

#: The version of the hooks: the second number goes up with a hook or an argument that is new, the first with
#: one that is taken away or changes its meaning. A plugin says which it needs with the attribute
#: ``bunsui_hook_versions``, a version specifier such as ``">=1.0,<2"``.
HOOK_VERSION = "1.1"


@hookspec
def bunsui_job_types() -> Iterable[JobType]:  # type: ignore[empty-body]
    """The job types that the plugin brings.

    Called: once for each registry: for a plugin that is given, when it is registered; for an installed one,
        when job types are first asked for, as reading a definition does.
    Thread: that of the caller, before any session runs. Nobody waits for it with a timeout: it must not
        connect to anything.
    Returns: instances of `bunsui.JobType`, each with a name that no other has: printable text of one
        line, at most 64 characters. The ``schema`` of each is valid JSON Schema (draft 2020-12) of an object,
        complete in itself, with no field that every job has.
    On error: what can't be used, or any exception, is a `bunsui.PluginError` for a plugin that is given. Of
        an installed one all that this hook would bring is left out, with a warning; what its other hooks
        bring stays. A name that two installed plugins claim is neither's: who needs it gets an error that
        names both.
    """


@hookspec
def bunsui_stores() -> Mapping[str, Callable[[str], Store]]:  # type: ignore[empty-body]
    """The stores that the plugin brings: the scheme of their URLs, and what opens one.

    Called: once for each registry: for a plugin that is given, when it is registered; for an installed one,
        when a store is first opened by its URL.
    Thread: that of the caller.
    Returns: a mapping from scheme (lower case letters, digits, ``+``, ``.``, ``-``) to a function. That takes
        the whole URL and returns a `bunsui.ports.store.Store`; it raises `bunsui.ConfigError` for a URL that
        is wrong, and `bunsui.StoreError` for a store that can't be opened.
    On error: of the hook, as with `bunsui_job_types`. What the function raises beside the two errors, and
        what it returns beside a store, becomes a `bunsui.PluginError` for whoever wanted to open that store.
    """


@hookspec
def bunsui_secret_sources() -> Mapping[str, SecretSource]:  # type: ignore[empty-body]
    """The sources of secrets that the plugin brings.

    Called: once for each registry: for a plugin that is given, when it is registered; for an installed one,
        when a Runner is made whose configuration names secrets. No secret is asked for then.
    Thread: that of the caller. `SecretSource.get` is called from the threads of the jobs that need a secret,
        by several at once.
    Returns: a mapping from name to an instance of `bunsui.SecretSource`: what a configuration says before the
        colon, as in ``env:DB_PASSWORD``. A name is a letter, then up to
        63 letters, digits, ``_`` or ``-``.
    On error: of the hook, as with `bunsui_job_types`. What `SecretSource.get` raises fails the attempt of the
        job that needed the secret, with the code ``SecretUnavailable``, and is shown by the name of its type
        alone; an `AwsError` of the kind ``credentials`` pauses the session.
    """


@hookspec
def bunsui_alert_channels() -> Mapping[str, AlertChannel]:  # type: ignore[empty-body]
    """The types of channels that alerts are sent through, since version 1.1.

    Called: once for each registry: for a plugin that is given, when it is registered; for an installed one,
        when a channel is first asked for. Nothing is sent then.
    Thread: that of the caller. `AlertChannel.send` is called in threads that do nothing else, by several at
        once, and never on a session's path.
    Returns: a mapping from name to an instance of `bunsui.AlertChannel`: what a configuration says as the
        ``type`` of a channel. A name is a letter, then up to 63 letters, digits, ``_`` or ``-``. The
        ``schema`` of each is valid JSON Schema (draft 2020-12) of an object, complete in itself, without a
        field ``type``.
    On error: of the hook, as with `bunsui_job_types`. What `AlertChannel.send` raises fails no session: the
        alert is sent again later. Only the text of a `bunsui.AlertNotTaken` is shown, of all else the name of
        its type.
    """


@hookspec
def bunsui_session_event(session_id: str, event: Event) -> None:
    """Shows the plugin, as an observer, each event of the sessions that its Runner drives.

    Called: after the event has been committed, in the order of the history; an event of a session that
        another runner drives is not shown. What could be changed of an event is the observer's own copy.
    Thread: one for each observer and Runner, off the driver's path, which starts with the first event: what
        one observer does holds up no other. Events that follow each other closely are shown in groups, up to
        10 milliseconds late.
    Returns: nothing; what is returned is ignored. It is a plain function, not ``async``.
    On error: an exception is logged, the first of each class with its traceback. After 10 in a row, or a call
        of more than 10 seconds, the observer is dropped, and shown nothing more. Up to 50,000 events wait for
        it; further ones are lost to it. All of that is logged, and warned of with the plugin's name and
        distribution when the Runner is closed, which waits up to 10 seconds for all observers together. The
        Runner and other observers go on.
    """


@hookspec
def bunsui_cli_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Further commands of ``bunsui``, beside its own.

    Called: when the command line is given a command that is not its own, or asked for help; of installed
        plugins only.
    Thread: the main thread.
    Returns: instances of ``click.Command`` or ``click.Group``, each with a name of lower case letters, digits
        and ``-`` that no other has. A command that returns a number ends the program with it; a
        `bunsui.BunsuiError` is printed, and gives the exit code that it has everywhere.
    On error: of the hook, as with `bunsui_job_types`.
    """
