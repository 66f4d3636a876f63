"""AWS Batch jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.aws.connections import Caller
from bunsui.errors import AwsError
from bunsui.jobs.aws import caller, console
from bunsui.jobs.aws_lookup import LookedUpJobType
from bunsui.jobs.batch_fields import SCHEMA
from bunsui.jobs.batch_job import STOPPED_HERE, failure_of, has_ended, log_of
from bunsui.jobs.batch_request import submit_job
from bunsui.ports.job_type import JobCall
from bunsui.ports.remote import CannotTell, Failed, Found, NeverRan, Running, Succeeded
from bunsui.ports.remote_log import LogPage

if TYPE_CHECKING:
    from bunsui.ports.job_type import Finding, Hinted
    from bunsui.ports.permissions import Permission, Unnamed, Where
    from bunsui.ports.remote_log import RemoteLog

#: Job ids that one call of DescribeJobs takes: its API reference.
MAX_DESCRIBED = 100
#: Pages of ListJobs, of 100 jobs each, that are read to find one.
MAX_PAGES = 20
#: What TerminateJob says of a job that Batch does not have any more.
_GONE = re.compile(r"not found|does ?n[o']t exist", re.IGNORECASE)


class BatchJobType(LookedUpJobType):
    """``type: batch``: runs a job of one container, and waits for its end."""

    name: ClassVar[str] = "batch"
    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    open_fields: ClassVar[frozenset[str]] = frozenset(
        {"command", "job_queue", "placeholders", "share_identifier", "tags"}
    )
    binding_field: ClassVar[str | None] = "job_definition"
    service: ClassVar[str] = "batch"
    poll_batch: ClassVar[int] = 1000
    #: Its guide speaks of 7 days for jobs that have ended ("Job states"), and has spoken of 24 hours.
    kept_for: ClassVar[timedelta] = timedelta(hours=23)

    def require(self, options: Mapping[str, Any]) -> None:
        """See `JobType.require`."""
        self._runner.aws.require("batch", "SubmitJob", caller(options), options["job_definition"])

    def verify(self, options: Mapping[str, Any]) -> Sequence[Finding | Hinted]:
        """See `JobType.verify`: whether job queue and job definition are there, and may be used."""
        from bunsui.jobs.batch_verifying import findings  # noqa: PLC0415 - only for 'pipeline check'

        return findings(self._runner.aws, options)

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `JobType.permissions`."""
        from bunsui.jobs.batch_permissions import needed  # noqa: PLC0415 - only for who asks for a policy

        return needed(options, where)

    # Beginnings

    def submit(self, call: JobCall) -> Any:
        """See `RemoteJobType.submit`. The handle has what is needed to ask Batch for the job again."""
        options, services = call.options, self._runner
        parameters = submit_job(call, services.objects, self.output_url(call))
        as_ = caller(options, call.session_id)
        return self._handle(call, services.aws.call("batch", "SubmitJob", parameters, as_, _name(options)))

    def find(self, call: JobCall) -> Found | NeverRan | CannotTell:
        """See `RemoteJobType.find`: Batch lists jobs by their name, whatever has become of them."""
        options, key = call.options, call.idempotency_key
        parameters: dict[str, Any] = {
            "jobQueue": options["job_queue"],
            "filters": [{"name": "JOB_NAME", "values": [key]}],
        }
        found: list[Mapping[str, Any]] = []
        for _ in range(MAX_PAGES):
            answer = self._runner.aws.call("batch", "ListJobs", parameters, caller(options), _name(options))
            # The filter knows no case.
            found += [job for job in answer.get("jobSummaryList", []) if job["jobName"] == key]
            if not (token := answer.get("nextToken")):
                break
            parameters["nextToken"] = token
        if not found:
            return CannotTell() if token else self.not_listed(call, "ListJobs")
        self.listed(call)
        return Found(self._handle(call, min(found, key=lambda job: job.get("createdAt", 0))))

    def _handle(self, call: JobCall, job: Mapping[str, Any]) -> dict[str, Any]:
        options = call.options
        handle = {
            "job": job["jobId"],
            # Not the configured one, which may be another one where somebody else goes on with it.
            "region": job.get("jobArn", "").partition(":batch:")[2].partition(":")[0]
            or options.get("region"),
            "role": options.get("role"),
            "output": self.output_url(call),
        }
        return {name: value for name, value in handle.items() if value is not None}

    def span_attributes(self, options: Mapping[str, Any], handle: Any) -> Mapping[str, str]:
        """See `JobType.span_attributes`: where a person finds the job."""
        del options
        if handle is None:
            return {}
        region = handle.get("region")
        return console(region, f"batch/home?region={region}#jobs/detail/{handle['job']}")

    # Watching

    def poll(self, handles: Sequence[Any]) -> Sequence[Running | Succeeded | Failed | CannotTell]:
        """See `RemoteJobType.poll`. The handles are of one account and region."""
        described = self.described(handles, lambda _: "AWS Batch", MAX_DESCRIBED, self._describe)
        return self.outcomes(handles, described, self._became)

    def _describe(self, _: str, handles: Sequence[Any]) -> list[Mapping[str, Any] | None]:
        """The jobs as they are; None for those that Batch does not show."""
        ids = [handle["job"] for handle in handles]
        answer = self.look("DescribeJobs", {"jobs": ids}, handles[0], ids[0])
        found = {job["jobId"]: job for job in answer.get("jobs", [])}
        return [found.get(each) for each in ids]

    def _became(
        self, handle: Mapping[str, Any], job: Mapping[str, Any] | None
    ) -> Running | Failed | CannotTell | None:
        """See `AwsOutputJobType.outcomes`."""
        if job is None:
            return self.while_missing(handle["job"])
        self.is_there(handle["job"])
        return failure_of(job) if has_ended(job) else Running()

    def cancel(self, handle: Any) -> None:
        """See `RemoteJobType.cancel`. TerminateJob also takes a job out of its queue."""
        parameters = {"jobId": handle["job"], "reason": STOPPED_HERE}
        try:
            self._runner.aws.call("batch", "TerminateJob", parameters, self.caller_of(handle), handle["job"])
        except AwsError as error:
            if error.code != "ClientException" or not _GONE.search(error.message):
                raise

    # Reading

    def log_page(self, about: RemoteLog, token: Any) -> LogPage:
        """See `JobType.log_page`. Which stream it is, Batch says once the container runs."""
        from bunsui.jobs.cloudwatch import Stream, milliseconds, page_of  # noqa: PLC0415 - only for readers

        if about.handle is None:
            return LogPage()
        handle = about.handle
        place, following = token or (None, None)
        if place is None:
            (job,) = self._describe("", [handle])
            place = None if job is None else log_of(job)
            if place is None:
                return LogPage()
        start = None if about.since is None else milliseconds(about.since)
        as_ = Caller(place.get("region") or handle.get("region"), handle.get("role"))
        stream = Stream(place["group"], place["stream"], start)
        page = page_of(self._runner.aws, as_, stream, following, about.limit)
        return LogPage(page.lines, (place, page.token), page.is_end)


def _name(options: Mapping[str, Any]) -> str:
    """What calls are about, as errors name it."""
    name: str = options["job_definition"]
    return name
