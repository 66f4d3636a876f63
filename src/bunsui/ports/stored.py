"""What a store takes and gives; see `bunsui.ports.store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bunsui.errors import StoreError

__all__ = ["Append", "Appended", "Commit", "Document", "Made", "Put"]


@frozen
class Commit:
    """What is appended at once: it is there as a whole or not at all.

    Such as::

        from bunsui.ports.store import Commit

        print(Commit(position=1, id="c1", body="[]").position)  # 1
    """

    #: Where it stands in its history; starts at 1, without gaps.
    position: int
    #: Unique; the same commit appended twice counts once.
    id: str
    #: The events, as the text that `bunsui.stores.records` writes; opaque to a store.
    body: str


#: Most index groups of a document.
MAX_GROUPS = 2


@frozen
class Put:
    """A document to be written.

    Raises:
        ValueError: it has more than two groups.

    Such as::

        from bunsui.ports.store import Put

        print(Put("report", "2026-01", {"rows": 3}, groups=[("month", "01")]).key)  # 2026-01
    """

    #: The family, such as ``session``.
    kind: str
    #: Unique within the kind.
    key: str
    #: A JSON object.
    value: Mapping[str, Any]
    #: Up to two (group, sort key): `Store.find` lists a group in the order of its sort keys.
    groups: Sequence[tuple[str, str]] = field(default=())

    @groups.validator
    def _few(self, _: object, groups: Sequence[tuple[str, str]]) -> None:
        if len(groups) > MAX_GROUPS:
            raise ValueError(
                f"{self.kind} '{self.key}' has {len(groups)} groups; a document has at most {MAX_GROUPS}"
            )


@frozen
class Append:
    """One commit for one history.

    Such as::

        from bunsui.ports.store import Append, Commit, Put

        entry = Append("orders", Commit(1, "c1", "[]"), document=Put("session", "orders", {"jobs": 2}))
        print(entry.history, entry.commit.id)  # orders c1
    """

    #: The history's name: a session's id.
    history: str
    #: What is appended.
    commit: Commit
    #: Put together with the commit, or not at all.
    document: Put | None = None


@frozen
class Appended:
    """What became of an `Append`: it is there, or there was a conflict, or the store failed.

    Such as::

        from bunsui.ports.store import Appended

        print(Appended().ok, Appended(conflict=True).ok)  # True False
    """

    #: Another commit stands at the position, or there is a gap before it.
    conflict: bool = False
    #: The store failed, and it is not known whether the commit is there: append the same again. Where the
    #: error is `lasting`, somebody has to mend the store first.
    error: StoreError | None = None

    @property
    def ok(self) -> bool:
        """Whether the commit is durable."""
        return not self.conflict and self.error is None


@frozen
class Made:
    """What `Store.create` has done.

    Such as::

        from bunsui.ports.store import Made

        print(Made(is_new=True).lacks)  # ()
    """

    #: Whether it was not there.
    is_new: bool
    #: What it has not though it should, each as a sentence; empty: nothing.
    lacks: tuple[str, ...] = ()


@frozen
class Document:
    """A document as it is stored.

    Such as::

        from bunsui.testing import FakeStore

        store = FakeStore()
        store.put("report", "2026-01", {"rows": 3})
        document = store.get("report", "2026-01")
        print(document.version, document.value)  # 1 {'rows': 3}
    """

    #: Unique within its kind.
    key: str
    #: The JSON object that was put; a copy.
    value: Mapping[str, Any]
    #: Starts at 1, and again after it was deleted or has expired; one more with each put.
    version: int
    #: Where `Store.find` goes on after this one; good also when the document is gone. Of one that `Store.get`
    #: gives it is empty.
    cursor: str = ""
