"""What a session needs of its runner's configuration: variables, secrets and pools."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.dsl.problems import Problem, did_you_mean, pointer
from bunsui.errors import ConfigError, DefinitionError
from bunsui.expressions.references import BadReference, Path, references

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from bunsui.configuration.settings import Settings
    from bunsui.model.pipeline import Pipeline


@frozen
class Needs:
    """The names that a definition and its parameters use, each with the first place that does."""

    env: dict[str, Path] = field(factory=dict)
    secrets: dict[str, Path] = field(factory=dict)
    pools: dict[str, Path] = field(factory=dict)
    #: Alert channels.
    channels: dict[str, Path] = field(factory=dict)


def needs(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Needs:
    """What must be configured for `pipeline` to run with `parameters`, the values of all that it declares."""
    found = Needs()
    by_root = {"env": found.env, "secrets": found.secrets}
    for path, value in _holders(pipeline, parameters):
        for where, _, _, reference in references(value, path):
            if not isinstance(reference, BadReference) and reference.root in by_root:
                by_root[reference.root].setdefault(str(reference.path[0]), where)
    for i, job in enumerate(pipeline.jobs):
        if job.pool is not None:
            found.pools.setdefault(job.pool, ("jobs", i, "pool"))
    for i, rule in enumerate(pipeline.alerts):
        for name in rule.channels:
            found.channels.setdefault(name, ("alerts", i, "channel"))
    return found


def _holders(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Everything in which references are resolved."""
    for i, job in enumerate(pipeline.jobs):
        yield ("jobs", i, "parameters"), job.parameters
        if job.cache is not None:
            yield ("jobs", i, "cache", "key"), job.cache.key
        for name, value in job.options.items():
            yield ("jobs", i, name), value
        # References in quotes are errors, so a condition can be looked through as any text.
        for name, value in (("condition", job.condition), ("for_each", job.for_each)):
            if value is not None:
                yield ("jobs", i, name), value
    yield ("outputs",), pipeline.outputs
    for parameter in pipeline.parameters:
        if parameter.secret:
            yield ("parameters", parameter.name), parameters.get(parameter.name)


def meet(
    wanted: Needs,
    settings: Settings,
    pools: Mapping[str, int],
    environ: Mapping[str, str] | None = None,
    channels: Callable[[], Collection[str]] | None = None,
) -> dict[str, str]:
    """The values of the variables that a new session needs.

    Args:
        wanted: what it needs.
        settings: what definitions may name.
        pools: how many jobs each takes at once.
        environ: the variables that are set; None: those of this process.
        channels: gives the names of the alert channels, where some are needed; None: any will do.

    Raises:
        DefinitionError: something is not configured, or not set; all of it at once.
    """
    environ = os.environ if environ is None else environ
    problems = [*_unmet(wanted, settings, pools), *_untold(wanted, channels)]
    values: dict[str, str] = {}
    for name, path in wanted.env.items():
        if name not in settings.env:
            message = f"${{env.{name}}}: the runner's configuration does not allow '{name}'"
            hint = (
                f'list it under \'env\', as in Runner(config={{"env": ["{name}"]}}), or with:'
                f" bunsui config set --user env '{json.dumps([*settings.env, name])}'"
            )
            problems.append(Problem("unlisted-env", message, hint, path=pointer(path)))
        elif name not in environ:
            message = f"${{env.{name}}}: the variable {name} is not set"
            problems.append(Problem("missing-env", message, "set it before the start", path=pointer(path)))
        else:
            values[name] = environ[name]
    if problems:
        raise DefinitionError(sorted(problems, key=Problem.sort_key))
    return values


def _untold(wanted: Needs, channels: Callable[[], Collection[str]] | None) -> Iterator[Problem]:
    """The channels that are named and not there. Of a session that goes on they are left to other runners."""
    if channels is None or not wanted.channels:
        return
    names = channels()
    for name, path in wanted.channels.items():
        if name not in names:
            message = f"the runner's configuration has no alert channel '{name}'"
            hint = did_you_mean(name, names) or (
                f'give it, as in Runner(config={{"alert_channels": {{"{name}": {{"type": "log"}}}}}}), or'
                f' with: bunsui config set --user alert_channels.{name} \'{{"type": "log"}}\''
            )
            yield Problem("unknown-channel", message, hint, path=pointer(path))


def require(wanted: Needs, settings: Settings, pools: Mapping[str, int], stays: str) -> None:
    """Makes sure that a session can go on with this runner; its variables it has from its start.

    Raises:
        ConfigError: something is not configured; `stays` says what becomes of the session.
    """
    for problem in _unmet(wanted, settings, pools):
        raise ConfigError(problem.message, hint=f"{problem.hint}; {stays}")


def _unmet(wanted: Needs, settings: Settings, pools: Mapping[str, int]) -> Iterator[Problem]:
    for name, path in wanted.secrets.items():
        if name not in settings.secrets:
            message = f"${{secrets.{name}}}: the runner's configuration has no secret '{name}'"
            hint = did_you_mean(name, settings.secrets) or (
                f'name its source, as in Runner(config={{"secrets": {{"{name}": "env:VARIABLE"}}}}), or with:'
                f" bunsui config set --user secrets.{name} env:VARIABLE"
            )
            yield Problem("unknown-secret", message, hint, path=pointer(path))
    for name, path in wanted.pools.items():
        if name not in pools:
            message = f"the runner has no pool '{name}'"
            hint = did_you_mean(name, pools) or (
                f'give it, as in Runner(pools={{"{name}": 2}}), or with: bunsui config set pools.{name} 2'
            )
            yield Problem("unknown-pool", message, hint, path=pointer(path))
