"""Histories: dense positions, conflicts, idempotent appends, reading."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.ports.store import Append, Commit, Document, Put
from bunsui.testing.store.entries import CONFLICT, OK, entry, fill, keys

if TYPE_CHECKING:

    from bunsui.ports.store import Store


class Histories:
    """Holds for the histories of every store; mixed into `StoreSuite`."""

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

    @pytest.mark.parametrize("letter", ["x", '"', "é"])
    def test_a_body_of_the_largest_size(self, store: Store, letter: str) -> None:
        """A body of `max_commit_bytes` bytes of UTF-8 is stored whole, however the store writes it down."""
        body = letter * (store.max_commit_bytes // len(letter.encode()))
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
        with pytest.raises((TypeError, ValueError)):
            store.append([entry("a", 1, "a"), entry("b", 1, "b", document=bad)])
        assert [[], []] == [list(store.read("a")), list(store.read("b"))]
