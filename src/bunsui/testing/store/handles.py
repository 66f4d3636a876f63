"""Several users of one store: changes, races, closing."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bunsui.errors import Conflict
from bunsui.ports.store import Document
from bunsui.testing.store.entries import OK, elsewhere, entry, fill, keys

if TYPE_CHECKING:

    from bunsui.ports.store import Store


class Handles:
    """Holds where several threads or handles use one store; mixed into `StoreSuite`."""

    # Changes

    def test_none_is_older_than_everything(self, store: Store) -> None:
        """The first token differs from None, also before anything was written."""
        assert store.changed(None) is not None

    def test_what_others_write_is_a_change(self, store: Store, other: Store) -> None:
        """A put and a delete in another thread each change the token. An append may, and need not."""
        token = store.changed(None)
        for write in (
            lambda: other.put("k", "x", {}),
            lambda: other.put("k", "y", {}, if_version=0),
            lambda: other.delete("k", "y"),
        ):
            elsewhere(write)
            before, token = token, store.changed(token)
            assert before != token

    def test_what_is_changed_is_seen(self, store: Store, other: Store) -> None:
        """What was written before a token was given out can be read."""
        token = store.changed(None)
        elsewhere(lambda: other.put("k", "x", {}))
        assert token != store.changed(token)
        assert Document("x", {}, 1) == store.get("k", "x")

    def test_changes_after_close(self, store: Store, other: Store) -> None:
        """A change is not missed where the store was closed in between."""
        elsewhere(lambda: other.put("k", "x", {}))
        token = store.changed(None)
        store.close()
        elsewhere(lambda: other.put("k", "x", {}))
        assert token != store.changed(token)

    # Use

    def test_one_of_two_appends_wins(self, store: Store, other: Store) -> None:
        """Of two writers of one position one is told of a conflict; the history stays dense."""
        barrier = threading.Barrier(4)

        def write(writer: int) -> list[str]:
            """Appends at what is the next position as far as this writer knows."""
            handle = other if writer % 2 else store
            mine = []
            barrier.wait()
            for position in range(1, 51):
                commit = f"{writer}-{position}"
                if handle.append([entry("h", position, commit)]) == [OK]:
                    mine.append(commit)
            return mine

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(write, range(4)))
        commits = list(store.read("h"))
        assert list(range(1, 51)) == [commit.position for commit in commits]
        assert sorted(commit for mine in won for commit in mine) == sorted(commit.id for commit in commits)

    def test_versions_are_counted_by_one(self, store: Store, other: Store) -> None:
        """Puts from several threads each get a version of their own."""

        def put(writer: int) -> list[int]:
            handle = other if writer % 2 else store
            return [handle.put("k", "x", {}) for _ in range(25)]

        with ThreadPoolExecutor(4) as pool:
            versions = [version for mine in pool.map(put, range(4)) for version in mine]
        assert list(range(1, 101)) == sorted(versions)

    def test_one_of_two_puts_wins(self, store: Store, other: Store) -> None:
        """Of several puts with the same `if_version`, one counts."""

        def put(writer: int) -> bool:
            try:
                (other if writer % 2 else store).put("k", "x", {"writer": writer}, if_version=0)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert [False, False, False, True] == sorted(pool.map(put, range(4)))

    def test_another_handle_sees_everything(self, store: Store, other: Store) -> None:
        """What one handle wrote, another reads at once."""
        commits = fill(store, "h", 2)
        store.put("k", "x", {}, groups=[("g", "s")])
        assert commits == list(other.read("h"))
        assert Document("x", {}, 1) == other.get("k", "x")
        assert ["x"] == keys(other.find("k", "g"))

    def test_reading_after_close(self, store: Store) -> None:
        """A closed store can still be read, from any thread, and closed again."""
        commits = fill(store, "h", 300)
        store.put("k", "x", {})
        store.close()
        assert commits == list(store.read("h"))
        assert Document("x", {}, 1) == elsewhere(lambda: store.get("k", "x"))
        assert ["x"] == keys(store.find("k"))
        store.close()

    def test_closing_an_empty_store(self, store: Store) -> None:
        """A store in which nothing was written can be closed, and is empty afterwards."""
        store.close()
        assert [[], None, []] == [list(store.read("h")), store.get("k", "x"), store.find("k")]
