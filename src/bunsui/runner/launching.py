"""`Launching`: how a `Runner` starts sessions, and says beforehand what would run."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from typing import TYPE_CHECKING

from bunsui.errors import ConfigError, StateError
from bunsui.runner.register import Register

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from bunsui.aws.policies import IamPolicy
    from bunsui.model.pipeline import Pipeline
    from bunsui.model.plan import Plan
    from bunsui.plugins.registry import Plugins
    from bunsui.runner.control import Control
    from bunsui.runner.handle import Session
    from bunsui.runner.sessions.reruns import Rerun
    from bunsui.runner.sessions.verifying import Checked


class Launching(Register):
    """The part of a `Runner` that starts sessions."""

    plugins: Plugins
    _control: Control
    _bindings: Mapping[str, Mapping[str, Any]] | str | Path | None
    _local: bool

    @abstractmethod
    def session(self, id: str) -> Session:  # noqa: A002 - the public name
        """The session with this id."""

    def run(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Session:
        """Runs a pipeline and returns when the session rests; see `start`.

        A session that the idempotency key names already, and that nobody drives any more, is resumed.

        Such as::

            session = runner.run(pipeline, {"source_bucket": "flights"}, tags={"team": "data"})
            print(session.status, session.tags["team"])  # succeeded data

        Raises:
            BunsuiError: as `start` does.
            StoreError: also, where the store failed for longer than a lease; the session can be resumed.
        """
        session = self._start_or_resume(pipeline, parameters, idempotency_key, tags)
        session.wait()
        return session

    async def run_async(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Session:
        """Runs a pipeline and returns when the session rests; see `run`. It does not block the event loop.

        The session is durable and this runner's, not the caller's: where this is cancelled, it goes on, and
        `sessions` finds it; it may even begin after that. Cancel the session itself to stop it.

        Such as::

            import asyncio

            session = asyncio.run(runner.run_async(pipeline))
            print(session.status)  # succeeded

        Raises:
            BunsuiError: as `run` does.
        """
        import asyncio

        given = (pipeline, parameters, idempotency_key, tags)
        session = await asyncio.to_thread(self._start_or_resume, *given)
        await session
        return session

    def _start_or_resume(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None,
        idempotency_key: str | None,
        tags: Mapping[str, str] | None,
    ) -> Session:
        session = self.start(pipeline, parameters, idempotency_key=idempotency_key, tags=tags)
        if idempotency_key is not None and not session.status.is_resting:
            with contextlib.suppress(StateError):  # Somebody drives it, or it has just ended: follow it.
                self._control.take_over(session.id)
        return session

    def start(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Session:
        """Starts a pipeline and returns as soon as the session is durable.

        Such as::

            session = runner.start(pipeline, idempotency_key="orders-2026-01-31")
            again = runner.start(pipeline, idempotency_key="orders-2026-01-31")
            print(again.id == session.id, session.wait())  # True succeeded

        Args:
            pipeline: what to run.
            parameters: by name; see the pipeline's `parameters`.
            idempotency_key: the same key with the same pipeline and parameters gives the same session.
            tags: texts by text, kept with the session.

        Returns:
            The session. A session that an idempotency key names already is returned as it is.

        Raises:
            DefinitionError: the pipeline, a binding or a parameter is wrong, or a variable, secret or pool
                that it names is not configured; nothing was written.
            ConfigError: a tag is not text, or the idempotency key is none.
            Conflict: the idempotency key belongs to a session with another input.
            StoreError: the store failed.
            StateError: this runner is closed.
        """
        return self._start(pipeline, parameters or {}, idempotency_key, tags or {})

    def _start(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any],
        idempotency_key: str | None,
        tags: Mapping[str, str],
        rerun: Rerun | None = None,
    ) -> Session:
        from bunsui.runner.handle import Session
        from bunsui.runner.sessions import creation

        control = self._control
        control.require_open()
        self._check(pipeline)
        live = creation.create(
            pipeline,
            parameters,
            self._bindings,
            control.parts.job_types,
            control.parts,
            local=self._local,
            idempotency_key=idempotency_key,
            tags=tags,
            rerun=rerun,
        )
        if idempotency_key is not None and creation.exists(self.store, live):
            return self.session(live.id)
        creation.keep_definition(self.store, pipeline)
        control.know(pipeline)
        control.parts.alerting.begin(live, may_be_left=idempotency_key is not None)
        control.claim(live)
        control.drive(live)
        if idempotency_key is not None and live.lost:
            creation.exists(self.store, live)  # Somebody was faster, perhaps with another input.
        return Session(control, pipeline, live.id, live)

    def rerun(
        self,
        id: str,  # noqa: A002 - the public name
        jobs: str | Sequence[str] = "failed",
        pipeline: Pipeline | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Session:
        """Runs a session that has ended again, as a new one, and returns when that rests.

        Jobs whose work has not changed take their outputs over, and do not run: those that succeeded, do not
        depend on anything that has changed (type, options, input, and all that of the jobs upstream), and are
        not chosen by `jobs`. `plan` tells beforehand which they are, and why the others run.

        Such as::

            failed = runner.run(pipeline, {"source_bucket": "missing"})
            again = runner.rerun(failed.id, parameters={"source_bucket": "flights"})
            print(failed.status, again.status)  # failed succeeded

        Args:
            id: the session's; all of it.
            jobs: what runs in any case: ``failed`` (also what was cancelled, and all that follows), ``all``,
                or a list of jobs: ``a`` is that job, ``a+`` also all that follows it.
            pipeline: a changed definition of the same name; None: the session's own.
            parameters: changed parameters; those that are not named are the session's.

        Raises:
            NotFound: there is no such session, or the pipeline has no such job.
            StateError: the session has not ended, or this runner is closed.
            ConfigError: the pipeline is another one, or none, or its folder is gone, or `jobs` says something
                else.
            DefinitionError, StoreError: as `start` does.
        """
        session = self.start_rerun(id, jobs, pipeline, parameters)
        session.wait()
        return session

    def start_rerun(
        self,
        id: str,  # noqa: A002 - the public name
        jobs: str | Sequence[str] = "failed",
        pipeline: Pipeline | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Session:
        """As `rerun`, but returns as soon as the new session is durable.

        Such as::

            again = runner.start_rerun(session.id, jobs=["load_data"])
            print(again.wait(), again.jobs["extract_data"].reused_from == session.id)  # succeeded True
        """
        from bunsui.runner.sessions.reruns import Rerun

        self._control.require_open()
        if pipeline is not None:
            self._check(pipeline)
        earlier = self._control.earlier(id)
        pipeline = earlier.definition(pipeline)
        given = earlier.parameters(pipeline, parameters)
        return self._start(pipeline, given, None, earlier.tags, Rerun(earlier, jobs))

    def plan(
        self,
        pipeline: Pipeline | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        rerun: str | None = None,
        jobs: str | Sequence[str] = "failed",
    ) -> Plan:
        """What would run, in which order, with which inputs. It starts nothing, and imports nothing.

        Such as::

            print(runner.plan(pipeline, {"source_bucket": "flights"}).counts)  # {'run': 2}
            print(runner.plan(rerun=session.id, jobs=["load_data"]).counts)  # {'reuse': 1, 'run': 1}

        Args:
            pipeline: what would be run; None: with `rerun`, that session's own definition.
            parameters: as `start` or `rerun` takes them.
            rerun: a session that would be run again; see `Runner.rerun`.
            jobs: with `rerun`, as there.

        Raises:
            ConfigError: neither a pipeline nor a session was given.
            DefinitionError, NotFound, StateError, StoreError: as `start` and `rerun` do.
        """
        from bunsui.runner.sessions import planning

        if pipeline is not None:
            self._check(pipeline)
        earlier = None if rerun is None else self._control.earlier(rerun)
        if earlier is not None:
            pipeline = earlier.definition(pipeline)
            parameters = earlier.parameters(pipeline, parameters)
        if pipeline is None:
            raise ConfigError("there is nothing to plan", hint="give a pipeline, or a session to run again")
        self._check(pipeline)
        parts = self._control.parts
        return planning.plan(
            pipeline,
            parameters or {},
            self._bindings,
            parts.job_types,
            parts,
            earlier,
            jobs,
            local=self._local,
        )

    def check(self, pipeline: Pipeline, parameters: Mapping[str, Any] | None = None) -> Checked:
        """What a run would miss at AWS, or may not do there: its problems. It starts and writes nothing.

        Asked are the types of the jobs that are not bound, once where several jobs ask for the same; what it
        costs at AWS are calls that only look. Whatever its condition says, each job is looked at. What is
        known only when a job starts, such as a function that another job names, is a warning.

        Such as::

            for problem in runner.check(pipeline, {"source_bucket": "flights"}):
                print(problem.render())

        Args:
            pipeline: what would be run.
            parameters: as `start` takes them.

        Returns:
            The problems, by position; their `found` says how much there is, such as
            ``{"function": 3, "task_definition": 1}``. The code ``denied`` says that something is not
            permitted. Of ECS jobs that shows only where the caller may use IAM's simulator
            (``iam:SimulatePrincipalPolicy``): where not, permissions count as given.

        Raises:
            DefinitionError, ConfigError: as `start` does.
            AwsError: there are no credentials, or no region, as in `start`; or AWS did not answer.
            PluginError: a job type failed to say what is wrong.
            StateError: this runner is closed.
        """
        from bunsui.runner.sessions import verifying

        self._control.require_open()
        self._check(pipeline)
        parts = self._control.parts
        given = parameters or {}
        return verifying.check(pipeline, given, self._bindings, parts.job_types, parts, local=self._local)

    def iam_policy(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None = None,
        *,
        region: str | None = None,
        account: str | None = None,
        role: str | None = None,
        partial: bool = False,
    ) -> IamPolicy:
        """What whoever runs a pipeline with this runner has to be allowed at AWS, and no more.

        It has what jobs that are not bound, artifacts, secrets and the store call in a run, by service and
        resource; whatever its condition says, each job counts. It starts and writes nothing. ECS is asked
        which roles a task definition names, which have to be passed.

        What a job calls in a role of its own is that role's affair: whoever runs it may take the role, and
        what the role needs says `role`. So it is with the runner's own.

        Such as::

            policy = runner.iam_policy(pipeline, region="eu-central-1", account="123456789012")
            print(policy.document["Version"])  # 2012-10-17

        Args:
            pipeline: what would be run.
            parameters: as `start` takes them.
            region: where jobs run that name no region; None: the runner's.
            account: twelve digits, in which things are that no role or ARN names; None: AWS is asked whose
                the credentials are, where that is needed.
            role: the ARN of a role that is taken in a run: then it is that role's policy.
            partial: whether what can't be named is left out, and said in the policy's ``unnamed``.

        Raises:
            DefinitionError: something that is called can't be named before the run, such as a function whose
                name is another job's output: all of it at once, with the reasons. Or as `start` raises it.
            ConfigError: an argument is wrong, or no run takes the role.
            AwsError: no region is named, or there are no credentials to ask with, or AWS did not answer.
            PermissionDenied: a job's role is none that jobs may name.
            PluginError: a job type failed to say what it calls.
            StateError: this runner is closed.
        """
        from bunsui.runner.sessions import allowing

        self._control.require_open()
        self._check(pipeline)
        parts = self._control.parts
        asked = allowing.Asked(region, account, role)
        return allowing.policy(
            pipeline, parameters or {}, self._bindings, parts.job_types, parts, asked,
            local=self._local, is_partial=partial,
        )  # fmt: skip
