"""The suite for stores: that it passes for good ones, and that it bites."""

from __future__ import annotations

from pathlib import Path

from bunsui.testing import StoreSuite
from bunsui.testing.store.removal import Removal
from bunsui_tests import twins

TWINS = twins.FOLDER / "stores.py"


def test_every_broken_twin_is_found(tmp_path: Path) -> None:
    """A store that breaks one clause fails there, and nowhere else; one that keeps all passes."""
    twins.check(TWINS, tmp_path)
    assert {"TestEightMethods", "TestFine"} <= set(twins.classes_of(TWINS))
    assert set() == twins.tests_of(StoreSuite) - twins.broken(TWINS)


def test_what_a_store_can_not_do_is_left_out(tmp_path: Path) -> None:
    """A store that says that it can't remove histories is not asked to, but once: whether it says so."""
    found = twins.run([TWINS], tmp_path, "-k", "TestEightMethods")["TestEightMethods"]
    skipped = set(found.skipped.items())
    removing = {
        name for name in twins.tests_of(Removal) if name != "test_a_store_that_can_not_remove_says_so"
    }
    assert {(name, "can_remove is False") for name in removing} == skipped


def test_another_handle_is_the_same_store_by_default() -> None:
    """A store that only one process can use needs to say nothing more."""
    store = object()
    assert store is StoreSuite().another_handle(store)
