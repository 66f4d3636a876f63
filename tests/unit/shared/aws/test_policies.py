"""Policies count at the endpoint as they do at AWS: what no statement allows is refused."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import ACCESS_KEY
from bunsui_tests.aws.policies import Need, Policies

ROLE = "arn:aws:iam::123456789012:role/task"
ECS = "arn:aws:ecs:eu-central-1:123456789012"
IN_CLUSTER = {"ArnEquals": {"ecs:cluster": f"{ECS}:cluster/default"}}


def statement(action: Any, resource: Any, condition: Any = None) -> dict[str, Any]:
    made = {"Effect": "Allow", "Action": action, "Resource": resource}
    return made | ({} if condition is None else {"Condition": condition})


@pytest.mark.parametrize(
    ("given", "need", "is_allowed"),
    [
        (statement("s3:GetObject", "arn:b/*"), Need("s3:GetObject", "arn:b/x/y"), True),
        (statement("s3:GetObject", "arn:b/*"), Need("s3:GetObject", "arn:c/x"), False),
        (statement("s3:GetObject", "arn:b/*"), Need("s3:PutObject", "arn:b/x"), False),
        (statement(["s3:Put*", "S3:getobject"], ["arn:a", "arn:b"]), Need("s3:GetObject", "arn:b"), True),
        (statement("s3:GetObject", "arn:B"), Need("s3:GetObject", "arn:b"), False),
        (statement("s3:GetObject", "arn:${*}"), Need("s3:GetObject", "arn:b"), False),
        (statement("s3:GetObject", "arn:${*}"), Need("s3:GetObject", "arn:*"), True),
        (statement("a:B", "*", {"StringEquals": {"k": "v"}}), Need("a:B", "r", {"k": "v"}), True),
        (statement("a:B", "*", {"StringEquals": {"k": ["u", "v"]}}), Need("a:B", "r", {"k": "v"}), True),
        (statement("a:B", "*", {"StringEquals": {"k": "*"}}), Need("a:B", "r", {"k": "v"}), False),
        (statement("a:B", "*", {"ArnEquals": {"k": "arn:*"}}), Need("a:B", "r", {"k": "arn:v"}), True),
        (statement("a:B", "*", {"StringEquals": {"k": "v"}}), Need("a:B", "r"), False),
    ],
)
def test_what_is_allowed(given: dict[str, Any], need: Need, is_allowed: bool) -> None:
    """Actions in any case, resources letter by letter, conditions by what the call comes with."""
    policies = Policies()
    policies.attach("me", {"Statement": [given]})
    missing = policies.missing("me", lambda: [need])

    assert is_allowed is (missing is None)
    assert ([] if is_allowed else [need]) == policies.refused
    assert policies.missing("somebody", lambda: [need]) is None


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    fake_aws.ecs.define("t", taskRoleArn=ROLE)
    fake_aws.functions.add("load", lambda event, context: None, versions={"live": "3"})
    return fake_aws


def refused(aws: FakeAws, service: str, method: str, *allowed: dict[str, Any], **given: Any) -> str | None:
    """What of a call is not allowed; None: it succeeds."""
    aws.policies.attach(ACCESS_KEY, {"Statement": [*allowed]})
    try:
        getattr(aws.client(service), method)(**given)
    except ClientError as error:
        begin, _, what = str(error).partition("is not authorized to perform: ")
        return what.partition(" because")[0] if "(AccessDenied" in begin else begin
    return None


PASS = statement("iam:PassRole", ROLE, {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})
RUN = statement("ecs:RunTask", f"{ECS}:task-definition/t:1", IN_CLUSTER)


def test_a_task(aws: FakeAws) -> None:
    """It needs its definition, in its cluster, and each of its roles; with tags, that they may be given."""
    what = f"ecs:RunTask on resource: {ECS}:task-definition/t:1"
    tag = statement("ecs:TagResource", f"{ECS}:task/default/*")
    tagged: dict[str, Any] = {"tags": [{"key": "a", "value": "b"}]}

    assert what == refused(aws, "ecs", "run_task", PASS, taskDefinition="t")
    assert f"iam:PassRole on resource: {ROLE}" == refused(aws, "ecs", "run_task", RUN, taskDefinition="t")
    assert str(refused(aws, "ecs", "run_task", RUN, PASS, taskDefinition="t", **tagged)).startswith(
        "ecs:TagR"
    )
    assert refused(aws, "ecs", "run_task", RUN, PASS, tag, taskDefinition="t", **tagged) is None


def test_tasks(aws: FakeAws) -> None:
    """They are followed and stopped one by one; listed they are of no resource."""
    task = aws.client("ecs").run_task(taskDefinition="t")["tasks"][0]["taskArn"]
    own = statement(["ecs:DescribeTasks", "ecs:StopTask", "ecs:ListTasks"], f"{ECS}:task/default/*")

    assert refused(aws, "ecs", "describe_tasks", own, tasks=[task]) is None
    assert refused(aws, "ecs", "stop_task", own, task=task) is None
    assert "ecs:ListTasks on resource: *" == refused(aws, "ecs", "list_tasks", own)
    assert refused(aws, "ecs", "list_tasks", statement("ecs:ListTasks", "*", IN_CLUSTER)) is None
    assert f"ecs:StopTask on resource: {task}" == refused(aws, "ecs", "stop_task", task=task)


@pytest.mark.parametrize(
    ("given", "resource"),
    [
        ({"FunctionName": "load"}, ""),
        ({"FunctionName": "load", "Qualifier": "live"}, ":live"),
        ({"FunctionName": "load:live"}, ":live"),
        ({"FunctionName": "load", "Qualifier": "$LATEST"}, ":$LATEST"),
    ],
)
def test_a_function(given: dict[str, str], resource: str, aws: FakeAws) -> None:
    """It is allowed by the very ARN by which it is called."""
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:load"
    wrong = f"{arn}:live" if not resource else arn

    assert (
        refused(aws, "lambda", "invoke", statement("lambda:InvokeFunction", arn + resource), **given) is None
    )
    assert f"lambda:InvokeFunction on resource: {arn}{resource}" == refused(
        aws, "lambda", "invoke", statement("lambda:InvokeFunction", wrong), **given
    )


def test_roles(aws: FakeAws) -> None:
    """Who has taken one may do what the role may; who he is anybody may ask."""
    aws.sts.add_role(ROLE)
    take: dict[str, str] = {"RoleArn": ROLE, "RoleSessionName": "me"}

    assert refused(aws, "sts", "get_caller_identity") is None
    assert f"sts:AssumeRole on resource: {ROLE}" == refused(aws, "sts", "assume_role", **take)
    assert refused(aws, "sts", "assume_role", statement("sts:AssumeRole", ROLE), **take) is None
    (session,) = aws.sts.sessions
    assert (ROLE, ACCESS_KEY) == (aws.sts.principal(session.access_key), aws.sts.principal(ACCESS_KEY))
