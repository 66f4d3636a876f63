"""Histories that are removed; a store may leave that out, and says so."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.errors import NotFound, StoreError
from bunsui.ports.store import Document, Put
from bunsui.testing.store.entries import CONFLICT, elsewhere, entry, fill
from bunsui.testing.suites import needs

if TYPE_CHECKING:
    from bunsui.ports.store import Append, Store


class Removal:
    """Holds for the removal of histories from a store; mixed into `StoreSuite`."""

    #: Whether the store can remove histories: whether it has a `Store.remove` of its own.
    can_remove: bool = True

    def test_a_store_that_can_not_remove_says_so(self, store: Store) -> None:
        """Where `can_remove` is False, `remove` raises a lasting StoreError, and nothing is gone."""
        if self.can_remove:
            pytest.skip("can_remove is True")
        commits = fill(store, "h", 3)
        with pytest.raises(StoreError) as raised:
            store.remove("h")
        assert raised.value.lasting
        assert commits == list(store.read("h"))

    @needs("can_remove")
    def test_a_removed_history_is_one_that_nobody_wrote(self, store: Store, other: Store) -> None:
        """It is empty for every handle, its next position is 1, and the histories beside it stay."""
        beside = [fill(store, name, 3) for name in ("g", "i")]
        fill(store, "h", 300)
        store.remove("h")
        assert [[], []] == [list(handle.read("h")) for handle in (store, other)]
        assert beside == [list(store.read(name)) for name in ("g", "i")]
        assert [CONFLICT] == store.append([entry("h", 301, "late")])
        again = fill(store, "h", 2)
        assert again == list(other.read("h"))

    @needs("can_remove")
    def test_a_document_goes_with_its_history(self, store: Store) -> None:
        """That of this kind and key, and no other."""
        for key in ("x", "y"):
            store.put("k", key, {}, groups=[("g", key)])
        store.put("other", "x", {})
        fill(store, "h", 1)
        store.remove("h", ("k", "x"))
        assert [None, Document("y", {}, 1), Document("x", {}, 1)] == [
            store.get(*place) for place in (("k", "x"), ("k", "y"), ("other", "x"))
        ]
        assert ["y"] == [document.key for document in store.find("k", "g")]

    @needs("can_remove")
    def test_removing_what_is_not_there(self, store: Store) -> None:
        """It is no error; what is there of the two goes."""
        store.remove("h", ("k", "x"))
        store.put("k", "x", {})
        store.remove("h", ("k", "x"))
        assert store.get("k", "x") is None

    @needs("can_remove")
    def test_a_removal_is_a_change(self, store: Store, other: Store) -> None:
        """Who polls is told of it."""
        fill(store, "h", 1)
        token = store.changed(None)
        elsewhere(lambda: other.remove("h"))
        assert token != store.changed(token)

    @needs("can_remove")
    def test_removed_while_it_is_read(self, store: Store) -> None:
        """Who reads a long history gets all of it, or NotFound: never a part for the whole."""
        commits = fill(store, "h", 700)
        stream = store.read("h")
        read = [next(stream)]
        store.remove("h")
        try:
            read += stream
        except NotFound:
            return
        assert commits == read

    @needs("can_remove")
    def test_a_late_commit_brings_nothing_back(self, store: Store) -> None:
        """Of a removed history neither a later commit nor its document appears."""
        fill(store, "h", 2)
        store.remove("h", ("k", "x"))
        late: Append = entry("h", 3, "late", document=Put("k", "x", {}))
        assert [CONFLICT] == store.append([late])
        assert (None, []) == (store.get("k", "x"), list(store.read("h")))
