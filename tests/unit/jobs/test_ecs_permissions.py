"""What whoever runs an ECS job has to be allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.ecs import EcsJobType
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.aws.endpoint import FakeAws

pytestmark = pytest.mark.usefixtures("aws_environment")

ROLE = "arn:aws:iam::123456789012:role/t"
ECS = "arn:aws:ecs:eu-central-1:123456789012"
OTHER = "arn:aws:ecs:us-east-1:210987654321"
WHERE = Where("eu-central-1", "123456789012")
Ask = Callable[..., list[Permission | Unnamed]]


@pytest.fixture
def ask(fake_aws: FakeAws) -> Iterator[Ask]:
    """Gives what a job's fields need; there is a task definition that names no role."""
    fake_aws.ecs.define("t")
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}), wait=lambda event, _: event.is_set())
    kind = EcsJobType().for_runner(Services(connections, FakeClock(), Random(0)))
    yield lambda **options: [*kind.permissions({"task_definition": "t", **options}, WHERE)]
    connections.close()


def of(found: list[Permission | Unnamed], action: str) -> list[str]:
    """The resources of an action."""
    named = [each for each in found if isinstance(each, Permission)]
    return [resource for each in named for resource in each.resources if action in each.actions]


def test_all_that_is_called(ask: Ask) -> None:
    """Where something is called for which IAM knows no resource, the cluster is what it is limited to."""
    in_cluster = {"ArnEquals": {"ecs:cluster": f"{ECS}:cluster/etl"}}
    assert [
        Permission(["ecs:DescribeTaskDefinition"], ["*"]),
        Permission(["ecs:RunTask"], [f"{ECS}:task-definition/t:*"], in_cluster),
        Permission(["ecs:DescribeTasks", "ecs:StopTask"], [f"{ECS}:task/etl/*"], in_cluster),
        Permission(["ecs:ListTasks"], ["*"], in_cluster),
    ] == ask(cluster="etl")


@pytest.mark.parametrize(
    ("given", "resource"),
    [
        ("t", f"{ECS}:task-definition/t:*"),
        ("t:1", f"{ECS}:task-definition/t:1"),
        (f"{ECS}:task-definition/t", f"{ECS}:task-definition/t:*"),
        (f"{ECS}:task-definition/t:1", f"{ECS}:task-definition/t:1"),
    ],
)
def test_revisions(given: str, resource: str, ask: Ask) -> None:
    """Of a family it is the latest that is run, whichever that is then."""
    assert [resource] == of(ask(task_definition=given), "ecs:RunTask")


def test_a_cluster_by_its_arn(ask: Ask) -> None:
    """Its tasks are where it is."""
    assert [f"{OTHER}:task/etl/*"] == of(ask(cluster=f"{OTHER}:cluster/etl"), "ecs:StopTask")


def test_roles(fake_aws: FakeAws, ask: Ask) -> None:
    """Those of the definition are passed, to ECS's tasks alone; the job's own stands in for the task's."""
    fake_aws.ecs.define("roles", taskRoleArn=f"{ROLE}-task", executionRoleArn=f"{ROLE}-execution")
    found = ask(task_definition="roles")

    assert [f"{ROLE}-execution", f"{ROLE}-task"] == of(found, "iam:PassRole")
    passed = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    assert Permission(["iam:PassRole"], [f"{ROLE}-task"], passed) in found
    own = ask(task_definition="roles", task_role=ROLE)
    assert [f"{ROLE}-execution", ROLE] == of(own, "iam:PassRole")


def test_tags(ask: Ask) -> None:
    """Who gives a task tags as it is made needs a permission of its own, for that alone."""
    made = {"StringEquals": {"ecs:CreateAction": "RunTask"}}
    expected = Permission(["ecs:TagResource"], [f"{ECS}:task/default/*"], made)
    assert expected in ask(tags={"team": "data"})
    assert [] == of(ask(), "ecs:TagResource")


@pytest.mark.parametrize("name", ["task_definition", "cluster"])
def test_what_is_known_only_later(name: str, fake_aws: FakeAws, ask: Ask) -> None:
    """Without it nothing can be named; ECS is not asked."""
    assert [Unnamed(f"'{name}' is known only when the job starts")] == ask(**{name: "${jobs.a.output}"})
    assert [] == fake_aws.calls


@pytest.mark.parametrize("given", [{"task_definition": "t*"}, {"cluster": "e?l"}])
def test_what_is_no_name(given: dict[str, str], ask: Ask) -> None:
    """No policy is made that would allow more than was meant."""
    ((name, value),) = given.items()
    assert [Unnamed(f"'{name}' is {value!r}, which names none")] == ask(**given)


def test_a_role_that_is_known_only_later(ask: Ask) -> None:
    """The rest is named all the same."""
    found = ask(task_role="${jobs.a.output}")
    assert Unnamed("'task_role', which has to be passed, is known only when the job starts") in found
    assert of(found, "ecs:RunTask")


def test_a_definition_that_can_not_be_looked_up(fake_aws: FakeAws, ask: Ask) -> None:
    """Then it is the roles alone that can't be named."""
    fake_aws.faults.deny("ecs")
    (why,) = [each.why for each in ask() if isinstance(each, Unnamed)]

    begin = (
        "which roles its tasks have, and have to be passed, is not known: ecs DescribeTaskDefinition of 't'"
    )
    assert why.startswith(begin)
    assert [f"{ECS}:task-definition/t:*"] == of(ask(), "ecs:RunTask")


def test_no_answer(fake_aws: FakeAws, ask: Ask) -> None:
    """That says nothing of the policy: it is asked again, and then it is an error."""
    fake_aws.faults.server_error("ecs", times=2)
    assert of(ask(), "ecs:RunTask")
    fake_aws.faults.server_error("ecs")
    with pytest.raises(bunsui.AwsError, match="DescribeTaskDefinition"):
        ask()
