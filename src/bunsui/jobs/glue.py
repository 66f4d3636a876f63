"""Runs of AWS Glue jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from bunsui.errors import AwsError, JobError
from bunsui.jobs.aws import caller, console
from bunsui.jobs.aws_lookup import LookedUpJobType
from bunsui.jobs.glue_fields import SCHEMA
from bunsui.jobs.glue_run import OURS, RESERVED, argument, failure_of, has_ended, is_of, start_job_run
from bunsui.jobs.looks import READING, Looks
from bunsui.ports.job_type import JobCall
from bunsui.ports.permissions import Permission, Unnamed, literal
from bunsui.ports.remote import CannotTell, Failed, Found, NeverRan, Running, Succeeded
from bunsui.ports.remote_log import LogPage

if TYPE_CHECKING:
    from bunsui.ports.job_type import Finding, Hinted
    from bunsui.ports.permissions import Where
    from bunsui.ports.remote_log import RemoteLog
    from bunsui.ports.services import Services

#: Runs of a page of GetJobRuns: its API reference.
MAX_LISTED = 200
#: So many runs of one Glue job are each asked for; of more, pages are read.
FEW = 3
#: Pages that are read of one job's runs: by a poll, which asks for what is not on them by itself; and to find
#: one run.
POLLED_PAGES = 5
SEARCHED_PAGES = 50
#: The clocks of runners may be behind, or ahead of, Glue's.
SKEW = timedelta(hours=1)
#: What is called, in one place for who needs a policy and who checks it.
ACTIONS = ("glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun")


class GlueJobType(LookedUpJobType):
    """``type: glue``: runs a Glue job, and waits for its end."""

    name: ClassVar[str] = "glue"
    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    #: Glue shows arguments to whoever may look at the run, and may log them: so it says of StartJobRun.
    open_fields: ClassVar[frozenset[str]] = frozenset({"arguments", "parameters"})
    binding_field: ClassVar[str | None] = "job_name"
    service: ClassVar[str] = "glue"
    poll_batch: ClassVar[int] = 1000
    poll_interval: ClassVar[float] = 2.0
    poll_interval_max: ClassVar[float | None] = 30.0
    #: "GetJobRun" in its API reference speaks of a year, and has spoken of 90 days.
    kept_for: ClassVar[timedelta] = timedelta(days=80)

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._looks = Looks()

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        """See `JobType.check`."""
        found: list[Finding] = []
        if "max_capacity" in options and {"worker_type", "number_of_workers"} & options.keys():
            found.append(("max_capacity", "one-of", "'max_capacity' and workers exclude each other"))
        for field, given in (("arguments", options.get("arguments")), ("", job.get("parameters"))):
            for name in given if isinstance(given, Mapping) else ():
                full = argument(str(name))
                if full in RESERVED:
                    found.append((field, "bad-value", f"{full} is an argument that Glue uses itself"))
                elif full.startswith(OURS):
                    found.append((field, "bad-value", f"{full} is an argument that bunsui sets itself"))
        return found

    def require(self, options: Mapping[str, Any]) -> None:
        """See `JobType.require`."""
        self._runner.aws.require("glue", "StartJobRun", caller(options), options["job_name"])

    def verify(self, options: Mapping[str, Any]) -> Sequence[Finding | Hinted]:
        """See `JobType.verify`: whether the Glue job is there, and may be run."""
        from bunsui.jobs.glue_verifying import findings  # noqa: PLC0415 - only for 'pipeline check'

        return findings(self._runner.aws, options)

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `JobType.permissions`."""
        name = options["job_name"]
        if "${" in name:
            return [Unnamed("'job_name' is known only when the job starts")]
        return [Permission(ACTIONS, [where.arn("glue", f"job/{literal(name)}")])]

    # Beginnings

    def submit(self, call: JobCall) -> Any:
        """See `RemoteJobType.submit`. The handle has what is needed to ask Glue for the run again."""
        options, services = call.options, self._runner
        parameters = start_job_run(call, self.output_url(call))
        as_ = caller(options, call.session_id)
        try:
            answer = services.aws.call("glue", "StartJobRun", parameters, as_, options["job_name"])
        except AwsError as error:
            if error.code == "ResourceNumberLimitExceededException":  # There may be room later.
                raise JobError(str(error), code=error.job_code) from error
            raise
        return self._handle(call, answer["JobRunId"])

    def find(self, call: JobCall) -> Found | NeverRan | CannotTell:
        """See `RemoteJobType.find`: among the runs of the Glue job, the newest of which come first."""
        parameters: dict[str, Any] = {"JobName": call.options["job_name"], "MaxResults": MAX_LISTED}
        as_ = caller(call.options)
        for _ in range(SEARCHED_PAGES):
            answer = self._runner.aws.call("glue", "GetJobRuns", parameters, as_, parameters["JobName"])
            runs = answer.get("JobRuns", [])
            found = [run for run in runs if is_of(run, call.idempotency_key)]
            if found:
                self.listed(call)
                # Where Glue tries again by itself, its further runs have the same arguments.
                return Found(self._handle(call, min(found, key=lambda run: run.get("Attempt", 0))["Id"]))
            token = answer.get("NextToken")
            if not token or _are_older(runs, call):
                return self.not_listed(call, "GetJobRuns")
            parameters["NextToken"] = token
        return CannotTell()

    def _handle(self, call: JobCall, run: str) -> dict[str, Any]:
        options = call.options
        handle = {
            "job": options["job_name"],
            "run": run,
            # Not the configured one later on, which may be another one where somebody else goes on with it.
            "region": self._runner.aws.region("glue", caller(options)),
            "role": options.get("role"),
            "output": self.output_url(call),
        }
        return {name: value for name, value in handle.items() if value is not None}

    def span_attributes(self, options: Mapping[str, Any], handle: Any) -> Mapping[str, str]:
        """See `JobType.span_attributes`: where a person finds the run."""
        del options
        if handle is None:
            return {}
        region, job, run = handle.get("region"), handle["job"], handle["run"]
        return console(region, f"gluestudio/home?region={region}#/job/{quote(job, '')}/run/{run}")

    # Watching

    def poll(self, handles: Sequence[Any]) -> Sequence[Running | Succeeded | Failed | CannotTell]:
        """See `RemoteJobType.poll`. The handles are of one account and region."""
        ask = partial(self._runs, self._runner.clock.monotonic() + READING)
        described = self.described(handles, itemgetter("job"), self.poll_batch, ask)
        return self.outcomes(handles, described, self._became)

    def is_gone(self, error: AwsError) -> bool:
        """See `AwsRemoteJobType.is_gone`: the run, or the Glue job with its runs."""
        return error.code == "EntityNotFoundException"

    def _runs(
        self, read_by: float, job: str, handles: Sequence[Any]
    ) -> list[Mapping[str, Any] | Running | BaseException | None]:
        """Runs of one Glue job as they are; None for those that Glue does not show.

        Where there are many, pages are read; what is not on them is asked for, for some time. Of what is left
        then, nothing is known that there was not before.
        """
        listed = self._listed(job, handles) if len(handles) > FEW else {}
        if listed is None:
            return [None] * len(handles)
        ids = [handle["run"] for handle in handles]
        said: list[Mapping[str, Any] | Running | BaseException | None]
        said = [listed.get(each, Running()) for each in ids]
        others = self._looks.order({i: each for i, each in enumerate(ids) if each not in listed})
        for at, i in enumerate(others):
            if at and self._runner.clock.monotonic() > read_by:
                break
            self._looks.begin(ids[i])
            try:
                said[i] = self._run(handles[i])
            except AwsError as error:
                for left in others[at:]:  # It would not be answered for these, either.
                    said[left] = error
                break
        return said

    def _listed(self, job: str, handles: Sequence[Any]) -> dict[str, Mapping[str, Any]] | None:
        """The newest runs of a Glue job by their ids, as far as they are listed; None: it is gone.

        Raises:
            AwsError: there are no credentials.
        """
        found: dict[str, Mapping[str, Any]] = {}
        wanted = {handle["run"] for handle in handles}
        parameters: dict[str, Any] = {"JobName": job, "MaxResults": MAX_LISTED}
        try:
            for _ in range(POLLED_PAGES):
                answer = self.look("GetJobRuns", parameters, handles[0], job)
                found |= {run["Id"]: run for run in answer.get("JobRuns", [])}
                token = answer.get("NextToken")
                if not token or wanted <= found.keys():
                    break
                parameters["NextToken"] = token
        except AwsError as error:
            if self.is_gone(error):
                return None
            if error.kind == "credentials":
                raise
        return found

    def _run(self, handle: Mapping[str, Any]) -> Mapping[str, Any] | None:
        parameters = {"JobName": handle["job"], "RunId": handle["run"]}
        try:
            run: Mapping[str, Any] = self.look("GetJobRun", parameters, handle, handle["job"])["JobRun"]
        except AwsError as error:
            if self.is_gone(error):
                return None
            raise
        return run

    def _became(
        self, handle: Mapping[str, Any], run: Mapping[str, Any] | Running | None
    ) -> Running | Failed | CannotTell | None:
        """See `AwsOutputJobType.outcomes`."""
        if isinstance(run, Running):
            return run
        if run is None:
            return self.while_missing(handle["run"])
        self.is_there(handle["run"])
        if not has_ended(run):
            return Running()
        self._looks.over(handle["run"])
        return failure_of(run)

    def cancel(self, handle: Any) -> None:
        """See `RemoteJobType.cancel`. That a run could not be stopped stands in the answer."""
        from bunsui.aws.errors import About, failed_with  # noqa: PLC0415 - as the rest that calls AWS

        parameters = {"JobName": handle["job"], "JobRunIds": [handle["run"]]}
        as_ = self.caller_of(handle)
        answer = self._runner.aws.call("glue", "BatchStopJobRun", parameters, as_, handle["job"])
        if not answer.get("Errors"):
            return
        run = self._run(handle)  # One that has ended, or is about to, can't be stopped.
        if run is None or has_ended(run) or run.get("JobRunState") == "STOPPING":
            return
        detail = answer["Errors"][0].get("ErrorDetail", {})
        about = About("glue", "BatchStopJobRun", handle["job"], handle["region"], handle.get("role"))
        raise failed_with(detail.get("ErrorCode", "Unknown"), detail.get("ErrorMessage", ""), about)

    # Reading

    def log_page(self, about: RemoteLog, token: Any) -> LogPage:
        """See `JobType.log_page`: what the run has written to its output and as errors, by its time."""
        from bunsui.jobs.cloudwatch import milliseconds  # noqa: PLC0415 - only for who reads logs
        from bunsui.jobs.glue_log import begin, page  # noqa: PLC0415 - likewise

        if about.handle is None:
            return LogPage()
        parts = token
        if parts is None:
            run = self._run(about.handle)
            if run is None:
                return LogPage()
            parts = begin(run, None if about.since is None else milliseconds(about.since))
        return page(self._runner.aws, self.caller_of(about.handle), parts, about.limit)


def _are_older(runs: Sequence[Mapping[str, Any]], call: JobCall) -> bool:
    """Whether all of these were started before the attempt; where none says when, that is not known."""
    began, starts = call.started_at, [run["StartedOn"] for run in runs if "StartedOn" in run]
    return began is not None and bool(starts) and max(starts) < began - SKEW
