"""Running suites on good implementations and on broken twins of them, in a pytest of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import Any
from xml.etree import ElementTree

from attrs import field, frozen

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "twins"


@frozen
class Twin:
    """What became of one class of tests."""

    failed: set[str] = field(factory=set)
    passed: set[str] = field(factory=set)
    #: Why tests were skipped.
    skipped: dict[str, str] = field(factory=dict)


def classes_of(path: Path) -> dict[str, Any]:
    """The classes of tests in a file, by name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.startswith("Test")}


def tests_of(suite: type) -> set[str]:
    """The names of a suite's tests."""
    return {name for name in dir(suite) if name.startswith("test_")}


def pytest_of(paths: Sequence[Path], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What a pytest of its own says of some files.

    Args:
        paths: the files.
        folder: where it runs.
        options: more of it; with ``-n``, as tests of suites mostly wait.
    """
    usual = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=short", "--import-mode=importlib"]
    place = ["-c", "/dev/null", f"--rootdir={paths[0].parent}"]
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *usual, *place, *options, *map(str, paths)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def run(paths: Sequence[Path], folder: Path, *options: str) -> dict[str, Twin]:
    """What becomes of each class of tests in some files; see `pytest_of`."""
    report = folder / "report.xml"
    done = pytest_of(paths, folder, f"--junitxml={report}", *options)
    assert report.exists(), done.stdout + done.stderr
    found: defaultdict[str, Twin] = defaultdict(Twin)
    for case in ElementTree.parse(report).iter("testcase"):
        twin = found[case.get("classname", "").rpartition(".")[2]]
        name = case.get("name", "").partition("[")[0]
        if (skipped := case.find("skipped")) is not None:
            twin.skipped[name] = skipped.get("message", "")
        elif case.find("failure") is not None or case.find("error") is not None:
            twin.failed.add(name)
        else:
            twin.passed.add(name)
    return dict(found)


def check(path: Path, folder: Path, *options: str) -> None:
    """The good ones of a file pass, and its broken twins fail where they say, and nowhere else.

    Each class says in `breaks` which tests are to fail; where `is_refused` is set, what else fails does not
    count: a runner does not so much as take it.
    """
    # What fails here is to fail: reports of hundreds of failures would take as long as the tests.
    classes, found = classes_of(path), run([path], folder, "--tb=no", *options)
    assert set(classes) == set(found), set(classes) ^ set(found)
    wrong = {}
    for name, cls in classes.items():
        failed = found[name].failed & cls.breaks if cls.is_refused else found[name].failed
        if failed != cls.breaks:
            wrong[name] = {"fails": sorted(failed), "should fail": sorted(cls.breaks)}
    assert {} == wrong, pformat(wrong)


def broken(*paths: Path) -> set[str]:
    """The tests in which some twin of these files is to fail."""
    return set().union(*(cls.breaks for path in paths for cls in classes_of(path).values()))
