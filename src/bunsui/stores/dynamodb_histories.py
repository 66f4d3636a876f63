"""Histories in a table of DynamoDB.

A history has a head, and its commits, in a partition of their own for each time that a history of this name
was begun: the head says which. A commit is put where none stands, and where one stands right before it: of
two writers one wins, and there is no gap. With a document it is a transaction, which costs twice as much.
A history that was removed is gone with its head, while its commits are deleted one after the other; behind
them stands a fence, so that a writer who has not heard of it appends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bunsui.errors import NotFound, StoreError
from bunsui.ports.store import Append, Appended, Commit
from bunsui.stores import dynamodb_items
from bunsui.stores.dynamodb_calls import NOT_MET, ConditionFailed
from bunsui.stores.dynamodb_documents import Written
from bunsui.stores.dynamodb_items import REMOVED, Item
from bunsui.stores.dynamodb_table import EXPIRY
from bunsui.stores.records import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.stores.dynamodb_calls import Calls

#: Histories whose last commit is remembered.
MAX_REMEMBERED = 10_000
#: Appends on their way at once.
CONCURRENCY = 16
#: Items of one BatchWriteItem: its API reference.
MOST_WRITTEN = 25
#: Seconds for which nobody can append to what was removed: longer than a runner may be frozen.
FENCED = 7 * 86400.0
#: Histories that were left half removed and are removed along with another one.
_SWEPT = 10


class Histories:
    """The histories of a table.

    Args:
        calls: about it.
        now: by which documents expire, in seconds since the Unix epoch.
    """

    def __init__(self, calls: Calls, now: Callable[[], float]) -> None:
        self._calls = calls
        self._now = now
        #: Generations of histories, each with the position of the last commit that is known to be there.
        self._known: dict[str, tuple[str, int]] = {}

    # Appending

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`: a write for each, several at once."""
        # First of all, so that nothing is written where one of them is no JSON.
        written = [self._written(entry) for entry in appends]
        if len(appends) < 2:
            return [self._append(entry, document) for entry, document in zip(appends, written, strict=True)]
        from bunsui.performance.batch import BatchProcessor  # noqa: PLC0415 - where there are several

        def one(batch: Sequence[tuple[Append, Written | StoreError | None]]) -> list[Appended]:
            return [self._append(*each) for each in batch]

        at_once = BatchProcessor(1, concurrency=min(len(appends), CONCURRENCY))
        found = at_once.process_batch(zip(appends, written, strict=True), one)
        outcomes = []
        for each in found:
            if each.error is not None:
                raise each.error
            assert each.value is not None  # noqa: S101 - it is one or the other
            outcomes.append(each.value)
        return outcomes

    @staticmethod
    def _written(entry: Append) -> Written | StoreError | None:
        try:
            return None if entry.document is None else Written.of(entry.document)
        except StoreError as error:  # It is too large, which is an affair of this entry only.
            return error

    def _append(self, entry: Append, document: Written | StoreError | None) -> Appended:
        try:
            if isinstance(document, StoreError):
                raise document
            return Appended(conflict=not self._is_appended(entry, document))
        except StoreError as error:
            return Appended(error=error)

    def _is_appended(self, entry: Append, document: Written | None) -> bool:
        """Whether the commit is there, by this or by an earlier call.

        Raises:
            StoreError: that is not known.
        """
        history, commit = entry.history, entry.commit
        if commit.position < 1:
            return False
        text = dynamodb_items.text(commit.body, f"commit {commit.position} of {history}")
        is_first = commit.position == 1
        generation = uuid4().hex[:16] if is_first else self._generation(history, commit.position)
        if generation is None:
            return False
        parts = [{"Put": _commit(history, generation, commit, text)}]
        if is_first:
            parts.append({"Put": _begin(history, generation)})
        if not self._is_written(parts, document):
            there = self._head(history)
            # It may be this very commit, of which the answer was lost.
            if there is None or self._id(history, there, commit.position) != commit.id:
                self._known.pop(history, None)
                return False
            generation = there
        self._remember(history, generation, commit.position)
        return True

    def _is_written(self, parts: list[dict[str, Any]], document: Written | None) -> bool:
        """Writes all of it, with the document of an append; False: a commit stands there, or a head."""
        if document is None and len(parts) == 1:
            with suppress(ConditionFailed):
                self._calls.call("PutItem", **parts[0]["Put"])
                return True
            return False
        updates = () if document is None else (document.again, document.anew)
        while True:
            for update in updates or (None,):
                more = [] if update is None else [{"Update": update(self._now())}]
                try:
                    self._calls.transact([*parts, *more])
                except ConditionFailed as failed:
                    if NOT_MET in failed.reasons[: len(parts)]:
                        return False
                    continue  # The document has expired, or somebody has put it since.
                return True

    def _generation(self, history: str, position: int) -> str | None:
        """The generation in which a commit may stand there; None: it may not, as nothing is before it."""
        generation, last = self._known.get(history, (None, 0))
        if generation is not None and last == position - 1:
            return generation
        # Also where somebody else has appended, or has removed it and begun it anew.
        generation = self._head(history)
        if generation is None or self._id(history, generation, position - 1) is None:
            return None
        return generation

    def _remember(self, history: str, generation: str, position: int) -> None:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[history] = generation, position

    def _id(self, history: str, generation: str, position: int) -> str | None:
        """The id of the commit at a position; None: there is none."""
        key = _key(history, generation, position)
        answer = self._calls.call("GetItem", Key=key, ConsistentRead=True, ProjectionExpression="id")
        return answer["Item"]["id"]["S"] if "Item" in answer else None

    def _head(self, history: str) -> str | None:
        """The generation of a history; None: nobody has written it."""
        answer = self._calls.call("GetItem", Key=dynamodb_items.head(history), ConsistentRead=True)
        return answer["Item"]["gen"]["S"] if "Item" in answer else None

    # Reading

    def read(self, history: str, after: int) -> Iterator[Commit]:
        """See `Store.read`: page by page, consistently; a whole history or NotFound."""
        generation = self._head(history)
        if generation is None:
            return
        after = first = max(after, 0)
        where = f"history {history} of {self._calls.where}"
        pages = self._calls.pages(
            "Query",
            KeyConditionExpression="pk = :pk AND sk > :after",
            FilterExpression=f"attribute_not_exists({EXPIRY})",
            ExpressionAttributeValues={
                ":pk": {"S": dynamodb_items.commits(history, generation)},
                ":after": {"S": dynamodb_items.place(after)},
            },
            ConsistentRead=True,
        )
        for page in pages:
            commits = [dynamodb_items.read_commit(item, where) for item in page["Items"]]
            # Before any of them is shown: a part must not be taken for the whole.
            if "LastEvaluatedKey" not in page and (commits or after > first):
                self._require(history, generation)
            for commit in commits:
                if commit.position != after + 1:
                    self._require(history, generation)
                    text = f"{self._calls.where} is damaged: commit {after + 1} of {history} is missing"
                    raise StoreError(text, hint=DAMAGED, lasting=True)
                after += 1
                yield commit

    def _require(self, history: str, generation: str) -> None:
        """Makes sure that the history has not been removed.

        Raises:
            NotFound: it has.
        """
        if self._head(history) != generation:
            text = f"the history of {history} was removed while it was read"
            raise NotFound(text, kind="history", name=history)

    # Removing

    def remove(self, history: str, document: tuple[str, str] | None) -> None:
        """See `Store.remove`: the head and the document in one transaction, the commits after it."""
        key = None if document is None else dynamodb_items.document(*document)
        generation = self._head(history)
        if generation is not None:
            self._fence(history, generation)
            parts: list[dict[str, Any]] = [
                {
                    "Delete": {
                        "Key": dynamodb_items.head(history),
                        "ConditionExpression": "gen = :gen",
                        "ExpressionAttributeValues": {":gen": {"S": generation}},
                    }
                },
                {"Put": {"Item": {**_left(generation), "of": {"S": history}}}},
            ]
            if key is not None:
                parts.append({"Delete": {"Key": key}})
            # Else somebody has removed it meanwhile, or this call has, and its answer was lost.
            with suppress(ConditionFailed):
                self._calls.transact(parts)
                key = None
        if key is not None:
            self._calls.call("DeleteItem", Key=key)
        self._known.pop(history, None)
        self._sweep()

    def _fence(self, history: str, generation: str) -> None:
        """Has nobody append any more: they find the next place taken. The fence goes by itself after days."""
        while True:
            last = self._calls.call(
                "Query",
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": dynamodb_items.commits(history, generation)}},
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=1,
            )["Items"]
            if last and EXPIRY in last[0]:
                return  # Somebody has begun to remove it.
            position = int(last[0]["sk"]["S"]) + 1 if last else 1
            gone = {EXPIRY: {"N": str(int(self._now() + FENCED))}}
            fence = _commit(history, generation, Commit(position, "removed", ""), gone)
            with suppress(ConditionFailed):  # Somebody has appended meanwhile.
                self._calls.call("PutItem", **fence)
                return

    def _sweep(self) -> None:
        """Deletes the commits of what was removed, also of what was left half removed before."""
        left = self._calls.call(
            "Query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": REMOVED}},
            ConsistentRead=True,
            Limit=_SWEPT,
        )
        for item in left["Items"]:
            generation = item["sk"]["S"]
            self._delete(dynamodb_items.commits(item["of"]["S"], generation))
            self._calls.call("DeleteItem", Key=_left(generation))

    def _delete(self, partition: str) -> None:
        pages = self._calls.pages(
            "Query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            FilterExpression=f"attribute_not_exists({EXPIRY})",
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        )
        for page in pages:
            keys = page["Items"]
            for at in range(0, len(keys), MOST_WRITTEN):
                some = [{"DeleteRequest": {"Key": key}} for key in keys[at : at + MOST_WRITTEN]]
                for _ in self._calls.in_parts("BatchWriteItem", some, "UnprocessedItems"):
                    pass


def _begin(history: str, generation: str) -> dict[str, Any]:
    """The head of a history that is begun, where there is none."""
    return {
        "Item": {**dynamodb_items.head(history), "gen": {"S": generation}},
        "ConditionExpression": "attribute_not_exists(pk)",
    }


def _key(history: str, generation: str, position: int) -> Item:
    partition = dynamodb_items.commits(history, generation)
    return {"pk": {"S": partition}, "sk": {"S": dynamodb_items.place(position)}}


def _commit(history: str, generation: str, commit: Commit, text: Item) -> dict[str, Any]:
    return {
        "Item": {**_key(history, generation, commit.position), "id": {"S": commit.id}, **text},
        "ConditionExpression": "attribute_not_exists(pk)",
    }


def _left(generation: str) -> Item:
    """The key of the note that commits are still to be deleted."""
    return {"pk": {"S": REMOVED}, "sk": {"S": generation}}
