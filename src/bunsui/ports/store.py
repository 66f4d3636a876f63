"""Where everything durable lives: histories and documents.

Eight methods on two primitives. A *history* is an append-only list of commits, each at a position
1, 2, ...; appending names the position, so that of two writers one wins. A *document* is a small JSON
object with a version, found by key or in the order of an index group. The other methods have a body: a store
may do without them. `bunsui.testing.StoreSuite` holds for every store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.errors import StateError, StoreError
from bunsui.ports.stored import Append, Appended, Commit, Document, Made, Put

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bunsui.aws.settings import AwsSettings
    from bunsui.ports.permissions import Permission, Unnamed, Where

__all__ = ["Append", "Appended", "Commit", "Document", "Made", "Put", "Store"]


class Store(ABC):
    """The store port. Every method may be called from any thread, and raises StoreError if it fails.

    Such as::

        from bunsui.ports.store import Append, Commit
        from bunsui.testing import FakeStore

        store = FakeStore()  # One of these; so is runner.store.
        [appended] = store.append([Append("orders", Commit(1, "c1", "[]"))])
        print(appended.ok, [commit.id for commit in store.read("orders")])  # True ['c1']
    """

    #: The largest body of one commit, in bytes of UTF-8; drivers split larger ones.
    max_commit_bytes: ClassVar[int]
    #: The file, where the store is one on this machine: a runner puts logs and artifacts beside it. None:
    #: jobs have no kept logs, and large outputs are in the history.
    path: Path | None = None

    def limit_lock_timeout(self, seconds: float) -> None:
        """Has no call wait longer than this for a lock that others hold; called by each runner on the store.

        A driver that waits makes no turn, and could lose its sessions. Where nothing waits for locks, nothing
        is to be done.

        Such as::

            runner.store.limit_lock_timeout(10.0)
        """
        del seconds

    def with_aws(self, settings: AwsSettings) -> Store:
        """This store, which calls AWS as a runner was told to where its URL says nothing else.

        Called by who has opened it by its URL, before anything else. A store that does not call AWS is the
        same.

        Such as::

            from bunsui.aws.settings import AwsSettings

            settings = AwsSettings(region="eu-central-1")
            store = bunsui.Plugins().open_store("dynamodb://bunsui").with_aws(settings)
            print(store.url)  # dynamodb://bunsui
        """
        del settings
        return self

    def create(self) -> Made:
        """Makes what the store needs before it can be used; what is there is left as it is.

        Such as::

            store = bunsui.Plugins().open_store("memory://")
            try:
                store.create()
            except bunsui.StateError:
                print("it needs nothing")  # it needs nothing

        Raises:
            StateError: nothing is to be made: the first write makes it.
            StoreError: it can't be made, or something else is there.
        """
        raise StateError("nothing is to be made for this store: its first write makes what it needs")

    def permissions(self, where: Where) -> Iterable[Permission | Unnamed]:
        """What whoever runs pipelines with this store has to be allowed at AWS; see `bunsui.aws.iam_policy`.

        By default nothing: the store calls nobody there. It asks nobody.

        Such as::

            from bunsui.ports.permissions import Where

            print(list(runner.store.permissions(Where("eu-central-1", "123456789012"))))  # []

        Args:
            where: the runner's region and account.
        """
        del where
        return ()

    def log_group(self) -> tuple[str, AwsSettings] | None:
        """The group of CloudWatch Logs that has the logs of jobs, unless the configuration names a place.

        By default none: then they are beside `path`, if that is a file, and else gone with their runner.

        Such as::

            print(runner.store.log_group())  # None

        Returns:
            Its URL, such as ``cloudwatch:///bunsui/team``, and as whom and where it is called.
        """
        return None

    @abstractmethod
    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """Appends commits to several histories, durably, and says for each what became of it.

        Each is a compare-and-append: a conflict unless its position is the next one. The same
        commit (by id, at its position) appended again is ok. One entry's conflict or failure does
        not touch the others. At most one entry for each history.

        Such as::

            from bunsui.ports.store import Append, Commit
            from bunsui.testing import FakeStore

            store = FakeStore()
            first, other = Commit(1, "c1", "[]"), Commit(1, "c2", "[]")
            answers = [store.append([Append("orders", commit)])[0] for commit in (first, first, other)]
            print([answer.ok for answer in answers])  # [True, True, False]

        Raises:
            TypeError, ValueError: a document's value is no JSON; nothing of the batch was written.
        """

    @abstractmethod
    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        """Streams the commits behind position `after`, in order; none for an unknown history.

        It may be left in the middle, and holds up no writer meanwhile.

        Such as::

            print([commit.position for commit in runner.store.read(session.id)][:2])  # [1, 2]

        Raises:
            NotFound: it was removed in the middle.
        """

    @abstractmethod
    def put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_at: float | None = None,
        groups: Sequence[tuple[str, str]] = (),
    ) -> int:
        """Writes a document whole and returns its new version.

        Such as::

            store = runner.store
            version = store.put("report", "2026-01", {"rows": 3}, if_version=0)
            print(version, store.put("report", "2026-01", {"rows": 4}, if_version=version))  # 1 2

        Args:
            kind: the family, such as ``"session"``; keys are unique within it.
            key: unique within the kind.
            value: a JSON object.
            if_version: only if this is its version; 0: only if there is none; None: in any case.
            expires_at: seconds since the Unix epoch, after which it is as if deleted; None: never.
            groups: up to two (group, sort key).

        Raises:
            Conflict: it has another version.
            TypeError, ValueError: `value` is no JSON.
            ValueError: it has more than two groups.
        """

    @abstractmethod
    def get(self, kind: str, key: str) -> Document | None:
        """The document, or None where there is none.

        Such as::

            print(runner.store.get("report", "2026-01"))  # None
        """

    @abstractmethod
    def delete(self, kind: str, key: str) -> None:
        """Removes the document, if it is there.

        Such as::

            store = runner.store
            store.put("report", "2026-01", {"rows": 3})
            store.delete("report", "2026-01")
            print(store.get("report", "2026-01"))  # None
        """

    @abstractmethod
    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """Up to `limit` documents of a kind, by sort key and key within `group`, else by key.

        Texts are ordered by code points. A document is in a group that it names first or second.

        Such as::

            store = runner.store
            store.put("report", "a", {}, groups=[("month", "02")])
            store.put("report", "b", {}, groups=[("month", "01")])
            print([document.key for document in store.find("report", "month")])  # ['b', 'a']

        Args:
            kind: the family.
            group: an index group; None: all of the kind.
            reverse: the last first.
            after: the cursor of a document found before; goes on behind it.
            limit: at least 1.

        Raises:
            ConfigError: `after` is no cursor.
        """

    def find_prefix(self, kind: str, prefix: str, limit: int = 100) -> list[Document]:
        """Up to `limit` documents of a kind whose key begins with `prefix`, by key.

        Here all keys up to those are looked at; a store that can begin at a key has its own way.

        Such as::

            store = runner.store
            store.put("report", "2026-01", {})
            print([document.key for document in store.find_prefix("report", "2026")])  # ['2026-01']
        """
        found: list[Document] = []
        after: str | None = None
        while page := self.find(kind, after=after, limit=1000):
            found += [document for document in page if document.key.startswith(prefix)]
            last = page[-1]
            if len(found) >= limit or (last.key > prefix and not last.key.startswith(prefix)):
                break
            after = last.cursor
        return found[:limit]

    def remove(self, history: str, document: tuple[str, str] | None = None) -> None:
        """Removes a history, and with it the document of this kind and key: both, or nothing.

        What is not there is no error. After it the history is as one that nobody wrote.

        Such as::

            runner.store.remove(session.id, ("session", session.id))
            print(list(runner.store.read(session.id)), runner.sessions())  # [] []

        Raises:
            StoreError: this store can't remove histories.
        """
        del document
        raise StoreError(f"{type(self).__name__} can't remove the history {history!r}", lasting=True)

    @abstractmethod
    def changed(self, token: object) -> object:
        """A token that differs from `token` if anyone else may have written since it was given out.

        One cheap call, for polling: whether a document was put or deleted, or a history removed. What is
        appended need not show, nor the documents of kind ``runner``, by which runners say that they live.
        A token is good in the thread that asked for it; None is older than everything. False alarms are
        allowed; a missed change is not, unless who made it died in the middle: then a token may differ some
        seconds late.

        Such as::

            store = runner.store
            token = store.changed(None)
            print(store.changed(token) == token)  # True
        """

    @abstractmethod
    def close(self) -> None:
        """Frees what is held open. Reading stays possible, at the price of opening again.

        Such as::

            store = bunsui.Plugins().open_store("sqlite:///orders.db")
            store.close()
            print(store.get("report", "2026-01"))  # None
        """
