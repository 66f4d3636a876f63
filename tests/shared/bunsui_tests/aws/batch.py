"""Batch: jobs that are found by their names only, live by a script, fail, and are listed late."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from attrs import define, field, frozen

from bunsui_tests.aws.messages import Call, Refusal, Reply, Request, encoded
from bunsui_tests.aws.policies import Need
from bunsui_tests.aws.protocols import Refusals, Service

STATUSES = ("SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED")
#: Ids of one DescribeJobs, and jobs of a page of ListJobs with a filter.
MAX_JOBS = 100
#: Bytes of a request, by "Service quotas" in Batch's guide.
MAX_REQUEST = 30 * 1024


@frozen
class Script:
    """How a job lives if nobody moves it."""

    #: After so many descriptions it has its next status, up to its end; None: it stays as it is.
    every: int | None = 1
    #: What it does before its end; what it returns, unless it is None, is the exit code.
    work: Callable[[BatchJob], int | None] | None = None


@define
class BatchJob:
    """A job. It changes as it lives: it is to be read, and moved by `FakeBatch` alone."""

    id: str
    arn: str
    queue: str
    definition_arn: str
    #: What SubmitJob was given.
    parameters: dict[str, Any]
    script: Script
    status: str = "SUBMITTED"
    status_reason: str | None = None
    #: ``exitCode``, ``reason``, ``logStreamName`` and the like, as far as there are any.
    container: dict[str, Any] = field(factory=dict)
    flags: dict[str, bool] = field(factory=dict)
    #: How often it was described with its present status.
    described: int = 0
    #: Whether ListJobs shows it.
    is_listed: bool = True
    created: int = field(factory=lambda: int(time.time() * 1000))

    @property
    def name(self) -> str:
        """SubmitJob's ``jobName``."""
        return str(self.parameters["jobName"])

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its overrides."""
        pairs = self.parameters.get("containerOverrides", {}).get("environment", ())
        return {pair["name"]: pair["value"] for pair in pairs}

    @property
    def has_ended(self) -> bool:
        """Whether it has come to its end."""
        return self.status in {"SUCCEEDED", "FAILED"}

    def move(self, status: str) -> None:
        """Gives it a status; one that runs has a log."""
        self.status, self.described = status, 0
        if status == "RUNNING":
            self.container.setdefault("logStreamName", f"etl/default/{self.id}")

    def end(self, exit_code: int | None, reason: str | None, status_reason: str | None) -> None:
        """Ends it; see `FakeBatch.end`."""
        self.container |= {} if exit_code is None else {"exitCode": exit_code}
        self.container |= {} if reason is None else {"reason": reason}
        self.status_reason = status_reason
        self.move("SUCCEEDED" if exit_code == 0 else "FAILED")

    def live(self) -> None:
        """It is described: it has its next status, where the script says so."""
        if self.script.every is None or self.has_ended:
            return
        self.described += 1
        if self.described < self.script.every:
            return
        following = STATUSES[STATUSES.index(self.status) + 1]
        if following != "SUCCEEDED":
            self.move(following)
            return
        code = self.script.work(self) if self.script.work else None
        self.end(code or 0, None, "Essential container in task exited")

    def summary(self) -> dict[str, Any]:
        """As ListJobs shows it."""
        shown = {
            "jobArn": self.arn,
            "jobId": self.id,
            "jobName": self.name,
            "createdAt": self.created,
            "status": self.status,
            "statusReason": self.status_reason,
            "jobDefinition": self.definition_arn,
            **self.flags,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def shown(self) -> dict[str, Any]:
        """As DescribeJobs shows it."""
        overrides = self.parameters.get("containerOverrides", {})
        return {
            **self.summary(),
            "jobQueue": self.queue,
            "tags": self.parameters.get("tags", {}),
            "container": {"image": "image", **overrides, **self.container},
            "attempts": [],
        }


class FakeBatch(Service):
    """Batch; job queues and definitions are in every account and region, jobs in those of their call."""

    name = "batch"
    refusals: ClassVar[Refusals] = Refusals(
        throttled=("TooManyRequestsException", 429),
        denied=("AccessDeniedException", 403),
        expired=("ExpiredTokenException", 403),
        unknown_key=("UnrecognizedClientException", 403),
        broken="ServerException",
    )

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._queues: dict[str, dict[str, Any]] = {}
        self._definitions: dict[str, list[dict[str, Any]]] = {}
        self._jobs: dict[str, BatchJob] = {}
        #: How jobs live that are submitted from now on, all or each.
        self.script: Script | Callable[[BatchJob], Script] = Script()

    def add_queue(self, name: str, **more: Any) -> None:
        """A queue that can be used from now on; ``more`` is shown of it, such as ``state="DISABLED"``."""
        self._queues[name] = {"state": "ENABLED", "status": "VALID", **more}

    def define(self, name: str, **more: Any) -> None:
        """A job definition's next revision.

        Args:
            name: Its name.
            more: What is shown of it, such as ``status="INACTIVE"``; None: that is not shown.
        """
        with self._lock:
            revisions = self._definitions.setdefault(name, [])
            own = {"type": "container", "status": "ACTIVE", "containerProperties": {"image": "image"}}
            made = {"jobDefinitionName": name, "revision": len(revisions) + 1, **own, **more}
            revisions.append({key: value for key, value in made.items() if value is not None})

    @property
    def jobs(self) -> list[BatchJob]:
        """The jobs that were submitted and not forgotten, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def move(self, job: BatchJob, status: str) -> None:
        """Gives a job another status than those at its end, such as ``RUNNING``."""
        with self._lock:
            job.move(status)

    def end(
        self,
        job: BatchJob,
        exit_code: int | None = 0,
        *,
        reason: str | None = None,
        status_reason: str | None = "Essential container in task exited",
        **flags: bool,
    ) -> None:
        """Ends a job.

        Args:
            job: It.
            exit_code: The container's: 0 is success. None: there is none.
            reason: The container's, such as an ``OutOfMemoryError``.
            status_reason: The job's own.
            flags: ``isTerminated`` and ``isCancelled``.
        """
        with self._lock:
            job.flags |= flags
            job.end(exit_code, reason, status_reason)

    def forget(self, job: BatchJob) -> None:
        """A job is no longer known, as those are not that ended a week ago."""
        with self._lock:
            del self._jobs[job.id]

    def show(self, job: BatchJob) -> None:
        """A job that was forgotten is known again."""
        with self._lock:
            self._jobs[job.id] = job

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        """What makes the answer, by action."""
        return {
            "SubmitJob": self._submit,
            "DescribeJobs": self._describe,
            "ListJobs": self._list,
            "TerminateJob": self._terminate,
            "DescribeJobQueues": self._describe_queues,
            "DescribeJobDefinitions": self._describe_definitions,
        }

    def needs(self, call: Call) -> list[Need]:
        """A definition without a revision is asked for as it is named, and as what that stands for."""
        asked, action = call.parameters, f"batch:{call.action}"
        if call.action == "TerminateJob":
            return [Need(action, f"{_prefix(call)}job/{asked['jobId']}")]
        if call.action != "SubmitJob":
            return [Need(action, "*")]
        begin = f"{_prefix(call)}job-definition/"
        definition = self._definition(call, asked["jobDefinition"])
        resources = [
            self._queue(call, asked["jobQueue"]),
            begin + asked["jobDefinition"].removeprefix(begin),
            _definition_arn(call, definition),
        ]
        needs = [Need(action, resource) for resource in dict.fromkeys(resources)]
        if asked.get("tags"):
            needs.append(Need("batch:TagResource", f"{_prefix(call)}job/{uuid.uuid4()}"))
        return needs

    def parse(self, request: Request) -> tuple[str, dict[str, Any]]:
        by_path = {f"/v1/{name.lower()}": name for name in self.actions}
        if len(request.body) > MAX_REQUEST:
            raise Refusal("ClientException", f"Job size must be less than 30 KiB, got {len(request.body)}")
        return by_path.get(request.path, "?"), json.loads(request.body or b"{}")

    def answer(self, call: Call) -> Reply:
        if call.action not in self.actions:
            raise Refusal("UnknownOperationException", f"{call.action} is not made here", 404)
        return Reply(200, encoded(self.actions[call.action](call)))

    def refuse(self, refusal: Refusal) -> Reply:
        body = encoded({"message": refusal.message})
        return Reply(refusal.status, body, {"X-Amzn-ErrorType": refusal.code}, refusal.code)

    def _submit(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        with self._lock:
            queue = self._queue(call, asked["jobQueue"])
            definition = self._definition(call, asked["jobDefinition"])
            names = [each["name"] for each in asked.get("containerOverrides", {}).get("environment", ())]
            if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,127}", asked["jobName"]):
                raise Refusal("ClientException", "Error executing request, Exception : Job name is not valid")
            if any(name.startswith("AWS_BATCH") for name in names):
                raise Refusal("ClientException", "Environment variables must not begin with AWS_BATCH")
            id_ = str(uuid.uuid4())
            job = BatchJob(
                id_, f"{_prefix(call)}job/{id_}", queue, _definition_arn(call, definition), asked, Script()
            )
            job.script = self.script if isinstance(self.script, Script) else self.script(job)
            self._jobs[id_] = job
            return {"jobArn": job.arn, "jobName": job.name, "jobId": id_}

    def _describe(self, call: Call) -> dict[str, Any]:
        ids = call.parameters["jobs"]
        if not 0 < len(ids) <= MAX_JOBS:
            raise Refusal("ClientException", f"jobs must be 1 to {MAX_JOBS}, not {len(ids)}.")
        with self._lock:
            found = [self._jobs[each] for each in ids if each in self._jobs]
            for job in found:
                job.live()
            return {"jobs": [job.shown() for job in found if job.arn.startswith(_prefix(call))]}

    def _list(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        with self._lock:
            queue = self._queue(call, asked["jobQueue"])
            [given] = asked["filters"]
            if given["name"] != "JOB_NAME":
                raise Refusal("ClientException", "no such filter here")
            wanted = {value.lower() for value in given["values"]}
            found = [
                job.summary()
                for job in reversed(self._jobs.values())
                if job.queue == queue and job.is_listed and job.name.lower() in wanted
            ]
        return _page("jobSummaryList", found, asked)

    def _terminate(self, call: Call) -> dict[str, Any]:
        with self._lock:
            job = self._jobs.get(call.parameters["jobId"])
            if job is None:
                raise Refusal("ClientException", "Job does not exist")
            if not job.has_ended:
                is_running = job.status in {"STARTING", "RUNNING"}
                job.flags = {"isTerminated": is_running, "isCancelled": not is_running}
                job.end(143 if job.status == "RUNNING" else None, None, call.parameters["reason"])
            return {}

    def _describe_queues(self, call: Call) -> dict[str, Any]:
        shown = []
        for given in call.parameters["jobQueues"]:
            name = given.removeprefix(f"{_prefix(call)}job-queue/")
            if name in self._queues:
                arn = f"{_prefix(call)}job-queue/{name}"
                shown.append({"jobQueueName": name, "jobQueueArn": arn, **self._queues[name]})
        return {"jobQueues": shown}

    def _describe_definitions(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        names = asked.get("jobDefinitions", [])
        found = [each for revisions in self._definitions.values() for each in revisions]
        shown = [
            {**each, "jobDefinitionArn": _definition_arn(call, each)}
            for each in found
            if asked.get("jobDefinitionName") == each["jobDefinitionName"]
            or f"{each['jobDefinitionName']}:{each['revision']}" in names
            or _definition_arn(call, each) in names
        ]
        found = [each for each in shown if asked.get("status") in {None, each["status"]}]
        return _page("jobDefinitions", found, asked)

    def _queue(self, call: Call, given: str) -> str:
        name = given.removeprefix(f"{_prefix(call)}job-queue/")
        if name not in self._queues:
            raise Refusal("ClientException", f"Job Queue {given} not found")
        if self._queues[name]["state"] != "ENABLED" and call.action == "SubmitJob":
            raise Refusal("ClientException", f"Job Queue {given} is not in ENABLED state")
        return f"{_prefix(call)}job-queue/{name}"

    def _definition(self, call: Call, given: str) -> dict[str, Any]:
        name, _, revision = given.removeprefix(f"{_prefix(call)}job-definition/").partition(":")
        for each in reversed(self._definitions.get(name, [])):
            if each["status"] == "ACTIVE" and revision in {"", str(each["revision"])}:
                return each
        raise Refusal("ClientException", f"JobDefinition for {given} not found or not active")


def _prefix(call: Call) -> str:
    return f"arn:aws:batch:{call.region}:{call.account}:"


def _definition_arn(call: Call, definition: dict[str, Any]) -> str:
    return f"{_prefix(call)}job-definition/{definition['jobDefinitionName']}:{definition['revision']}"


def _page(name: str, found: list[dict[str, Any]], asked: dict[str, Any]) -> dict[str, Any]:
    start, size = int(asked.get("nextToken", 0)), asked.get("maxResults", MAX_JOBS)
    more = {"nextToken": str(start + size)} if start + size < len(found) else {}
    return {name: found[start : start + size], **more}
