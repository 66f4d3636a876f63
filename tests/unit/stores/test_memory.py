"""The store in memory."""

from __future__ import annotations

import pytest

from bunsui.ports.store import Append, Commit, Put
from bunsui.stores.memory import MemoryStore
from bunsui.testing import StoreSuite


class TestMemoryStore(StoreSuite):
    """Every clause of the port holds for the store in memory."""

    @pytest.fixture
    def store(self):
        store = MemoryStore()
        yield store
        store.close()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_own_writes_are_no_change(store):
    """What a thread writes itself does not change its token."""
    token = store.changed(None)
    store.append([Append("h", Commit(1, "a", "{}"), Put("k", "x", {}))])
    store.put("k", "x", {})
    store.delete("k", "x")
    assert token == store.changed(token)


def test_reading_leaves_no_trace(store):
    """Asking for what isn't there makes nothing, so that a reader can't fill the memory."""
    list(store.read("h"))
    store.get("k", "x")
    store.find("k")
    store.delete("k", "x")
    store.append([Append("h", Commit(2, "a", "{}"))])
    assert ({}, {}) == (store._histories, store._documents)


def test_stores_share_nothing():
    """Each store has its own data."""
    MemoryStore().put("k", "x", {})
    assert MemoryStore().get("k", "x") is None
