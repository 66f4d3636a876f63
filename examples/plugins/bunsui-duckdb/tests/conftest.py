"""A runner, and definitions that stand in a folder with files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk

import bunsui
import bunsui_duckdb


@pytest.fixture
def runner() -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", plugins=[bunsui_duckdb], autoload_plugins=False) as runner:
        yield runner


@pytest.fixture
def desk(runner: bunsui.Runner, tmp_path: Path) -> Desk:
    folder = tmp_path / "it's a folder [ü]"
    folder.mkdir()
    return Desk(runner, folder)
