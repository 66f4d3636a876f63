"""What a Runner is made of, put together."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from bunsui.aws.connections import Connections
from bunsui.aws.place import SCHEME, Place
from bunsui.configuration.settings import Settings
from bunsui.local.supervisor import Supervisor
from bunsui.model.artifact import INLINE
from bunsui.ports.services import Services
from bunsui.ports.store import Store
from bunsui.runner.alerting.alerting import Alerting
from bunsui.runner.attempts.artifact_folder import FolderArtifacts
from bunsui.runner.attempts.captured import Captured
from bunsui.runner.attempts.event_loop import EventLoop
from bunsui.runner.attempts.host import Host
from bunsui.runner.attempts.keeping import Keeping
from bunsui.runner.attempts.places import Places
from bunsui.runner.attempts.pool import Pools
from bunsui.runner.attempts.secrets import Secrets
from bunsui.runner.attempts.starting import EVENT_MARGIN, Starter
from bunsui.runner.driving.observers import CLOSING, Observers
from bunsui.runner.driving.telling import Telling
from bunsui.runner.folders import beside, named
from bunsui.runner.job_types import JobTypes
from bunsui.runner.log_places import logs_of
from bunsui.runner.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bunsui.aws.settings import AwsSettings
    from bunsui.monitoring.channels.channels import Channels
    from bunsui.plugins.registry import Plugins
    from bunsui.ports.clock import Clock
    from bunsui.runner.attempts.artifacts import Artifacts
    from bunsui.runner.attempts.caching import Caching
    from bunsui.runner.attempts.logs import Logs
    from bunsui.runner.attempts.pool import Pool
    from bunsui.runner.driving.driver import Driver
    from bunsui.runner.driving.heartbeat import Heartbeat

#: Calls at once to the services of one job type, whatever the number of jobs that they run.
CALLS = 16

#: The part of a lease that the driver may wait for a lock of the store.
LOCK_SHARE = 4


@frozen
class Parts:
    """The parts of one Runner. None of them has started a thread or a process yet."""

    #: Names the runner in claims, requests and heartbeats.
    id: str
    surroundings: Surroundings
    store: Store
    owns_store: bool
    supervisor: Supervisor
    observers: Observers
    #: Has sessions followed by OpenTelemetry, where somebody has set that up.
    telling: Telling
    pool: Pool
    calls: Pools
    event_loop: EventLoop
    logs: Logs
    aws: Connections
    #: Those of the plugins, as this runner uses them.
    job_types: JobTypes
    #: Where large outputs lie; None: in the history, as the store is no file.
    artifacts: Artifacts | None
    driver: Driver
    heartbeat: Heartbeat
    #: What the runner was configured with.
    settings: Settings
    #: The secrets that the settings name.
    secrets: Secrets
    #: How many jobs each pool takes at once.
    pools: Mapping[str, int]
    #: How many attempts may run at once, over all sessions.
    max_concurrency: int
    #: Takes in what jobs in threads log; None: nobody does.
    captured: Captured | None
    #: By what alerts are sent, once something asks for it.
    channels: Callable[[], Channels]
    alerting: Alerting

    @property
    def clock(self) -> Clock:
        """Where the runner takes its times from."""
        return self.surroundings.clock

    def begin(self) -> None:
        """Has logging captured, where that is wanted: a session is about to be driven."""
        if self.captured is not None:
            self.captured.install()

    def close(self, timeout: float) -> None:
        """Ends all of them, in the order in which they need each other."""
        self.logs.ending(timeout)
        self.driver.stop(timeout)
        self.alerting.close(timeout)
        self.observers.close(CLOSING)
        self.telling.close()
        self.heartbeat.close()
        self.pool.close()
        self.calls.close()
        self.aws.close()
        self.event_loop.close()
        self.supervisor.close()
        if self.captured is not None:
            self.captured.close()
        self.logs.close()
        if self.owns_store:
            self.store.close()
        self.observers.warn()  # Last: where warnings are errors, nothing is left open.


def artifacts_of(given: str | Path | None, store: Path | None, aws: Connections) -> Artifacts | None:
    """Where large outputs lie: in the place that was given, else beside the store's file, if it is one.

    Nobody asks whether a bucket is there.

    Raises:
        ConfigError: what was given is neither a folder's path nor a place on S3.
    """
    if given is None:
        return None if store is None else FolderArtifacts(beside(store, "artifacts"))
    text = str(given)
    if isinstance(given, str) and text.startswith(SCHEME):
        # Few keep them there.
        from bunsui.runner.attempts.artifact_bucket import S3Artifacts  # noqa: PLC0415 - see above

        return S3Artifacts(Place.parse(text), aws)
    return FolderArtifacts(
        named(
            given,
            "artifacts",
            "it is the path of a folder, such as 'artifacts' or '/var/lib/bunsui/artifacts', or a place"
            " on S3 as a text, such as 's3://bucket/prefix'",
        )
    )


def assemble(
    plugins: Plugins,
    store: str | Store,
    max_concurrency: int,
    lease: float,
    settings: Settings | None = None,
    pools: Mapping[str, int] | None = None,
    surroundings: Surroundings | None = None,
    artifacts: str | Path | None = None,
    logs: str | Path | None = None,
    *,
    capture_logging: bool = False,
    aws: AwsSettings | None = None,
) -> Parts:
    """The parts of a Runner; see its arguments. Without `surroundings` they are those of this machine.

    Raises:
        ConfigError: the store's URL or the place of artifacts or logs is wrong, or a secret's source is not
            registered.
        PluginError: the configuration names secrets, and a plugin's secret sources are wrong.
        StoreError: the store can't be opened.
    """
    settings = settings or Settings()
    around = surroundings or Surroundings()
    connections = Connections(aws, concurrency=max_concurrency, random=around.random)
    services = Services(connections, around.clock, around.random)
    # Plugins are asked for their sources only where there is a secret.
    sources = plugins.usable.secret_sources if settings.secrets else {}
    secrets = Secrets(settings.secrets, sources, services)
    opened = store if isinstance(store, Store) else plugins.open_store(store, aws)
    path = opened.path
    # Who waits for a lock makes no turn: a driver that did so for a third of its lease could lose it.
    opened.limit_lock_timeout(lease / LOCK_SHARE)
    runner_id, clock = around.new_id(), around.clock
    sizes = (pools or {}) if around.pools is None else around.pools
    # What is a secret reaches the jobs that refer to it, and no others.
    supervisor = Supervisor(withheld=secrets.variables)
    observers = Observers(plugins)
    pool = around.pool(max_concurrency)
    calls = Pools(lambda: around.pool(CALLS))
    event_loop = EventLoop()
    kept_logs = logs_of(logs, opened, aws, clock)
    kept = artifacts_of(artifacts, path, connections)
    keeping = Keeping(kept, clock, lease, min(INLINE, opened.max_commit_bytes - EVENT_MARGIN))

    def caching() -> Caching:
        from bunsui.runner.attempts.caching import Caching  # noqa: PLC0415 - few jobs have a cache

        return Caching(opened, kept, clock)

    objects = None if kept is None else kept.objects
    job_types = JobTypes(plugins, evolve(services, objects=objects))
    host = Host(supervisor, kept_logs, clock, secrets.get, event_loop, keeping, caching, around.machine_time)
    driver = around.driver(
        runner_id,
        opened,
        clock,
        pool,
        observers,
        Starter(job_types, host, opened.max_commit_bytes, around.stand_in),
        calls=calls,
        event_loop=event_loop,
        places=Places(max_concurrency, sizes),
        lease=lease,
        random=around.random,
        thread=around.thread,
    )
    heartbeat = around.heartbeat(opened, runner_id, lease, driver.last_turn, clock, around.thread)

    @cache
    def channels() -> Channels:
        from bunsui.runner.alerting.channels import channels_of  # noqa: PLC0415 - few have alerts

        return channels_of(settings, plugins, services, secrets)

    alerting = Alerting(
        opened,
        channels,
        clock,
        around.thread,
        lambda: driver.is_busy,
        has_channels=around.sends_alerts and bool(settings.alert_channels),
        configured=settings.alerts,
        place=settings.alerts_place,
        is_on=around.sends_alerts,
    )
    return Parts(
        id=runner_id,
        store=opened,
        owns_store=opened is not store,
        surroundings=around,
        supervisor=supervisor,
        observers=observers,
        telling=Telling(observers, settings.telemetry),
        pool=pool,
        calls=calls,
        event_loop=event_loop,
        logs=kept_logs,
        aws=connections,
        job_types=job_types,
        artifacts=kept,
        driver=driver,
        heartbeat=heartbeat,
        settings=settings,
        secrets=secrets,
        pools=sizes,
        max_concurrency=max_concurrency,
        captured=Captured(host) if capture_logging else None,
        channels=channels,
        alerting=alerting,
    )
