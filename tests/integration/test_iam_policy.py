"""The pipeline of examples/etl at AWS, run under exactly the policy that is made for it, and under less.

The endpoint is the tests' own, where what no policy allows is refused as AWS's service authorization
reference has it; ``tests/e2e/test_aws_etl_iam.py`` does the same where ministack enforces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen

import bunsui
import bunsui.aws
from bunsui.aws.connections import Connections
from bunsui.aws.place import Place
from bunsui.aws.settings import read_aws
from bunsui.runner.attempts.artifact_bucket import S3Artifacts
from bunsui_tests import s3 as emulated
from bunsui_tests.aws.ecs_tasks import Script
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import ACCESS_KEY
from bunsui_tests.conditions import until
from bunsui_tests.s3 import S3, Fault

pytestmark = pytest.mark.usefixtures("aws_environment")

EXAMPLE = Path(__file__).parents[2] / "examples" / "etl" / "pipeline.yaml"
GIVEN = {"source_bucket": "flights"}
ARTIFACTS = f"s3://{emulated.BUCKET}/etl"
ECS = "arn:aws:ecs:eu-central-1:123456789012"
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function"
ROLE = "arn:aws:iam::123456789012:role"
#: All that the policy allows.
ALLOWED = [
    ("ecs:DescribeTaskDefinition", "*"),
    ("ecs:DescribeTasks", f"{ECS}:task/default/*"),
    ("ecs:StopTask", f"{ECS}:task/default/*"),
    ("ecs:ListTasks", "*"),
    ("ecs:RunTask", f"{ECS}:task-definition/transform-task:*"),
    ("iam:PassRole", f"{ROLE}/execution"),
    ("iam:PassRole", f"{ROLE}/task"),
    ("lambda:InvokeFunction", f"{FUNCTION}:extract-function"),
    ("lambda:InvokeFunction", f"{FUNCTION}:load-function"),
    ("s3:AbortMultipartUpload", f"arn:aws:s3:::{emulated.BUCKET}/etl/*"),
    ("s3:GetObject", f"arn:aws:s3:::{emulated.BUCKET}/etl/*"),
    ("s3:PutObject", f"arn:aws:s3:::{emulated.BUCKET}/etl/*"),
    ("s3:ListBucket", f"arn:aws:s3:::{emulated.BUCKET}"),
]


def pairs(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each action with each of its resources, as a statement of its own."""
    for statement in document["Statement"]:
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                yield action, resource, {**statement, "Action": action, "Resource": resource}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


@define
class Cloud:
    """AWS, as a run of the example needs it."""

    aws: FakeAws
    s3: S3
    pipeline: bunsui.Pipeline

    @property
    def settings(self) -> dict[str, Any]:
        return {"endpoint_url": {"": self.aws.url, "s3": self.s3.url}}

    def policy(self, **more: Any) -> bunsui.aws.policies.IamPolicy:
        given = {"store": "memory://", "artifacts": ARTIFACTS, "bindings": {}, "aws": self.settings}
        return bunsui.aws.iam_policy(self.pipeline, GIVEN, **{**given, **more})

    def allow(self, document: Any, without: tuple[str, str] | None = None) -> None:
        """The caller may do what a policy says, but for one action with one resource."""
        left = [each for action, resource, each in pairs(document) if (action, resource) != without]
        self.aws.policies.attach(ACCESS_KEY, {**document, "Statement": left})

    def refused(self, action: str) -> int:
        """How often this action was refused."""
        return sum(need.action == action for need in self.aws.policies.refused)


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with emulated.serving() as made:
        yield made


@pytest.fixture
def cloud(fake_aws: FakeAws, server: S3, monkeypatch: pytest.MonkeyPatch, aws_environment: Any) -> Cloud:
    """What one job returns is too large for the history, and the other task leaves nothing."""
    s3 = server.fresh(monkeypatch)
    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)
    fake_aws.functions.add("extract-function", lambda event, context: {"rows": 3, "said": "x" * 40_000})
    fake_aws.functions.add("load-function", lambda event, context: event["rows"])
    fake_aws.ecs.define("transform-task", taskRoleArn=f"{ROLE}/task", executionRoleArn=f"{ROLE}/execution")
    fake_aws.ecs.script = Script(every=None)
    s3.permit(fake_aws.policies, ACCESS_KEY)
    return Cloud(fake_aws, s3, bunsui.Pipeline.load(EXAMPLE))


def end(cloud: Cloud, _: bunsui.Session) -> None:
    """The task ends."""
    cloud.aws.ecs.stop(cloud.aws.ecs.tasks[0])


@frozen
class Way:
    """How a run comes to need an action."""

    #: Done before it starts.
    before: Callable[[Cloud], object] = lambda cloud: None
    #: Done once its task has started.
    then: Callable[[Cloud, bunsui.Session], object] = end
    ends: str = "succeeded"


