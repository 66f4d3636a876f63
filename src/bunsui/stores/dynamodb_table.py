"""The table of a store in DynamoDB: its shape, how it is made, and whether one that is there will do."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from bunsui.errors import AwsError, StoreError
from bunsui.ports.store import Made
from bunsui.stores.dynamodb_calls import ConditionFailed
from bunsui.stores.dynamodb_items import INDEXES, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bunsui.stores.dynamodb_calls import Calls

#: The version of what stands in a table; see `dynamodb_items`.
SCHEMA_VERSION = 1
#: The attribute by which DynamoDB deletes documents that have expired: whole seconds since 1970.
EXPIRY = "gone"
#: Seconds for a table to be made.
MAKING = 120.0
_LOOK = 0.5
_KEY = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
_WAIT = "try again once it is ACTIVE"
_WRONG = "name another table, or make one with 'bunsui store create'"


def definition() -> dict[str, Any]:
    """What a table is made with, as ``CreateTable`` takes it.

    The indexes are local ones: they alone can be read consistently. They hold keys only, so that a document
    which stays in its groups is written once.
    """
    texts = ("pk", "sk", *INDEXES.values())
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in texts],
        "KeySchema": _KEY,
        "LocalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": [_KEY[0], {"AttributeName": name, "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for index, name in INDEXES.items()
        ],
    }


class Table:
    """A table, which is looked at once before anything is read or written.

    Args:
        calls: about it.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._is_checked = False
        self._is_marked = False

    def require(self, *, for_writing: bool = False) -> None:
        """Makes sure that the table will do; one that nobody has written to is marked before it is.

        Raises:
            StoreError: it is not there, or of another shape, or in use by a later version.
        """
        if self._is_marked or (self._is_checked and not for_writing):
            return
        if self._pid != os.getpid():  # Another thread of the parent may have held it as this was forked.
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            if not self._is_checked:
                self._check_shape(self._calls.call("DescribeTable")["Table"])
                self._is_marked = self._version() is not None
                self._is_checked = True
            if for_writing and not self._is_marked:
                self._mark()
                self._is_marked = True

    def _check_shape(self, found: Mapping[str, Any]) -> None:
        where, wanted = self._calls.where, definition()
        if found["TableStatus"] not in ("ACTIVE", "UPDATING"):
            hint = "make it again once it is gone" if found["TableStatus"] == "DELETING" else _WAIT
            raise StoreError(f"{where} is {found['TableStatus']}", hint=hint)
        if _keys(found["KeySchema"]) != _keys(wanted["KeySchema"]):
            raise StoreError(
                f"{where} is none of bunsui's: its key is {_shown(found['KeySchema'])},"
                f" not {_shown(_KEY)}",
                hint=_WRONG,
                lasting=True,
            )
        types = {each["AttributeName"]: each["AttributeType"] for each in found["AttributeDefinitions"]}
        indexes = {each["IndexName"]: each for each in found.get("LocalSecondaryIndexes", ())}
        for index in wanted["LocalSecondaryIndexes"]:
            name = index["IndexName"]
            if name not in indexes or _keys(indexes[name]["KeySchema"]) != _keys(index["KeySchema"]):
                raise StoreError(
                    f"{where} has no local secondary index '{name}' by {_shown(index['KeySchema'])}",
                    hint=f"{_WRONG}: such an index can't be added later",
                    lasting=True,
                )
        for each in wanted["AttributeDefinitions"]:
            if types.get(each["AttributeName"]) != each["AttributeType"]:
                raise StoreError(
                    f"{where} is none of bunsui's: '{each['AttributeName']}' is no text",
                    hint=_WRONG,
                    lasting=True,
                )

    def _version(self) -> int | None:
        """The version of what stands there; None: nobody has written to it.

        Raises:
            StoreError: it is a later one.
        """
        item = self._calls.call("GetItem", Key=SCHEMA, ConsistentRead=True).get("Item")
        if item is None:
            return None
        version = int(item["ver"]["N"])
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._calls.where} has version {version}; this bunsui knows version {SCHEMA_VERSION}",
                hint="use the bunsui that wrote it, or a later one",
                lasting=True,
            )
        return version

    def _mark(self) -> None:
        item = {**SCHEMA, "ver": {"N": str(SCHEMA_VERSION)}}
        try:
            self._calls.call("PutItem", Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ConditionFailed:  # Somebody else was first, maybe a later version.
            self._version()

    # Making it

    def create(self) -> Made:
        """Makes the table, with on-demand billing, expiry and point-in-time recovery.

        One that is there is looked at, and gets of that what it has not.

        Raises:
            StoreError: it can't be made, or one is there that will not do.
        """
        is_new = self._begin()
        # What was made a moment ago DescribeTable may not show yet.
        self._when(self._is_active, "ResourceNotFoundException" if is_new else None)
        self.require(for_writing=True)
        lacks = [*self._let_expire(), *self._let_recover()]
        return Made(is_new, tuple(lacks))

    def _is_active(self) -> bool:
        return bool(self._calls.call("DescribeTable")["Table"]["TableStatus"] == "ACTIVE")

    def _when(self, look: Callable[[], bool], not_yet: str | None) -> None:
        """Looks until it is so; an error of this code says that it is not yet.

        Raises:
            StoreError: it is not in all of `MAKING`; or any other.
        """
        until = time.monotonic() + MAKING
        while True:
            try:
                if look():
                    return
            except StoreError as error:
                if not_yet is None or _code(error) != not_yet:
                    raise
            if time.monotonic() > until:
                raise StoreError(
                    f"{self._calls.where} is not ready after {MAKING:.0f} s",
                    hint="call the same again: it goes on from there",
                )
            self._calls.connections.wait(threading.Event(), _LOOK)

    def _begin(self) -> bool:
        """Has the table made, unless there is one; whether there was none."""
        try:
            self._calls.call("CreateTable", **definition())
        except StoreError as error:
            if _code(error) == "ResourceInUseException":
                return False
            raise
        return True

    def _let_expire(self) -> list[str]:
        described = self._calls.call("DescribeTimeToLive")["TimeToLiveDescription"]
        if described.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
            if described.get("AttributeName") == EXPIRY:
                return []
            return [f"expiry by '{EXPIRY}': it has one by '{described.get('AttributeName')}'"]
        self._calls.call(
            "UpdateTimeToLive", TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRY}
        )
        return []

    def _let_recover(self) -> list[str]:
        try:
            # Of a table that was made a moment ago backups are not there yet.
            self._when(self._recovers, "ContinuousBackupsUnavailableException")
        except StoreError as error:
            # Emulators of DynamoDB, AWS's own among them, don't know it.
            if _code(error) == "UnknownOperationException":
                return ["point-in-time recovery: this endpoint does not know it"]
            raise
        return []

    def _recovers(self) -> bool:
        found = self._calls.call("DescribeContinuousBackups")["ContinuousBackupsDescription"]
        status = found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
        if status != "ENABLED":
            wanted = {"PointInTimeRecoveryEnabled": True}
            self._calls.call("UpdateContinuousBackups", PointInTimeRecoverySpecification=wanted)
        return True


def _code(error: StoreError) -> str | None:
    """AWS's own name for what a call failed with."""
    return error.__cause__.code if isinstance(error.__cause__, AwsError) else None


def _keys(schema: Any) -> list[tuple[str, str]]:
    return [(each["AttributeName"], each["KeyType"]) for each in schema]


def _shown(schema: Any) -> str:
    return " and ".join(f"'{each['AttributeName']}'" for each in schema)
