"""Documents in a table of DynamoDB."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import frozen

from bunsui.errors import Conflict
from bunsui.model.json import compact
from bunsui.ports.store import Document, Put
from bunsui.stores import cursors, dynamodb_items
from bunsui.stores.dynamodb_calls import ConditionFailed
from bunsui.stores.dynamodb_items import INDEXES, Item
from bunsui.stores.dynamodb_table import EXPIRY

if TYPE_CHECKING:
    from bunsui.stores.dynamodb_calls import Calls

#: Items of one BatchGetItem: its API reference.
MOST_GOT = 100
#: Seconds since 1970 that nobody lives to see: what expires then never does.
_NEVER = 1e11
#: Items that are looked at, at least: those that have expired are still there for days.
LEAST_PAGE = 25
#: A document that is there, for who puts or finds it.
_LIVE = "(attribute_not_exists(exp) OR exp > :now)"
_ABSENT = "(attribute_not_exists(pk) OR exp <= :now)"
#: All attributes of a document that not every one has.
_OPTIONAL = ("val", "zip", "exp", EXPIRY, *INDEXES.values(), "wid")


@frozen
class Written:
    """A document as it is to be stored: made of its value once, whatever becomes of it."""

    put: Put
    #: Its attributes but for the version.
    attributes: Item

    @classmethod
    def of(cls, put: Put, expires_at: float | None = None, by: str | None = None) -> Written:
        """What is written of a document.

        Args:
            put: it.
            expires_at: see `Store.put`.
            by: names this write.

        Raises:
            TypeError, ValueError: its value is no JSON.
            StoreError: it is too large, or a text of its is.
        """
        value = compact(put.value)
        dynamodb_items.sort_key(put.key)
        found = dynamodb_items.text(value, f"{put.kind} '{put.key}'")
        found |= dynamodb_items.places(put.groups, put.key)
        if expires_at is not None and expires_at < _NEVER:
            # DynamoDB's numbers are smaller than a float may be.
            exact = float(expires_at) if expires_at >= 1 else 0.0
            found["exp"] = {"N": repr(exact)}
            found[EXPIRY] = {"N": str(math.ceil(exact))}
        if by is not None:
            found["wid"] = {"S": by}
        return cls(put, found)

    def update(self, condition: str, version: str, values: Item) -> dict[str, Any]:
        """An update that writes the whole document.

        Args:
            condition: under which it does.
            version: what its version is set to, as an expression.
            values: those that both name, beside ``:now``.
        """
        sets = {f":{name}": value for name, value in self.attributes.items()}
        written = ", ".join(f"{name} = :{name}" for name in self.attributes)
        removed = ", ".join(name for name in _OPTIONAL if name not in self.attributes)
        return {
            "Key": dynamodb_items.document(self.put.kind, self.put.key),
            "UpdateExpression": f"SET ver = {version}, {written}{f' REMOVE {removed}' if removed else ''}",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {**sets, **values},
        }

    def again(self, now: float) -> dict[str, Any]:
        """An update of what is there, or not there at all; not of what has expired."""
        values: Item = {":none": {"N": "0"}, ":one": {"N": "1"}, ":now": _seconds(now)}
        return self.update(_LIVE, "if_not_exists(ver, :none) + :one", values)

    def anew(self, now: float) -> dict[str, Any]:
        """An update of what is not there, or has expired."""
        return self.update(_ABSENT, ":one", {":one": {"N": "1"}, ":now": _seconds(now)})

    def exactly(self, version: int, now: float) -> dict[str, Any]:
        """An update of what has this version."""
        values: Item = {
            ":was": {"N": str(version)},
            ":is": {"N": str(version + 1)},
            ":now": _seconds(now),
        }
        return self.update(f"ver = :was AND {_LIVE}", ":is", values)


class Documents:
    """The documents of a table.

    Args:
        calls: about it.
        now: by which they expire, in seconds since the Unix epoch.
    """

    def __init__(self, calls: Calls, now: Callable[[], float]) -> None:
        self._calls = calls
        self._now = now

    def put(self, put: Put, if_version: int | None, expires_at: float | None) -> int:
        """See `Store.put`.

        Where the answer to a put under a condition is lost, and somebody else puts before it is made again,
        it counts as a conflict, though it was there.
        """
        by = uuid4().hex[:16]
        written = Written.of(put, expires_at, by)
        if if_version is None:
            return self._put_whatever(written)
        now = self._now()
        update = written.anew(now) if if_version == 0 else written.exactly(if_version, now)
        try:
            self._calls.call("UpdateItem", **update)
        except ConditionFailed:
            found = self._item(put.kind, put.key)
        else:
            return if_version + 1
        # It may be this very write, of which the answer was lost.
        if found is not None and found.get("wid") == {"S": by}:
            return int(found["ver"]["N"])
        version = 0 if found is None else int(found["ver"]["N"])
        raise Conflict(f"{put.kind} '{put.key}' has version {version}, not {if_version}")

    def _put_whatever(self, written: Written) -> int:
        while True:
            with suppress(ConditionFailed):  # It has expired.
                answer = self._calls.call(
                    "UpdateItem", **written.again(self._now()), ReturnValues="UPDATED_NEW"
                )
                return int(answer["Attributes"]["ver"]["N"])
            with suppress(ConditionFailed):  # Somebody else has put it since.
                self._calls.call("UpdateItem", **written.anew(self._now()))
                return 1

    def _item(self, kind: str, key: str) -> Item | None:
        """The item of a document that has not expired."""
        if not dynamodb_items.fits(key):
            return None  # Nobody can have put it.
        where = dynamodb_items.document(kind, key)
        found: Item | None = self._calls.call("GetItem", Key=where, ConsistentRead=True).get("Item")
        return None if found is None or not dynamodb_items.is_live(found, self._now()) else found

    def get(self, kind: str, key: str) -> Document | None:
        """See `Store.get`."""
        found = self._item(kind, key)
        return None if found is None else dynamodb_items.read_document(found, self._calls.where)

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        if not dynamodb_items.fits(key):
            return
        self._calls.call("DeleteItem", Key=dynamodb_items.document(kind, key))

    # Finding

    def find(
        self, kind: str, group: str | None, after: str | None, limit: int, *, reverse: bool
    ) -> list[Document]:
        """See `Store.find`."""
        last = None if after is None else cursors.parse(after)
        if group is None:
            behind = None if last is None else last[1]
            return self._by_key(kind, _range_of_keys(behind, reverse=reverse), limit, reverse=reverse)
        return list(islice(self._by_group(kind, group, last, limit, reverse=reverse), limit))

    def find_prefix(self, kind: str, prefix: str, limit: int) -> list[Document]:
        """See `Store.find_prefix`."""
        begin = dynamodb_items.sort_key(prefix)
        return self._by_key(kind, ("begins_with(sk, :low)", {":low": {"S": begin}}), limit, reverse=False)

    def _by_key(self, kind: str, within: tuple[str, Item], limit: int, *, reverse: bool) -> list[Document]:
        condition, values = within
        found: list[Document] = []
        pages = self._calls.pages(
            "Query",
            KeyConditionExpression=f"pk = :pk AND {condition}",
            FilterExpression=_LIVE,
            ExpressionAttributeValues={
                **values,
                ":pk": {"S": dynamodb_items.partition(kind)},
                ":now": _seconds(self._now()),
            },
            ConsistentRead=True,
            ScanIndexForward=not reverse,
            Limit=max(limit, LEAST_PAGE),
        )
        for page in pages:
            items = page["Items"][: limit - len(found)]
            found += [dynamodb_items.read_document(item, self._calls.where, "") for item in items]
            if len(found) >= limit:
                break
        return found

    def _by_group(
        self, kind: str, group: str, last: tuple[str, str] | None, limit: int, *, reverse: bool
    ) -> Iterator[Document]:
        """The documents of a group behind a place, in order, read a few at a time."""
        if not dynamodb_items.fits(group):
            return
        least = max(limit, LEAST_PAGE)
        at = None if last is None else dynamodb_items.group_place(group, *last)
        within = _range_of_places(group, at, reverse=reverse)
        places = (self._places(kind, index, within, least + 1, reverse=reverse) for index in INDEXES)
        entries = (entry for entry in merge(*places, reverse=reverse) if entry[0] != at)
        while some := list(islice(entries, min(least, MOST_GOT))):
            items = self._items([sk for _, sk, _ in some], dynamodb_items.partition(kind))
            for place, sk, index in some:
                item = items.get(sk)
                # It may have left the group, or expired.
                if item is None or item.get(INDEXES[index]) != {"S": place}:
                    continue
                if dynamodb_items.is_live(item, self._now()):
                    sort = dynamodb_items.sort_of(place, group)
                    yield dynamodb_items.read_document(item, self._calls.where, sort)

    def _places(
        self, kind: str, index: str, within: tuple[str, Item], limit: int, *, reverse: bool
    ) -> Iterator[tuple[str, str, str]]:
        """Where documents stand in an index: there, their sort key in the table, and the index."""
        condition, values = within
        name = INDEXES[index]
        pages = self._calls.pages(
            "Query",
            IndexName=index,
            KeyConditionExpression=f"pk = :pk AND {name} {condition}",
            ExpressionAttributeValues={**values, ":pk": {"S": dynamodb_items.partition(kind)}},
            ConsistentRead=True,
            ScanIndexForward=not reverse,
            Limit=limit,
        )
        for page in pages:
            for item in page["Items"]:
                yield item[name]["S"], item["sk"]["S"], index

    def _items(self, sort_keys: Iterable[str], partition: str) -> Mapping[str, Item]:
        """The items of documents, by their sort keys."""
        keys = [{"pk": {"S": partition}, "sk": {"S": sk}} for sk in dict.fromkeys(sort_keys)]
        asked = {"Keys": keys, "ConsistentRead": True}
        answers = self._calls.in_parts("BatchGetItem", asked, "UnprocessedKeys")
        items = (item for answer in answers for item in answer["Responses"].get(self._calls.table, ()))
        return {item["sk"]["S"]: item for item in items}


def _seconds(time: float) -> dict[str, Any]:
    return {"N": repr(time)}


def _range_of_keys(behind: str | None, *, reverse: bool) -> tuple[str, Item]:
    """The sort keys behind a key, as a condition and its values."""
    if behind is None:
        return "sk >= :low", {":low": {"S": "k"}}
    return f"sk {'<' if reverse else '>'} :at", {":at": {"S": dynamodb_items.sort_key(behind)}}


def _range_of_places(group: str, at: str | None, *, reverse: bool) -> tuple[str, Item]:
    """The places in a group from one of them on, as a condition without the attribute, and its values."""
    begin = dynamodb_items.group_begin(group)
    # A group that begins as this one does has another character where this one ends.
    low, high = begin, begin[:-1] + "\1"
    if at is not None:
        low, high = (low, at) if reverse else (at, high)
    return "BETWEEN :low AND :high", {":low": {"S": low}, ":high": {"S": high}}