#: What is not needed unless something happens.
WAYS = {
    # The answer gets lost: it is looked for what has started.
    "ecs:ListTasks": Way(before=lambda cloud: cloud.aws.faults.drop_after("ecs", "RunTask", times=1)),
    "ecs:StopTask": Way(then=lambda _, session: session.cancel(), ends="cancelled"),
}


def rests(session: bunsui.Session) -> str | None:
    """What it has come to; None: nothing yet."""
    try:
        return str(session.wait(timeout=0.01))
    except TimeoutError:
        return None
    except bunsui.StoreError:  # Its runner has let go of it.
        return "lost"


def outcome(cloud: Cloud, session: bunsui.Session, stuck: Callable[[], bool] = lambda: False) -> Any:
    """What it comes to, and what its tasks do then; None where it is stuck before."""
    until(lambda: stuck() or rests(session) is not None)
    return rests(session) and (rests(session), [task.status for task in cloud.aws.ecs.tasks])


def goes(runner: bunsui.Runner, cloud: Cloud, way: Way, stuck: Callable[[], bool] = lambda: False) -> Any:
    """A run, and its outcome."""
    way.before(cloud)
    session = runner.start(cloud.pipeline, GIVEN)
    until(lambda: cloud.aws.ecs.tasks or stuck() or rests(session) is not None)
    if cloud.aws.ecs.tasks:
        way.then(cloud, session)
    return session, outcome(cloud, session, stuck)


@pytest.fixture
def runner(cloud: Cloud) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", artifacts=ARTIFACTS, bindings={}, aws=cloud.settings) as made:
        yield made


def test_all_that_it_allows(cloud: Cloud) -> None:
    """Each action with each resource; the tests below know all of them. It asks only what is there."""
    policy = cloud.policy()

    assert sorted(ALLOWED) == sorted((action, resource) for action, resource, _ in pairs(policy.document))
    assert (policy.roles, policy.unnamed, policy.hint) == ((), (), None)
    asked = {(call.service, call.action) for call in cloud.aws.calls}
    assert {("sts", "GetCallerIdentity"), ("ecs", "DescribeTaskDefinition")} == asked
    assert [] == cloud.s3.requests


@pytest.mark.parametrize("way", [Way(), *WAYS.values()])
def test_it_is_enough(way: Way, cloud: Cloud, runner: bunsui.Runner) -> None:
    """A run ends as it does for who may do anything, also where an answer is lost, or it is cancelled."""
    cloud.allow(cloud.policy().document)
    _, came_to = goes(runner, cloud, way)

    assert (way.ends, ["STOPPED"]) == came_to
    assert [] == cloud.aws.policies.refused


@pytest.mark.parametrize("pair", [pair for pair in ALLOWED if pair[0] != "s3:AbortMultipartUpload"])
def test_without_any_one_action_it_does_not_go(
    pair: tuple[str, str], cloud: Cloud, runner: bunsui.Runner
) -> None:
    """It fails by that, or leaves a task running, or comes to no end before it is allowed."""
    document, (action, _), way = cloud.policy().document, pair, WAYS.get(pair[0], Way())
    cloud.allow(document, without=pair)
    session, came_to = goes(runner, cloud, way, lambda: cloud.refused(action) > 1)

    assert (way.ends, ["STOPPED"]) != came_to
    assert cloud.refused(action) == len(cloud.aws.policies.refused) > 0
    if came_to in (None, ("lost", [])):
        cloud.allow(document)
        if came_to is not None:
            session.resume()
        until(lambda: cloud.aws.ecs.tasks)
        way.then(cloud, session)
        assert (way.ends, ["STOPPED"]) == outcome(cloud, session)


@pytest.mark.parametrize(("action", "left"), [(None, 0), ("s3:AbortMultipartUpload", 1)])
def test_an_upload_that_fails_leaves_parts_unless_they_may_be_removed(
    action: str | None, left: int, cloud: Cloud
) -> None:
    """They are paid for, and nobody sees them."""
    cloud.allow(cloud.policy().document, without=(str(action), f"arn:aws:s3:::{emulated.BUCKET}/etl/*"))
    permitted = cloud.s3.fault

    def fault(request: emulated.Request) -> Fault | None:
        is_second = "partNumber=2" in request.query
        return Fault("answer", 400, "BadDigest") if is_second else permitted(request)

    cloud.s3.fault = fault
    connections = Connections(read_aws(cloud.settings))
    with pytest.raises(bunsui.AwsError, match="BadDigest"):
        S3Artifacts(Place.parse(ARTIFACTS), connections).put("s1", json.dumps("x" * 17 * 2**20), "a")
    connections.close()
    assert left == len(cloud.s3.uploads())
