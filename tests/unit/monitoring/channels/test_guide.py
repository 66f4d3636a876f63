"""The guide to alert channels is right: its files can be used, its receiver knows what is genuine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bunsui import Config, Plugins
from bunsui.aws.connections import Connections
from bunsui.monitoring.channels import command, webhook
from bunsui.monitoring.channels.channels import Channels
from bunsui.monitoring.channels.webhook import signature
from bunsui.ports.services import Services
from bunsui.runner.clock import SystemClock

PAGE = Path(__file__).resolve().parents[4] / "docs" / "guides" / "user" / "alerts.md"
TEXT = PAGE.read_text(encoding="utf-8").partition("## Channels")[2]
TYPES = Plugins(autoload=False).alert_channels
FILES = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("file", FILES)
def test_its_files(file: str, tmp_path: Path) -> None:
    """Each is one that a user may have, whose channels could be used."""
    path = tmp_path / "config.toml"
    path.write_text(file)
    path.chmod(0o600)
    names = Config.load(tmp_path, environ={}, user_file=path).names
    services = Services(Connections(), SystemClock(), Random(0))
    assert names.alert_channels
    Channels(names.alert_channels, TYPES, services, str, tuple(names.secrets)).check()


def test_its_types_and_options() -> None:
    """It has each type, and under its heading each option."""
    assert 2 == len(FILES)
    assert {*TYPES} == {*re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \|", TEXT, re.MULTILINE)}
    for name, kind in TYPES.items():
        part = TEXT.partition(f"\n### {name}\n")[2].partition("\n### ")[0].partition("| Header")[0]
        assert [*kind.schema.get("properties", {})] == re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE), name


def test_its_limits_and_headers() -> None:
    """Those of the code."""
    assert f"{webhook.TIMEOUT:g} by default, {webhook.MAX_TIMEOUT:g} at most." in TEXT
    assert (webhook.TIMEOUT, webhook.MAX_TIMEOUT) == (command.TIMEOUT, command.MAX_TIMEOUT)
    assert f"more than {command.MAX_VARIABLE:,} bytes" in TEXT
    for header in (webhook.SIGNATURE, webhook.ID, webhook.IDEMPOTENCY, webhook.ON):
        assert f"`{header}`" in TEXT


@pytest.fixture(scope="module")
def is_genuine() -> Callable[..., bool]:
    """The receiver's function, as it stands there."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    function: Callable[..., bool] = found["is_genuine"]
    return function


def test_what_its_receiver_takes(is_genuine: Callable[..., bool]) -> None:
    """What was signed with the secret, and lately; and nothing else."""
    body, secret, now = b'{"id": "a1b2"}', "hunter2", int(time.time())
    assert is_genuine(body, signature(body, secret, now), secret.encode())
    assert not is_genuine(body + b" ", signature(body, secret, now), secret.encode())
    assert not is_genuine(body, signature(body, "other", now), secret.encode())
    assert not is_genuine(body, signature(body, secret, now - 3600), secret.encode())
    moved = signature(body, secret, now - 3600).replace(f"t={now - 3600}", f"t={now}")
    assert not is_genuine(body, moved, secret.encode())
