"""ECS of the tests' own AWS, as real boto3 meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.ecs_tasks import Script
from bunsui_tests.aws.endpoint import FakeAws

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}


@pytest.fixture
def fake(fake_aws: FakeAws) -> FakeAws:
    """With a task definition of two containers, whose tasks live by hand."""
    fake_aws.ecs.define("etl", {"name": "main", "environment": [{"name": "A", "value": "1"}]}, "proxy")
    fake_aws.ecs.script = Script(every=None)
    return fake_aws


@pytest.fixture
def ecs(fake: FakeAws) -> Iterator[Any]:
    made = fake.client("ecs")
    yield made
    made.close()


def run(ecs: Any, **more: Any) -> dict[str, Any]:
    """A task that was started."""
    [task] = ecs.run_task(**{"taskDefinition": "etl", **more})["tasks"]
    return dict(task)


def described(ecs: Any, *arns: str, **more: Any) -> list[dict[str, Any]]:
    return list(ecs.describe_tasks(tasks=list(arns), **more)["tasks"])


def refused(call: Any, **arguments: Any) -> Any:
    """The answer by which a call is refused."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response


class TestToken:
    """A start that is asked for twice."""

    def test_the_same_task(self, fake: FakeAws, ecs: Any) -> None:
        """The same token and parameters give the same task, also when it has stopped and is forgotten."""
        task = run(ecs, clientToken="t", startedBy="s")
        assert task["taskArn"] == run(ecs, clientToken="t", startedBy="s", cluster="default")["taskArn"]
        fake.ecs.stop(task["taskArn"], 3)
        again = run(ecs, clientToken="t", startedBy="s")
        assert (task["taskArn"], "STOPPED") == (again["taskArn"], again["lastStatus"])
        fake.ecs.forget(task["taskArn"])
        assert task["taskArn"] == run(ecs, clientToken="t", startedBy="s")["taskArn"]
        fake.ecs.forget_tokens()
        assert task["taskArn"] != run(ecs, clientToken="t", startedBy="s")["taskArn"]

    def test_another_body(self, fake: FakeAws, ecs: Any) -> None:
        """It conflicts, and names the tasks of the token."""
        task = run(ecs, clientToken="t", startedBy="s")
        response = refused(ecs.run_task, taskDefinition="etl", clientToken="t", startedBy="other")
        assert ("ConflictException", [task["taskArn"]]) == (
            response["Error"]["Code"],
            response["resourceIds"],
        )
        assert 1 == len(fake.ecs.tasks)

    def test_elsewhere(self, fake: FakeAws, ecs: Any) -> None:
        """Another cluster, region or account has tokens of its own."""
        fake.ecs.add_cluster("other")
        fake.sts.add_key("AKIAOTHER0000000000", "210987654321")
        run(ecs, clientToken="t")
        run(ecs, clientToken="t", cluster="other")
        run(fake.client("ecs", region="us-west-2"), clientToken="t")
        run(fake.client("ecs", access_key="AKIAOTHER0000000000"), clientToken="t")
        assert 4 == len({task.arn for task in fake.ecs.tasks})

    def test_too_long(self, ecs: Any) -> None:
        """A token has at most 64 characters."""
        run(ecs, clientToken="t" * 64)
        response = refused(ecs.run_task, taskDefinition="etl", clientToken="t" * 65)
        assert "InvalidParameterException" == response["Error"]["Code"]


class TestFailures:
    """Nothing could be started, and the call succeeds."""

    def test_reasons(self, fake: FakeAws, ecs: Any) -> None:
        """They stand beside no task; the token is free afterwards."""
        fake.ecs.fail("RESOURCE:MEMORY")
        fake.ecs.fail("AGENT", detail="it is away")
        first, second = (ecs.run_task(taskDefinition="etl", clientToken="t") for _ in range(2))
        assert ([], "RESOURCE:MEMORY") == (first["tasks"], first["failures"][0]["reason"])
        assert ("AGENT", "it is away") == (second["failures"][0]["reason"], second["failures"][0]["detail"])
        run(ecs, clientToken="t")

    def test_only_the_calls_that_are_meant(self, fake: FakeAws, ecs: Any) -> None:
        """Others start their tasks."""
        fake.ecs.fail(times=2, when=lambda call: call.parameters.get("startedBy") == "poor")
        run(ecs, startedBy="rich")
        for _ in range(2):
            assert [] == ecs.run_task(taskDefinition="etl", startedBy="poor")["tasks"]
        run(ecs, startedBy="poor")


