"""What every store must do, as tests: the clauses of `bunsui.ports.store`, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bunsui.testing.store.documents import Documents
from bunsui.testing.store.handles import Handles
from bunsui.testing.store.histories import Histories
from bunsui.testing.store.removal import Removal
from bunsui.testing.suites import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui.ports.store import Store


class StoreSuite(Histories, Documents, Removal, Handles):
    """Holds for every store: derive from it, and give it the fixture `store`, an empty one for each test.

    Such as::

        import pytest
        from bunsui.testing import StoreSuite


        class TestMyStore(StoreSuite):
            @pytest.fixture
            def store(self, tmp_path):
                store = MyStore(tmp_path / "data")
                yield store
                store.close()

            def another_handle(self, store):
                return MyStore(store.path)

    """

    if not TYPE_CHECKING:

        @pytest.fixture
        def store(self):
            """An empty store; closed afterwards by who makes it."""
            missing(self, "store", 'store = MyStore(tmp_path / "data")\nyield store\nstore.close()')

    def another_handle(self, store: Any) -> Store:
        """What another process would use to get at the data of `store`; by default `store` itself."""
        return store  # type: ignore[no-any-return]

    @pytest.fixture
    def other(self, store: Store) -> Iterator[Store]:
        """Another handle on what `store` holds."""
        other = self.another_handle(store)
        yield other
        other.close()
