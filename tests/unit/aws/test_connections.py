"""The one place that calls AWS: as whom, where, with which clients; and what a failure says."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import MAX_CLIENTS, Caller, Connections
from bunsui.aws.settings import AwsSettings
from bunsui_tests.aws.endpoint import FakeAws

pytestmark = pytest.mark.usefixtures("aws_environment")

ROLE = "arn:aws:iam::210987654321:role/etl"
OTHER = "arn:aws:iam::333333333333:role/etl"


def connections(fake: FakeAws, **more: Any) -> Connections:
    return Connections(AwsSettings(endpoints={"": fake.url}, **more))


class TestClients:
    """Clients are shared."""

    def test_shared(self, fake_aws: FakeAws) -> None:
        """One is made for a service, region, role and endpoint, and used again by who calls next."""
        aws = connections(fake_aws)
        for region in (None, None, "us-east-1", "us-east-1"):
            aws.call("sts", "GetCallerIdentity", {}, Caller(region))
        assert (aws.statistics.opened, aws.statistics.reused) == (2, 2)
        assert [call.region for call in fake_aws.calls] == ["eu-central-1"] * 2 + ["us-east-1"] * 2
        aws.close()

    def test_many_threads(self, fake_aws: FakeAws) -> None:
        """Threads that come at once share one client, and none waits for another's answer."""
        aws = connections(fake_aws)
        hold = fake_aws.faults.hold("sts", "GetCallerIdentity")
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(aws.account())) for _ in range(20)]
        for thread in threads:
            thread.start()
        hold.wait(20)  # All of them are on their way at once.
        hold.release()
        for thread in threads:
            thread.join()
        assert (len(found), aws.statistics.opened) == (20, 1)
        aws.close()

    def test_forked_child(self, fake_aws: FakeAws) -> None:
        """A child makes clients of its own; the parent's connections go on."""
        aws = connections(fake_aws)
        aws.account()
        child = os.fork()
        if not child:
            os._exit(0 if aws.account() == fake_aws.account and aws.statistics.opened == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert aws.account() == fake_aws.account
        assert aws.statistics.opened == 1
        aws.close()

    def test_forked_while_a_client_was_made(self, fake_aws: FakeAws) -> None:
        """A child is not held up by what another thread of its parent was in the middle of."""
        aws = connections(fake_aws)
        with aws._making:
            child = os.fork()
            if not child:
                signal.alarm(20)
                os._exit(0 if aws.account() == fake_aws.account else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        aws.close()

    def test_closed(self, fake_aws: FakeAws) -> None:
        """Who calls after the end is told so."""
        aws = connections(fake_aws)
        aws.close()
        with pytest.raises(bunsui.StateError, match="closed"):
            aws.account()

    def test_one_call_is_one_request(self, fake_aws: FakeAws) -> None:
        """botocore does not repeat a call: whoever makes it does."""
        fake_aws.faults.server_error("sts")
        aws = connections(fake_aws)
        with pytest.raises(bunsui.AwsError):
            aws.account()
        assert len(fake_aws.calls) == 1
        aws.close()

    def test_user_agent(self, fake_aws: FakeAws) -> None:
        """AWS's own records show that it was bunsui that called."""
        aws = connections(fake_aws)
        aws.account()
        assert "bunsui/" in fake_aws.calls[0].headers["user-agent"]
        aws.close()

    def test_endpoint_of_one_service(self, fake_aws: FakeAws) -> None:
        """A service that has a URL of its own is called there, the others elsewhere."""
        with FakeAws() as other:
            aws = Connections(AwsSettings(endpoints={"": fake_aws.url, "sts": other.url}))
            aws.account()
            aws.call("ecs", "ListTasks", {})
            assert [call.service for call in other.calls] == ["sts"]
            assert [call.service for call in fake_aws.calls] == ["ecs"]
            aws.close()


class TestRoles:
    """A role is taken where one is named, and its credentials are renewed as they expire."""

    def test_taken(self, fake_aws: FakeAws) -> None:
        """The call is made in the role's account, under the name of bunsui's session."""
        fake_aws.sts.add_role(ROLE, external_id="x-1")
        aws = connections(fake_aws, role=ROLE, external_id="x-1")
        assert aws.account(Caller(session="abcdefgh")) == "210987654321"
        assert [session.name for session in fake_aws.sts.sessions] == ["abcdefgh"]
        aws.close()

    def test_two_accounts(self, fake_aws: FakeAws) -> None:
        """A job's role wins over the runner's; both work in one process."""
        fake_aws.sts.add_role(ROLE)
        fake_aws.sts.add_role(OTHER)
        aws = connections(fake_aws, role=ROLE)
        assert [aws.account(), aws.account(Caller(role=OTHER))] == ["210987654321", "333333333333"]
        aws.close()

    def test_taken_once(self, fake_aws: FakeAws) -> None:
        """Its credentials serve until they expire."""
        fake_aws.sts.add_role(ROLE)
        aws = connections(fake_aws, role=ROLE)
        for _ in range(3):
            aws.account()
        assert len(fake_aws.called("sts", "AssumeRole")) == 1
        aws.close()

    def test_renewed_before_they_expire(self, fake_aws: FakeAws) -> None:
        """Credentials that are about to expire are renewed before AWS refuses them."""
        fake_aws.sts.add_role(ROLE, lifetime=60)
        aws = connections(fake_aws, role=ROLE)
        aws.account()
        aws.account()
        assert len(fake_aws.called("sts", "AssumeRole")) == 2
        aws.close()

    def test_many_sessions(self, fake_aws: FakeAws) -> None:
        """Each session of bunsui has credentials of its own; what is kept for them is bounded."""
        fake_aws.sts.add_role(ROLE)
        aws = connections(fake_aws, role=ROLE)
        for number in range(MAX_CLIENTS + 20):
            aws.account(Caller(session=f"session-{number}"))
        assert len({taken.name for taken in fake_aws.sts.sessions}) == MAX_CLIENTS + 20
        assert (aws.statistics.open, len(aws._sessions)) == (MAX_CLIENTS, MAX_CLIENTS)
        aws.close()

    def test_may_not_be_taken(self, fake_aws: FakeAws) -> None:
        """The error is that of taking the role, and names it."""
        fake_aws.sts.add_role(ROLE, external_id="other")
        aws = connections(fake_aws, role=ROLE)
        with pytest.raises(bunsui.AwsError) as raised:
            aws.account()
        found = raised.value
        assert (found.service, found.action, found.kind) == ("sts", "AssumeRole", "refused")
        assert (found.resource, found.account) == (ROLE, fake_aws.account)
        assert found.hint == "the caller needs the permission sts:AssumeRole"
        aws.close()

    def test_of_a_job_that_is_not_allowed(self, fake_aws: FakeAws) -> None:
        """A job's role must be on the list, where there is one; nothing is called."""
        fake_aws.sts.add_role(ROLE)
        fake_aws.sts.add_role(OTHER)
        aws = connections(fake_aws, allowed_roles=(ROLE,))
        assert aws.account(Caller(role=ROLE)) == "210987654321"
        count = len(fake_aws.calls)
        with pytest.raises(bunsui.PermissionDenied, match=f"jobs may not take the role {OTHER}"):
            aws.account(Caller(role=OTHER))
        assert len(fake_aws.calls) == count
        aws.close()

    def test_own_role_needs_no_list(self, fake_aws: FakeAws) -> None:
        """The list is for jobs: the runner's own role was set by who configures both."""
        fake_aws.sts.add_role(ROLE)
        aws = connections(fake_aws, role=ROLE, allowed_roles=())
        assert aws.account() == "210987654321"
        aws.close()


class TestCredentials:
    """What has expired is looked up anew once; without credentials nothing is called."""

    def test_looked_up_anew(self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the environment has new ones, the call goes on with them."""
        aws = connections(fake_aws)
        aws.account()
        fake_aws.faults.expire(os.environ["AWS_ACCESS_KEY_ID"])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
        fake_aws.sts.add_key("AKIANEW", fake_aws.account)
        assert aws.account() == fake_aws.account
        assert [call.access_key for call in fake_aws.calls][-1] == "AKIANEW"
        aws.close()

    def test_only_once(self, fake_aws: FakeAws) -> None:
        """Where there are no others, that is the error, after two calls and not more."""
        aws = connections(fake_aws, region="eu-west-1")
        fake_aws.faults.expire(os.environ["AWS_ACCESS_KEY_ID"])
        with pytest.raises(bunsui.AwsError) as raised:
            aws.account()
        assert (raised.value.kind, raised.value.code) == ("credentials", "ExpiredToken")
        assert "renew the credentials" in str(raised.value)
        assert len(fake_aws.calls) == 2
        aws.close()

    def test_once_for_all_threads(self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of many threads that are refused at once one makes the new client, which serves them all."""
        aws = connections(fake_aws)
        aws.account()
        fake_aws.faults.expire(os.environ["AWS_ACCESS_KEY_ID"])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(aws.account())) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(found), aws.statistics.opened) == (10, 2)
        aws.close()

    def test_of_a_role(self, fake_aws: FakeAws) -> None:
        """A role whose session was revoked is taken anew."""
        fake_aws.sts.add_role(ROLE)
        aws = connections(fake_aws, role=ROLE)
        aws.account()
        fake_aws.faults.expire(fake_aws.sts.sessions[0].access_key)
        assert aws.account() == "210987654321"
        assert len(fake_aws.sts.sessions) == 2
        aws.close()

    def test_of_who_takes_a_role(self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where those that take the role have expired, they are looked up anew, too."""
        fake_aws.sts.add_role(ROLE, lifetime=60)
        aws = connections(fake_aws, role=ROLE)
        aws.account()
        fake_aws.faults.expire(os.environ["AWS_ACCESS_KEY_ID"])
        fake_aws.faults.expire(fake_aws.sts.sessions[0].access_key)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
        assert aws.account() == "210987654321"
        aws.close()


class TestRequire:
    """What can't call AWS at all is told before anything is begun, and without a call."""

    def test_all_there(self, fake_aws: FakeAws) -> None:
        """With credentials and a region nothing is said, and nothing is called."""
        aws = connections(fake_aws)
        aws.require("ecs", "RunTask")
        assert fake_aws.calls == []
        aws.close()

    def test_no_credentials(self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        """None in the environment, in no file, and no metadata service."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        aws = connections(fake_aws)
        with pytest.raises(bunsui.AwsError, match=r"ecs RunTask .* there are no valid credentials") as raised:
            aws.require("ecs", "RunTask")
        assert raised.value.kind == "credentials"
        aws.close()

    def test_no_region(self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        """A region is nowhere named."""
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        aws = connections(fake_aws)
        with pytest.raises(bunsui.AwsError, match="no region is named; name one: "):
            aws.require("ecs", "RunTask")
        aws.close()

    def test_region_of_other_tools(self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        """AWS_REGION counts, which boto3 does not know; what is configured comes first."""
        monkeypatch.setenv("AWS_REGION", "us-west-2")
        for region, expected in ((None, "us-west-2"), ("eu-west-1", "eu-west-1")):
            aws = connections(fake_aws, region=region)
            assert aws.region("ecs") == expected
            aws.close()

    def test_no_such_profile(
        self, fake_aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A profile that is in no file."""
        file = tmp_path / "config"
        file.write_text("[profile mine]\nregion = eu-west-1\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        aws = connections(fake_aws, profile="yours")
        with pytest.raises(bunsui.AwsError, match=r"\(yours\) could not be found"):
            aws.require("ecs", "RunTask")
        aws.close()

    def test_profile(self, fake_aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A profile's region and credentials are used, as AWS's own tools would."""
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        file = tmp_path / "config"
        file.write_text(
            "[profile mine]\nregion = eu-west-1\naws_access_key_id = AKIAMINE\naws_secret_access_key = x\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        aws = connections(fake_aws, profile="mine")
        aws.account()
        assert [(call.access_key, call.region) for call in fake_aws.calls] == [("AKIAMINE", "eu-west-1")]
        aws.close()


def test_unreachable() -> None:
    """Nobody listens: the call had no effect, and may be made again later."""
    with FakeAws() as gone:
        url = gone.url
    aws = Connections(AwsSettings(endpoints={"": url}))
    with pytest.raises(bunsui.AwsError) as raised:
        aws.account()
    assert (raised.value.kind, raised.value.code) == ("busy", "Unreachable")
    aws.close()


def test_answer_lost(fake_aws: FakeAws) -> None:
    """The connection breaks off after the call: whether it had an effect is open."""
    fake_aws.faults.drop_after("sts")
    aws = connections(fake_aws)
    with pytest.raises(bunsui.AwsError) as raised:
        aws.account()
    assert (raised.value.kind, raised.value.code) == ("open", "NoAnswer")
    aws.close()