class TestRunTask:
    """What is started, and what is refused."""

    def test_what_is_kept(self, fake: FakeAws, ecs: Any) -> None:
        """Tags, the starter, the overrides and the definition's latest revision."""
        fake.ecs.define("etl", "main")
        overrides = {"containerOverrides": [{"name": "main", "environment": [{"name": "B", "value": "2"}]}]}
        task = run(
            ecs,
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            startedBy="s",
            overrides=overrides,
            tags=[{"key": "k", "value": "v"}],
        )
        assert overrides == task["overrides"]
        assert task["taskDefinitionArn"].endswith("task-definition/etl:2")
        [shown] = described(ecs, task["taskArn"], include=["TAGS"])
        assert ("s", [{"key": "k", "value": "v"}], "FARGATE") == (
            shown["startedBy"], shown["tags"], shown["launchType"],
        )  # fmt: skip
        assert [] == described(ecs, task["taskArn"])[0]["tags"]

    def test_the_environment(self, fake: FakeAws, ecs: Any) -> None:
        """A task has its definition's variables, and over them those of its call."""
        given = [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]
        run(ecs)
        run(ecs, overrides={"containerOverrides": [{"name": "main", "environment": given}]})
        assert [{"A": "1"}, {"A": "2", "B": "3"}] == [task.environment for task in fake.ecs.tasks]

    @pytest.mark.parametrize(
        ("arguments", "code", "text"),
        [
            ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found"),
            ({"taskDefinition": "none"}, "ClientException", "TaskDefinition not found"),
            ({"taskDefinition": "etl:9"}, "ClientException", "TaskDefinition not found"),
            ({"taskDefinition": "old"}, "ClientException", "inactive"),
            ({"launchType": "FARGATE"}, "InvalidParameterException", "Network Configuration"),
            ({"startedBy": "a b"}, "InvalidParameterException", "startedBy"),
            ({"startedBy": "a" * 129}, "InvalidParameterException", "startedBy"),
            ({"count": 11}, "InvalidParameterException", "count"),
            (
                {"overrides": {"containerOverrides": [{"name": "none"}]}},
                "InvalidParameterException",
                "container named none",
            ),
            (
                {"overrides": {"containerOverrides": [{"name": "main", "command": ["x" * 8192]}]}},
                "InvalidParameterException",
                "at most 8192",
            ),
        ],
    )
    def test_what_is_refused(
        self, fake: FakeAws, ecs: Any, arguments: dict[str, Any], code: str, text: str
    ) -> None:
        """Nothing is started, and the error says what is wrong."""
        fake.ecs.define("old", status="INACTIVE")
        error = refused(ecs.run_task, **{"taskDefinition": "etl", **arguments})["Error"]
        assert code == error["Code"]
        assert text in error["Message"]
        assert [] == fake.ecs.tasks


class TestLife:
    """How tasks come to their end."""

    def test_by_themselves(self, fake: FakeAws, ecs: Any) -> None:
        """A step after every so many descriptions."""
        fake.ecs.script = Script(every=2, exit_code=4)
        arn = run(ecs)["taskArn"]
        shown = [described(ecs, arn)[0] for _ in range(7)]
        assert ["PROVISIONING", *["PENDING"] * 2, *["RUNNING"] * 2, *["STOPPED"] * 2] == [
            each["lastStatus"] for each in shown
        ]
        assert [4, 0] == [container["exitCode"] for container in shown[-1]["containers"]]
        assert shown[-1]["createdAt"] <= shown[-1]["startedAt"] <= shown[-1]["stoppedAt"]

    def test_each_by_its_own_script(self, fake: FakeAws, ecs: Any) -> None:
        """What its container does is the test's, and what comes of it is the exit code."""
        fake.ecs.script = lambda task: Script(work=lambda _: len(task.environment), exit_code=9)
        arn = run(ecs)["taskArn"]
        *_, last = (described(ecs, arn)[0] for _ in range(3))
        assert 1 == last["containers"][0]["exitCode"]

    def test_by_hand(self, fake: FakeAws, ecs: Any) -> None:
        """It stays as it is until the test moves it."""
        arn = run(ecs)["taskArn"]
        assert "PROVISIONING" == [described(ecs, arn)[0]["lastStatus"] for _ in range(5)][-1]
        fake.ecs.move(arn, "RUNNING")
        assert "RUNNING" == described(ecs, arn)[0]["lastStatus"]
        fake.ecs.stop(
            arn,
            137,
            stop_code="EssentialContainerExited",
            container_reason="OutOfMemoryError: Container killed",
        )
        [shown] = described(ecs, arn)
        main, proxy = shown["containers"]
        assert (137, "OutOfMemoryError: Container killed") == (main["exitCode"], main["reason"])
        assert (0, False) == (proxy["exitCode"], "reason" in proxy)
        assert ("EssentialContainerExited", "STOPPED") == (shown["stopCode"], shown["desiredStatus"])

    def test_without_an_exit_code(self, fake: FakeAws, ecs: Any) -> None:
        """A task that could not start has none."""
        arn = run(ecs)["taskArn"]
        fake.ecs.stop(arn, None, reason="CannotPullContainerError: none", stop_code="TaskFailedToStart")
        [shown] = described(ecs, arn)
        assert [False, False] == ["exitCode" in container for container in shown["containers"]]
        assert ("TaskFailedToStart", "CannotPullContainerError: none") == (
            shown["stopCode"], shown["stoppedReason"],
        )  # fmt: skip

    def test_stopped_by_a_user(self, fake: FakeAws, ecs: Any) -> None:
        """It stops, or only is to stop; a stopped one stays as it was."""
        arn = run(ecs)["taskArn"]
        fake.ecs.move(arn, "RUNNING")
        ecs.stop_task(task=arn, reason="cancelled")
        [shown] = described(ecs, arn)
        assert ("STOPPED", "UserInitiated", "cancelled", 143) == (
            shown["lastStatus"],
            shown["stopCode"],
            shown["stoppedReason"],
            shown["containers"][0]["exitCode"],
        )
        ecs.stop_task(task=arn, reason="again")
        assert "cancelled" == described(ecs, arn)[0]["stoppedReason"]
        fake.ecs.script = Script(every=None, obeys=False)
        stubborn = run(ecs)["taskArn"]
        ecs.stop_task(task=stubborn)
        [shown] = described(ecs, stubborn)
        assert ("PROVISIONING", "STOPPED") == (shown["lastStatus"], shown["desiredStatus"])
        assert "not found" in refused(ecs.stop_task, task="none")["Error"]["Message"]


