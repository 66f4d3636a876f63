"""What a Batch job finds out before a run: job queue, job definition, and what may be done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.batch import BatchJobType
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.iam import FORBIDDEN, NOT_ALLOWED, FakeIam

pytestmark = pytest.mark.usefixtures("aws_environment")

ROLE = "arn:aws:iam::123456789012:role/etl"
PREFIX = "arn:aws:batch:eu-central-1:123456789012"
Verify = Callable[..., list[Any]]


@pytest.fixture
def iam(fake_aws: FakeAws) -> FakeIam:
    """IAM at the endpoint."""
    made = FakeIam()
    fake_aws.add(made)
    return made


@pytest.fixture
def verify(fake_aws: FakeAws, iam: FakeIam) -> Iterator[Verify]:
    """Gives the findings for a job's fields; waits take no time. There are ``q``, and ``d`` twice."""
    del iam
    fake_aws.batch.add_queue("q")
    fake_aws.batch.define("d")
    fake_aws.batch.define("d")
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}), wait=lambda event, _: event.is_set())
    kind = BatchJobType().for_runner(Services(connections, FakeClock(), Random(0)))
    yield lambda **options: list(kind.verify({"job_queue": "q", "job_definition": "d", **options}))
    connections.close()


def places(found: list[Any]) -> list[tuple[str, str]]:
    """Field and code of each finding."""
    return [(field, code) for field, code, *_ in found]


def test_a_job_that_can_be_run(fake_aws: FakeAws, verify: Verify) -> None:
    """Nothing is found, and nothing is submitted."""
    arns = {"job_queue": f"{PREFIX}:job-queue/q", "job_definition": f"{PREFIX}:job-definition/d:1"}
    assert [] == verify() + verify(job_definition="d:2") + verify(**arns)
    assert [] == fake_aws.batch.jobs
    actions = {call.action for call in fake_aws.calls}
    looking = {"DescribeJobQueues", "DescribeJobDefinitions", "GetCallerIdentity", "SimulatePrincipalPolicy"}
    assert looking == actions


def test_all_is_told_at_once(verify: Verify) -> None:
    """What is missing is looked for in the region that is named, and hides nothing else."""
    hint = "{} it, or name another, or another 'region' or 'role'"
    assert [
        ("job_queue", "unknown-job-queue", "there is no job queue 'r' in eu-central-1", hint.format("make")),
        (
            "job_definition",
            "unknown-job-definition",
            "there is no active job definition 'e' in eu-central-1",
            hint.format("register"),
        ),
    ] == verify(job_queue="r", job_definition="e")


def test_the_latest_of_many_revisions(fake_aws: FakeAws, verify: Verify) -> None:
    """It may be on any page."""
    for _ in range(120):
        fake_aws.batch.define("many")
    fake_aws.batch.define("many", type="multinode")
    assert "wrong-job-definition" in {code for _, code, *_ in verify(job_definition="many")}


@pytest.mark.parametrize("shown", [{"state": "DISABLED"}, {"status": "INVALID"}, {"status": "DELETING"}])
def test_a_queue_that_takes_no_jobs(shown: Any, fake_aws: FakeAws, verify: Verify) -> None:
    """It is there, and a job that is submitted to it is refused, or never runs."""
    fake_aws.batch.add_queue("closed", **shown)

    ((field, code, message, _),) = verify(job_queue="closed")
    assert ("job_queue", "unknown-job-queue") == (field, code)
    assert next(iter(shown.values())) in message


def test_an_inactive_revision(fake_aws: FakeAws, verify: Verify) -> None:
    """It can be described, and not be run. Without a revision, the latest active one counts."""
    fake_aws.batch.define("d", status="INACTIVE", type="multinode")

    assert [("job_definition", "unknown-job-definition")] == places(verify(job_definition="d:3"))
    assert [] == verify(job_definition="d")


