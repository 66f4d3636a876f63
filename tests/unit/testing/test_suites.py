"""What all suites have in common: who may import them, what they say of what is missing, and their flags."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import bunsui.testing
from bunsui_tests import twins

#: Each suite, and the fixture that it wants.
FIXTURES = {
    "StoreSuite": "store",
    "JobTypeSuite": "job_type",
    "SecretSourceSuite": "source",
    "ObserverSuite": "observer",
    "AlertChannelSuite": "channel",
}


def test_bunsui_does_not_import_pytest() -> None:
    """Neither bunsui nor its room for testing loads pytest, which only those who test have."""
    code = "import sys, bunsui, bunsui.testing, bunsui.stores.sqlite; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False\n" == done.stdout


def test_an_unknown_name() -> None:
    """The room says plainly what it does not have."""
    with pytest.raises(AttributeError, match=r"^module 'bunsui.testing' has no attribute 'JobSuite'$"):
        bunsui.testing.JobSuite  # noqa: B018


def test_a_suite_without_its_fixture(tmp_path: Path) -> None:
    """Who derives from a suite and forgets the fixture is shown what to write."""
    mine = [f"class Test{suite}({suite}):\n    pass\n\n" for suite in FIXTURES]
    path = tmp_path / "test_mine.py"
    path.write_text(f"from bunsui.testing import {', '.join(FIXTURES)}\n\n{''.join(mine)}")
    done = twins.pytest_of([path], tmp_path)
    assert re.search(r"^\d+ errors in", done.stdout, re.MULTILINE)  # And nothing that passed.
    for suite, fixture in FIXTURES.items():
        assert (
            f"Test{suite} does not say what it tests: give it a fixture '{fixture}', such as" in done.stdout
        )
        assert f"    @pytest.fixture\n    def {fixture}(self, tmp_path):\n        " in done.stdout


def test_a_failing_suite_shows_values(tmp_path: Path) -> None:
    """An assertion of a suite is explained, as one in a test module is."""
    path = tmp_path / "test_mine.py"
    path.write_text(
        "import bunsui\nimport pytest\nfrom bunsui.testing import ObserverSuite\n\n"
        "class Greedy:\n    @bunsui.hookimpl\n    def bunsui_session_event(self, event):\n"
        "        if type(event).__name__ == 'SessionCreated':\n            event.tags['seen'] = 'yes'\n\n"
        "class TestMine(ObserverSuite):\n    @pytest.fixture\n    def observer(self):\n"
        "        return Greedy()\n"
    )
    done = twins.pytest_of([path], tmp_path, "-k", "test_it_changes_no_event")
    assert "1 failed" in done.stdout
    assert "{'team': 'data'} != {'team': 'data', 'seen': 'yes'}" in done.stdout


def test_a_source_without_a_secret(tmp_path: Path) -> None:
    """Who names no secret that there is, is shown how."""
    path = tmp_path / "test_mine.py"
    path.write_text(
        "import pytest\nfrom bunsui.testing import SecretSourceSuite\n\n"
        "class TestMine(SecretSourceSuite):\n    @pytest.fixture\n    def source(self):\n        return 1\n"
    )
    done = twins.pytest_of([path], tmp_path, "-k", "test_a_known_key")
    assert "TestMine needs a secret: known = ('key', 'value')" in done.stdout


def test_examples_that_are_known_late_count(tmp_path: Path) -> None:
    """What a fixture sets on the suite is there before it is looked whether a test can run."""
    path = tmp_path / "test_mine.py"
    path.write_text(
        "import pytest\nfrom bunsui.testing import SecretSourceSuite\n"
        "from bunsui.local.secret_sources import FileSource\n\n"
        "class TestMine(SecretSourceSuite):\n    @pytest.fixture\n    def source(self, tmp_path):\n"
        "        (tmp_path / 'secret').write_text('hunter2')\n"
        "        self.known = (str(tmp_path / 'secret'), 'hunter2')\n"
        "        self.unknown = str(tmp_path / 'none')\n        return FileSource()\n"
    )
    done = twins.pytest_of([path], tmp_path)
    assert "9 passed, 1 skipped" in done.stdout