class TestDescribe:
    """Tasks by their ARNs."""

    def test_what_is_missing(self, fake: FakeAws, ecs: Any) -> None:
        """What is unknown or forgotten, or is elsewhere, stands among the failures."""
        fake.ecs.add_cluster("other")
        here, gone, away = run(ecs), run(ecs), run(ecs, cluster="other")
        fake.ecs.forget(gone["taskArn"])
        asked = [here["taskArn"], gone["taskArn"], away["taskArn"]]
        answer = ecs.describe_tasks(tasks=asked)
        assert [here["taskArn"]] == [task["taskArn"] for task in answer["tasks"]]
        assert [(arn, "MISSING") for arn in asked[1:]] == [
            (failure["arn"], failure["reason"]) for failure in answer["failures"]
        ]

    @pytest.mark.parametrize("count", [0, 101])
    def test_too_few_or_too_many(self, ecs: Any, count: int) -> None:
        """1 to 100 of them can be asked for."""
        response = refused(ecs.describe_tasks, tasks=[f"{number:032}" for number in range(count)])
        assert "InvalidParameterException" == response["Error"]["Code"]

    def test_a_hundred(self, ecs: Any) -> None:
        """That many can."""
        arns = [
            task["taskArn"]
            for _ in range(10)
            for task in ecs.run_task(taskDefinition="etl", count=10)["tasks"]
        ]
        assert arns == [task["taskArn"] for task in described(ecs, *arns)]


class TestList:
    """Tasks by what is known of them."""

    def test_filters(self, fake: FakeAws, ecs: Any) -> None:
        """By starter, by desired status, by family; running ones unless others are asked for."""
        fake.ecs.define("other")
        mine, done, other = run(ecs, startedBy="s"), run(ecs, startedBy="s"), run(ecs, taskDefinition="other")
        fake.ecs.stop(done["taskArn"])

        def listed(**more: Any) -> list[str]:
            return list(ecs.list_tasks(**more)["taskArns"])

        assert [mine["taskArn"], other["taskArn"]] == listed()
        assert [mine["taskArn"]] == listed(startedBy="s")
        assert [done["taskArn"]] == listed(startedBy="s", desiredStatus="STOPPED")
        assert [other["taskArn"]] == listed(family="other")
        assert [] == listed(desiredStatus="PENDING")

    def test_pages(self, ecs: Any) -> None:
        """Each of 25 tasks is on one page."""
        arns = [run(ecs)["taskArn"] for _ in range(25)]
        pages = list(ecs.get_paginator("list_tasks").paginate(PaginationConfig={"PageSize": 10}))
        assert [10, 10, 5] == [len(page["taskArns"]) for page in pages]
        assert arns == [arn for page in pages for arn in page["taskArns"]]

    def test_the_starter_is_the_only_filter(self, ecs: Any) -> None:
        """AWS says so of startedBy."""
        response = refused(ecs.list_tasks, startedBy="s", family="etl")
        assert "InvalidParameterException" == response["Error"]["Code"]


class TestDefinitions:
    """What is looked at before a run."""

    def test_a_task_definition(self, fake: FakeAws, ecs: Any) -> None:
        """By family, revision and ARN; unknown ones are refused."""
        fake.ecs.define("etl", cpu="256")
        found = ecs.describe_task_definition(taskDefinition="etl")["taskDefinition"]
        assert (2, "256", "ACTIVE") == (found["revision"], found["cpu"], found["status"])
        for name in (found["taskDefinitionArn"], "etl:2"):
            assert found == ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
        first = ecs.describe_task_definition(taskDefinition="etl:1")["taskDefinition"]
        assert ["main", "proxy"] == [container["name"] for container in first["containerDefinitions"]]
        error = refused(ecs.describe_task_definition, taskDefinition="none")["Error"]
        assert ("ClientException", "Unable to describe task definition.") == (error["Code"], error["Message"])

    def test_clusters(self, fake: FakeAws, ecs: Any) -> None:
        """Unknown ones stand among the failures."""
        answer = ecs.describe_clusters(clusters=["default", "none"])
        assert ["default"] == [cluster["clusterName"] for cluster in answer["clusters"]]
        assert ["MISSING"] == [failure["reason"] for failure in answer["failures"]]
