"""Whether a job queue and a job definition are there, fit the job, and may be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bunsui.aws.asking import ask
from bunsui.aws.permissions import Question, denied
from bunsui.errors import BunsuiError
from bunsui.jobs.aws import FIELDS, caller
from bunsui.jobs.batch_permissions import LOOKING
from bunsui.jobs.verifying import may_not, not_checked, not_known, place, refused

if TYPE_CHECKING:
    from bunsui.aws.connections import Connections
    from bunsui.ports.job_type import Finding, Hinted

#: Pages of 100 revisions of a job definition that are read, to find the latest.
MAX_PAGES = 50
_ANY_ID = "00000000-0000-0000-0000-000000000000"
#: Whose queues take jobs: "JobQueueDetail" in Batch's API reference.
_TAKING = ("VALID", "UPDATING")


def findings(aws: Connections, options: Mapping[str, Any]) -> list[Finding | Hinted]:
    """See `JobType.verify`. Batch is asked what there is, and IAM what may be done with it."""
    if unknown := not_known(options, FIELDS):
        return unknown
    return [*_Inquiry(aws, options).findings()]


class _Inquiry:
    """The questions that one job raises."""

    def __init__(self, aws: Connections, options: Mapping[str, Any]) -> None:
        self._aws = aws
        self._options = options
        self._caller = caller(options)

    def findings(self) -> Iterator[Finding | Hinted]:
        fields: dict[str, str] = {}
        for field, look in (("job_queue", self._queue), ("job_definition", self._definition)):
            if unknown := not_known(self._options, [field]):
                yield from unknown
                continue
            try:
                found = look(self._options[field])
            except BunsuiError as error:
                told = refused(error, self._options, field)
                if told is None:
                    raise
                if told[0] != field:  # In a role that can't be taken nothing else can be asked, either.
                    yield told
                    return
                # The run itself does not ask for it.
                yield not_checked(field, f"the caller may not look at '{self._options[field]}'")
                continue
            if isinstance(found, tuple):
                yield found
            else:
                fields[found] = field
        yield from self._permissions(fields)

    def _ask(self, action: str, name: str, **parameters: Any) -> dict[str, Any]:
        call = partial(self._aws.call, "batch", action, parameters, self._caller, name)
        return ask(self._aws, "batch", self._caller, call)

    def _queue(self, name: str) -> str | Hinted:
        """The queue's ARN, or what is wrong with it."""
        found = self._ask("DescribeJobQueues", name, jobQueues=[name]).get("jobQueues", [])
        where = place(self._aws, "batch", self._caller)
        hint = "make it, or name another, or another 'region' or 'role'"
        if not found:
            return "job_queue", "unknown-job-queue", f"there is no job queue '{name}' in {where}", hint
        state, status = found[0].get("state", "ENABLED"), found[0].get("status", "VALID")
        if state != "ENABLED" or status not in _TAKING:
            text = f"job queue '{name}' in {where} takes no jobs: it is {state} and {status}"
            return "job_queue", "unknown-job-queue", text, "enable it, or name another"
        return str(found[0]["jobQueueArn"])

    def _definition(self, name: str) -> str | Hinted:
        """The ARN of its latest active revision, or what is wrong with it."""
        if name.startswith("arn:") or ":" in name:
            parameters: dict[str, Any] = {"jobDefinitions": [name]}
        else:
            parameters = {"jobDefinitionName": name, "status": "ACTIVE"}
        found: list[Mapping[str, Any]] = []
        for _ in range(MAX_PAGES):  # Which revision comes first is not said.
            answer = self._ask("DescribeJobDefinitions", name, **parameters)
            found += [each for each in answer.get("jobDefinitions", []) if each.get("status") == "ACTIVE"]
            if not answer.get("nextToken"):
                break
            parameters["nextToken"] = answer["nextToken"]
        if not found:
            where = place(self._aws, "batch", self._caller)
            text = f"there is no active job definition '{name}' in {where}"
            hint = "register it, or name another, or another 'region' or 'role'"
            return "job_definition", "unknown-job-definition", text, hint
        latest: Mapping[str, Any] = max(found, key=lambda each: each.get("revision", 0))
        if latest.get("type", "container") != "container" or "containerProperties" not in latest:
            text = f"job definition '{name}' is not of one container on ECS, which gets the job's parameters"
            hint = "give it 'containerProperties'; jobs on EKS, of several nodes or containers are not run"
            return "job_definition", "wrong-job-definition", text, hint
        return str(latest["jobDefinitionArn"])

    def _permissions(self, fields: Mapping[str, str]) -> Iterator[Hinted]:
        """What may not be done.

        Args:
            fields: the ARNs of what is there, and the fields that they are from.
        """
        questions, alternatives = [], dict[str, str]()
        for arn, field in fields.items():
            questions.append(Question(("batch:SubmitJob",), arn))
            if field == "job_queue":
                # Stands for the jobs: the ARN of none that there is.
                actions = ("batch:TerminateJob", *(["batch:TagResource"] if "tags" in self._options else []))
                questions.append(Question(actions, f"{arn.partition(':job-queue/')[0]}:job/{_ANY_ID}"))
            elif not self._options[field].rpartition(":")[2].isdigit():
                # A policy may name the definition as the job does: without its revision.
                alternatives[arn] = arn.rpartition(":")[0]
                questions.append(Question(("batch:SubmitJob",), alternatives[arn]))
        if questions:
            questions.append(Question(LOOKING, "*"))
        found = denied(self._aws, self._caller, questions)
        submit = {each.resource for each in found if each.action == "batch:SubmitJob"}
        for each in found:
            other = alternatives.get(each.resource)
            if each.resource in alternatives.values() or (other is not None and other not in submit):
                continue  # It may be done under one of the two names, or is told under the other.
            yield may_not(each, fields.get(each.resource, "job_definition"))
