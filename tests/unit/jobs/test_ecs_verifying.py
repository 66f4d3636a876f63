"""What an ECS job finds out before a run: task definition, cluster, and what may be done with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.ecs import EcsJobType
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.aws.ecs import FakeEcs
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.iam import NOT_ALLOWED, FakeIam
from bunsui_tests.aws.messages import Call

pytestmark = pytest.mark.usefixtures("aws_environment")

ROLE = "arn:aws:iam::123456789012:role/etl"
PREFIX = "arn:aws:ecs:eu-central-1:123456789012"
Verify = Callable[..., list[Any]]


@pytest.fixture
def iam(fake_aws: FakeAws) -> FakeIam:
    """IAM at the endpoint."""
    made = FakeIam()
    fake_aws.add(made)
    return made


@pytest.fixture
def verify(fake_aws: FakeAws, iam: FakeIam) -> Iterator[Verify]:
    """Gives the findings for a job's fields; waits take no time. There is a task definition ``load``."""
    del iam
    fake_aws.ecs.define("load")
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}), wait=lambda event, _: event.is_set())
    kind = EcsJobType().for_runner(Services(connections, FakeClock(), Random(0)))
    yield lambda **options: list(kind.verify({"task_definition": "load", **options}))
    connections.close()


def places(found: list[Any]) -> list[tuple[str, str]]:
    """Field and code of each finding."""
    return [(field, code) for field, code, *_ in found]


def test_a_task_that_can_be_run(fake_aws: FakeAws, verify: Verify) -> None:
    """Nothing is found, and nothing is started."""
    fake_aws.ecs.add_cluster("etl")

    assert [] == verify() + verify(cluster="etl", container="main") + verify(cluster=f"{PREFIX}:cluster/etl")
    assert [] == fake_aws.ecs.tasks
    actions = {call.action for call in fake_aws.calls}
    looking = {"DescribeTaskDefinition", "DescribeClusters", "GetCallerIdentity", "SimulatePrincipalPolicy"}
    assert looking == actions


def test_no_such_task_definition(verify: Verify) -> None:
    """It is looked for in the region that is named."""
    assert [
        (
            "task_definition",
            "unknown-task-definition",
            "there is no task definition 'lod' in eu-central-1",
            "register it, or name another, or another 'region' or 'role'",
        )
    ] == verify(task_definition="lod")


def test_an_inactive_revision(fake_aws: FakeAws, verify: Verify) -> None:
    """It can be described, and not be run; nothing else of it matters."""
    fake_aws.ecs.define("old", status="INACTIVE", networkMode="awsvpc")

    ((field, code, message, _),) = verify(task_definition="old:1")
    assert ("task_definition", "unknown-task-definition") == (field, code)
    assert "task definition 'old:1' is INACTIVE, so no task of it can be started" == message


def test_containers(fake_aws: FakeAws, verify: Verify) -> None:
    """The one that is named has to be there; one of several essential ones has to be named."""
    fake_aws.ecs.define("two", "report", "proxy")
    fake_aws.ecs.define("beside", "report", {"name": "proxy", "essential": False})

    assert [("container", "unknown-container")] == places(verify(task_definition="two", container="main"))
    assert [("task_definition", "several-containers")] == places(verify(task_definition="two"))
    assert [] == verify(task_definition="two", container="proxy") + verify(task_definition="beside")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"launch_type": "FARGATE"}, ["launch_type"]),
        ({"capacity_providers": {"FARGATE_SPOT": 1}}, ["capacity_providers"]),
        ({"launch_type": "EC2"}, []),
        ({"capacity_providers": {"own": 1}}, []),
        ({}, []),
    ],
)
def test_launch_types(options: Any, expected: list[str], fake_aws: FakeAws, verify: Verify) -> None:
    """What the job says has to be among those that the task definition can run on."""
    fake_aws.ecs.define("ec2", compatibilities=["EC2"])

    found = verify(task_definition="ec2", **options)
    assert [(field, "wrong-launch-type") for field in expected] == places(found)
    # Of what ECS does not say, nothing is known.
    assert [] == verify(**options)


def test_networks(fake_aws: FakeAws, verify: Verify) -> None:
    """A task with an interface of its own needs one."""
    fake_aws.ecs.define("own", networkMode="awsvpc")

    assert [("task_definition", "missing-network")] == places(verify(task_definition="own"))
    assert [] == verify(task_definition="own", network={"subnets": ["subnet-1"]})


def test_no_such_cluster(verify: Verify) -> None:
    """It is looked for in the region that is named."""
    hint = "make it, or name another as 'cluster'"
    message = "there is no cluster 'elt' in eu-central-1"
    assert [("cluster", "unknown-cluster", message, hint)] == verify(cluster="elt")


class Clusters(FakeEcs):
    """Has one cluster, with a status."""

    def __init__(self, status: str) -> None:
        super().__init__()
        self._status = status

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {**super().actions, "DescribeClusters": self._described}

    def _described(self, call: Call) -> dict[str, Any]:
        (name,) = call.parameters["clusters"]
        arn = f"{PREFIX}:cluster/{name}"
        return {
            "clusters": [{"clusterArn": arn, "clusterName": name, "status": self._status}],
            "failures": [],
        }


@pytest.mark.parametrize(("options", "field"), [({"cluster": "etl"}, "cluster"), ({}, "")])
def test_a_cluster_that_is_not_active(options: Any, field: str, fake_aws: FakeAws, verify: Verify) -> None:
    """No task can be started there. No field has the name of the default one."""
    ecs = Clusters("INACTIVE")
    ecs.define("load")
    fake_aws.add(ecs)

    ((where, code, message, _),) = verify(**options)
    assert (field, "unknown-cluster") == (where, code)
    assert message == f"cluster '{options.get('cluster', 'default')}' in eu-central-1 is INACTIVE"


