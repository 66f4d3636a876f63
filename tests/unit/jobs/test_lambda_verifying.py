"""What a Lambda job finds out before a run: whether its function is there, and may be invoked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.aws_lambda import LambdaJobType
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.messages import Call

pytestmark = pytest.mark.usefixtures("aws_environment")

ROLE = "arn:aws:iam::123456789012:role/etl"
Verify = Callable[..., list[Any]]


@pytest.fixture
def verify(fake_aws: FakeAws) -> Iterator[Verify]:
    """Gives the findings for a job's fields; waits take no time."""
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}), wait=lambda event, _: event.is_set())
    kind = LambdaJobType().for_runner(Services(connections, FakeClock(), Random(0)))
    yield lambda **options: list(kind.verify(options))
    connections.close()


def test_a_function_that_is_there(fake_aws: FakeAws, verify: Verify) -> None:
    """Nothing is found, and nothing has run: it was a dry run."""
    fake_aws.functions.add("load", print, versions={"live": "3"})

    assert [] == verify(function="load") + verify(function="load", qualifier="live")
    assert [] == fake_aws.functions.invocations
    asked = [(call.parameters["InvocationType"], call.parameters.get("Qualifier")) for call in fake_aws.calls]
    assert [("DryRun", None), ("DryRun", "live")] == asked


@pytest.mark.parametrize("more", [{}, {"qualifier": "live"}])
def test_no_such_function(more: dict[str, str], verify: Verify) -> None:
    """It is looked for in the region and account that are named; a qualifier does not matter."""
    assert [
        (
            "function",
            "unknown-function",
            "there is no function 'load' in eu-central-1 of account 123456789012",
            "make it, or name another, or another 'region' or 'role'",
        )
    ] == verify(function="load", **more)


def test_a_name_that_is_none(verify: Verify) -> None:
    """AWS says why."""
    ((field, code, message, _),) = verify(function="no name!")
    assert ("function", "unknown-function") == (field, code)
    assert "failed to satisfy constraint" in message


def test_another_region(fake_aws: FakeAws, verify: Verify) -> None:
    """The job's own is where it is asked for."""
    ((_, code, message, _),) = verify(function="load", region="us-east-1")
    assert ("unknown-function", ["us-east-1"]) == (code, [call.region for call in fake_aws.calls])
    assert "in us-east-1" in message


def test_no_such_qualifier(fake_aws: FakeAws, verify: Verify) -> None:
    """The function is there."""
    fake_aws.functions.add("load", print)

    ((field, code, message, _),) = verify(function="load", qualifier="live")
    assert ("qualifier", "unknown-qualifier") == (field, code)
    assert message.startswith("function 'load' has no version or alias 'live' in eu-central-1")


def is_whole(call: Call) -> bool:
    """Whether a function is called without a qualifier."""
    return "Qualifier" not in call.parameters


def test_a_qualifier_alone_is_permitted(fake_aws: FakeAws, verify: Verify) -> None:
    """Then nobody can tell whether the function is there, and it counts as missing."""
    fake_aws.faults.deny("lambda", when=is_whole)

    assert ["unknown-function"] == [code for _, code, *_ in verify(function="load", qualifier="live")]


def test_denied(fake_aws: FakeAws, verify: Verify) -> None:
    """Who may not do what, and which permission is needed."""
    fake_aws.functions.add("load", print)
    fake_aws.faults.deny("lambda")

    ((field, code, message, hint),) = verify(function="load")
    assert ("function", "denied") == (field, code)
    assert "user/AKIATESTING000000000 is not authorized to perform: lambda:InvokeFunction" in message
    assert "the caller needs the permission lambda:InvokeFunction" == hint


def test_a_role_that_can_not_be_taken(fake_aws: FakeAws, verify: Verify) -> None:
    """The role is what is denied; in one that can be, the function is asked for."""
    fake_aws.functions.add("load", print)

    ((field, code, message, _),) = verify(function="load", role=ROLE)
    assert ("role", "denied") == (field, code)
    assert f"sts AssumeRole of '{ROLE}'" in message
    fake_aws.sts.add_role(ROLE)
    assert [] == verify(function="load", role=ROLE)


@pytest.mark.parametrize("name", ["function", "qualifier", "region", "role"])
def test_what_is_not_known_yet(name: str, fake_aws: FakeAws, verify: Verify) -> None:
    """Each field that says which function it is: AWS is not asked about another one."""
    found = verify(**{"function": "load", name: "${jobs.a.output}"})

    assert [(name, "not-checked")] == [(field, code) for field, code, *_ in found]
    assert [] == fake_aws.calls


def test_busy(fake_aws: FakeAws, verify: Verify) -> None:
    """It is asked again; where AWS stays busy, that is an error, and nothing is said of the function."""
    fake_aws.functions.add("load", print)
    fake_aws.faults.throttle("lambda", times=2)
    assert [] == verify(function="load")

    fake_aws.faults.throttle("lambda")
    with pytest.raises(bunsui.AwsError) as caught:
        verify(function="load")
    assert "busy" == caught.value.kind
