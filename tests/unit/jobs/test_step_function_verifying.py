"""What a Step Functions job finds out before a run: the state machine, and what may be done with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.step_function import StepFunctionJobType
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.iam import NOT_ALLOWED, FakeIam

pytestmark = pytest.mark.usefixtures("aws_environment")

BEGIN = "arn:aws:states:eu-central-1:123456789012"
LOAD = f"{BEGIN}:stateMachine:load"
ROLE = "arn:aws:iam::123456789012:role/etl"
Verify = Callable[..., list[Any]]


@pytest.fixture
def iam(fake_aws: FakeAws) -> FakeIam:
    """IAM at the endpoint."""
    made = FakeIam()
    fake_aws.add(made)
    return made


@pytest.fixture
def verify(fake_aws: FakeAws, iam: FakeIam) -> Iterator[Verify]:
    """Gives the findings for a job's fields; waits take no time. The runner is in another region."""
    del iam
    fake_aws.machines.add("load", None, "live")
    settings = AwsSettings(endpoints={"": fake_aws.url}, region="us-west-2")
    connections = Connections(settings, wait=lambda event, _: event.is_set())
    kind = StepFunctionJobType().for_runner(Services(connections, FakeClock(), Random(0)))
    yield lambda **options: list(kind.verify({"state_machine": LOAD, **options}))
    connections.close()


def places(found: list[Any]) -> list[tuple[str, str]]:
    """Field and code of each finding."""
    return [(field, code) for field, code, *_ in found]


def test_a_machine_that_can_be_run(fake_aws: FakeAws, verify: Verify) -> None:
    """Nothing is found, nothing is started, and all is asked where the machine is."""
    assert verify() + verify(state_machine=f"{LOAD}:live") == []
    assert fake_aws.machines.executions == []
    assert {call.action for call in fake_aws.called("states")} == {"DescribeStateMachine"}
    assert {call.region for call in fake_aws.called("states")} == {"eu-central-1"}


def test_no_such_machine(verify: Verify) -> None:
    """It is said where it was looked for."""
    text = "there is no state machine 'laod' in eu-central-1 of account 123456789012"
    expected = [("state_machine", "unknown-state-machine", text, "make it, or name another")]
    assert verify(state_machine=f"{BEGIN}:stateMachine:laod") == expected


def test_no_such_version(verify: Verify) -> None:
    """The machine may be there, with other versions and aliases."""
    ((field, code, text, _),) = verify(state_machine=f"{LOAD}:prod")
    assert (field, code) == ("state_machine", "unknown-state-machine")
    assert text.startswith("state machine 'load' has no version or alias 'prod' in eu-central-1")


def test_one_that_is_being_deleted(fake_aws: FakeAws, verify: Verify) -> None:
    """It starts nothing any more."""
    fake_aws.machines.add("old", status="DELETING")
    ((_, code, text, _),) = verify(state_machine=f"{BEGIN}:stateMachine:old")
    assert code == "unknown-state-machine"
    assert text == "state machine 'old' is DELETING, so no execution of it can be started"


def test_express(fake_aws: FakeAws, verify: Verify) -> None:
    """It can't be followed."""
    fake_aws.machines.add("quick", type="EXPRESS")
    found = verify(state_machine=f"{BEGIN}:stateMachine:quick")
    assert places(found) == [("state_machine", "express-state-machine")]


def test_one_that_may_not_be_looked_at(fake_aws: FakeAws, iam: FakeIam, verify: Verify) -> None:
    """A run does without it: that is a warning, and what a run needs is asked for all the same."""
    fake_aws.faults.deny("states", "DescribeStateMachine")
    iam.decide("states:StartExecution", NOT_ALLOWED)
    assert places(verify()) == [("state_machine", "not-checked"), ("state_machine", "denied")]


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("states:StartExecution", LOAD),
        ("states:DescribeExecution", f"{BEGIN}:execution:load:{'0' * 64}"),
        ("states:StopExecution", f"{BEGIN}:execution:load:{'0' * 64}"),
    ],
)
def test_denied(iam: FakeIam, verify: Verify, action: str, resource: str) -> None:
    """What the caller may not do with the machine, or with its executions."""
    iam.decide(action, NOT_ALLOWED)
    ((field, code, text, hint),) = verify(state_machine=f"{LOAD}:live")
    assert (field, code) == ("state_machine", "denied")
    assert text.endswith(f"may not {action} with {resource}: no policy allows it")
    assert hint == f"the caller needs the permission {action}"


@pytest.mark.parametrize(("name", "qualifier"), [(LOAD, None), (f"{LOAD}:live", "live")])
def test_a_version_has_no_arn_in_policies(
    fake_aws: FakeAws, verify: Verify, name: str, qualifier: str | None
) -> None:
    """The simulator is asked of the machine, and told the version or alias beside that."""
    verify(state_machine=name)
    (asked,) = [
        call.parameters
        for call in fake_aws.called("iam", "SimulatePrincipalPolicy")
        if call.parameters["ActionNames.member.1"] == "states:StartExecution"
    ]
    assert asked["ResourceArns.member.1"] == LOAD
    told = asked.get("ContextEntries.member.1.ContextKeyValues.member.1")
    assert (asked.get("ContextEntries.member.1.ContextKeyName"), told) == (
        qualifier and "states:StateMachineQualifier",
        qualifier,
    )


def test_a_role_that_can_not_be_taken(fake_aws: FakeAws, verify: Verify) -> None:
    """It is the role that is wrong; nothing else can be asked in it."""
    assert places(verify(role=ROLE)) == [("role", "denied")]
    assert fake_aws.called("states") == []


def test_what_is_known_later(fake_aws: FakeAws, verify: Verify) -> None:
    """It is not looked at."""
    found = verify(state_machine="${machine}") + verify(role="${role}")
    assert places(found) == [("state_machine", "not-checked"), ("role", "not-checked")]
    assert fake_aws.calls == []


def test_no_answer(fake_aws: FakeAws, verify: Verify) -> None:
    """That is no finding."""
    fake_aws.faults.server_error("states", "DescribeStateMachine")
    with pytest.raises(bunsui.AwsError):
        verify()
