"""STS of the tests' own AWS, as real boto3 meets it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import REGION

ROLE = "arn:aws:iam::210987654321:role/jobs"


def with_credentials(fake: FakeAws, service: str, credentials: dict[str, Any], token: str | None) -> Any:
    """A client with the credentials of a role."""
    session = boto3.Session(credentials["AccessKeyId"], credentials["SecretAccessKey"], token, REGION)
    return session.client(service, endpoint_url=fake.url)


def refused(call: Any, **arguments: Any) -> str:
    """The code by which a call is refused."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


def test_who_calls(fake_aws: FakeAws) -> None:
    """Each access key has its account."""
    fake_aws.sts.add_key("AKIAOTHER0000000000", "210987654321")
    keys = ("AKIATESTING000000000", "AKIAOTHER0000000000")
    accounts = [fake_aws.client("sts", access_key=key).get_caller_identity()["Account"] for key in keys]
    assert ["123456789012", "210987654321"] == accounts


class TestAssumeRole:
    """Another account's role."""

    def test_it(self, fake_aws: FakeAws) -> None:
        """Its credentials are of its account, and need their token; its session is recorded."""
        fake_aws.sts.add_role(ROLE)
        answer = fake_aws.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="s-1", DurationSeconds=900)
        credentials = answer["Credentials"]
        caller = with_credentials(fake_aws, "sts", credentials, credentials["SessionToken"])
        identity = caller.get_caller_identity()
        assert ("210987654321", "arn:aws:sts::210987654321:assumed-role/jobs/s-1") == (
            identity["Account"], identity["Arn"],
        )  # fmt: skip
        assert answer["AssumedRoleUser"]["Arn"] == identity["Arn"]
        assert 0 < (credentials["Expiration"] - datetime.now(UTC)).total_seconds() <= 900
        [session] = fake_aws.sts.sessions
        assert ("s-1", 900, credentials["AccessKeyId"]) == (
            session.name,
            session.duration,
            session.access_key,
        )

    @pytest.mark.parametrize("token", [None, "wrong"])
    def test_without_its_token(self, fake_aws: FakeAws, token: str | None) -> None:
        """Its access key alone is good for nothing."""
        fake_aws.sts.add_role(ROLE)
        fake_aws.ecs.define("etl")
        credentials = fake_aws.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="s-1")["Credentials"]
        caller = with_credentials(fake_aws, "ecs", credentials, token)
        assert "UnrecognizedClientException" == refused(caller.run_task, taskDefinition="etl")
        assert [] == fake_aws.ecs.tasks

    def test_the_external_id(self, fake_aws: FakeAws) -> None:
        """A role that demands one is only given for it."""
        fake_aws.sts.add_role(ROLE, external_id="secret")
        sts = fake_aws.client("sts")
        asked = {"RoleArn": ROLE, "RoleSessionName": "s-1"}
        assert "AccessDenied" == refused(sts.assume_role, **asked)
        assert "AccessDenied" == refused(sts.assume_role, **asked, ExternalId="other")
        sts.assume_role(**asked, ExternalId="secret")

    def test_who_may(self, fake_aws: FakeAws) -> None:
        """Only accounts that it trusts, and only roles that there are."""
        fake_aws.sts.add_role(ROLE, trusts={"111111111111"})
        sts = fake_aws.client("sts")
        assert "AccessDenied" == refused(sts.assume_role, RoleArn=ROLE, RoleSessionName="s-1")
        assert "AccessDenied" == refused(sts.assume_role, RoleArn=f"{ROLE}2", RoleSessionName="s-1")
        fake_aws.sts.add_key("AKIATRUSTED0000000000", "111111111111")
        trusted = fake_aws.client("sts", access_key="AKIATRUSTED0000000000")
        trusted.assume_role(RoleArn=ROLE, RoleSessionName="s-1")

    def test_what_is_no_name(self, fake_aws: FakeAws) -> None:
        """A session's name has 2 to 64 characters of some kinds."""
        fake_aws.sts.add_role(ROLE)
        asked = {"RoleArn": ROLE, "RoleSessionName": "a b"}
        assert "ValidationError" == refused(fake_aws.client("sts").assume_role, **asked)

    def test_a_short_life(self, fake_aws: FakeAws) -> None:
        """A role's credentials may be told to end earlier than they were asked for."""
        fake_aws.sts.add_role(ROLE, lifetime=5)
        credentials = fake_aws.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="s-1")["Credentials"]
        assert (credentials["Expiration"] - datetime.now(UTC)).total_seconds() <= 5
