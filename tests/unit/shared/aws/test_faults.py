"""Each fault of the tests' own AWS, as real boto3 meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import client
from bunsui_tests.conditions import until
from bunsui_tests.held import leaves_nothing


@pytest.fixture
def fake(fake_aws: FakeAws) -> FakeAws:
    """With a task definition and a function."""
    fake_aws.ecs.define("etl")
    fake_aws.functions.add("load", lambda event, _: event)
    return fake_aws


@pytest.fixture
def ecs(fake: FakeAws) -> Iterator[Any]:
    made = fake.client("ecs")
    yield made
    made.close()


@pytest.fixture
def functions(fake: FakeAws) -> Iterator[Any]:
    made = fake.client("lambda")
    yield made
    made.close()


def refused(call: Any, **arguments: Any) -> tuple[str, int]:
    """The code and the status by which a call is refused."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


class TestThrottle:
    """Calls come too fast."""

    def test_each_service_says_it_its_own_way(self, fake: FakeAws, ecs: Any, functions: Any) -> None:
        """ECS by its code with 400, Lambda with 429, STS as Throttling; nothing has been started."""
        fake.faults.throttle(times=3)
        assert ("ThrottlingException", 400) == refused(ecs.run_task, taskDefinition="etl")
        assert ("TooManyRequestsException", 429) == refused(functions.invoke, FunctionName="load")
        assert ("Throttling", 400) == refused(fake.client("sts").get_caller_identity)
        assert ([], []) == (fake.ecs.tasks, fake.functions.invocations)
        assert 1 == len(ecs.run_task(taskDefinition="etl")["tasks"])

    def test_every_third_call(self, fake: FakeAws, ecs: Any) -> None:
        """Of nine calls, the third, the sixth and the ninth."""
        fake.faults.throttle("ecs", "DescribeClusters", every=3)
        codes: list[str | None] = []
        for _ in range(9):
            try:
                ecs.describe_clusters()
                codes.append(None)
            except ClientError as error:
                codes.append(error.response["Error"]["Message"])
        assert [None, None, "Rate exceeded"] * 3 == codes

    def test_a_share_of_them(self, fake: FakeAws, ecs: Any) -> None:
        """Some are and some are not; the fault and the record of calls know how many."""
        fault = fake.faults.throttle("ecs", share=0.3)
        for _ in range(100):
            try:
                ecs.describe_clusters()
            except ClientError:
                continue
        assert fault.hits == sum(call.error == "ThrottlingException" for call in fake.calls)
        assert 15 < fault.hits < 45

    def test_only_the_calls_that_are_meant(self, fake: FakeAws, functions: Any) -> None:
        """Another service, another action and other parameters are let through."""
        fake.functions.add("other", lambda event, _: event)
        fake.faults.throttle("lambda", "Invoke", when=lambda call: call.parameters["FunctionName"] == "load")
        functions.invoke(FunctionName="other")
        functions.get_function_configuration(FunctionName="load")
        assert 429 == refused(functions.invoke, FunctionName="load")[1]

    def test_it_ends(self, fake: FakeAws, ecs: Any) -> None:
        """With its block, by `end` and by `clear`."""
        with fake.faults.throttle("ecs"):
            refused(ecs.describe_clusters)
        fake.faults.throttle("ecs").end()
        fake.faults.throttle("ecs")
        fake.faults.clear()
        ecs.describe_clusters()


class TestServerError:
    """AWS fails."""

    @pytest.mark.parametrize("status", [500, 503])
    def test_before_the_effect(self, fake: FakeAws, ecs: Any, status: int) -> None:
        """The status is the one that was asked for, and no task is started."""
        fake.faults.server_error("ecs", "RunTask", status=status)
        assert status == refused(ecs.run_task, taskDefinition="etl")[1]
        assert [] == fake.ecs.tasks

    def test_after_the_effect(self, fake: FakeAws, ecs: Any) -> None:
        """The answer is an error all the same."""
        fake.faults.server_error("ecs", "RunTask", after=True)
        assert 500 == refused(ecs.run_task, taskDefinition="etl")[1]
        assert 1 == len(fake.ecs.tasks)

    def test_of_lambda(self, fake: FakeAws, functions: Any) -> None:
        """It has a name of its own there."""
        fake.faults.server_error("lambda")
        assert ("ServiceException", 500) == refused(functions.invoke, FunctionName="load")


