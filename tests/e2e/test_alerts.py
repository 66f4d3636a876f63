"""Alerts from the command line: a webhook that is down and comes back, and who says so meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bunsui_tests.receiver import Receiver

DEFINITION = """\
version: "1.0"
name: Load
alerts:
  - {on: failure, channel: ops}
parameters:
  - {name: password, secret: true, default: "${secrets.db}"}
jobs:
  - id: a
    type: custom
    command: [sh, -c, "echo \\"$BUNSUI_PARAM_PASSWORD is wrong\\" >&2; exit 3"]
    parameters: {password: "${password}"}
"""
CANARY = "canary-7f3a-91c2"


class Place:
    """A folder with a definition, a store, and a configuration with a webhook."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder = folder
        (folder / "pipeline.yaml").write_text(DEFINITION)
        (folder / "config.toml").write_text(
            f'store = "sqlite:///{folder / "store.db"}"\n'
            f'[alert_channels.ops]\ntype = "webhook"\nurl = "{receiver.url("/hook")}"\n'
            '[secrets]\ndb = "env:DB_PASSWORD"\n'
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {
            **os.environ,
            "BUNSUI_CONFIG": str(self.folder / "config.toml"),
            "DB_PASSWORD": CANARY,
        }
        return subprocess.run(
            [sys.executable, "-m", "bunsui", *arguments],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, receiver: Receiver) -> Place:
    return Place(tmp_path, receiver)


def alerts_of(place: Place, session: str) -> Any:
    return json.loads(place.run("session", "status", session, "--format", "json").stdout)["alerts"]


def test_a_run_tells_before_it_ends(place: Place, receiver: Receiver) -> None:
    """One request with what happened, and no value of a secret."""
    done = place.run("run", "pipeline.yaml", "--format", "json")
    assert done.returncode == 1
    session = json.loads(done.stdout)["session_id"]
    (posted,) = receiver.taken
    sent = json.loads(posted.body)
    assert (sent["on"], sent["session_id"], sent["details"]["failed_jobs"]) == ("failure", session, ["a"])
    assert CANARY.encode() not in posted.body
    assert [one["state"] for one in alerts_of(place, session)] == ["delivered"]


def test_a_channel_that_is_down_is_seen(place: Place, receiver: Receiver) -> None:
    """The run ends as it would; session and doctor say what waits; a later sweep tells."""
    receiver.status = 503
    done = place.run("run", "pipeline.yaml")
    assert done.returncode == 1
    (session,) = json.loads(place.run("session", "list", "--format", "json").stdout)
    id_ = session["session_id"]
    shown = place.run("session", "status", id_)
    assert "the alert on failure through ops waits after 1 attempt: AlertNotTaken: " in shown.stderr
    assert "503" in shown.stderr
    looked = place.run("doctor").stdout
    assert "warning  alerts of ops: 1 alert waits for the channel ops; the last attempt failed: " in looked
    assert "bunsui alerts test ops" in looked
    receiver.status = 204
    for _ in range(100):
        swept = place.run("alerts", "sweep", "--format", "json")
        if json.loads(swept.stdout)["delivered"]:
            break
    assert len(receiver.taken) == 1
    assert "alert" not in place.run("session", "status", id_).stderr
    assert "alerts of ops" not in place.run("doctor").stdout
    assert place.run("alerts", "sweep").stdout == "0 sent, 0 failed, 0 waiting; 0 sessions watched\n"
