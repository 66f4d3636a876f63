"""Type checkers understand a plugin: mypy and pyright, both strict, agree on what is wrong with it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bunsui import Plugins

PLUGINS = Path(__file__).parent / "plugins"
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "developer" / "plugins" / "index.md"
#: What an author's own project would say.
SETTINGS = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}


def mypy(folder: Path) -> dict[str, set[int]]:
    """The lines with errors, by file."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.11", "--no-error-summary",
         "--cache-dir", str(folder / ".cache"), "."],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (True, "") == (done.returncode in (0, 1), done.stderr), done.stdout
    return _by_file(re.findall(r"^(\w+\.py):(\d+): error: ", done.stdout, re.MULTILINE))


def pyright(folder: Path) -> dict[str, set[int]]:
    """The lines with errors or warnings, by file."""
    (folder / "pyrightconfig.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 3
    return _by_file(
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in found["generalDiagnostics"]
    )


def _by_file(places) -> dict[str, set[int]]:
    lines: dict[str, set[int]] = {}
    for file, line in places:
        lines.setdefault(file, set()).add(int(line))
    return lines


def marked(path: Path) -> set[int]:
    """The lines that are wrong by intention, and say why."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if re.search(r"  # error: \w", line)}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_plugin_is_checked(check: Callable[[Path], dict[str, set[int]]], tmp_path: Path) -> None:
    """All lines of the bad plugin with a mistake are wrong, and no others; nothing else is.

    Nothing of the good one, and nothing of the guide's package, which is what many will begin with.
    """
    for path in PLUGINS.glob("*.py"):
        shutil.copy(path, tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    [package] = re.findall(r"^```python src/\S+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "package.py").write_text(package, encoding="utf-8")
    expected = marked(PLUGINS / "bad.py")
    assert len(expected) >= 45
    assert {"bad.py": expected} == check(tmp_path)


def test_the_good_plugin_is_one() -> None:
    """What checkers find nothing wrong with is registered, too, and brings what it says."""
    spec = importlib.util.spec_from_file_location("good", PLUGINS / "good.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    registry = Plugins([module, module.Figures()], autoload=False)
    assert {"upper", "pause", "program", "build"} <= set(registry.job_types)
    assert ["through", "pass", "bell"] == [
        list(found)[-1] for found in (registry.stores, registry.secret_sources, registry.alert_channels)
    ]
