"""From a pipeline and its parameters to a session that can be driven."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.dsl.parameters import inputs
from bunsui.dsl.placing import placing
from bunsui.engine import events as ev
from bunsui.engine.decide import Machine
from bunsui.errors import ConfigError, Conflict
from bunsui.local import bindings as bound
from bunsui.runner.driving.live import Live
from bunsui.runner.sessions import preflight, reading
from bunsui.runner.sessions.digests import Inputs
from bunsui.runner.sessions.needs import meet, needs
from bunsui.runner.sessions.reruns import outputs
from bunsui.stores.sessions import DEFINITION

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobType
    from bunsui.ports.store import Store
    from bunsui.runner.assembly import Parts
    from bunsui.runner.sessions.reruns import Rerun

#: What the ``bindings`` argument of a Runner may be.
Given = Mapping[str, Mapping[str, Any]] | str | Path | None


def given_bindings(given: Given, pipeline: Pipeline, job_types: Mapping[str, JobType]) -> bound.Bindings:
    """The bindings that a Runner was given, or the file beside the definition, or none.

    Raises:
        DefinitionError: they are wrong; all their problems at once.
        ConfigError: they are neither a mapping nor a path.
    """
    if isinstance(given, Mapping):
        return bound.from_mapping(given, job_types)
    if given is not None and not isinstance(given, str | Path):
        raise ConfigError(f"bindings are {given!r}; they are a mapping or the path of a file")
    path = _bindings_file(given, pipeline)
    return {} if path is None else bound.load(path, job_types)


def _bindings_file(given: Given, pipeline: Pipeline) -> Path | None:
    """The file that a session's bindings stand in, or None where they are a mapping, or there are none."""
    if isinstance(given, str | Path):
        return Path(given)
    if given is not None or pipeline.base_dir is None:
        return None
    beside = pipeline.base_dir / bound.FILE_NAME
    return beside if beside.is_file() else None


def bindings_dir(given: Given) -> str | None:
    """The folder of the file with bindings that a Runner was given."""
    return str(Path(given).absolute().parent) if isinstance(given, str | Path) else None


def take_in(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    given: Given,
    job_types: Mapping[str, JobType],
    parts: Parts,
    *,
    local: bool,
) -> tuple[Inputs, bound.Bindings]:
    """What a session is started with, and the bindings that it needs. Nothing is imported.

    Raises:
        DefinitionError, ConfigError, PluginError: as `create` does, but for what can't be imported.
    """
    if any(parts.surroundings.stand_in(job) is None for job in pipeline.jobs):
        preflight.check_folder(pipeline, "a registered pipeline is updated from the folder where it is now")
    with placing(pipeline, parameters):
        values = inputs.resolve_parameters(pipeline, parameters)
        wanted = needs(pipeline, values)
        names = (lambda: parts.channels().names) if parts.surroundings.sends_alerts else None
        env = meet(wanted, parts.settings, parts.pools, parts.surroundings.environ, names)
    parts.secrets.require(wanted.secrets)
    parts.alerting.require_channels(pipeline)
    bindings = given_bindings(given, pipeline, job_types)
    with placing(pipeline, parameters):
        used = preflight.used_bindings(
            pipeline, bindings, job_types, parts.surroundings.stand_in, local=local
        )
    data = {
        kind: {name: bound.to_data(value) for name, value in names.items()} for kind, names in used.items()
    }
    return Inputs(values, env, bindings=data), used


def create(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    given: Given,
    job_types: Mapping[str, JobType],
    parts: Parts,
    *,
    local: bool,
    idempotency_key: str | None,
    tags: Mapping[str, str],
    rerun: Rerun | None = None,
) -> Live:
    """A new session, whose creation is the first of the facts that wait for its first commit.

    Args:
        pipeline: what is to run.
        parameters: what was given, by name.
        given: the bindings that the Runner was given.
        job_types: the registered ones, by name.
        parts: the Runner's.
        local: whether everything must run on this machine.
        idempotency_key: names the session; None: its name is random.
        tags: kept with it.
        rerun: what it takes over from another session; None: nothing.

    Raises:
        DefinitionError: a parameter or a binding is wrong, or something that the definition needs is not
            configured; nothing has been written.
        ConfigError: a tag is not text, the idempotency key is none, or the definition's folder is gone.
        AwsError, PermissionDenied: a job that is not bound could not call AWS; nothing has been written.
    """
    if idempotency_key is not None and (not isinstance(idempotency_key, str) or not idempotency_key.strip()):
        # Such as a variable that is not set: every run would be the first one's session.
        raise ConfigError(
            f"the idempotency key is {idempotency_key!r}",
            hint="it is a text that names this run, such as 'orders-2026-01-31', or None",
        )
    if not isinstance(tags, Mapping):
        raise ConfigError(f"tags is {tags!r}", hint='they are texts by text, such as {"team": "data"}')
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ConfigError(f"tag {key!r} is {value!r}; tags are texts by text")
    taken, used = take_in(pipeline, parameters, given, job_types, parts, local=local)
    preflight.check_imports(used, parts.supervisor, _bindings_file(given, pipeline))
    if not local:
        preflight.check_access(pipeline, used, job_types, parts.surroundings.stand_in)
    reused = () if rerun is None else rerun.reused(pipeline, taken, job_types)
    session_id = session_id_of(idempotency_key)
    live = Live(session_id, pipeline, Machine(pipeline), 0, used, 0, local)
    if rerun is not None:
        live.reusable = outputs(rerun.earlier.state, reused)
    live.record(
        ev.SessionCreated(
            at=parts.clock.now(),
            session_id=session_id,
            pipeline=pipeline.name,
            digest=pipeline.digest,
            parameters=taken.parameters,
            bindings=taken.bindings,
            base_dir=None if pipeline.base_dir is None else str(pipeline.base_dir),
            local=local,
            tags=dict(tags),
            env=taken.env,
            bindings_dir=bindings_dir(given),
            rerun_of=None if rerun is None else rerun.earlier.state.id,
            reuse=reused,
        )
    )
    return live


def session_id_of(idempotency_key: str | None) -> str:
    """16 characters of base32 in small letters: random, or derived from the key."""
    if idempotency_key is None:
        raw = secrets.token_bytes(10)
    else:
        raw = hashlib.sha256(f"bunsui-session\0{idempotency_key}".encode()).digest()[:10]
    return base64.b32encode(raw).decode().lower()


def exists(store: Store, live: Live) -> bool:
    """Whether a session with the same idempotency key and the same input is there already.

    Raises:
        Conflict: there is one with another input.
    """
    found = next(reading.history(store, live.id), None)
    if found is None:
        return False
    first, mine = found[1][0], live.machine.state.created
    if (
        isinstance(first, ev.SessionCreated)
        and mine is not None
        and (first.digest, first.parameters) == (mine.digest, mine.parameters)
    ):
        return True
    raise Conflict(
        f"the idempotency key belongs to session {live.id},"
        " which has another definition or other parameters"
    )


def keep_definition(store: Store, pipeline: Pipeline) -> None:
    """Puts the definition into the store, under its digest, where it is not there already."""
    try:
        store.put(DEFINITION, pipeline.digest, pipeline.to_dict(), if_version=0)
    except Conflict:
        return
