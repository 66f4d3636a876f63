"""What every store must do, as tests: the clauses of `bunsui.ports.store`, one by one."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bunsui.errors import Conflict
from bunsui.ports.store import Append, Appended, Commit, Document, Put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


class StoreSuite:
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

    # Histories

    def test_an_unknown_history_is_empty(self, store: Store) -> None:
        """Reading a history that nobody wrote yields nothing."""
        assert [] == list(store.read("h"))

    def test_commits_are_read_as_they_were_appended(self, store: Store) -> None:
        """Position, id and body come back, in the order of the positions."""
        assert fill(store, "h", 3) == list(store.read("h"))

    def test_nothing_to_append(self, store: Store) -> None:
        """No appends have no outcomes."""
        assert [] == store.append([])

    def test_histories_are_apart(self, store: Store) -> None:
        """Each history has its own positions."""
        one, two = fill(store, "one", 2), fill(store, "two", 3)
        assert [one, two] == [list(store.read("one")), list(store.read("two"))]

    def test_a_taken_position_is_a_conflict(self, store: Store) -> None:
        """Another id at a position that is taken is a conflict, and the first commit stays."""
        commits = fill(store, "h", 2)
        assert [CONFLICT] == store.append([entry("h", 2, "other")])
        assert commits == list(store.read("h"))

    @pytest.mark.parametrize("position", [-1, 0, 2, 3])
    def test_the_first_position_is_one(self, store: Store, position: int) -> None:
        """In an empty history every position but 1 is a conflict."""
        assert [CONFLICT] == store.append([entry("h", position, "a")])
        assert [] == list(store.read("h"))

    @pytest.mark.parametrize("position", [-1, 0, 4, 100])
    def test_positions_are_dense(self, store: Store, position: int) -> None:
        """A position that is neither the next one nor one before is a conflict."""
        commits = fill(store, "h", 2)
        assert [CONFLICT] == store.append([entry("h", position, commits[-1].id)])
        assert commits == list(store.read("h"))

    def test_the_same_commit_again_is_ok(self, store: Store) -> None:
        """Appending a commit again, by its id and position, is ok and adds nothing."""
        commits = fill(store, "h", 3)
        assert [[OK]] * 3 == [store.append([Append("h", commit)]) for commit in commits]
        assert commits == list(store.read("h"))

    def test_the_first_body_counts(self, store: Store) -> None:
        """A commit that is there is not changed by the same id with another body."""
        store.append([entry("h", 1, "a", "first")])
        assert [OK] == store.append([entry("h", 1, "a", "second")])
        assert [Commit(1, "a", "first")] == list(store.read("h"))

    def test_the_same_id_at_the_next_position(self, store: Store) -> None:
        """A commit is the same only at its position: its id at another taken one is a conflict."""
        commits = fill(store, "h", 2)
        assert [CONFLICT] == store.append([entry("h", 2, commits[0].id)])

    def test_one_conflict_leaves_the_rest_of_a_batch(self, store: Store) -> None:
        """The outcomes come in the order of the appends, and only the conflict is not durable."""
        fill(store, "taken", 1)
        outcomes = store.append(
            [entry("a", 1, "a"), entry("taken", 1, "x"), entry("b", 2, "b"), entry("c", 1, "c")]
        )
        assert [OK, CONFLICT, CONFLICT, OK] == outcomes
        assert [["a"], ["taken-1"], [], ["c"]] == [
            [commit.id for commit in store.read(history)] for history in ("a", "taken", "b", "c")
        ]

    def test_bodies_may_hold_any_text(self, store: Store) -> None:
        """A body is opaque: quotes, control characters, and all of Unicode come back as they were."""
        body = "'\"\\\n\r\t\x00\x1f\x7f\u2028é水\U0001f600"
        store.append([entry("h", 1, "a", body)])
        assert [body] == [commit.body for commit in store.read("h")]

    def test_a_body_of_the_largest_size(self, store: Store) -> None:
        """A body of `max_commit_bytes` bytes is stored whole."""
        body = "x" * store.max_commit_bytes
        assert [OK] == store.append([entry("h", 1, "a", body)])
        assert [True] == [commit.body == body for commit in store.read("h")]

    def test_reading_after_a_position(self, store: Store) -> None:
        """`after` leaves out what stands up to and at that position."""
        commits = fill(store, "h", 5)
        assert [commits[after:] for after in range(7)] == [list(store.read("h", after)) for after in range(7)]

    def test_many_commits(self, store: Store) -> None:
        """A long history is read whole, in order, from any place."""
        commits = fill(store, "h", 700)
        assert commits == list(store.read("h"))
        assert commits[256:] == list(store.read("h", 256))

    def test_writing_while_reading(self, store: Store) -> None:
        """Who is reading a long history holds nobody up, and sees no commit twice."""
        commits = fill(store, "h", 300)
        read = []
        for commit in store.read("h"):
            read.append(commit)
            assert [OK] == store.append([entry("other", commit.position, commit.id)])
        assert commits == read

    def test_a_reader_that_stops_early(self, store: Store) -> None:
        """A stream that is not read to its end leaves the store usable."""
        commits = fill(store, "h", 300)
        stream = store.read("h")
        assert commits[0] == next(stream)
        assert [OK] == store.append([entry("h", 301, "a")])

    # A commit's document

    def test_a_document_is_put_with_its_commit(self, store: Store) -> None:
        """The document of an append is there when the commit is, in its groups."""
        assert [OK] == store.append([entry("h", 1, "a", document=Put("k", "x", {"n": 1}, [("g", "s")]))])
        assert Document("x", {"n": 1}, 1) == store.get("k", "x")
        assert ["x"] == keys(store.find("k", "g"))

    def test_a_document_is_not_put_on_a_conflict(self, store: Store) -> None:
        """The document of an append that conflicts is not written."""
        fill(store, "h", 1)
        outcomes = store.append(
            [
                entry("h", 1, "other", document=Put("k", "taken", {})),
                entry("gap", 2, "a", document=Put("k", "gap", {})),
                entry("fine", 1, "a", document=Put("k", "fine", {})),
            ]
        )
        assert [CONFLICT, CONFLICT, OK] == outcomes
        assert ["fine"] == keys(store.find("k"))

    def test_a_document_is_put_once(self, store: Store) -> None:
        """Appending the same commit again does not put its document again over a later one."""
        first = entry("h", 1, "a", document=Put("k", "x", {"n": 1}))
        store.append([first])
        store.append([entry("h", 2, "b", document=Put("k", "x", {"n": 2}))])
        assert [OK] == store.append([first])
        assert Document("x", {"n": 2}, 2) == store.get("k", "x")

    def test_a_document_that_is_not_json(self, store: Store) -> None:
        """An append whose document can't be JSON is refused before anything of the batch is written."""
        bad = Put("k", "x", {"n": float("nan")})
        with pytest.raises(ValueError, match="JSON"):
            store.append([entry("a", 1, "a"), entry("b", 1, "b", document=bad)])
        assert [[], []] == [list(store.read("a")), list(store.read("b"))]

    # Documents

    def test_no_document(self, store: Store) -> None:
        """What nobody put is None."""
        assert store.get("k", "x") is None

    def test_a_document_comes_back(self, store: Store) -> None:
        """A document's value is JSON, as it was put."""
        value = {"text": "é水\x00\U0001f600", "list": [1, 2.5, None, True], "object": {"a": {}}, "": ""}
        store.put("k", "x", value)
        assert Document("x", value, 1) == store.get("k", "x")

    def test_a_value_is_the_stores_own(self, store: Store) -> None:
        """Neither who put a value nor who got it can change what is stored."""
        value = {"list": [1]}
        store.put("k", "x", value)
        value["list"].append(2)
        for found in (store.get("k", "x"), store.find("k")[0]):
            assert found is not None
            found.value["list"].append(3)
        assert Document("x", {"list": [1]}, 1) == store.get("k", "x")

    def test_a_value_that_is_not_json(self, store: Store) -> None:
        """NaN is no JSON; it is refused, and what was there stays."""
        store.put("k", "x", {"n": 1})
        with pytest.raises(ValueError, match="JSON"):
            store.put("k", "x", {"n": float("nan")})
        assert Document("x", {"n": 1}, 1) == store.get("k", "x")

    def test_kinds_are_apart(self, store: Store) -> None:
        """The same key of two kinds is two documents."""
        store.put("one", "x", {"n": 1})
        store.put("two", "x", {"n": 2})
        assert [Document("x", {"n": 1}, 1), Document("x", {"n": 2}, 1)] == [
            store.get("one", "x"),
            store.get("two", "x"),
        ]

    def test_versions_count_puts(self, store: Store) -> None:
        """A document's version is 1, and one more with each put, whoever puts."""
        assert [1, 2, 3] == [store.put("k", "x", {"n": n}) for n in range(3)]
        store.append([entry("h", 1, "a", document=Put("k", "x", {"n": 3}))])
        assert Document("x", {"n": 3}, 4) == store.get("k", "x")

    def test_zero_is_no_document(self, store: Store) -> None:
        """`if_version` 0 creates, and only creates."""
        assert 1 == store.put("k", "x", {"n": 1}, if_version=0)
        with pytest.raises(Conflict):
            store.put("k", "x", {"n": 2}, if_version=0)
        assert Document("x", {"n": 1}, 1) == store.get("k", "x")

    def test_if_version(self, store: Store) -> None:
        """A put with `if_version` counts only where the document has exactly that version."""
        store.put("k", "x", {"n": 1})
        assert 2 == store.put("k", "x", {"n": 2}, if_version=1)
        for version in (1, 3):
            with pytest.raises(Conflict):
                store.put("k", "x", {"n": 3}, if_version=version)
        assert Document("x", {"n": 2}, 2) == store.get("k", "x")

    def test_if_version_without_a_document(self, store: Store) -> None:
        """What isn't there has no version but 0."""
        with pytest.raises(Conflict):
            store.put("k", "x", {}, if_version=1)
        assert store.get("k", "x") is None

    def test_delete(self, store: Store) -> None:
        """A deleted document is gone, from its groups too, and the others stay."""
        store.put("k", "x", {}, groups=[("g", "1")])
        store.put("k", "y", {}, groups=[("g", "2")])
        store.delete("k", "x")
        assert store.get("k", "x") is None
        assert [["y"], ["y"]] == [keys(store.find("k")), keys(store.find("k", "g"))]

    def test_delete_of_nothing(self, store: Store) -> None:
        """Deleting what isn't there does nothing."""
        store.delete("k", "x")
        assert store.get("k", "x") is None

    def test_versions_begin_again_after_delete(self, store: Store) -> None:
        """A document that was deleted counts as none: `if_version` 0 holds, and the version is 1."""
        store.put("k", "x", {})
        store.put("k", "x", {})
        store.delete("k", "x")
        assert 1 == store.put("k", "x", {}, if_version=0)

    def test_an_expired_document_is_gone(self, store: Store) -> None:
        """Behind `expires_at` a document is neither got nor found; before it, it is."""
        now = time.time()
        store.put("k", "old", {}, expires_at=now - 1, groups=[("g", "1")])
        store.put("k", "new", {}, expires_at=now + 3600, groups=[("g", "2")])
        assert [None, Document("new", {}, 1)] == [store.get("k", "old"), store.get("k", "new")]
        assert [["new"], ["new"]] == [keys(store.find("k")), keys(store.find("k", "g"))]

    def test_versions_begin_again_after_expiry(self, store: Store) -> None:
        """A document that expired counts as none, for a put and for an append's document."""
        for key in ("x", "y", "z"):
            store.put("k", key, {}, expires_at=time.time() - 1)
        assert 1 == store.put("k", "x", {}, if_version=0)
        assert 1 == store.put("k", "y", {})
        store.append([entry("h", 1, "a", document=Put("k", "z", {}))])
        assert Document("z", {}, 1) == store.get("k", "z")

    def test_an_expired_document_has_no_version(self, store: Store) -> None:
        """`if_version` with the version that an expired document had is a conflict."""
        store.put("k", "x", {}, expires_at=time.time() - 1)
        with pytest.raises(Conflict):
            store.put("k", "x", {}, if_version=1)

    def test_a_later_put_ends_expiry(self, store: Store) -> None:
        """A put replaces the whole document: without `expires_at`, it stays."""
        store.put("k", "x", {}, expires_at=time.time() + 3600)
        store.put("k", "x", {"n": 1}, expires_at=time.time() - 1)
        assert store.get("k", "x") is None
        store.put("k", "x", {"n": 2})
        assert {"n": 2} == getattr(store.get("k", "x"), "value", None)

    # Finding

    def test_find_nothing(self, store: Store) -> None:
        """An unknown kind and an unknown group are empty."""
        store.put("k", "x", {})
        assert [[], []] == [store.find("other"), store.find("k", "g")]

    def test_find_by_key(self, store: Store) -> None:
        """Without a group all documents of a kind are found, by key, in the order of code points."""
        names = ["", "A", "B", "a", "a0", "b", "z", "é", "水", "\U0001f600"]
        for key in reversed(names):
            store.put("k", key, {})
        store.put("other", "x", {})
        assert names == keys(store.find("k"))
        assert names[::-1] == keys(store.find("k", reverse=True))

    def test_find_by_group(self, store: Store) -> None:
        """A group is found by its sort keys; what isn't in it is not."""
        store.put("k", "a", {"n": 1}, groups=[("g", "2")])
        store.put("k", "b", {"n": 2}, groups=[("g", "1")])
        store.put("k", "c", {"n": 3}, groups=[("h", "0")])
        store.put("k", "d", {"n": 4})
        store.put("other", "e", {"n": 5}, groups=[("g", "0")])
        found = [(document.key, document.value, document.version) for document in store.find("k", "g")]
        assert [("b", {"n": 2}, 1), ("a", {"n": 1}, 1)] == found

    def test_both_groups_are_found(self, store: Store) -> None:
        """A group holds the documents that name it first and those that name it second, in one order."""
        store.put("k", "a", {}, groups=[("g", "1"), ("h", "9")])
        store.put("k", "b", {}, groups=[("h", "5"), ("g", "2")])
        store.put("k", "c", {}, groups=[("g", "3")])
        assert ["a", "b", "c"] == keys(store.find("k", "g"))
        assert ["c", "b", "a"] == keys(store.find("k", "g", reverse=True))
        assert ["b", "a"] == keys(store.find("k", "h"))

    def test_equal_sort_keys(self, store: Store) -> None:
        """Equal sort keys are found by key, page by page, each once."""
        names = [f"{number:02}" for number in range(10)]
        for key in names:
            store.put("k", key, {}, groups=[("g", "same")])
        assert names == self._paged(store, "g", reverse=False)
        assert names[::-1] == self._paged(store, "g", reverse=True)

    def test_pages_by_key(self, store: Store) -> None:
        """The pages of a kind hold each document once."""
        names = [f"{number:02}" for number in range(10)]
        for key in names:
            store.put("k", key, {}, groups=[("g", "same")])
        assert names == self._paged(store, None, reverse=False)
        assert names[::-1] == self._paged(store, None, reverse=True)

    def test_pages_of_both_groups(self, store: Store) -> None:
        """The pages of a group that is one document's first and another's second hold each once."""
        names = [f"{number:02}" for number in range(10)]
        for key in names:
            groups = [("g", key), ("h", key)]
            store.put("k", key, {}, groups=groups if int(key) % 2 else groups[::-1])
        assert names == self._paged(store, "g", reverse=False)
        assert names[::-1] == self._paged(store, "g", reverse=True)

    def _paged(self, store: Store, group: str | None, *, reverse: bool) -> list[str]:
        found: list[str] = []
        after: str | None = None
        while page := store.find("k", group, reverse=reverse, after=after, limit=3):
            assert len(page) <= 3
            found.extend(keys(page))
            after = page[-1].cursor
        return found

    def test_a_cursor_outlives_its_document(self, store: Store) -> None:
        """A cursor goes on behind its place when its document is gone."""
        for key in "abc":
            store.put("k", key, {}, groups=[("g", key)])
        cursor = store.find("k", "g", limit=2)[-1].cursor
        store.delete("k", "b")
        assert ["c"] == keys(store.find("k", "g", after=cursor))

    def test_limit(self, store: Store) -> None:
        """No more than `limit` are found, and 100 where nothing is said."""
        for number in range(101):
            store.put("k", f"{number:03}", {})
        assert [1, 100, 101] == [
            len(store.find("k", limit=1)),
            len(store.find("k")),
            len(store.find("k", limit=102)),
        ]

    def test_a_put_moves_a_document(self, store: Store) -> None:
        """A put takes a document out of the groups that it no longer names."""
        store.put("k", "x", {}, groups=[("running", "1"), ("all", "1")])
        store.put("k", "x", {}, groups=[("ended", "1"), ("all", "2")])
        assert [[], ["x"], ["x"]] == [keys(store.find("k", group)) for group in ("running", "ended", "all")]
        store.put("k", "x", {})
        assert [[], [], []] == [store.find("k", group) for group in ("running", "ended", "all")]

    # Changes

    def test_none_is_older_than_everything(self, store: Store) -> None:
        """The first token differs from None, also before anything was written."""
        assert store.changed(None) is not None

    def test_what_others_write_is_a_change(self, store: Store, other: Store) -> None:
        """An append, a put and a delete in another thread each change the token."""
        token = store.changed(None)
        for write in (
            lambda: other.append([entry("h", 1, "a")]),
            lambda: other.append([entry("h", 2, "b", document=Put("k", "x", {}))]),
            lambda: other.put("k", "y", {}),
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