class TestDrop:
    """An answer never comes."""

    def test_after_the_effect(self, fake: FakeAws, ecs: Any) -> None:
        """The connection closes, the task runs, and the call has no status."""
        fake.faults.drop_after("ecs", "RunTask", times=1)
        with pytest.raises(ConnectionClosedError):
            ecs.run_task(taskDefinition="etl", clientToken="t")
        assert [("RunTask", None)] == [(call.action, call.status) for call in fake.calls]
        again = ecs.run_task(taskDefinition="etl", clientToken="t")
        assert [task.arn for task in fake.ecs.tasks] == [task["taskArn"] for task in again["tasks"]]

    def test_before_the_effect(self, fake: FakeAws, functions: Any) -> None:
        """The connection closes, and the function has not run."""
        fake.faults.drop_before("lambda", "Invoke", times=1)
        with pytest.raises(ConnectionClosedError):
            functions.invoke(FunctionName="load")
        assert [] == fake.functions.invocations


class TestOutage:
    """Nothing of AWS can be reached for a while."""

    def test_refused(self, fake: FakeAws, ecs: Any) -> None:
        """Nobody listens; afterwards the same client is answered again, at the same URL."""
        ecs.describe_clusters()
        with fake.outage("refuse"), pytest.raises(EndpointConnectionError):
            fake.client("ecs").describe_clusters()
        with fake.outage("refuse"), pytest.raises((EndpointConnectionError, ConnectionClosedError)):
            ecs.describe_clusters()
        ecs.describe_clusters()

    def test_closed(self, fake: FakeAws, ecs: Any) -> None:
        """Connections are accepted, and closed at once; open ones are cut."""
        ecs.describe_clusters()
        with fake.outage("close"):
            for _ in range(3):
                with pytest.raises(ConnectionClosedError):
                    ecs.describe_clusters()
        assert 1 == len(fake.calls)
        ecs.describe_clusters()

    def test_it_cuts_calls_that_wait(self, fake: FakeAws, ecs: Any) -> None:
        """A call that is held when it begins gets no answer."""
        hold = fake.faults.hold("ecs")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ecs.describe_clusters)
            hold.wait()
            with fake.outage("refuse"), pytest.raises(ConnectionClosedError):
                waiting.result(60)
            hold.release()


class TestHold:
    """Calls stand still until the test lets them go."""

    def test_before_the_effect(self, fake: FakeAws, ecs: Any) -> None:
        """Nothing is started until it is let go; then it is, and is answered."""
        hold = fake.faults.hold("ecs", "RunTask")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ecs.run_task, taskDefinition="etl")
            [call] = hold.wait()
            assert ("etl", None, []) == (
                call.parameters["taskDefinition"],
                fake.calls[0].answered,
                fake.ecs.tasks,
            )
            hold.release()
            [task] = waiting.result(60)["tasks"]
        assert [task["taskArn"]] == [each.arn for each in fake.ecs.tasks]

    def test_after_the_effect(self, fake: FakeAws, ecs: Any) -> None:
        """The task is there, and its answer is not."""
        hold = fake.faults.hold("ecs", "RunTask", after=True)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ecs.run_task, taskDefinition="etl")
            hold.wait()
            assert (1, False) == (len(fake.ecs.tasks), waiting.done())
            hold.release()
            waiting.result(60)

    def test_a_hundred_at_once(self, fake: FakeAws, functions: Any) -> None:
        """All of them stand at the same time, and all are answered in the end."""
        hold = fake.faults.hold("lambda")
        many = fake.client("lambda", max_pool_connections=120)
        with ThreadPoolExecutor(120) as pool:
            waiting = [pool.submit(many.invoke, FunctionName="load") for _ in range(120)]
            hold.wait(120)
            hold.release()
            assert {200} == {each.result(60)["StatusCode"] for each in waiting}
        many.close()

    @pytest.mark.parametrize("after", [False, True])
    def test_its_client_is_killed(
        self, fake: FakeAws, capfd: pytest.CaptureFixture[str], after: bool
    ) -> None:
        """A process killed in the middle of its call changes nothing for others, and nothing is said."""
        hold = fake.faults.hold("ecs", "RunTask", after=after)
        program = (
            "import sys; from bunsui_tests.aws.environment import client\n"
            "client('ecs', sys.argv[1]).run_task(taskDefinition='etl', clientToken='t')"
        )
        path = os.pathsep.join(each for each in sys.path if each)
        process = subprocess.Popen(
            [sys.executable, "-c", program, fake.url], env={**os.environ, "PYTHONPATH": path}
        )
        hold.wait()
        process.kill()
        assert -signal.SIGKILL == process.wait()
        hold.release()
        until(lambda: fake.calls[0].answered is not None)
        other = client("ecs", fake.url)
        [task] = other.run_task(taskDefinition="etl", clientToken="t")["tasks"]
        assert [task["taskArn"]] == [each.arn for each in fake.ecs.tasks]
        other.close()
        assert ("", "") == capfd.readouterr()

    def test_hanging(self, fake: FakeAws, ecs: Any) -> None:
        """What hangs is never answered, and has had no effect."""
        hang = fake.faults.hang("ecs", "RunTask")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ecs.run_task, taskDefinition="etl")
            hang.wait()
            hang.release()
            with pytest.raises(ConnectionClosedError):
                waiting.result(60)
        assert [] == fake.ecs.tasks

    def test_the_end_of_the_test(self) -> None:
        """What is still held when the endpoint closes is dropped without an effect; nothing is left."""
        with leaves_nothing():
            with FakeAws() as fake, ThreadPoolExecutor(1) as pool:
                fake.ecs.define("etl")
                hold, caller = fake.faults.hold("ecs"), fake.client("ecs")
                waiting = pool.submit(caller.run_task, taskDefinition="etl")
                hold.wait()
                fake.close()
                with pytest.raises(ConnectionClosedError):
                    waiting.result(60)
                caller.close()
            assert [] == fake.ecs.tasks


