"""Whether configured alert channels could be used."""

from __future__ import annotations

import json
import os
from typing import Any

from bunsui import Config, Plugins
from bunsui.diagnosis.channels import channels
from bunsui.diagnosis.check import Check
from bunsui_tests.receiver import Receiver


def look(**configured: dict[str, Any]) -> dict[str, Check]:
    variables = {"BUNSUI_ALERT_CHANNELS": json.dumps(configured), "BUNSUI_SECRETS": '{"key": "env:NOT_SET"}'}
    config = Config.load("/", environ={"BUNSUI_CONFIG": os.environ["BUNSUI_CONFIG"], **variables})
    return {check.name: check for check in channels(config, Plugins(autoload=False))}


def test_what_is_right() -> None:
    """Nothing is sent, and no secret is asked for."""
    with Receiver() as receiver:
        found = look(ops={"type": "webhook", "url": receiver.url(), "secret": "key"})
        assert [("alert channel ops", "ok")] == [(name, check.status) for name, check in found.items()]
        assert "'bunsui alerts test ops'" in found["alert channel ops"].what
        assert [] == receiver.got


def test_what_is_wrong() -> None:
    """The place, and what helps; each channel by itself, and nothing that may be a secret."""
    found = look(
        a={"type": "webhok"},
        b={"type": "webhook", "url": "hunter2"},
        c={"type": "webhook", "url": "https://example.org", "secret": "hunter2"},
        d={"type": "log"},
    )
    assert ["problem", "problem", "problem", "ok"] == [check.status for check in found.values()]
    assert "did you mean 'webhook'?" == found["alert channel a"].remedy
    assert "look at BUNSUI_ALERT_CHANNELS" == found["alert channel b"].remedy
    assert found["alert channel c"].what.endswith("is not the name of a secret that is configured")
    assert "hunter2" not in repr(found)


def test_alerts_that_name_no_channel() -> None:
    """With their place; they would keep every session from being started."""
    variables = {"BUNSUI_ALERTS": '[{"on": "failure", "channel": ["log", "opsx"]}]'}
    config = Config.load("/", environ={"BUNSUI_CONFIG": os.environ["BUNSUI_CONFIG"], **variables})
    (found,) = channels(config, Plugins(autoload=False))
    assert ("configured alerts", "problem") == (found.name, found.status)
    assert "BUNSUI_ALERTS: alerts: there is no alert channel 'opsx'" == found.what


def test_nothing_configured() -> None:
    """There is nothing to say."""
    assert {} == look()
