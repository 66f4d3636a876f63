"""What IAM's simulator is asked, in whose name, and what of its answers is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Caller, Connections
from bunsui.aws.permissions import Denied, Question, denied
from bunsui.aws.settings import AwsSettings
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import ACCESS_KEY
from bunsui_tests.aws.iam import FORBIDDEN, NOT_ALLOWED, FakeIam
from bunsui_tests.aws.messages import Call
from bunsui_tests.aws.sts import FakeSts

pytestmark = pytest.mark.usefixtures("aws_environment")

USER = f"arn:aws:iam::123456789012:user/{ACCESS_KEY}"
ROLE = "arn:aws:iam::123456789012:role/etl"
TASK = "arn:aws:ecs:eu-central-1:123456789012:task-definition/t:1"
QUESTION = Question(("ecs:RunTask", "ecs:StopTask"), TASK, {"ecs:cluster": "arn:cluster"})


@pytest.fixture
def iam(fake_aws: FakeAws) -> FakeIam:
    """IAM at the endpoint."""
    made = FakeIam()
    fake_aws.add(made)
    return made


@pytest.fixture
def connections(fake_aws: FakeAws) -> Iterator[Connections]:
    """Calls the endpoint, and waits for nothing."""
    made = Connections(AwsSettings(endpoints={"": fake_aws.url}), wait=lambda event, _: event.is_set())
    yield made
    made.close()


def asked(fake_aws: FakeAws) -> list[str]:
    """The principals that the simulator was asked about."""
    return [call.parameters["PolicySourceArn"] for call in fake_aws.called("iam", "SimulatePrincipalPolicy")]


@pytest.mark.usefixtures("iam")
def test_what_is_asked(fake_aws: FakeAws, connections: Connections) -> None:
    """Whether the caller may do these actions with the resource, under these conditions."""
    assert [] == denied(connections, Caller(), [QUESTION])

    (call,) = fake_aws.called("iam")
    expected = {
        "PolicySourceArn": USER,
        "ActionNames.member.1": "ecs:RunTask",
        "ActionNames.member.2": "ecs:StopTask",
        "ResourceArns.member.1": TASK,
        "ContextEntries.member.1.ContextKeyName": "ecs:cluster",
        "ContextEntries.member.1.ContextKeyValues.member.1": "arn:cluster",
        "ContextEntries.member.1.ContextKeyType": "string",
    }
    assert expected == call.parameters


@pytest.mark.parametrize(("decision", "is_forbidden"), [(NOT_ALLOWED, False), (FORBIDDEN, True)])
def test_what_is_denied(iam: FakeIam, connections: Connections, decision: str, is_forbidden: bool) -> None:
    """The action, what it is about, who may not, and why."""
    iam.decide("ecs:StopTask", decision)

    assert [Denied("ecs:StopTask", TASK, USER, is_forbidden)] == denied(connections, Caller(), [QUESTION])


def test_a_condition_on_what_the_simulator_was_not_told(iam: FakeIam, connections: Connections) -> None:
    """It says no where the policy may say yes: that is not believed."""
    iam.decide("ecs:StopTask", NOT_ALLOWED, "aws:SourceVpc")

    assert [] == denied(connections, Caller(), [QUESTION])


@pytest.mark.parametrize("name", ["role", "runner's role"])
def test_a_role_is_asked_about_by_its_own_arn(
    name: str, fake_aws: FakeAws, iam: FakeIam, connections: Connections
) -> None:
    """The session's ARN has no path of the role's; the role that was taken is known with it."""
    role = "arn:aws:iam::123456789012:role/teams/data/etl"
    fake_aws.sts.add_role(role)
    iam.decide("ecs:RunTask", NOT_ALLOWED)
    caller = Caller(role=role)
    if name != "role":
        connections.settings = AwsSettings(endpoints={"": fake_aws.url}, role=role)
        caller = Caller()

    assert [role] == [each.principal for each in denied(connections, caller, [QUESTION])]
    assert [] == fake_aws.called("iam", "GetRole")


def credentials_of_a_role(fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the credentials of a role that somebody else has taken."""
    fake_aws.sts.add_role(ROLE)
    found = fake_aws.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="somebody")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", found["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", found["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", found["SessionToken"])


@pytest.mark.parametrize(
    ("known", "expected"),
    [({"etl": "arn:aws:iam::123456789012:role/teams/etl"}, "arn:aws:iam::123456789012:role/teams/etl"),
     ({}, ROLE)],
)  # fmt: skip
def test_a_role_that_somebody_else_took(
    known: dict[str, str],
    expected: str,
    fake_aws: FakeAws,
    iam: FakeIam,
    connections: Connections,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """IAM knows its path; where it does not say, there is none."""
    credentials_of_a_role(fake_aws, monkeypatch)
    iam.roles = known

    assert [] == denied(connections, Caller(), [QUESTION])
    assert [expected] == asked(fake_aws)


def test_who_the_simulator_does_not_know(iam: FakeIam, connections: Connections) -> None:
    """Nothing is known of them."""
    iam.principals = set()
    iam.decide("ecs:RunTask", FORBIDDEN)

    assert [] == denied(connections, Caller(), [QUESTION])


def test_a_caller_who_may_not_use_the_simulator(
    fake_aws: FakeAws, iam: FakeIam, connections: Connections
) -> None:
    """Nothing is known; it is asked once, not for each question."""
    iam.decide("ecs:RunTask", FORBIDDEN)
    fake_aws.faults.deny("iam")

    assert [] == denied(connections, Caller(), [QUESTION, QUESTION])
    assert 1 == len(asked(fake_aws))


class Known(FakeSts):
    """Knows one caller, by an ARN."""

    def __init__(self, arn: str) -> None:
        super().__init__()
        self._known = arn

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        known = {"Arn": self._known, "UserId": "AIDATESTING", "Account": "123456789012"}
        return {"GetCallerIdentity": lambda _: known}


@pytest.mark.parametrize("name", ["iam::123456789012:root", "sts::123456789012:federated-user/ada"])
def test_who_is_not_asked_about(name: str, fake_aws: FakeAws, connections: Connections) -> None:
    """The root user may do anything, and the simulator takes no federated user."""
    fake_aws.add(Known(f"arn:aws:{name}"))

    assert [] == denied(connections, Caller(), [QUESTION])
    assert [] == fake_aws.called("iam")


@pytest.mark.usefixtures("iam")
def test_no_answer(fake_aws: FakeAws, connections: Connections) -> None:
    """That is no answer, and is said."""
    fake_aws.faults.throttle("iam")

    with pytest.raises(bunsui.AwsError, match="iam SimulatePrincipalPolicy") as caught:
        denied(connections, Caller(), [QUESTION])
    assert "busy" == caught.value.kind
