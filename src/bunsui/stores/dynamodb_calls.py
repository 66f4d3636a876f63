"""Calls of DynamoDB: made again where that helps, and told as the store's errors.

Every call here may be made twice: what is written names what it expects, and is known again by its id.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any

from bunsui.aws.connections import Connections
from bunsui.errors import AwsError, StateError, StoreError
from bunsui.performance.retrying import Backoff, RetryBudget, SharedBudget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bunsui.aws.settings import AwsSettings

#: Seconds for which one call is made again, at most: a driver that waits makes no turn.
PATIENCE = 10.0
#: Seconds until one without an answer is given up, at most: DynamoDB answers within milliseconds.
ANSWER = 5.0
#: And at least.
LEAST = 0.5
#: DynamoDB answers within milliseconds, and is busy for moments.
BACKOFF = Backoff(first=0.05, longest=1.0)
#: What a part of a transaction is cancelled with where it may succeed a moment later.
_PASSING = frozenset(
    {"ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded", "TransactionConflict"}
)
#: What it is cancelled with where a partition with local indexes has reached its limit.
_FULL = ("ItemCollectionSizeLimitExceeded", "ItemCollectionSizeLimitExceededException")
#: What the parts are cancelled with that are not the cause.
_NONE = "None"
#: What a condition that does not hold is called, of a part of a transaction and of a call.
NOT_MET = "ConditionalCheckFailed"
_NOT_MET = "ConditionalCheckFailedException"
#: Until when (monotonic) all calls are made that belong together; None: each for itself.
_until: ContextVar[float | None] = ContextVar("bunsui_dynamodb_until", default=None)


class ConditionFailed(Exception):
    """A condition of a write does not hold: nothing was written."""

    def __init__(self, reasons: tuple[str, ...] = (NOT_MET,)) -> None:
        super().__init__(", ".join(reasons))
        #: Of each part of a transaction.
        self.reasons = reasons


class Calls:
    """Calls DynamoDB about one table. Any number of threads may use it at once.

    Args:
        table: the table's name.
        settings: as whom, and where.
        url: the store's, for the remedies of errors.
        random: for jitter; None: one of its own.
    """

    def __init__(self, table: str, settings: AwsSettings, url: str, random: Random | None = None) -> None:
        self.table = table
        self.settings = settings
        self.url = url
        self.patience = PATIENCE
        self._random = random or Random()  # noqa: S311 - for jitter
        self._begin()

    def _begin(self) -> None:
        # Another thread of the parent of a forked child may have held these locks.
        self._lock = threading.Lock()
        self._connections: Connections | None = None
        self._budget = SharedBudget(self._random, RetryBudget(backoff=BACKOFF))
        self._pid = os.getpid()

    @property
    def where(self) -> str:
        """The table, within a message."""
        return f"table '{self.table}'"

    @property
    def connections(self) -> Connections:
        """They are made when they are needed, again after `close`, and in a forked child."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            if self._connections is None:
                patience = max(LEAST, min(ANSWER, self.patience))
                self._connections = Connections(self.settings, random=self._random, patience=patience)
            return self._connections

    def limit(self, seconds: float) -> None:
        """Makes no call, and none again, for longer than this."""
        if seconds < self.patience:
            self.patience = seconds
            self.close()  # Those that there are wait for longer.

    @contextmanager
    def together(self) -> Iterator[None]:
        """All calls meanwhile, in threads with this context too, are made for `patience` at most together."""
        token = _until.set(time.monotonic() + self.patience)
        try:
            yield
        finally:
            _until.reset(token)

    def close(self) -> None:
        """Closes all connections; the next call makes others."""
        with self._lock:
            open_, self._connections = self._connections, None
        if open_ is not None:
            open_.close()

    def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Calls DynamoDB about the table.

        Raises:
            ConditionFailed: nothing was written.
            StoreError: it can't be done, or there was no answer in all of `patience`.
        """
        return self.made(action, {"TableName": self.table, **parameters})

    def transact(self, parts: list[dict[str, Any]]) -> None:
        """Does all parts of a transaction, or none; each has one entry, such as ``Put``.

        Raises:
            ConditionFailed: a condition does not hold.
            StoreError: as `call`.
        """
        items = [{kind: {"TableName": self.table, **part} for kind, part in entry.items()} for entry in parts]
        self.made("TransactWriteItems", {"TransactItems": items})

    def made(self, action: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Makes a call, again where AWS is busy or gave no answer, for `patience` at most."""
        shared = _until.get()
        until = time.monotonic() + self.patience if shared is None else shared
        tries = 0
        while True:
            if shared is not None and time.monotonic() > until:
                raise StoreError(f"{self.where} has not answered in time")
            tries += 1
            connections = self.connections
            if tries == 1:
                self._budget.earn()
            try:
                return connections.call("dynamodb", action, parameters, resource=self.table)
            except StateError:
                if connections is self.connections:
                    raise
                continue  # Somebody has closed the store meanwhile: it is used again.
            except AwsError as error:
                reasons = _reasons(error)
                if error.code == _NOT_MET or NOT_MET in reasons:
                    raise ConditionFailed(reasons or (NOT_MET,)) from None
                passing = error.kind in ("busy", "open") or _is_passing(reasons)
                wait = self._budget.wait(tries) if passing else 0.0
                if not passing or time.monotonic() + wait > until:
                    raise self.failed(error) from error
            connections.wait(threading.Event(), wait)

    def pages(self, action: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The answers to a question whose answer comes in pages, each asked for when it is needed.

        Raises:
            StoreError: as `call`.
        """
        while True:
            answer = self.call(action, **parameters)
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def in_parts(self, action: str, asked: Any, left: str) -> Iterator[dict[str, Any]]:
        """The answers to a batch, each of which may leave out a part of it: that is asked for again.

        Args:
            action: as AWS calls it.
            asked: what is asked of this table.
            left: the name under which an answer has what it leaves out.

        Raises:
            StoreError: as `call`; also where all of `patience` has brought nothing further.
        """
        tries, until = 0, time.monotonic() + self.patience
        while asked:
            answer = self.made(action, {"RequestItems": {self.table: asked}})
            yield answer
            before, asked = asked, answer.get(left, {}).get(self.table)
            if not asked:
                return
            if asked != before:  # It did not all fit in.
                tries, until = 0, time.monotonic() + self.patience
            tries += 1
            wait = self._budget.wait(tries)
            if time.monotonic() + wait > until:
                raise StoreError(f"{self.where} is busy: {action} brings nothing further")
            self.connections.wait(threading.Event(), wait)

    def failed(self, error: AwsError) -> StoreError:
        """What a call failed with, as the store's error."""
        hint = error.hint
        lasting = error.kind == "refused"
        text = str(error.message)
        if error.code == "ResourceNotFoundException":
            where = "" if error.account is None else f" of account {error.account}"
            text = f"there is no {self.where} in {self._region()}{where}"
            hint = f"make it with: bunsui store create {shlex.quote(self.url)}; or name another"
        elif error.code in _FULL or not set(_FULL).isdisjoint(_reasons(error)):
            text = f"{self.where} is full: what one kind of documents takes has reached 10 GB"
            hint = "remove sessions that ended long ago: 'bunsui session prune'"
        elif error.kind == "open":
            hint = None  # Whoever asks again finds out whether it had an effect.
        elif hint is not None and "the job" in hint:
            hint = "see what AWS says of it"
        return StoreError(text, hint=hint, lasting=lasting)

    def _region(self) -> str:
        try:
            return self.connections.region("dynamodb")
        except AwsError:
            return "this region"


def _reasons(error: AwsError) -> tuple[str, ...]:
    """What each part of a transaction was cancelled with; nothing where it was none."""
    response: Mapping[str, Any] = getattr(error.__cause__, "response", None) or {}
    return tuple(str(reason.get("Code", _NONE)) for reason in response.get("CancellationReasons", ()))


def _is_passing(reasons: tuple[str, ...]) -> bool:
    causes = {reason for reason in reasons if reason != _NONE}
    return bool(causes) and causes <= _PASSING
