"""The suite for secret sources: that it passes for good ones, and that each of its tests bites."""

from __future__ import annotations

from pathlib import Path

from bunsui.testing import SecretSourceSuite
from bunsui_tests import twins

TWINS = twins.FOLDER / "secret_sources.py"


def test_every_test_has_a_twin_that_fails_there(tmp_path: Path) -> None:
    """A good source passes; each broken one fails in what it breaks, and nowhere else."""
    twins.check(TWINS, tmp_path)
    assert set() == twins.tests_of(SecretSourceSuite) - twins.broken(TWINS)
