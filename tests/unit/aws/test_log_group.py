"""Groups of CloudWatch Logs, as URLs name them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.aws.log_group import DAYS, URL_PATTERN, LogGroup
from bunsui.aws.settings import AwsSettings
from bunsui.errors import ConfigError


def test_parts() -> None:
    """All that a URL may say."""
    url = (
        "cloudwatch:///bunsui/team?region=eu-central-1&endpoint_url=http://localhost:4566&profile=etl"
        "&role=arn:aws:iam::123456789012:role/logs&retention=never&policy=block"
    )
    group = LogGroup.parse(url)
    assert ("/bunsui/team", None, "block") == (group.name, group.retention, group.policy)
    others = AwsSettings(region="us-east-1", endpoints={"": "http://other", "logs": "http://logs"})
    expected = AwsSettings(
        region="eu-central-1",
        profile="etl",
        role="arn:aws:iam::123456789012:role/logs",
        endpoints={"": "http://other", "logs": "http://localhost:4566"},
    )
    assert expected == group.settings(others)
    assert LogGroup.parse(group.url) == group


def test_defaults() -> None:
    """A name is enough; it need not begin with a slash."""
    group = LogGroup.parse("cloudwatch://a.b_c-d#1")
    assert LogGroup("a.b_c-d#1", 90, "drop", {}) == group
    assert AwsSettings(region="x") == group.settings(AwsSettings(region="x"))
    assert "cloudwatch://a.b_c-d#1" == group.url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("cloudwatch://", "names no group of CloudWatch Logs"),
        ("cloudwatch:///a b", "names no group"),
        ("cloudwatch:///a:b", "names no group"),
        ("cloudwatch://aws/lambda", "names no group"),
        ("cloudwatch:///a\n", "names no group"),
        (f"cloudwatch://{'a' * 513}", "names no group"),
        ("s3://a", "names no group"),
        ("cloudwatch:///a?regoin=eu-central-1", "has no entry 'regoin'"),
        ("cloudwatch:///a?region=eu-central-1&region=eu-west-1", "says 'region' twice"),
        ("cloudwatch:///a?region=Europe", "aws.region is 'Europe'"),
        ("cloudwatch:///a?retention=2", "retention of"),
        ("cloudwatch:///a?retention=", "retention of"),
        ("cloudwatch:///a?retention=٣", "retention of"),
        ("cloudwatch:///a?policy=wait", "is 'wait'"),
        ("cloudwatch:///a?endpoint_url=http://u:hunter2@host", "has a user or a password in it"),
    ],
)
def test_wrong(url: str, said: str) -> None:
    """What names none says what is wrong with it, and nothing of a password."""
    with pytest.raises(ConfigError) as raised:
        LogGroup.parse(url)
    assert said in raised.value.message
    assert raised.value.hint
    assert "hunter2" not in str(raised.value)


@given(st.sampled_from(DAYS) | st.none(), st.sampled_from(["drop", "block"]), st.booleans())
def test_a_url_is_read_as_it_is_written(retention: int | None, policy: str, has_region: bool) -> None:
    """And the configuration's pattern lets it through."""
    group = LogGroup("/x", retention, policy, {"region": "eu-central-1"} if has_region else {})
    assert (LogGroup.parse(group.url), True) == (group, bool(re.match(URL_PATTERN, group.url)))
