"""What every store must do, as tests: the clauses of `bunsui.ports.store`, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.testing.store.documents import Documents
from bunsui.testing.store.handles import Handles
from bunsui.testing.store.histories import Histories
from bunsui.testing.store.removal import Removal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bunsui.ports.store import Store


class StoreSuite(Histories, Documents, Removal, Handles):
    """Holds for every store: derive from it, and say how an empty store is made.

    Such as::

        from bunsui.testing import StoreSuite


        class TestMyStore(StoreSuite):
            def make_store(self, tmp_path):
                return MyStore(tmp_path / "data")

    """

    def make_store(self, tmp_path: Path) -> Store:
        """An empty store, which may keep its data in the folder `tmp_path`. Called once for each test."""
        raise NotImplementedError("a StoreSuite needs make_store(self, tmp_path)")

    def another_handle(self, store: Store) -> Store:
        """What another process would use to get at the data of `store`; by default `store` itself."""
        return store

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """An empty store, closed afterwards."""
        store = self.make_store(tmp_path)
        yield store
        store.close()

    @pytest.fixture
    def other(self, store: Store) -> Iterator[Store]:
        """Another handle on what `store` holds."""
        other = self.another_handle(store)
        yield other
        other.close()
