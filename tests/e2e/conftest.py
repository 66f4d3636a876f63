"""What holds for commands that are tested as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

WAIT = """\
import pathlib, time
pathlib.Path("begun").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with the test module's pipeline, whose job ``wait.py`` says ``begun`` and waits for ``go``."""
    (tmp_path / "p.yaml").write_text(request.module.DEFINITION, encoding="utf-8")
    (tmp_path / "wait.py").write_text(WAIT, encoding="utf-8")
    return tmp_path
