"""Histories in a table of DynamoDB.

A history has a head, which says where it ends, and its commits, in a partition of their own for each time
that a history of this name was begun. A commit is appended in one transaction with the head, which has to
end right before it, and with its document. So a commit and its document are there together or not at all,
and there is no gap; a history that was removed is gone with its head, while its commits are deleted one
after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import frozen

from bunsui.errors import NotFound, StoreError
from bunsui.ports.store import Append, Appended, Commit
from bunsui.stores import dynamodb_items
from bunsui.stores.dynamodb_calls import NOT_MET, ConditionFailed
from bunsui.stores.dynamodb_documents import Written
from bunsui.stores.dynamodb_items import REMOVED, Item
from bunsui.stores.records import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.stores.dynamodb_calls import Calls

#: Histories whose generation is remembered.
MAX_REMEMBERED = 10_000
#: Appends on their way at once.
CONCURRENCY = 16
#: Items of one BatchWriteItem: its API reference.
MOST_WRITTEN = 25
#: Histories that were left half removed and are removed along with another one.
_SWEPT = 10


@frozen
class _Head:
    generation: str
    #: The position of its last commit.
    position: int


class Histories:
    """The histories of a table.

    Args:
        calls: about it.
        now: by which documents expire, in seconds since the Unix epoch.
    """

    def __init__(self, calls: Calls, now: Callable[[], float]) -> None:
        self._calls = calls
        self._now = now
        #: Generations of histories, as far as they were seen.
        self._generations: dict[str, str] = {}

    # Appending

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`: a transaction for each, several at once."""
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
        is_first, is_anew = commit.position == 1, False
        generation = uuid4().hex[:16] if is_first else self._generation(history)
        while generation is not None:
            parts: list[dict[str, Any]] = [
                {"Update": _move(history, generation, commit.position)},
                {"Put": _commit(history, generation, commit, text)},
            ]
            if document is not None:
                now = self._now()
                parts.append({"Update": document.anew(now) if is_anew else document.again(now)})
            try:
                self._calls.transact(parts)
            except ConditionFailed as failed:
                if NOT_MET not in failed.reasons[:2]:
                    is_anew = not is_anew  # The document has expired, or somebody has put it since.
                    continue
                found = self._head(history)
                if found is None or found.position < commit.position - 1:
                    return False
                if found.position >= commit.position:
                    return self._has(history, found.generation, commit)
                if is_first or found.generation == generation:
                    return False
                generation = found.generation  # It was removed and begun anew, and this is its next commit.
                continue
            self._remember(history, generation)
            return True
        return False

    def _generation(self, history: str) -> str | None:
        known = self._generations.get(history)
        if known is None and (found := self._head(history)) is not None:
            known = found.generation
        return known

    def _remember(self, history: str, generation: str) -> None:
        if len(self._generations) >= MAX_REMEMBERED:
            self._generations.clear()
        self._generations[history] = generation

    def _has(self, history: str, generation: str, commit: Commit) -> bool:
        """Whether it is this commit that stands at its position."""
        key = _key(history, generation, commit.position)
        found = self._calls.call("GetItem", Key=key, ConsistentRead=True, ProjectionExpression="id").get(
            "Item", {}
        )
        self._remember(history, generation)
        return bool(found.get("id") == {"S": commit.id})

    def _head(self, history: str) -> _Head | None:
        answer = self._calls.call("GetItem", Key=dynamodb_items.head(history), ConsistentRead=True)
        item = answer.get("Item")
        return None if item is None else _Head(item["gen"]["S"], int(item["pos"]["N"]))

    # Reading

    def read(self, history: str, after: int) -> Iterator[Commit]:
        """See `Store.read`: as far as the history went when it was begun to be read."""
        found = self._head(history)
        after = max(after, 0)
        if found is None or found.position <= after:
            return
        where = f"history {history} of {self._calls.where}"
        pages = self._calls.pages(
            "Query",
            KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
            ExpressionAttributeValues={
                ":pk": {"S": dynamodb_items.commits(history, found.generation)},
                ":low": {"S": dynamodb_items.place(after + 1)},
                ":high": {"S": dynamodb_items.place(found.position)},
            },
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                commit = dynamodb_items.read_commit(item, where)
                if commit.position != after + 1:
                    raise self._missing(history, found, after + 1)
                after += 1
                yield commit
        if after != found.position:
            raise self._missing(history, found, after + 1)

    def _missing(self, history: str, found: _Head, position: int) -> NotFound | StoreError:
        """The error of a commit that is not there."""
        now = self._head(history)
        if now is None or now.generation != found.generation:
            text = f"the history of {history} was removed while it was read"
            return NotFound(text, kind="history", name=history)
        text = f"{self._calls.where} is damaged: commit {position} of {history} is missing"
        return StoreError(text, hint=DAMAGED, lasting=True)

    # Removing

    def remove(self, history: str, document: tuple[str, str] | None) -> None:
        """See `Store.remove`: the head and the document in one transaction, the commits after it."""
        key = None if document is None else dynamodb_items.document(*document)
        found = self._head(history)
        if found is not None:
            parts: list[dict[str, Any]] = [
                {
                    "Delete": {
                        "Key": dynamodb_items.head(history),
                        "ConditionExpression": "gen = :gen",
                        "ExpressionAttributeValues": {":gen": {"S": found.generation}},
                    }
                },
                {"Put": {"Item": {**_left(found.generation), "of": {"S": history}}}},
            ]
            if key is not None:
                parts.append({"Delete": {"Key": key}})
            # Else somebody has removed it meanwhile, or this call has, and its answer was lost.
            with suppress(ConditionFailed):
                self._calls.transact(parts)
                key = None
        if key is not None:
            self._calls.call("DeleteItem", Key=key)
        self._generations.pop(history, None)
        self._sweep()

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
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        )
        for page in pages:
            keys = page["Items"]
            for at in range(0, len(keys), MOST_WRITTEN):
                some = [{"DeleteRequest": {"Key": key}} for key in keys[at : at + MOST_WRITTEN]]
                for _ in self._calls.in_parts("BatchWriteItem", some, "UnprocessedItems"):
                    pass


def _move(history: str, generation: str, position: int) -> dict[str, Any]:
    """The update of a head by which its history ends at a position, where it has ended right before that."""
    values: Item = {":gen": {"S": generation}, ":pos": {"N": str(position)}}
    condition = "attribute_not_exists(pk)"
    if position > 1:
        condition = "gen = :gen AND pos = :was"
        values[":was"] = {"N": str(position - 1)}
    return {
        "Key": dynamodb_items.head(history),
        "UpdateExpression": "SET gen = :gen, pos = :pos",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
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
