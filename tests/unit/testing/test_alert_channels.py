"""The suite for alert channels: that it passes for good ones, and that each of its tests bites."""

from __future__ import annotations

from pathlib import Path

from bunsui.testing import AlertChannelSuite
from bunsui_tests import twins

TWINS = twins.FOLDER / "alert_channels.py"


def test_every_test_has_a_twin_that_fails_there(tmp_path: Path) -> None:
    """A good channel passes; each broken one fails in what it breaks, and nowhere else."""
    twins.check(TWINS, tmp_path)
    assert set() == twins.tests_of(AlertChannelSuite) - twins.broken(TWINS)
