"""Documents: versions, expiry, groups, order, pages."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from bunsui.errors import ConfigError, Conflict
from bunsui.ports.store import Document, Put
from bunsui.testing.store.entries import entry, keys

if TYPE_CHECKING:

    from bunsui.ports.store import Store

#: Keys in the order of code points; that of UTF-16, as of JavaScript, has the last two the other way round.
IN_ORDER = ["", "A", "B", "a", "a0", "b", "z", "é", "水", "\uff21", "\U0001f600"]


class Documents:
    """Holds for the documents of every store; mixed into `StoreSuite`."""

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

    @pytest.mark.parametrize("value", [float("nan"), {1}, b"bytes"], ids=["NaN", "set", "bytes"])
    def test_a_value_that_is_not_json(self, store: Store, value: Any) -> None:
        """It is refused by a TypeError or ValueError, and what was there stays."""
        store.put("k", "x", {"n": 1})
        with pytest.raises((TypeError, ValueError)):
            store.put("k", "x", {"n": value})
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
        for key in reversed(IN_ORDER):
            store.put("k", key, {})
        store.put("other", "x", {})
        assert IN_ORDER == keys(store.find("k"))
        assert IN_ORDER[::-1] == keys(store.find("k", reverse=True))

    def test_find_by_sort_key(self, store: Store) -> None:
        """Sort keys are in the order of code points, too."""
        for number, sort in enumerate(reversed(IN_ORDER)):
            store.put("k", f"{number:02}", {"sort": sort}, groups=[("g", sort)])
        assert IN_ORDER == [document.value["sort"] for document in store.find("k", "g")]

    def test_find_by_the_beginning_of_a_key(self, store: Store) -> None:
        """Keys that begin with a text, the text itself among them, by key; no more than `limit`."""
        for key in ("", "a", "ab", "ab\U0010ffff", "aba", "abb", "ac", "b", "é"):
            store.put("k", key, {"key": key}, groups=[("g", key)])
        store.put("other", "abc", {})
        found = [keys(store.find_prefix("k", prefix)) for prefix in ("ab", "abb", "abc", "c", "é")]
        assert [["ab", "aba", "abb", "ab\U0010ffff"], ["abb"], [], [], ["é"]] == found
        assert [["ab"], ["ab", "aba"]] == [keys(store.find_prefix("k", "ab", limit)) for limit in (1, 2)]
        assert 9 == len(store.find_prefix("k", ""))
        assert [{"key": "ac"}] == [document.value for document in store.find_prefix("k", "ac")]

    def test_find_by_the_beginning_of_a_key_on_many_pages(self, store: Store) -> None:
        """What stands behind a thousand other keys is found, and so are more than a thousand."""
        for number in range(1200):
            store.put("k", f"a{number:04}", {})
        store.put("k", "b", {})
        assert [["b"], ["a1199"]] == [keys(store.find_prefix("k", prefix)) for prefix in ("b", "a1199")]
        assert 1200 == len(store.find_prefix("k", "a", limit=5000))

    def test_find_by_group(self, store: Store) -> None:
        """A group is found by its sort keys; what isn't in it is not."""
        store.put("k", "a", {"n": 1}, groups=[("g", "2")])
        store.put("k", "b", {"n": 2}, groups=[("g", "1")])
        store.put("k", "c", {"n": 3}, groups=[("h", "0")])
        store.put("k", "d", {"n": 4})
        store.put("other", "e", {"n": 5}, groups=[("g", "0")])
        found = [(document.key, document.value, document.version) for document in store.find("k", "g")]
        assert [("b", {"n": 2}, 1), ("a", {"n": 1}, 1)] == found

    def test_a_third_group_is_refused(self, store: Store) -> None:
        """A document has at most two groups; with more nothing is written, and what was there stays."""
        store.put("k", "x", {"n": 1})
        with pytest.raises(ValueError, match="groups"):
            store.put("k", "x", {"n": 2}, groups=[("g", "1"), ("h", "2"), ("i", "3")])
        assert Document("x", {"n": 1}, 1) == store.get("k", "x")

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

    @pytest.mark.parametrize("text", ["", "no cursor", "[1]", "é\x00"])
    def test_what_is_no_cursor(self, store: Store, text: str) -> None:
        """A text that no document has had as its cursor is a ConfigError."""
        store.put("k", "x", {})
        with pytest.raises(ConfigError):
            store.find("k", after=text)

    def test_expired_documents_take_no_place(self, store: Store) -> None:
        """Pages are full where expired documents stand between the others: who pages finds all."""
        names = [f"{number:02}" for number in range(12)]
        for number, key in enumerate(names):
            expires_at = time.time() - 1 if 2 <= number < 9 else None
            store.put("k", key, {}, expires_at=expires_at, groups=[("g", "same")])
        live = names[:2] + names[9:]
        assert [live, live] == [self._paged(store, group, reverse=False) for group in (None, "g")]
        assert live[:4] == keys(store.find("k", limit=4))

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
