"""The store in one table of DynamoDB, which the runners of a team share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from attrs import evolve

from bunsui.errors import StoreError
from bunsui.ports.permissions import Permission
from bunsui.ports.store import Append, Appended, Commit, Document, Made, Put, Store
from bunsui.stores.dynamodb_calls import Calls
from bunsui.stores.dynamodb_documents import Documents
from bunsui.stores.dynamodb_histories import Histories
from bunsui.stores.dynamodb_items import BELL, INDEXES
from bunsui.stores.dynamodb_table import Table
from bunsui.stores.dynamodb_url import DynamoDbUrl

if TYPE_CHECKING:
    from random import Random

    from bunsui.aws.settings import AwsSettings
    from bunsui.ports.permissions import Where

#: Kinds of documents that nobody is told of: they say who lives now.
SILENT = frozenset({"runner"})
#: What running pipelines takes; a transaction takes what its parts do.
USED = (
    "dynamodb:BatchGetItem",
    "dynamodb:DeleteItem",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
#: Seconds after which `DynamoDbStore.changed` gives a false alarm: who put a document may have died before
#: the bell was rung.
ALARM = 5.0
#: How the names of AWS's own endpoints end, in a VPC and with FIPS, too.
_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class DynamoDbStore(Store):
    """Histories and documents in one table of DynamoDB; see docs/architecture/decisions.

    Args:
        url: its URL, such as ``dynamodb://bunsui?region=eu-central-1``; see `DynamoDbUrl`.
        settings: as whom, and where, AWS is called where the URL says nothing.
        now: the time by which documents expire, in seconds since the Unix epoch.
        random: for the waits before calls that are made again; None: one of its own.

    Raises:
        ConfigError: the URL is wrong. Whether the table is there shows with the first call.
    """

    #: See `Store.max_commit_bytes`: what fits into an item.
    max_commit_bytes: ClassVar[int] = 384 * 1024

    def __init__(
        self,
        url: str,
        settings: AwsSettings | None = None,
        *,
        now: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._url = DynamoDbUrl.parse(url)
        self._now = now
        self._random = random
        self._calls = Calls(self._url.table, self._url.settings(settings), self._url.url, random)
        self._table = Table(self._calls)
        self._histories = Histories(self._calls, now)
        self._documents = Documents(self._calls, now)

    @property
    def url(self) -> str:
        """Its URL."""
        return self._url.url

    def with_aws(self, settings: AwsSettings) -> DynamoDbStore:
        """See `Store.with_aws`."""
        return DynamoDbStore(self.url, settings, now=self._now, random=self._random)

    def permissions(self, where: Where) -> Iterable[Permission]:
        """See `Store.permissions`. Making the table and removing sessions take more."""
        region = self._url.given.get("region", where.region)
        table = evolve(where, region=region).arn("dynamodb", f"table/{self._url.table}")
        indexes = [f"{table}/index/{name}" for name in INDEXES]
        return [Permission(USED, [table]), Permission(["dynamodb:Query"], indexes)]

    def log_group(self) -> tuple[str, AwsSettings] | None:
        """See `Store.log_group`: ``/bunsui/TABLE``, in the table's region.

        None where the table is an emulator's, unless CloudWatch Logs has an endpoint of its own, too: else
        the logs of a test would go to AWS. An endpoint of AWS's own, such as one in a VPC, is none.
        """
        settings = self._calls.settings
        variables = os.environ.get
        endpoint = settings.endpoint("dynamodb") or variables("AWS_ENDPOINT_URL_DYNAMODB")
        is_emulated = endpoint and not (urlsplit(endpoint).hostname or "").endswith(_OF_AWS)
        has_own = (
            settings.endpoint("logs")
            or variables("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
            or variables("AWS_ENDPOINT_URL")
        )
        if is_emulated and not has_own:
            return None
        return f"cloudwatch:///bunsui/{self._url.table}", settings

    def create(self) -> Made:
        """Makes the table, billed by request, with expiry and point-in-time recovery; see `Store.create`."""
        return self._table.create()

    def limit_lock_timeout(self, seconds: float) -> None:
        """Makes no call, and none again, for longer than this; `append` not all of its calls together."""
        self._calls.limit(seconds)

    # Histories

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`: one write for each entry, with a document a transaction; several at once."""
        if not appends:
            return []
        with self._calls.together():
            try:
                self._table.require(for_writing=True)
            except StoreError as error:
                return [Appended(error=error) for _ in appends]
            return self._histories.append(appends)

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        """See `Store.read`: page by page, consistently."""
        self._table.require()
        yield from self._histories.read(history, after)

    def remove(self, history: str, document: tuple[str, str] | None = None) -> None:
        """See `Store.remove`."""
        self._table.require(for_writing=True)
        self._histories.remove(history, document)
        self._ring()

    # Documents

    def put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_at: float | None = None,
        groups: Sequence[tuple[str, str]] = (),
    ) -> int:
        """See `Store.put`."""
        put = Put(kind, key, value, groups)
        self._table.require(for_writing=True)
        version = self._documents.put(put, if_version, expires_at)
        self._ring(kind)
        return version

    def get(self, kind: str, key: str) -> Document | None:
        """See `Store.get`."""
        self._table.require()
        return self._documents.get(kind, key)

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        self._table.require(for_writing=True)
        self._documents.delete(kind, key)
        self._ring(kind)

    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """See `Store.find`."""
        self._table.require()
        return self._documents.find(kind, group, after, limit, reverse=reverse)

    def find_prefix(self, kind: str, prefix: str, limit: int = 100) -> list[Document]:
        """See `Store.find_prefix`: one question for each page of what is found."""
        self._table.require()
        return self._documents.find_prefix(kind, prefix, limit)

    # The bell

    def changed(self, token: object) -> object:
        """See `Store.changed`: how often the bell was rung, read consistently."""
        del token
        self._table.require()
        item = self._calls.call("GetItem", Key=BELL, ConsistentRead=True).get("Item", {})
        return item.get("n", {}).get("N", "0"), time.monotonic() // ALARM

    def _ring(self, kind: str | None = None) -> None:
        if kind in SILENT:
            return
        try:
            self._calls.call(
                "UpdateItem",
                Key=BELL,
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
        except StoreError:
            return  # What it is about is done, and seen with the next false alarm.

    def close(self) -> None:
        """See `Store.close`. A call after it connects again."""
        self._calls.close()
