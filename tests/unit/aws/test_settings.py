"""As whom, and where, AWS is called: what a Runner and the configuration may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.aws.settings import AwsSettings, read_aws

ROLE = "arn:aws:iam::123456789012:role/etl"


def test_everything() -> None:
    """Each entry has its place; endpoints go by service, one for all under ""."""
    given = {
        "region": "eu-central-1",
        "profile": "etl",
        "role": ROLE,
        "external_id": "x-1",
        "endpoint_url": "http://localhost:4566",
        "endpoint_url_lambda": "http://localhost:4567",
        "allowed_roles": [ROLE],
    }
    expected = AwsSettings(
        region="eu-central-1",
        profile="etl",
        endpoints={"": "http://localhost:4566", "lambda": "http://localhost:4567"},
        role=ROLE,
        external_id="x-1",
        allowed_roles=(ROLE,),
    )
    assert read_aws(given) == expected


def test_endpoints_by_service() -> None:
    """A service has its own URL, else the one for all, else AWS's; dashes count as underscores."""
    settings = read_aws({"endpoint_url": {"lambda": "http://a:1", "cognito-idp": "http://b:1"}})
    assert settings.endpoint("lambda") == "http://a:1"
    assert settings.endpoint("cognito-idp") == "http://b:1"
    assert settings.endpoint("ecs") is None
    assert read_aws({"endpoint_url": "http://c:1"}).endpoint("ecs") == "http://c:1"


def test_services_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 also knows what it finds the models of."""
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert read_aws({"endpoint_url_mine": "http://a:1"}).endpoint("mine") == "http://a:1"


def test_folders_here_are_no_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where models are looked for; a user without a home has none of their own."""
    (tmp_path / "lamda").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_DATA_PATH", raising=False)

    def no_home(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", lambda path: no_home(path) if str(path).startswith("~") else path)
    with pytest.raises(bunsui.ConfigError, match="of no service of AWS"):
        read_aws({"endpoint_url_lamda": "http://a:1"})
    assert read_aws({"endpoint_url_lambda": "http://a:1"}).endpoint("lambda") == "http://a:1"


def test_nothing_is_as_not_given() -> None:
    """An entry that is None is as if it were not there."""
    assert read_aws({"region": None, "allowed_roles": None}) == AwsSettings()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"regoin": "eu-central-1"}, "aws has no entry 'regoin'; did you mean 'region'?"),
        ({"x": "y"}, "aws has no entry 'x'; its entries are region, profile"),
        ({1: "y"}, "aws has no entry '1'"),
        ({"region": "frankfurt"}, "aws.region is 'frankfurt'; it is a region, such as 'eu-central-1'"),
        ({"region": "eu-central-1\n"}, "aws.region is 'eu-central-1\\n'"),
        ({"region": ""}, "aws.region is ''"),
        ({"region": 1}, "aws.region is 1"),
        ({"profile": ""}, "aws.profile is ''; it is a text"),
        ({"role": "etl"}, "aws.role is 'etl'; it is the ARN of a role"),
        ({"endpoint_url": "localhost:4566"}, "aws.endpoint_url is 'localhost:4566'; it is a URL"),
        ({"endpoint_url": {"s3": "ftp://x"}}, "aws.endpoint_url['s3'] is 'ftp://x'"),
        ({"endpoint_url_s3": "s3"}, "aws.endpoint_url_s3 is 's3'"),
        (
            {"endpoint_url_lamda": "http://a:1"},
            "aws.endpoint_url_lamda is of no service of AWS that boto3 knows; did you mean 'lambda'?",
        ),
        ({"endpoint_url": {"x": "http://a:1"}}, "aws.endpoint_url['x'] is of no service of AWS"),
        ({"allowed_roles": ROLE}, "aws.allowed_roles is 'arn:aws:iam::123456789012:role/etl'; it is a list"),
        ({"allowed_roles": ["*"]}, "aws.allowed_roles[0] is '*'"),
        ("eu-central-1", "aws is str, not a mapping"),
    ],
)
def test_what_is_wrong(given: Any, message: str) -> None:
    """What is no entry, or no value of it, is refused by name, with what it would be."""
    with pytest.raises(bunsui.ConfigError) as raised:
        read_aws(given)
    assert message in str(raised.value)


def test_runner_refuses_what_is_wrong() -> None:
    """A Runner takes the same, and says at once what is wrong."""
    with pytest.raises(bunsui.ConfigError, match="aws has no entry 'zone'"):
        bunsui.Runner("memory://", aws={"zone": "a"})


class TestConfiguration:
    """The key ``aws`` of the configuration."""

    def test_from_the_environment(self) -> None:
        """Entries come from all places; a Runner gets them as it would as an argument."""
        environ = {"BUNSUI_AWS": '{"region": "eu-west-1"}', "BUNSUI_AWS_ALLOWED_ROLES": f'["{ROLE}"]'}
        config = bunsui.Config.load(environ=environ, user_file="/dev/null")
        assert config.aws == AwsSettings(region="eu-west-1", allowed_roles=(ROLE,))

    def test_default(self) -> None:
        """Where nothing is configured, AWS's own tools' settings count, and any role may be named."""
        assert bunsui.Config().aws == AwsSettings()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"regoin": "x"}', "its entries are region"),
            ('{"region": "x"}', "aws.region is 'x'"),
            ('{"region": 1}', "BUNSUI_AWS.region is 1"),
        ],
    )
    def test_wrong(self, text: str, message: str) -> None:
        """What is wrong there is refused as it is read."""
        with pytest.raises(bunsui.ConfigError) as raised:
            bunsui.Config.load(environ={"BUNSUI_AWS": text}, user_file="/dev/null")
        assert message in str(raised.value)
