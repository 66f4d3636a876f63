"""What is shown of the configuration, and what never is."""

from __future__ import annotations

import json
import os

import pytest

from bunsui import Config, ConfigError, NotFound
from bunsui.configuration.keys import KEYS
from bunsui.configuration.showing import every, one, reference


def config(**variables: str) -> Config:
    return Config.load("/", environ={"BUNSUI_CONFIG": os.environ["BUNSUI_CONFIG"], **variables})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("env:DB_PASSWORD", "env:DB_PASSWORD"),
        ("environment:A", "environment:A"),
        ("file:/run/secrets/db", "file:/run/secrets/db"),
        ("file:~/db", "file:~/db"),
        ("env:hunter2-7", "***"),
        ("env:A\n", "***"),
        ("file:hunter2", "***"),
        ("postgres://u:hunter2@db", "***"),
        ("hunter2:x", "***"),
        ("vault:kv/db", "***"),
    ],
)
def test_references(text: str, expected: str) -> None:
    """Only in forms that a value has not."""
    assert expected == reference(text)


def test_every_key_is_shown() -> None:
    """With defaults; of a table each entry."""
    found = {shown.key: shown.value for shown in every(config(BUNSUI_POOLS='{"b": 1, "a": 2}'))}
    expected = [each for key in KEYS for each in (["pools.a", "pools.b"] if key == "pools" else [key])]
    assert expected == list(found)
    assert (2, {}, None, 32) == (
        found["pools.a"], found["secrets"], found["bindings"], found["max_concurrency"],
    )  # fmt: skip


def test_no_secret_is_shown() -> None:
    """Whatever stands in place of a reference, by whichever way."""
    found = config(
        BUNSUI_SECRETS='{"a": "hunter2:x", "b": "env:hunter2-", "c": "file:hunter2"}',
        BUNSUI_STORE="pg://u:hunter2@h/d?password=hunter2&x=1",
        BUNSUI_AWS='{"endpoint_url": "http://u:hunter2@h:1"}',
        BUNSUI_ALERT_CHANNELS='{"a": {"type": "webhook", "url": "https://hunter2", "headers": ["hunter2"]}}',
    )
    shown = json.dumps([[s.key, s.value] for s in every(found)]) + repr(found)
    shown += json.dumps(
        [one(found, key) for key in ("secrets", "secrets.a", "store", "aws", "alert_channels")]
    )
    assert "hunter2" not in shown
    assert {"a": "***", "b": "***", "c": "***"} == one(found, "secrets")


def test_rules_of_alerts_are_shown() -> None:
    """As they may be written."""
    rules = [{"on": "failure", "channel": "ops"}, {"on": "duration", "channel": "ops", "above": 7200}]
    found = config(BUNSUI_ALERTS=json.dumps(rules))
    assert rules == one(found, "alerts")
    assert json.loads(json.dumps(rules)) == {shown.key: shown.value for shown in every(found)}["alerts"]


def test_one() -> None:
    """A value; a table as a whole; one that is not set is not found."""
    found = config(BUNSUI_POOLS='{"gpu": 2}')
    assert (30.0, 2, {"gpu": 2}, {}, []) == tuple(
        one(found, key) for key in ("lease", "pools.gpu", "pools", "secrets", "env")
    )
    for key in ("bindings", "pools.cpu"):
        with pytest.raises(NotFound, match=f"^'{key}' is not set"):
            one(found, key)
    with pytest.raises(ConfigError, match="did you mean 'pools'"):
        one(found, "pool.gpu")
