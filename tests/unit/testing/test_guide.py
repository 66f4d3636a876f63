"""The guide to testing a plugin is right: its snippets are tests that pass, its tables are the suites'."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_type_hints

from bunsui import testing
from bunsui_tests import twins

PAGE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "developer" / "plugins" / "testing.md"
TEXT = PAGE.read_text(encoding="utf-8")
SUITES = [name for name in testing.__all__ if name.endswith("Suite")]


def snippets() -> dict[str, str]:
    """The blocks of Python, by the names of their files."""
    blocks = re.findall(r"```python\n(# (\w+\.py)\n.*?)```", TEXT, re.DOTALL)
    assert TEXT.count("```python") == len(blocks)
    return {name: block for block, name in blocks}


def flags() -> set[tuple[str, str]]:
    """Each flag with its suite, as the code has it."""
    return {
        (suite, name)
        for suite in SUITES
        for name in dir(getattr(testing, suite))
        if type(getattr(getattr(testing, suite), name)) is bool
    }


def test_each_suite_is_shown() -> None:
    """There is a snippet for every suite."""
    assert [] == [suite for suite in SUITES if f"({suite}):" not in TEXT]


def test_the_snippets_pass(tmp_path: Path) -> None:
    """What the guide shows are tests, and all of them pass."""
    for file, block in snippets().items():
        (tmp_path / file).write_text(block)
    files = sorted(tmp_path.glob("test_*.py"))
    found = twins.run(files, tmp_path, "--import-mode=prepend")
    assert {} == {name: twin.failed for name, twin in found.items() if twin.failed}
    classes = re.findall(r"^class (Test\w+)", TEXT, re.MULTILINE)
    assert sorted(classes) == sorted(name for name, twin in found.items() if twin.passed)


def test_the_table_of_flags() -> None:
    """The guide has each flag, under its suite; all are True where nothing is said."""
    assert flags() == set(re.findall(r"^\| `(\w+Suite)` \| `(\w+)` \|", TEXT, re.MULTILINE))
    assert [] == [(suite, flag) for suite, flag in flags() if not getattr(getattr(testing, suite), flag)]


def test_the_table_of_examples() -> None:
    """The guide has each attribute by which a job type is exemplified."""
    table = TEXT.partition("| Attribute of a `JobTypeSuite`")[2].partition("\n\n")[0]
    said = set(get_type_hints(testing.JobTypeSuite))
    assert said - {name for _, name in flags()} == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
