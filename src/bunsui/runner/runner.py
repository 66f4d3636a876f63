"""`Runner`: runs pipelines, and finds their sessions again.

The rooms behind it are imported when they are entered, so that touching `bunsui.Runner` stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError
from bunsui.model.later import LATER, missing, not_yet
from bunsui.model.status import SessionStatus
from bunsui.plugins.registry import Plugins
from bunsui.runner.launching import Launching

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    from bunsui.aws.settings import AwsSettings
    from bunsui.configuration.config import Config
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Store
    from bunsui.runner.alerting.swept import Swept
    from bunsui.runner.handle import Session
    from bunsui.runner.sessions.index import SessionSummary
    from bunsui.runner.sessions.pruning import Pruned
    from bunsui.runner.surroundings import Surroundings


class Runner(Launching):
    """Runs pipelines in this process.

    Nothing is started before the first session is: no thread, no process. A Runner is a context manager
    that closes itself (see `close`; where an exception leaves the block, at once), with ``async with`` too;
    its sessions stay readable.

    Such as::

        with bunsui.Runner("sqlite:///orders.db", max_concurrency=8, pools={"gpu": 2}) as runner:
            session = runner.run(pipeline, {"source_bucket": "flights"})
        print(session.status)  # succeeded

    Args:
        store: a URL (``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``) or a Store;
            None: the configured one, else a SQLite file in the user's data directory.
        engine: ``embedded``; ``stepfunctions`` comes with a later version.
        bindings: what runs on this machine in place of AWS: a mapping, or the path of a bindings file;
            None: the configured file, else ``bindings.yaml`` beside the definition, where there is one.
        local: whether a job that would run on AWS is an error; None: as configured, else False.
        max_concurrency: how many attempts may run at once, over all sessions; at least 1. None: as
            configured, else 32.
        pools: how many jobs of each pool may run at once, such as ``{"gpu": 2}``; at least 1 each. None: the
            configured ones.
        lease: seconds without a sign of life after which another runner may take a session over; None: as
            configured, else 30.
        aws: as whom, and where, AWS is called: a mapping with ``region``, ``profile``, ``role`` (the ARN of
            a role to take), its ``external_id``, ``endpoint_url`` (one URL, or a mapping of them by service)
            and ``allowed_roles``, those that jobs may name (any, where it is not given). None: as configured,
            else as AWS's own tools are.
        artifacts: the folder of outputs above 32 KiB, or a place on S3, such as ``s3://bucket/prefix``, which
            nothing is asked of before it is needed; None: the configured one, else ``STORE-artifacts`` beside
            a SQLite store, and for any other store its histories.
        logs: where the logs of jobs are kept: a folder, a group of CloudWatch Logs, such as
            ``cloudwatch:///bunsui/team?retention=30``, or ``none``: with the Runner only. None: as
            configured, else ``STORE-logs`` beside a SQLite store, the group ``/bunsui/TABLE`` for one on
            DynamoDB, and with the Runner for any other.
        plugins: further plugins; see `Plugins`. Or one of these: then it is all that there is.
        autoload_plugins: whether installed entry points are imported.
        authenticator: None; a later version takes who checks what may be done here.
        capture_logging: whether what a job in a thread logs with `logging` also goes to the job's log, as far
            as the levels of the host let it. A handler of the root logger sees to it, from the first session
            until `close`. None: as configured, else False.
        config: what counts where an argument is None. None: `Config.load()`, so files and environment. A
            mapping says what definitions may name: ``env``, a list of variables, and ``secrets``, where each
            is found, such as ``{"env": ["REGION"], "secrets": {"db": "env:DB_PASSWORD"}}``; then nothing
            else is configured but the store and the places of artifacts and logs.

    Raises:
        ConfigError: an argument is wrong.
        PluginError: a plugin is wrong.
        StoreError: the store can't be opened.
    """

    def __init__(
        self,
        store: str | Store | None = None,
        *,
        engine: str = "embedded",
        bindings: Mapping[str, Mapping[str, Any]] | str | Path | None = None,
        local: bool | None = None,
        max_concurrency: int | None = None,
        pools: Mapping[str, int] | None = None,
        lease: float | None = None,
        aws: Mapping[str, Any] | AwsSettings | None = None,
        artifacts: str | Path | None = None,
        logs: str | Path | None = None,
        plugins: Sequence[Any] | Plugins = (),
        autoload_plugins: bool = True,
        authenticator: None = None,
        capture_logging: bool | None = None,
        config: Config | Mapping[str, Any] | None = None,
    ) -> None:
        from bunsui.runner.assembly import assemble
        from bunsui.runner.configured import configured
        from bunsui.runner.control import Control

        if authenticator is not None:
            raise ConfigError(not_yet("the argument 'authenticator' of a Runner"), hint="leave it out")
        if engine in LATER["engine"]:
            raise ConfigError(not_yet(f"the engine '{engine}'"), hint="use 'embedded'")
        if engine != "embedded":
            raise ConfigError(f"there is no engine {quoted(engine)}", hint="use 'embedded'")
        self.plugins = plugins if isinstance(plugins, Plugins) else Plugins(plugins, autoload_plugins)
        use = configured(
            config, store=store, bindings=bindings, local=local, max_concurrency=max_concurrency, pools=pools,
            lease=lease, artifacts=artifacts, logs=logs, capture_logging=capture_logging, aws=aws,
        )  # fmt: skip
        self._bindings = use.bindings
        self._local = use.local
        given = use.bindings if isinstance(use.bindings, Mapping) else {}
        parts = assemble(
            self.plugins, use.store, use.max_concurrency, use.lease, use.names, use.pools,
            self._surroundings(), use.artifacts, use.logs, capture_logging=use.capture_logging, aws=use.aws,
        )  # fmt: skip
        # Who only looks at sessions needs no job type.
        self._control = Control(parts, given, use.lease)

    def _surroundings(self) -> Surroundings | None:
        """What it takes from the machine that it runs on; None: what there is."""
        return None

    @property
    def store(self) -> Store:
        """Where everything durable lives."""
        return self._control.store

    if not TYPE_CHECKING:
        # Not for type checkers: to them a class with __getattr__ has every name.
        def __getattr__(self, name: str) -> Any:
            raise missing(self, name)

    def _require_open(self) -> None:
        self._control.require_open()

    def _now(self) -> datetime:
        return self._control.parts.clock.now()

    # Definitions

    def load(self, path: str | Path) -> Pipeline:
        """Reads a definition with this runner's plugins; see `Pipeline.load`.

        Such as::

            print(runner.load("pipeline.yaml").name)  # ETL Pipeline

        Raises:
            DefinitionError, PluginError: as `Pipeline.load` does.
        """
        from bunsui.dsl import loader

        return loader.load(path, self.plugins.usable.job_types)

    def _check(self, pipeline: Pipeline) -> None:
        """Checks a pipeline, unless that was done with the same job types."""
        from bunsui.dsl import loader
        from bunsui.model.pipeline import Pipeline

        if not isinstance(pipeline, Pipeline):
            raise ConfigError(
                f"a Runner runs a Pipeline, not {type(pipeline).__name__}",
                hint="load a file with runner.load(path)",
            )
        loader.check(pipeline, self.plugins.usable.job_types)

    # Going on

    def resume(
        self,
        id: str,  # noqa: A002 - the public name
        assume: Mapping[str, str] | None = None,
    ) -> Session:
        """Continues a paused or orphaned session here, and returns when it rests.

        A session that a runner holds is watched for up to one lease; a runner whose process on this
        host is gone, not at all. Who loses the claim to somebody else follows the session until it rests.
        A pause that has not come to rest yet is taken back. Work that runs on at its service, as it could not
        be followed without credentials, is found again.

        Such as::

            import threading

            gate = threading.Event()
            wait = bunsui.Job.from_callable(lambda: gate.wait(), id="wait")
            then = bunsui.Job.from_callable(lambda: "done", id="then", depends_on=["wait"])
            session = runner.start(bunsui.Pipeline("Two", [wait, then]))
            session.pause()
            gate.set()
            print(session.wait(), session.paused_reason)  # paused user
            print(runner.resume(session.id).outputs["then"])  # done

        Args:
            id: the session's.
            assume: for a session that is paused with the reason ``unknown-job``, what became of each job of
                which nobody can tell: ``succeeded`` (with the output null), ``failed`` or ``rerun``. The key
                is the job's id, for one item of a fan-out ``JOB[ITEM]``.

        Raises:
            NotFound: there is no such session, or it has no such job.
            StateError: it has ended, or its runner lives, or this runner is closed, or nothing was assumed of
                a job that is unknown.
            ConfigError: it needs a callable that exists in another process only.
            StoreError: the store failed.
        """
        session = self.session(id)
        session.resume(assume)
        session.wait()
        return session

    def recover(self, pipeline: str | None = None) -> list[Session]:
        """Adopts orphaned sessions, and drives them here; returns once each has been looked at.

        Orphaned is a session that is neither paused nor ended and that nobody drives: its runner's process is
        gone, or gave no sign of life for its lease, or has let go of it. One that needs a job type, a
        binding, a callable, a secret or a pool that this runner does not have is left to others, and the
        reason is logged.

        Such as::

            print(runner.recover("ETL Pipeline"))  # []

        Args:
            pipeline: only sessions of the pipeline with this name.

        Returns:
            The sessions that were adopted, oldest first. Looking takes up to one lease where it can't be
            told at once whether a runner lives.

        Raises:
            StateError: this runner is closed.
            StoreError: the store failed.
        """
        from bunsui.runner.sessions import orphans
        from bunsui.runner.waiting import complete

        return [self.session(id_) for id_ in complete(orphans.adopting(self._control, pipeline))]

    # Sessions

    def session(self, id: str) -> Session:  # noqa: A002 - the public name
        """The session with this id, whoever drives it.

        Such as::

            print(runner.session(session.id).outputs["load_data"])  # 3

        Raises:
            NotFound: there is none.
            StoreError: the store, or the session's beginning, can't be read.
        """
        from bunsui.runner.handle import Session
        from bunsui.runner.sessions import reading

        live = self._control.live(id)
        if live is not None:
            return Session(self._control, live.pipeline, id, live)
        created = reading.created(self.store, id)
        return Session(self._control, self._control.pipeline_of(created), id)

    def sessions(
        self,
        pipeline: str | None = None,
        status: str | SessionStatus | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[SessionSummary]:
        """Sessions, newest first.

        Such as::

            runner.run(pipeline)
            runner.run(pipeline, {"source_bucket": "missing"})
            print([str(found.status) for found in runner.sessions(limit=2)])  # ['failed', 'succeeded']

        Args:
            pipeline: only those of the pipeline with this name.
            status: only those with this status.
            limit: how many at most.
            after: the `SessionSummary.cursor` of a session; only those behind it.

        Raises:
            ConfigError: there is no such status, or `after` is no cursor.
            StoreError: the store can't be read.
        """
        from bunsui.runner.sessions import index

        if status is not None and status not in list(SessionStatus):
            known = ", ".join(SessionStatus)
            raise ConfigError(f"there is no session status {status!r}", hint=f"there are: {known}")
        wanted = None if status is None else SessionStatus(status)
        return index.find(self.store, pipeline, wanted, limit, after)

    def sweep_alerts(self) -> Swept:
        """Looks once at all sessions that have alerts, and sends what is due, by this runner's channels.

        Every runner that has channels does so by itself while it drives sessions, once a minute. This is for
        whoever has none that lives all the time, such as a scheduler.

        Such as::

            print(runner.sweep_alerts().delivered)  # 0

        Returns:
            How many alerts were sent, failed, and wait.

        Raises:
            PluginError: a plugin's channels are wrong.
            StateError: this runner is closed.
            StoreError: the store can't be read.
        """
        from bunsui.runner.alerting.sweep import Sweep

        self._require_open()
        parts = self._control.parts
        return Sweep(self.store, parts.channels(), parts.clock).all()

    def prune(self, older_than: timedelta | float | str, dry_run: bool = False) -> Pruned:
        """Removes sessions that ended long ago, with their histories, logs and artifacts.

        Paused and running sessions stay. A removed session is NotFound for everybody, and its idempotency
        key starts a new one. The file of a SQLite store keeps its size: what is freed is used again.

        Such as::

            from datetime import timedelta

            print(runner.prune(timedelta(days=30), dry_run=True).sessions)  # ()

        Args:
            older_than: how long ago they ended at least: a timedelta, seconds, or a text such as ``30d``.
            dry_run: whether nothing is changed: the answer says what would be.

        Returns:
            What was removed, and what could not be.

        Raises:
            ConfigError: `older_than` is not more than 0.
            Conflict: somebody else prunes the store.
            StateError: this runner is closed, and it is no `dry_run`.
            StoreError: the store failed, or can't remove sessions.
        """
        from bunsui.runner.sessions import pruning

        if not dry_run:
            self._require_open()
        return pruning.prune(self._control, pruning.age(older_than), dry_run=dry_run)

    # The end

    def close(self, timeout: float = 30.0) -> None:
        """Starts nothing more, lets running jobs end, and releases what it has claimed.

        Then what there is to tell is sent, each for a bounded time where the other side hangs: alerts up to
        10 seconds, and no longer than `timeout`; plugins' observers up to 10; OpenTelemetry's collector up
        to 5, where the runner has it by its configuration; logs in CloudWatch Logs up to 10 without
        progress, and 60 in all.

        Such as::

            runner = bunsui.Runner("memory://")
            session = runner.run(pipeline)
            runner.close(timeout=5)
            print(session.outputs["load_data"])  # 3

        Args:
            timeout: seconds that running jobs may take; then they are stopped, and run again when
                their session is resumed. Work at a remote service goes on, and is followed from there.
        """
        self._control.close(timeout)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # With an exception on its way, such as Ctrl-C, nobody wants to wait for what runs.
        self.close(timeout=30.0 if kind is None else 0)

    async def __aenter__(self) -> Runner:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        import asyncio

        await asyncio.to_thread(self.__exit__, kind)