def test_all_is_told_at_once(verify: Verify) -> None:
    """A task definition that is missing hides no cluster."""
    found = places(verify(task_definition="lod", cluster="elt"))
    assert [("task_definition", "unknown-task-definition"), ("cluster", "unknown-cluster")] == found


def test_a_cluster_that_may_not_be_looked_at(fake_aws: FakeAws, verify: Verify) -> None:
    """The run does not look at it, so it may be right."""
    fake_aws.faults.deny("ecs", "DescribeClusters")

    assert [("cluster", "not-checked")] == places(verify(cluster="etl"))


def test_a_task_definition_that_may_not_be_looked_at(fake_aws: FakeAws, verify: Verify) -> None:
    """The run looks at it, too."""
    fake_aws.faults.deny("ecs", "DescribeTaskDefinition")

    ((field, code, _, hint),) = verify()
    assert ("task_definition", "denied") == (field, code)
    assert "the caller needs the permission ecs:DescribeTaskDefinition" == hint


def test_what_is_asked_of_iam(fake_aws: FakeAws, verify: Verify) -> None:
    """All that the runner does, with the resources that it does it to."""
    passed, executing = f"{ROLE}-task", f"{ROLE}-execution"
    fake_aws.ecs.define("roles", taskRoleArn=passed, executionRoleArn=executing)
    assert [] == verify(task_definition="roles")

    asked = []
    for call in fake_aws.called("iam", "SimulatePrincipalPolicy"):
        actions = [value for key, value in call.parameters.items() if key.startswith("ActionNames.")]
        resource = call.parameters["ResourceArns.member.1"]
        key = call.parameters["ContextEntries.member.1.ContextKeyName"]
        value = call.parameters["ContextEntries.member.1.ContextKeyValues.member.1"]
        asked.append((actions, resource, key, value))
    cluster, none = ("ecs:cluster", f"{PREFIX}:cluster/default"), "0" * 32
    to = ("iam:PassedToService", "ecs-tasks.amazonaws.com")
    assert [
        (["ecs:RunTask"], f"{PREFIX}:task-definition/roles:1", *cluster),
        (["ecs:DescribeTasks", "ecs:StopTask"], f"{PREFIX}:task/default/{none}", *cluster),
        (["ecs:ListTasks"], "*", *cluster),
        (["iam:PassRole"], executing, *to),
        (["iam:PassRole"], passed, *to),
    ] == asked


@pytest.mark.parametrize("action", ["ecs:RunTask", "ecs:DescribeTasks", "ecs:ListTasks", "ecs:StopTask"])
def test_denied(action: str, iam: FakeIam, verify: Verify) -> None:
    """Who may not do what with what, and which permission is needed."""
    iam.decide(action, NOT_ALLOWED)

    ((field, code, message, hint),) = verify()
    assert ("task_definition", "denied") == (field, code)
    resource = "*" if action == "ecs:ListTasks" else f"{PREFIX}:"
    who = "arn:aws:iam::123456789012:user/AKIATESTING000000000"
    assert message.startswith(f"{who} may not {action} with {resource}")
    assert message.endswith(": no policy allows it")
    assert f"the caller needs the permission {action}" == hint


def test_a_role_that_may_not_be_passed(fake_aws: FakeAws, iam: FakeIam, verify: Verify) -> None:
    """The job's own is what is wrong where it names one, else the task definition."""
    fake_aws.ecs.define("role", taskRoleArn=ROLE)
    iam.decide("iam:PassRole", NOT_ALLOWED)

    assert [("task_definition", "denied")] == places(verify(task_definition="role"))
    assert [("task_role", "denied")] == places(verify(task_definition="role", task_role=f"{ROLE}-own"))


def test_who_may_not_use_the_simulator(fake_aws: FakeAws, iam: FakeIam, verify: Verify) -> None:
    """Of permissions nothing is said."""
    iam.decide("ecs:RunTask", NOT_ALLOWED)
    fake_aws.faults.deny("iam")

    assert [] == verify()


def test_a_role_that_can_not_be_taken(fake_aws: FakeAws, verify: Verify) -> None:
    """In it nothing else can be asked, so that is all."""
    assert [("role", "denied")] == places(verify(role=ROLE, cluster="elt"))
    assert [] == fake_aws.called("ecs")


@pytest.mark.parametrize("name", ["task_definition", "region", "role"])
def test_nothing_is_asked(name: str, fake_aws: FakeAws, verify: Verify) -> None:
    """Where it is not known yet which task definition it is."""
    assert [(name, "not-checked")] == places(verify(**{name: "${jobs.a.output}"}))
    assert [] == fake_aws.calls


@pytest.mark.parametrize("name", ["cluster", "container", "launch_type", "capacity_providers", "task_role"])
def test_all_else_is_asked(name: str, fake_aws: FakeAws, verify: Verify) -> None:
    """What is not known hides nothing that is wrong elsewhere, and is not taken for what it is by default."""
    fake_aws.ecs.define("two", "report", "proxy", networkMode="awsvpc", compatibilities=["EC2"])
    value = {"${item}": 1} if name == "capacity_providers" else "${jobs.a.output}"

    found = places(verify(task_definition="two", **{"container": "report", name: value}))
    assert [(name, "not-checked"), ("task_definition", "missing-network")] == found


def test_no_answer(fake_aws: FakeAws, verify: Verify) -> None:
    """It is asked again; where none comes, that is an error, and nothing is said of the task."""
    fake_aws.faults.server_error("ecs", times=2)
    assert [] == verify()

    fake_aws.faults.server_error("ecs")
    with pytest.raises(bunsui.AwsError) as caught:
        verify()
    assert "open" == caught.value.kind
