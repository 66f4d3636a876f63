"""Jobs at Batch, Glue and Step Functions, each run under exactly the policy made for it, and under less.

As in `test_iam_policy`, on the tests' own endpoint; artifacts are on S3, where no job leaves anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import frozen

import bunsui
import bunsui.aws
from bunsui_tests import s3 as emulated
from bunsui_tests.aws import batch, glue
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import ACCESS_KEY
from bunsui_tests.conditions import until
from bunsui_tests.s3 import S3

pytestmark = pytest.mark.usefixtures("aws_environment")

ARTIFACTS = f"s3://{emulated.BUCKET}/etl"
BATCH = "arn:aws:batch:eu-central-1:123456789012"
GLUE = "arn:aws:glue:eu-central-1:123456789012:job/load"
STATES = "arn:aws:states:eu-central-1:123456789012"

#: What is allowed on S3 where jobs may leave outputs.
OUTPUTS = [
    ("s3:AbortMultipartUpload", f"arn:aws:s3:::{emulated.BUCKET}/etl/*"),
    ("s3:GetObject", f"arn:aws:s3:::{emulated.BUCKET}/etl/*"),
    ("s3:PutObject", f"arn:aws:s3:::{emulated.BUCKET}/etl/*"),
    ("s3:ListBucket", f"arn:aws:s3:::{emulated.BUCKET}"),
]


@frozen
class Kind:
    """One job type: a job of it, what its policy allows beside S3, and how its work is seen and ended."""

    fields: dict[str, Any]
    allowed: list[tuple[str, str]]
    #: The action whose lost answer has an attempt looked for.
    begins: tuple[str, str]
    #: The statuses of all work.
    statuses: Callable[[FakeAws], list[str]]
    end: Callable[[FakeAws], None]
    #: Actions that are called only where an answer is lost, and where a session is cancelled.
    finding: frozenset[str] = frozenset()
    stopping: frozenset[str] = frozenset()
    #: Actions without which it goes all the same.
    spare: frozenset[str] = frozenset()
    #: What is allowed on S3; an execution's output is its own, and is read nowhere else.
    on_s3: list[tuple[str, str]] = OUTPUTS


KINDS = {
    "batch": Kind(
        {"job_queue": "etl", "job_definition": "load", "tags": {"team": "data"}},
        [
            ("batch:SubmitJob", f"{BATCH}:job-queue/etl"),
            ("batch:SubmitJob", f"{BATCH}:job-definition/load"),
            ("batch:SubmitJob", f"{BATCH}:job-definition/load:*"),
            ("batch:TerminateJob", f"{BATCH}:job/*"),
            ("batch:TagResource", f"{BATCH}:job/*"),
            ("batch:DescribeJobs", "*"),
            ("batch:ListJobs", "*"),
        ],
        ("batch", "SubmitJob"),
        lambda aws: [job.status for job in aws.batch.jobs],
        lambda aws: aws.batch.end(aws.batch.jobs[0]),
        finding=frozenset({"batch:ListJobs"}),
        stopping=frozenset({"batch:TerminateJob"}),
    ),
    "glue": Kind(
        {"job_name": "load"},
        [(f"glue:{each}", GLUE) for each in ("StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun")],
        ("glue", "StartJobRun"),
        lambda aws: [run.state for run in aws.glue.runs],
        lambda aws: aws.glue.end(aws.glue.runs[0]),
        finding=frozenset({"glue:GetJobRuns"}),
        stopping=frozenset({"glue:BatchStopJobRun"}),
    ),
    "step_function": Kind(
        {"state_machine": f"{STATES}:stateMachine:load:live"},
        [
            ("states:StartExecution", f"{STATES}:stateMachine:load"),
            ("states:DescribeStateMachine", f"{STATES}:stateMachine:load"),
            ("states:ListExecutions", f"{STATES}:stateMachine:load"),
            ("states:DescribeExecution", f"{STATES}:execution:load:*"),
            ("states:StopExecution", f"{STATES}:execution:load:*"),
        ],
        ("states", "StartExecution"),
        lambda aws: [each.status for each in aws.machines.executions],
        lambda aws: aws.machines.executions[0].succeed({}),
        stopping=frozenset({"states:StopExecution"}),
        spare=frozenset({"states:DescribeStateMachine", "states:ListExecutions", "s3:GetObject"}),
        on_s3=OUTPUTS[:-1],
    ),
}
#: What the work of each kind has come to where it ended well, and where it was stopped.
ENDS = {"succeeded": {"SUCCEEDED"}, "cancelled": {"FAILED", "STOPPED", "ABORTED"}}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def pairs(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each action with each of its resources, as a statement of its own."""
    for statement in document["Statement"]:
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                yield action, resource, {**statement, "Action": action, "Resource": resource}


class Cloud:
    """AWS, as a run of one job needs it; the caller may do what the policy of that allows."""

    def __init__(self, name: str, aws: FakeAws, s3: S3) -> None:
        self.kind, self.aws = KINDS[name], aws
        self.settings = {"endpoint_url": {"": aws.url, "s3": s3.url}}
        self.pipeline = bunsui.Pipeline("p", [bunsui.Job("a", name, **self.kind.fields)])
        given = {"store": "memory://", "artifacts": ARTIFACTS, "bindings": {}, "aws": self.settings}
        self.document = bunsui.aws.iam_policy(self.pipeline, {}, **given).document

    def allow(self, without: tuple[str, str] | None = None) -> None:
        """All of the policy, but for one action with one resource."""
        left = [each for action, resource, each in pairs(self.document) if (action, resource) != without]
        self.aws.policies.attach(ACCESS_KEY, {**self.document, "Statement": left})

    def refused(self, action: str) -> int:
        """How often this action was refused."""
        return sum(need.action == action for need in self.aws.policies.refused)


