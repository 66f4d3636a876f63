"""The URLs of stores in DynamoDB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from attrs import evolve, frozen

from bunsui.aws.entries import read_entries
from bunsui.aws.settings import AwsSettings, read_aws
from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How the URL of a store in DynamoDB begins; the name of its table follows.
DYNAMODB = "dynamodb://"
#: "Naming rules" in DynamoDB's guide. Python's `$` also stands before a line's end.
_TABLE = r"[a-zA-Z0-9_.-]{3,255}(?![\s\S])"
#: What may stand behind the table's name; all but the endpoint is as in ``aws`` of a Runner.
_ENTRIES = ("region", "endpoint_url", "profile", "role")
_HINT = "such as dynamodb://bunsui?region=eu-central-1"


@frozen
class DynamoDbUrl:
    """A table, and as whom and where it is asked for."""

    table: str
    #: What the URL says: some of region, endpoint_url, profile and role.
    given: Mapping[str, str]

    @classmethod
    def parse(cls, url: str) -> DynamoDbUrl:
        """The table that a URL names.

        Raises:
            ConfigError: it names none.
        """
        name, _, query = url.removeprefix(DYNAMODB).partition("?")
        if not url.startswith(DYNAMODB) or not re.match(_TABLE, name):
            raise ConfigError(
                f"store {quoted(url)} names no table",
                hint=f"{_HINT}: the name has 3 to 255 letters, digits, '_', '-' and '.'",
            )
        given = read_entries(query, _ENTRIES, f"store {quoted(url)}", f"store {DYNAMODB}{name}", _HINT)
        read_aws(given, f"store {quoted(url)}: aws")
        return cls(name, given)

    @property
    def url(self) -> str:
        """The URL itself."""
        query = urlencode(self.given, quote_via=quote, safe=":/")
        return f"{DYNAMODB}{self.table}{'?' if query else ''}{query}"

    def settings(self, others: AwsSettings | None = None) -> AwsSettings:
        """As whom, and where, the table is asked for: as the URL says, and `others` where it does not."""
        found = others or AwsSettings()
        own: dict[str, Any] = {name: value for name, value in self.given.items() if name != "endpoint_url"}
        if "endpoint_url" in self.given:
            own["endpoints"] = {**found.endpoints, "dynamodb": self.given["endpoint_url"]}
        return evolve(found, **own)
