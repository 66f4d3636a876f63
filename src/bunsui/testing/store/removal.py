"""Histories that are removed; left out for a store that can't."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.errors import NotFound
from bunsui.ports.store import Document, Put, Store
from bunsui.testing.store.entries import CONFLICT, elsewhere, entry, fill

if TYPE_CHECKING:
    from bunsui.ports.store import Append


class Removal:
    """Holds for every store that has `Store.remove`; mixed into `StoreSuite`."""

    @pytest.fixture
    def removing(self, store: Store) -> Store:
        """A store that can remove histories."""
        if type(store).remove is Store.remove:
            pytest.skip("this store can't remove histories")
        return store

    def test_a_removed_history_is_one_that_nobody_wrote(self, removing: Store, other: Store) -> None:
        """It is empty for every handle, its next position is 1, and the histories beside it stay."""
        beside = [fill(removing, name, 3) for name in ("g", "i")]
        fill(removing, "h", 300)
        removing.remove("h")
        assert [[], []] == [list(store.read("h")) for store in (removing, other)]
        assert beside == [list(removing.read(name)) for name in ("g", "i")]
        assert [CONFLICT] == removing.append([entry("h", 301, "late")])
        again = fill(removing, "h", 2)
        assert again == list(other.read("h"))

    def test_a_document_goes_with_its_history(self, removing: Store) -> None:
        """That of this kind and key, and no other."""
        for key in ("x", "y"):
            removing.put("k", key, {}, groups=[("g", key)])
        removing.put("other", "x", {})
        fill(removing, "h", 1)
        removing.remove("h", ("k", "x"))
        assert [None, Document("y", {}, 1), Document("x", {}, 1)] == [
            removing.get(*place) for place in (("k", "x"), ("k", "y"), ("other", "x"))
        ]
        assert ["y"] == [document.key for document in removing.find("k", "g")]

    def test_removing_what_is_not_there(self, removing: Store) -> None:
        """It is no error; what is there of the two goes."""
        removing.remove("h", ("k", "x"))
        removing.put("k", "x", {})
        removing.remove("h", ("k", "x"))
        assert removing.get("k", "x") is None

    def test_a_removal_is_a_change(self, removing: Store, other: Store) -> None:
        """Who polls is told of it."""
        fill(removing, "h", 1)
        token = removing.changed(None)
        elsewhere(lambda: other.remove("h"))
        assert token != removing.changed(token)

    def test_removed_while_it_is_read(self, removing: Store) -> None:
        """Who reads a long history gets all of it, or NotFound: never a part for the whole."""
        commits = fill(removing, "h", 700)
        stream = removing.read("h")
        read = [next(stream)]
        removing.remove("h")
        try:
            read += stream
        except NotFound:
            return
        assert commits == read

    def test_a_late_commit_brings_nothing_back(self, removing: Store) -> None:
        """Of a removed history neither a later commit nor its document appears."""
        fill(removing, "h", 2)
        removing.remove("h", ("k", "x"))
        late: Append = entry("h", 3, "late", document=Put("k", "x", {}))
        assert [CONFLICT] == removing.append([late])
        assert (None, []) == (removing.get("k", "x"), list(removing.read("h")))
