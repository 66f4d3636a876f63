"""Documents by the beginning of their key, in stores whose cursors are those of `stores.cursors`."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from bunsui.stores import cursors

if TYPE_CHECKING:
    from bunsui.ports.store import Document, Store


def find(store: Store, kind: str, prefix: str, limit: int) -> list[Document]:
    """See `Store.find_prefix`: as many documents are looked at as are found, and no more than `limit`."""
    exact = store.get(kind, prefix)
    # A cursor is good without its document: behind the prefix stand the keys that begin with it.
    behind = store.find(kind, after=cursors.make("", prefix), limit=limit)
    longer = takewhile(lambda document: document.key.startswith(prefix), behind)
    return [*([] if exact is None else [exact]), *longer][:limit]
