"""What is installed: Python, bunsui, libraries, SQLite, plugins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bunsui
from bunsui.diagnosis.check import Status
from bunsui.diagnosis.installation import CLI_LIBRARIES, LIBRARIES, imports, installation, python, version
from bunsui.diagnosis.sqlite_version import sqlite_version
from bunsui_tests import distributions


def test_all_is_well_here() -> None:
    """Where the tests run, everything is installed."""
    found = list(installation())
    assert [("python", "ok"), ("bunsui", "ok"), ("libraries", "ok"), ("extra cli", "ok")] == [
        (check.name, check.status) for check in found
    ]
    assert all(name in found[2].what for name in LIBRARIES)
    assert all(name in found[3].what for name in CLI_LIBRARIES)


def test_an_old_python() -> None:
    """Is a problem."""
    assert Status.PROBLEM is python((3, 10, 9)).status
    assert Status.OK is python((3, 11, 0)).status


def test_another_version_than_the_installed_one() -> None:
    """Is looked at: another copy is on the path."""
    assert Status.OK is version(bunsui.__version__).status
    assert version("9.9").what.startswith("9.9 runs, but")


def test_a_library_that_is_missing_and_one_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a problem by itself, with what it said; the rest is still looked at."""
    (tmp_path / "broken_library.py").write_text("raise OSError('no disk')")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = {"gone": "no_such_library", "broken": "broken_library", "attrs": "attrs"}
    found = list(imports("libraries", named, "pip install"))
    assert [
        "gone can't be imported: ModuleNotFoundError: No module named 'no_such_library'",
        "broken can't be imported: OSError: no disk",
    ] == [check.what for check in found if check.status is Status.PROBLEM]
    assert found[-1].what.startswith("attrs ")


@pytest.mark.parametrize(
    ("number", "statuses"),
    [
        ((3, 34, 1), ["problem", "warning"]),
        ((3, 40, 1), ["warning"]),
        ((3, 44, 5), ["warning"]),
        ((3, 44, 6), ["ok"]),
        ((3, 45, 0), ["warning"]),
        ((3, 50, 6), ["warning"]),
        ((3, 50, 7), ["ok"]),
        ((3, 51, 2), ["warning"]),
        ((3, 51, 3), ["ok"]),
        ((3, 53, 0), ["ok"]),
    ],
)
def test_versions_of_sqlite(number: tuple[int, ...], statuses: list[str]) -> None:
    """Those with faults that concern the store, each with where it is described."""
    found = list(sqlite_version(number))
    assert statuses == [str(check.status) for check in found]
    assert all(
        "https://www.sqlite.org/" in (check.remedy or "") for check in found if check.status is not Status.OK
    )


def test_a_sqlite_without_threads() -> None:
    """A runner has some."""
    assert ["problem"] == [str(check.status) for check in sqlite_version((3, 53, 0), 0)]


LOOK = """
import json
from bunsui.diagnosis.plugins import plugins
print(json.dumps([[check.name, str(check.status), check.what] for check in plugins()]))
"""


def found_plugins(folder: Path, modules: dict[str, str], **variables: str) -> list[list[str]]:
    """What a new process says that has these modules installed, each as a plugin."""
    for name, source in modules.items():
        distributions.install(folder, name, name, name, source)
    done = distributions.python(folder, "-c", LOOK, **variables)
    assert 0 == done.returncode, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


GOOD = "import bunsui\n@bunsui.hookimpl\ndef bunsui_stores():\n    return {'vault': print}\n"


def test_plugins(tmp_path: Path) -> None:
    """A good one is loaded; each of the others is named with what is wrong."""
    modules = {
        "good": GOOD,
        "raises": "1 / 0",
        "exits": "raise SystemExit(3)",
        "hookless": "x = 1",
        "misspelt": "import bunsui\n@bunsui.hookimpl\ndef bunsui_store():\n    return {}\n",
        "late": "import bunsui\n@bunsui.hookimpl\ndef bunsui_job_types():\n    raise ValueError('later')\n",
    }
    found = {name: (status, what) for name, status, what in found_plugins(tmp_path, modules)}
    assert ("ok", "good 1.0: bunsui_stores") == found["plugin good"]
    for name, reason in {
        "raises": "plugin 'raises' (raises 1.0): ZeroDivisionError: division by zero",
        "exits": "plugin 'exits' (exits 1.0): SystemExit: 3",
    }.items():
        assert ("problem", f"it can't be used: {reason}") == found[f"plugin {name}"]
    assert "it has no hook" in found["plugin hookless"][1]
    assert "there is no hook 'bunsui_store'" in found["plugin misspelt"][1]
    assert "ValueError: later" in found["plugin late"][1]
    assert ["ok", *["problem"] * 5] == sorted(status for status, _ in found.values())


def test_plugins_that_exclude_each_other(tmp_path: Path) -> None:
    """Neither can be used."""
    found = found_plugins(tmp_path, {"good": GOOD, "same": GOOD})
    assert ["problem", "problem"] == sorted(status for _, status, _ in found)
    assert "registers the store 'vault'" in next(what for _, status, what in found if status == "problem")


def test_plugins_that_are_left_out_are_not_imported(tmp_path: Path) -> None:
    """Then there is one line, which says so."""
    source = f"import pathlib\npathlib.Path({str(tmp_path / 'imported')!r}).touch()\n"
    found = found_plugins(tmp_path, {"noisy": source}, BUNSUI_DISABLE_PLUGIN_AUTOLOAD="1")
    assert [
        ["plugins", "ok", "installed plugins are left out: BUNSUI_DISABLE_PLUGIN_AUTOLOAD is set"]
    ] == found
    assert not (tmp_path / "imported").exists()
