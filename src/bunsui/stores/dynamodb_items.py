"""What stands in a table: the keys of items, and how texts are written into them.

======================  ==================  ==========================================================
``pk``                  ``sk``              what it is
======================  ==================  ==========================================================
``h:HISTORY``           ``head``            the head of a history: its generation
``c:GENERATION:...``    ``000000000001``    a commit, at its position
``d:KIND``              ``k`` and the key   a document
``removed``             a generation        commits of a removed history that are still to be deleted
``table``               ``schema``          the version of all this
``table``               ``bell``            counts what was put and deleted, for `Store.changed`
======================  ==================  ==========================================================

Texts of keys are ordered by DynamoDB as by the port: by the bytes of UTF-8, which is by code points.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from bunsui.errors import StoreError
from bunsui.ports.store import Commit, Document
from bunsui.stores import cursors
from bunsui.stores.records import DAMAGED

#: An item, or a part of one, as DynamoDB's API has it: each value by its type.
Item = dict[str, dict[str, Any]]

#: Bytes of an item, its names included, and of the key that items of one partition are ordered by: "Quotas"
#: in DynamoDB's guide.
MAX_ITEM = 400 * 1024
MAX_SORT_KEY = 1024
#: What an item takes beside its text: keys, groups and numbers.
MAX_BESIDE = 12 * 1024
#: Bytes of a text that is tried to be made smaller: one write unit writes as many.
UNIT = 1024
#: Ends a part of a key; within a part such a character is followed by another one.
_END, _ESCAPED = "\0\0", "\0\1"
#: Digits of a position: they are ordered as texts.
_DIGITS = 12
#: The indexes, each with its attribute: a document's first group, and its second one.
INDEXES = {"by-group-1": "g1", "by-group-2": "g2"}

SCHEMA: Item = {"pk": {"S": "table"}, "sk": {"S": "schema"}}
BELL: Item = {"pk": {"S": "table"}, "sk": {"S": "bell"}}
#: The partition of what is still to be deleted.
REMOVED = "removed"


def _escaped(text: str) -> str:
    return text.replace("\0", _ESCAPED)


def head(history: str) -> Item:
    """The key of a history's head."""
    return {"pk": {"S": f"h:{history}"}, "sk": {"S": "head"}}


def commits(history: str, generation: str) -> str:
    """The partition of the commits of a history: none of one that was removed is among them."""
    return f"c:{generation}:{history}"


def place(position: int) -> str:
    """The sort key of a commit."""
    return f"{position:0{_DIGITS}}"


def partition(kind: str) -> str:
    """The partition of a kind's documents."""
    return f"d:{kind}"


def fits(text: str) -> bool:
    """Whether a key, or a group, is short enough to be there at all."""
    return len(_escaped(text).encode(errors="surrogatepass")) < MAX_SORT_KEY - 1


def sort_key(key: str) -> str:
    """The sort key of a document, or of all that begin as it does.

    Raises:
        StoreError: it is too long.
    """
    found = f"k{_escaped(key)}"
    if len(found.encode()) > MAX_SORT_KEY:
        raise StoreError(
            f"the key {key[:60]!r} has {len(key.encode()):,} bytes; DynamoDB takes {MAX_SORT_KEY - 1:,}",
            lasting=True,
        )
    return found


def key_of(item: Item) -> str:
    """The key of a document's item, which `sort_key` has made."""
    return str(item["sk"]["S"])[1:].replace(_ESCAPED, "\0")


def document(kind: str, key: str) -> Item:
    """The key of a document's item."""
    return {"pk": {"S": partition(kind)}, "sk": {"S": sort_key(key)}}


def group_begin(group: str) -> str:
    """What the places of documents in a group begin with."""
    return _escaped(group) + _END


def group_place(group: str, sort: str, key: str) -> str:
    """Where a document stands in a group: in the order of its sort key there, then of its own key.

    Where all of that is too long, documents with an equal sort key are in the order of a digest of theirs.

    Raises:
        StoreError: the sort key alone is too long.
    """
    begin = f"{group_begin(group)}{_escaped(sort)}{_END}"
    found = begin + _escaped(key)
    if len(found.encode()) > MAX_SORT_KEY:
        found = begin + hashlib.sha256(key.encode()).hexdigest()
    if len(found.encode()) > MAX_SORT_KEY:
        raise StoreError(
            f"group {group[:60]!r} and its sort key {sort[:60]!r} are too long: DynamoDB takes"
            f" {MAX_SORT_KEY:,} bytes",
            lasting=True,
        )
    return found


def sort_of(place: str, group: str) -> str:
    """The sort key that `group_place` was given."""
    return place.removeprefix(group_begin(group)).partition(_END)[0].replace(_ESCAPED, "\0")


def text(value: str, what: str) -> Item:
    """A text as the one attribute that holds it: compressed, where that takes fewer write units.

    Raises:
        StoreError: it is too large.
    """
    raw = value.encode()
    found: Item = {"val": {"S": value}}
    size = len(raw)
    if size > UNIT // 2:
        packed = zlib.compress(raw)
        if len(packed) < size:
            found, size = {"zip": {"B": packed}}, len(packed)
    if size > MAX_ITEM - MAX_BESIDE:
        raise StoreError(
            f"{what} has {len(raw):,} bytes, {size:,} as they are stored; DynamoDB takes"
            f" {MAX_ITEM - MAX_BESIDE:,}",
            lasting=True,
            hint="keep artifacts on S3, as Runner(artifacts='s3://...'), and hand on where data is",
        )
    return found


def text_of(item: Mapping[str, Any], where: str) -> str:
    """The text that `text` made an attribute of.

    Raises:
        StoreError: there is none.
    """
    try:
        if "val" in item:
            return str(item["val"]["S"])
        return zlib.decompress(item["zip"]["B"]).decode()
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise StoreError(f"{where} is damaged: {type(error).__name__}", hint=DAMAGED, lasting=True) from error


def places(groups: Sequence[tuple[str, str]], key: str) -> Item:
    """The attributes of the groups that a document is in."""
    return {
        name: {"S": group_place(group, sort, key)}
        for name, (group, sort) in zip(INDEXES.values(), groups, strict=False)
    }


def read_document(item: Item, where: str, sort: str | None = None) -> Document:
    """A document.

    Args:
        item: its item.
        where: names the table in errors.
        sort: the sort key under which it was found, for its cursor; None: it was not looked for in order.

    Raises:
        StoreError: the item is not what was written.
    """
    key = key_of(item)
    what = f"document {key!r} of {item['pk']['S'].removeprefix('d:')!r} in {where}"
    try:
        value, version = json.loads(text_of(item, what)), int(item["ver"]["N"])
    except (KeyError, ValueError, RecursionError) as error:
        raise StoreError(f"{what} is damaged: {type(error).__name__}", hint=DAMAGED, lasting=True) from error
    if not isinstance(value, dict):
        raise StoreError(f"{what} is damaged: it is no mapping", hint=DAMAGED, lasting=True)
    return Document(key, value, version, "" if sort is None else cursors.make(sort, key))


def read_commit(item: Item, where: str) -> Commit:
    """A commit.

    Raises:
        StoreError: the item is not what was written.
    """
    position = int(item["sk"]["S"])
    body = text_of(item, f"commit {position} in {where}")
    return Commit(position, str(item["id"]["S"]), body)


def is_live(item: Item, now: float) -> bool:
    """Whether a document has not expired: DynamoDB deletes it within days."""
    return "exp" not in item or float(item["exp"]["N"]) > now