@pytest.mark.parametrize(
    "shown",
    [
        {"type": "multinode", "nodeProperties": {}},
        {"eksProperties": {}, "containerProperties": None},
    ],
)
def test_definitions_of_other_kinds(shown: Any, fake_aws: FakeAws, verify: Verify) -> None:
    """Those of several nodes or containers, and on EKS, take no variables as those of one container do."""
    fake_aws.batch.define("other", **shown)

    assert [("job_definition", "wrong-job-definition")] == places(verify(job_definition="other"))


@pytest.mark.parametrize(
    ("action", "field"),
    [("DescribeJobQueues", "job_queue"), ("DescribeJobDefinitions", "job_definition")],
)
def test_what_may_not_be_looked_at(action: str, field: str, fake_aws: FakeAws, verify: Verify) -> None:
    """The run does not look at it, so it may be right."""
    fake_aws.faults.deny("batch", action)

    assert [(field, "not-checked")] == places(verify())


def test_what_is_asked_of_iam(fake_aws: FakeAws, verify: Verify) -> None:
    """All that the runner does, with the resources that it does it to."""
    assert [] == verify(tags={"a": "b"})

    asked = []
    for call in fake_aws.called("iam", "SimulatePrincipalPolicy"):
        actions = [value for key, value in call.parameters.items() if key.startswith("ActionNames.")]
        asked.append((actions, call.parameters["ResourceArns.member.1"]))
    job = f"{PREFIX}:job/00000000-0000-0000-0000-000000000000"
    assert [
        (["batch:SubmitJob"], f"{PREFIX}:job-queue/q"),
        (["batch:TerminateJob", "batch:TagResource"], job),
        (["batch:SubmitJob"], f"{PREFIX}:job-definition/d:2"),
        (["batch:SubmitJob"], f"{PREFIX}:job-definition/d"),
        (["batch:DescribeJobs", "batch:ListJobs"], "*"),
    ] == asked


@pytest.mark.parametrize("action", ["batch:TerminateJob", "batch:DescribeJobs", "batch:ListJobs"])
def test_denied(action: str, iam: FakeIam, verify: Verify) -> None:
    """Who may not do what with what, and which permission is needed."""
    iam.decide(action, NOT_ALLOWED)

    ((field, code, message, hint),) = verify()
    assert ("job_definition", "denied") == (field, code)
    assert message.startswith(f"arn:aws:iam::123456789012:user/AKIATESTING000000000 may not {action} with ")
    assert f"the caller needs the permission {action}" == hint


def test_submitting_is_denied(iam: FakeIam, verify: Verify) -> None:
    """To the queue, and of the definition, each of which is told once."""
    iam.decide("batch:SubmitJob", FORBIDDEN)

    found = verify()
    assert [("job_queue", "denied"), ("job_definition", "denied")] == places(found)
    assert all(message.endswith(": a policy forbids it") for _, _, message, _ in found)


def test_a_role_that_can_not_be_taken(fake_aws: FakeAws, verify: Verify) -> None:
    """In it nothing else can be asked, so that is all."""
    assert [("role", "denied")] == places(verify(role=ROLE, job_queue="r"))
    assert [] == fake_aws.called("batch")


@pytest.mark.parametrize("name", ["region", "role"])
def test_nothing_is_asked(name: str, fake_aws: FakeAws, verify: Verify) -> None:
    """Where it is not known yet where, or as whom."""
    assert [(name, "not-checked")] == places(verify(**{name: "${jobs.a.output}"}))
    assert [] == fake_aws.calls


def test_all_else_is_asked(verify: Verify) -> None:
    """What is not known hides nothing that is wrong elsewhere."""
    found = places(verify(job_queue="${jobs.a.output}", job_definition="e"))
    assert [("job_queue", "not-checked"), ("job_definition", "unknown-job-definition")] == found


def test_no_answer(fake_aws: FakeAws, verify: Verify) -> None:
    """It is asked again; where none comes, that is an error, and nothing is said of the job."""
    fake_aws.faults.server_error("batch", times=2)
    assert [] == verify()

    fake_aws.faults.server_error("batch")
    with pytest.raises(bunsui.AwsError) as caught:
        verify()
    assert "open" == caught.value.kind
