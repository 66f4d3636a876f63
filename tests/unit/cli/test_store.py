"""``bunsui store``."""

from __future__ import annotations

import pytest

from bunsui.cli.main import run
from bunsui_tests.aws.emulators import Emulator


def test_create(
    ministack: Emulator, aws_environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes the table, once; a run in it is listed by another command."""
    del aws_environment
    url = f"dynamodb://team?region=eu-central-1&endpoint_url={ministack.url}"
    assert run(["session", "list", "--store", url]) == 6
    said = capsys.readouterr()
    assert f"make it with: bunsui store create '{url}'" in said.err
    assert [run(["store", "create", url]), run(["store", "create", url])] == [0, 0]
    assert capsys.readouterr().out == f"{url} was made\n{url} is there already\n"
    assert run(["session", "list", "--store", url]) == 0


def test_what_an_endpoint_has_not(
    dynamodb_local: Emulator, aws_environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said."""
    del aws_environment
    url = f"dynamodb://cli?region=eu-central-1&endpoint_url={dynamodb_local.url}"
    assert run(["store", "create", url]) == 0
    lack = "bunsui: warning: it has no point-in-time recovery: this endpoint does not know it\n"
    assert capsys.readouterr() == (f"{url} was made\n", lack)


def test_nothing_to_make(capsys: pytest.CaptureFixture[str]) -> None:
    """A file is made by its first write."""
    assert run(["store", "create", "sqlite:///x.db"]) == 5
    assert "its first write makes what it needs" in capsys.readouterr().err
