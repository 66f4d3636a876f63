"""``bunsui alerts``: a test alert that is taken or not, and what is wrong with what is configured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bunsui.cli.main import run
from bunsui.runner.alerting.swept import Swept
from bunsui.runner.runner import Runner
from bunsui_tests.aws.alerts import FakeSns
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.receiver import Receiver, free_port


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Configures channels, by name."""

    def configured(**channels: dict[str, Any]) -> None:
        monkeypatch.setenv("BUNSUI_ALERT_CHANNELS", json.dumps(channels))

    return configured


def test_one_that_takes_it(
    configure: Any, receiver: Receiver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which alert that was; a secret that the channel needs is asked for."""
    monkeypatch.setenv("PAGER_KEY", "hunter2")
    monkeypatch.setenv("BUNSUI_SECRETS", '{"pager": "env:PAGER_KEY"}')
    configure(ops={"type": "webhook", "url": receiver.url("/tok-5f1c"), "secret": "pager"})
    assert 0 == run(["alerts", "test", "ops"])
    sent = json.loads(receiver.taken[0].body)
    assert ("test", "bunsui") == (sent["on"], sent["pipeline"])
    assert (f"ops (webhook) has taken the alert {sent['id']}\n", "") == capsys.readouterr()
    assert receiver.taken[0].headers["x-bunsui-signature"].startswith("t=")


def test_each_is_another(configure: Any, receiver: Receiver) -> None:
    """A receiver that drops what it has had already drops no second test."""
    configure(ops={"type": "webhook", "url": receiver.url()})
    assert [0, 0] == [run(["alerts", "test", "ops"]) for _ in range(2)]
    assert 2 == len({posted.headers["idempotency-key"] for posted in receiver.taken})


def test_one_that_does_not(configure: Any, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not there, it refuses, the program failed: exit code 6, and no URL."""
    configure(
        gone={"type": "webhook", "url": f"http://127.0.0.1:{free_port()}/tok-5f1c"},
        ops={"type": "webhook", "url": receiver.url("/tok-5f1c")},
        page={
            "type": "command",
            "command": [sys.executable, "-c", "import sys; sys.exit('nobody is on call')"],
        },
    )
    with receiver.failing(503):
        assert [6, 6, 6] == [run(["alerts", "test", name]) for name in ("gone", "ops", "page")]
    out, err = capsys.readouterr()
    assert ("", 3) == (out, len(err.splitlines()))
    assert "bunsui: alert channel 'gone': its server could not be reached: Connection refused" in err
    assert "bunsui: alert channel 'ops': its server answered with the status 503" in err
    assert "exited with 1: nobody is on call" in err
    assert "tok-5f1c" not in err


@pytest.mark.usefixtures("aws_environment")
def test_one_at_aws(
    configure: Any, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """AWS is called as it is configured, and its error is shown."""
    fake_aws.add(FakeSns())
    monkeypatch.setenv("BUNSUI_AWS", json.dumps({"endpoint_url": fake_aws.url}))
    configure(ops={"type": "sns", "topic": "arn:aws:sns:eu-central-1:123456789012:alerts"})
    assert 0 == run(["alerts", "test", "ops"])
    fake_aws.faults.deny("sns")
    assert 6 == run(["alerts", "test", "ops"])
    assert "not authorized to perform: sns:Publish" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opps", "there is no alert channel 'opps'; did you mean 'ops'?"),
        ("ops", "BUNSUI_ALERT_CHANNELS: alert_channels.ops.url is not a URL, such as"),
        ("sns", "there is no alert channel 'sns'; it is a type of channels"),
        ("key", "alert_channels.key.secret is not the name of a secret that is configured"),
    ],
)
def test_what_is_wrong(configure: Any, name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what helps."""
    configure(
        ops={"type": "webhook", "url": "hunter2"},
        key={"type": "webhook", "url": "https://example.org", "secret": "hunter2"},
    )
    assert 2 == run(["alerts", "test", name])
    err = capsys.readouterr().err
    assert said in err
    assert "hunter2" not in err


def test_a_secret_that_is_not_there(
    configure: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which one; nothing is sent without it."""
    monkeypatch.setenv("BUNSUI_SECRETS", '{"pager": "env:NOT_SET_AT_ALL"}')
    configure(ops={"type": "webhook", "url": receiver.url(), "secret": "pager"})
    assert 6 == run(["alerts", "test", "ops"])
    assert "alert channel 'ops': secret 'pager' is not available: variable NOT_SET_AT_ALL is not set" in (
        capsys.readouterr().err
    )
    assert [] == receiver.got


def test_the_list(configure: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Each channel with its type; exit code 2 where one can't be used."""
    configure(ops={"type": "log"})
    assert 0 == run(["alerts", "channels"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [["CHANNEL", "TYPE", "STATE"], ["ops", "log", "ok"], ["eventbridge", "eventbridge", "ok"],
            ["log", "log", "ok"]] == lines  # fmt: skip
    configure(ops={"type": "lgo"})
    assert 2 == run(["alerts", "channels", "--format", "json"])
    first = json.loads(capsys.readouterr().out)[0]
    assert ("ops", "lgo") == (first["name"], first["type"])
    assert "did you mean 'log'?" in first["problem"]
    assert 2 == run(["alerts", "channels", "--format", "yaml"])
    assert first == yaml.safe_load(capsys.readouterr().out)[0]


def test_a_sweep_says_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose mail this is knows where to look."""
    swept = Swept(
        failed=2, waiting=3, failures={"ops": "AlertNotTaken: busy"}, errors={"s1": "it is damaged"}
    )
    monkeypatch.setattr(Runner, "sweep_alerts", lambda _: swept)
    assert 1 == run(["alerts", "sweep", "--store", "memory://"])
    out, err = capsys.readouterr()
    assert "0 sent, 2 failed, 3 waiting; 0 sessions watched\n" == out
    assert ["channel ops: AlertNotTaken: busy", "session s1: it is damaged"] == err.splitlines()
    assert 1 == run(["alerts", "sweep", "--store", "memory://", "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert ({"ops": "AlertNotTaken: busy"}, 2) == (found["failures"], found["failed"])


def test_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A channel is set in the user's own file, shown without its values, used, and removed."""
    path = tmp_path / "own" / "config.toml"
    monkeypatch.setenv("BUNSUI_CONFIG", str(path))
    monkeypatch.chdir(tmp_path)
    channel = {"type": "command", "command": ["true", "tok-5f1c"], "env": ["A"]}
    assert 2 == run(["config", "set", "alert_channels.page", json.dumps(channel)])
    assert "who is told" in capsys.readouterr().err
    assert 0 == run(["config", "set", "--user", "alert_channels.page", json.dumps(channel)])
    assert 0 == run(["config", "set", "--user", "alert_channels.ops", '{"type": "log"}'])
    assert (
        '[alert_channels.page]\ntype = "command"\ncommand = ["true", "tok-5f1c"]\nenv = ["A"]\n\n'
        '[alert_channels.ops]\ntype = "log"\n'
    ) == path.read_text()
    assert 0 == run(["alerts", "test", "page"])
    capsys.readouterr()
    assert 0 == run(["config", "get", "alert_channels.page"])
    assert {"type": "command", "command": "***", "env": "***"} == json.loads(capsys.readouterr().out)
    assert 0 == run(["config", "list", "--show-origin", "--format", "json"])
    out = capsys.readouterr().out
    assert "tok-5f1c" not in out
    origins = {each["key"]: each["origin"]["line"] for each in json.loads(out)}
    assert (1, 6) == (origins["alert_channels.page"], origins["alert_channels.ops"])
    path.write_text(path.read_text().replace('"true"', "3"))
    assert 2 == run(["alerts", "test", "page"])
    assert f"{path}:1: alert_channels.page.command[0] is not a text" in capsys.readouterr().err
    assert 0 == run(["config", "unset", "--user", "alert_channels.page"])
    assert "page" not in path.read_text()


def test_a_run_tells_before_it_ends(configure: Any, tmp_path: Path) -> None:
    """Also by a channel that takes a moment, while nobody is in a hurry."""
    told = tmp_path / "told"
    configure(slow={"type": "command", "command": ["sh", "-c", f"sleep 0.5; cat > {told}"]})
    jobs = [{"id": "a", "type": "custom", "command": ["false"]}]
    alerts = [{"on": "failure", "channel": "slow"}]
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"version": "1.0", "name": "Load", "jobs": jobs, "alerts": alerts}))
    assert 1 == run(["run", str(path), "--store", f"sqlite:///{tmp_path / 'store.db'}"])
    assert json.loads(told.read_text())["on"] == "failure"
