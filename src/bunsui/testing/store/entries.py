"""What the tests of a store append and look at."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bunsui.ports.store import Append, Appended, Commit, Document, Put

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.ports.store import Store

OK = Appended()
CONFLICT = Appended(conflict=True)


def entry(history: str, position: int, commit: str, body: str = "{}", document: Put | None = None) -> Append:
    """An append to `history`."""
    return Append(history, Commit(position, commit, body), document)


def fill(store: Store, history: str, count: int) -> list[Commit]:
    """Appends `count` commits to an empty history, and returns them."""
    commits = [Commit(number, f"{history}-{number}", f"body {number}") for number in range(1, count + 1)]
    assert [[OK]] * count == [store.append([Append(history, commit)]) for commit in commits]
    return commits


def keys(documents: list[Document]) -> list[str]:
    """The documents' keys, in order."""
    return [document.key for document in documents]


def elsewhere(call: Callable[[], Any]) -> Any:
    """What `call` returns in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()