def way_of(kind: Kind, action: str) -> str:
    """How a run comes to need an action."""
    return "lost" if action in kind.finding else "cancelled" if action in kind.stopping else "plain"


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with emulated.serving() as made:
        yield made


@pytest.fixture
def made(
    fake_aws: FakeAws, server: S3, monkeypatch: pytest.MonkeyPatch, aws_environment: Any
) -> Callable[[str], Cloud]:
    """What makes the cloud for a type; no work there ends by itself, or leaves anything."""
    s3 = server.fresh(monkeypatch)
    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)
    fake_aws.batch.add_queue("etl")
    fake_aws.batch.define("load")
    fake_aws.batch.script = batch.Script(every=None)
    fake_aws.glue.define("load")
    fake_aws.glue.script = glue.Script(every=None)
    fake_aws.machines.add("load", None, "live")
    s3.permit(fake_aws.policies, ACCESS_KEY)
    return lambda name: Cloud(name, fake_aws, s3)


def rests(session: bunsui.Session) -> str | None:
    """What it has come to; None: nothing yet."""
    try:
        return str(session.wait(timeout=0.01))
    except TimeoutError:
        return None


def start(runner: bunsui.Runner, cloud: Cloud, way: str, stuck: Callable[[], bool]) -> bunsui.Session:
    """A run, whose work has begun and is to end, unless it is stuck."""
    if way == "lost":
        cloud.aws.faults.drop_after(*cloud.kind.begins, times=1)
    session = runner.start(cloud.pipeline)
    until(lambda: stuck() or bool(cloud.kind.statuses(cloud.aws)) or rests(session) is not None)
    if cloud.kind.statuses(cloud.aws):
        if way == "cancelled":
            session.cancel()
        else:
            cloud.kind.end(cloud.aws)
    return session


@pytest.fixture
def running() -> Iterator[Callable[[Cloud], bunsui.Runner]]:
    made: list[bunsui.Runner] = []

    def make(cloud: Cloud) -> bunsui.Runner:
        made.append(bunsui.Runner("memory://", artifacts=ARTIFACTS, bindings={}, aws=cloud.settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("name", KINDS)
def test_all_that_it_allows(name: str, made: Callable[[str], Cloud]) -> None:
    """Each action with each resource; and of a machine, only the version or alias that is named."""
    cloud = made(name)
    assert sorted(KINDS[name].allowed + KINDS[name].on_s3) == sorted(
        pair[:2] for pair in pairs(cloud.document)
    )
    conditions = {
        action: each["Condition"] for action, _, each in pairs(cloud.document) if "Condition" in each
    }
    qualified = {"StringEquals": {"states:StateMachineQualifier": "live"}}
    named = ("states:StartExecution", "states:DescribeStateMachine") if name == "step_function" else ()
    assert conditions == dict.fromkeys(named, qualified)


@pytest.mark.parametrize("way", ["plain", "lost", "cancelled"])
@pytest.mark.parametrize("name", KINDS)
def test_it_is_enough(
    name: str, way: str, made: Callable[[str], Cloud], running: Callable[[Cloud], bunsui.Runner]
) -> None:
    """A job that leaves no output ends, also where an answer is lost, or it is cancelled."""
    cloud = made(name)
    cloud.allow()
    session = start(running(cloud), cloud, way, lambda: False)
    ends = "cancelled" if way == "cancelled" else "succeeded"
    # What is refused again and again would have it wait for ever.
    until(lambda: bool(cloud.aws.policies.refused) or rests(session) is not None)

    assert [] == cloud.aws.policies.refused
    assert ends == rests(session)
    (status,) = cloud.kind.statuses(cloud.aws)
    assert status in ENDS[ends]


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        (name, pair)
        for name, kind in KINDS.items()
        for pair in [*kind.allowed, *kind.on_s3]
        if pair[0] not in {"s3:AbortMultipartUpload", "s3:PutObject", *kind.spare}
    ],
)
def test_without_any_one_action_it_does_not_go(
    name: str,
    pair: tuple[str, str],
    made: Callable[[str], Cloud],
    running: Callable[[Cloud], bunsui.Runner],
) -> None:
    """It fails by that, or comes to no end before it is allowed."""
    cloud = made(name)
    action, way = pair[0], way_of(cloud.kind, pair[0])
    cloud.allow(without=pair)
    session = start(running(cloud), cloud, way, lambda: cloud.refused(action) > 1)
    until(lambda: cloud.refused(action) > 1 or rests(session) is not None)

    assert cloud.refused(action) == len(cloud.aws.policies.refused) > 0
    assert rests(session) not in ("succeeded", "cancelled") or not {*cloud.kind.statuses(cloud.aws)} <= (
        ENDS["succeeded"] | ENDS["cancelled"]
    )
    cloud.allow()  # Else closing its runner waits for what can't be stopped.