class TestDeny:
    """The caller may not do it."""

    def test_it(self, fake: FakeAws, ecs: Any, functions: Any) -> None:
        """It says who may not do what; other actions may be done."""
        fake.faults.deny("ecs", "RunTask")
        fake.faults.deny("lambda", "Invoke")
        with pytest.raises(ClientError, match=r"is not authorized to perform: ecs:RunTask") as raised:
            ecs.run_task(taskDefinition="etl")
        assert "AccessDeniedException" == raised.value.response["Error"]["Code"]
        assert ("AccessDeniedException", 403) == refused(functions.invoke, FunctionName="load")
        ecs.describe_clusters()


class TestExpire:
    """Credentials are good no longer."""

    def test_it(self, fake: FakeAws, ecs: Any) -> None:
        """The key is refused everywhere from then on, and others are not."""
        ecs.describe_clusters()
        fake.faults.expire("AKIATESTING000000000")
        assert ("ExpiredTokenException", 400) == refused(ecs.describe_clusters)
        assert ("ExpiredToken", 403) == refused(fake.client("sts").get_caller_identity)
        assert ("ExpiredTokenException", 403) == refused(fake.client("lambda").invoke, FunctionName="load")
        fake.client("ecs", access_key="AKIAOTHER0000000000").describe_clusters()


class TestRecord:
    """What the endpoint keeps of calls."""

    def test_a_call(self, fake: FakeAws) -> None:
        """Who has called from where, with what, and what came of it."""
        fake.sts.add_key("AKIAOTHER0000000000", "210987654321")
        caller = fake.client("ecs", access_key="AKIAOTHER0000000000", region="us-west-2")
        [task] = caller.run_task(taskDefinition="etl", startedBy="s")["tasks"]
        [call] = fake.called("ecs", "RunTask")
        assert ("AKIAOTHER0000000000", "210987654321", "us-west-2") == (
            call.access_key,
            call.account,
            call.region,
        )
        assert ("etl", "s") == (call.parameters["taskDefinition"], call.parameters["startedBy"])
        assert call.headers["user-agent"].startswith("Boto3/")
        assert call.answered is not None
        assert (200, None, True) == (call.status, call.error, call.answered >= call.started)
        assert task["taskArn"].startswith("arn:aws:ecs:us-west-2:210987654321:task/default/")

    def test_what_is_wrong_with_the_fake_fails_the_test(self) -> None:
        """A call of a service that is not there is no answer of AWS's."""
        with pytest.raises(AssertionError, match="no such service"), FakeAws() as fake:
            refused(fake.client("sqs").list_queues)

    def test_waiting_for_calls(self, fake: FakeAws, ecs: Any) -> None:
        """It returns when there are so many."""
        threading.Thread(target=ecs.describe_clusters).start()
        [call] = fake.wait_for_calls("ecs", "DescribeClusters")
        assert "DescribeClusters" == call.action
        with pytest.raises(AssertionError, match="1 calls"):
            fake.wait_for_calls("ecs", "DescribeClusters", count=2, seconds=0.01)
