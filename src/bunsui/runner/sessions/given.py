"""What the attempts of a session were given, made again: where they ran, and what they must not show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.errors import BunsuiError
from bunsui.expressions.resolution import resolve, reveal
from bunsui.local.bindings import for_options
from bunsui.runner.attempts.remote_work import HIDDEN
from bunsui.runner.attempts.starting import scope_of
from bunsui.runner.sessions.recovery import bindings_to_tell_apart

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobType
    from bunsui.runner.driving.live import Live


@frozen
class Given:
    """What an attempt was given."""

    #: The fields of its type. They may hold secrets.
    options: Mapping[str, Any] = field(repr=False)
    #: Takes the values of its secrets out of a text.
    redact: Callable[[str], str] = field(repr=False)


class Givens:
    """What attempts were given, with secrets as they are now; each is looked up once.

    Args:
        secret: the value of a secret; see `Secrets.get`.
    """

    def __init__(self, secret: Callable[[str], str]) -> None:
        self._secret = secret
        #: By name; None: it can't be had.
        self._values: dict[str, str | None] = {}
        #: By the names of secrets: most attempts of a job have the same.
        self._redactors: dict[tuple[str, ...], Callable[[str], str]] = {(): _as_it_is}

    def of(self, live: Live, job_id: str, item: int | None, kind: JobType) -> Given | None:
        """What an attempt was given; None where it was bound, so that it ran on its runner's machine.

        Where that can't be made again, no text of it is shown: nobody knows its secrets.
        """
        job = live.pipeline.job(job_id)
        try:
            value = None
            if item is not None:
                if job_id not in live.items:
                    live.items[job_id] = resolve(job.for_each, scope_of(live))
                value = live.items[job_id][item]
            scope = scope_of(live, value, item)
            options = resolve(job.options, scope)
            resolve(job.parameters, scope)
        except (BunsuiError, LookupError, TypeError):  # The latter of a list that is none any more.
            return Given({}, _hidden)
        if not live.bindings:
            live.bindings = bindings_to_tell_apart(live)
        if for_options(live.bindings, kind, options) is not None:
            return None
        names = tuple(dict.fromkeys(scope.secrets))
        redact = self._redactor(names)
        if redact is not _hidden:
            options = reveal(options, lambda name: self._values[name] or "")
        return Given(options, redact)

    def _redactor(self, names: tuple[str, ...]) -> Callable[[str], str]:
        found = self._redactors.get(names)
        if found is None:
            values = [self._value(name) for name in names]
            known = [value for value in values if value is not None]
            found = _hidden
            if len(known) == len(values):
                from bunsui.local.redaction import Redactor  # noqa: PLC0415 - where there are secrets

                found = Redactor(known).redact
            self._redactors[names] = found
        return found

    def _value(self, name: str) -> str | None:
        if name not in self._values:
            try:
                self._values[name] = self._secret(name)
            except BunsuiError:  # What it says is not for the log; that nothing is shown is said there.
                self._values[name] = None
        return self._values[name]


def _as_it_is(text: str) -> str:
    return text


def _hidden(text: str) -> str:
    del text
    return HIDDEN
