"""The mutants of tests/mutants.py fit the source: each takes out a safeguard that is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[1] / "mutants.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MUTANTS = load().MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_text_is_in_the_source_once(mutant: object) -> None:
    """Else it would be no mutant, or more than one; and the tests that are to notice it are there."""
    source = FILE.parents[1] / "src" / "bunsui" / mutant.file
    assert 1 == source.read_text(encoding="utf-8").count(mutant.old)
    assert mutant.old != mutant.new
    assert [] == [name for name in mutant.tests if not (FILE.parents[1] / name.partition("::")[0]).exists()]


def test_there_are_enough() -> None:
    """At least fifteen, no two with one name."""
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS}) >= 15
