"""The hooks that a plugin may implement, marked with `bunsui.hookimpl`.

A plugin is a module or an object. It is found by an entry point of the group ``bunsui`` or given to
`bunsui.Plugins` or to a Runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from bunsui.ports.hooks import hookspec

if TYPE_CHECKING:
    from bunsui.engine.events import Event
    from bunsui.ports.job_type import JobType
    from bunsui.ports.secrets import SecretSource
    from bunsui.ports.store import Store


@hookspec
def bunsui_job_types() -> Iterable[JobType]:  # type: ignore[empty-body]
    """The job types that the plugin brings. Called once for each registry, when it is first asked."""


@hookspec
def bunsui_stores() -> Mapping[str, Callable[[str], Store]]:  # type: ignore[empty-body]
    """URL scheme to a function that takes the whole URL and opens the store."""


@hookspec
def bunsui_secret_sources() -> Mapping[str, SecretSource]:  # type: ignore[empty-body]
    """Name to source: the name is what a configuration says before the colon, as in ``env:DB_PASSWORD``.

    Names are a letter, then up to 63 letters, digits, ``_`` or ``-``. Called once for each registry, when a
    runner is made whose configuration names secrets; no secret is asked for then.
    """


@hookspec
def bunsui_session_event(session_id: str, event: Event) -> None:
    """Called for each event after it is committed, from one thread of the runner, in order.

    It should return soon: events wait in a bounded queue meanwhile, and are dropped, with a warning,
    when that is full. An exception is logged and changes nothing else.
    """
