"""Groups of CloudWatch Logs, as URLs name them."""

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

#: How the URL of a group begins; its name follows.
CLOUDWATCH = "cloudwatch://"
#: "CreateLogGroup" in the API reference of CloudWatch Logs. Python's `$` also stands before a line's end.
NAME_PATTERN = r"(?!aws/)[A-Za-z0-9_./#-]{1,512}"
#: What such a URL looks like; what stands behind the name is checked when it is read.
URL_PATTERN = rf"^{CLOUDWATCH}{NAME_PATTERN}(?:\?[^\s#]*)?(?![\s\S])"
#: The days that a group may keep its events: "PutRetentionPolicy" in the API reference.
DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
#: The days of a group that is made here, where nothing else is said; and the word for no end.
RETENTION, NEVER = 90, "never"
#: What is done where the queue of what has yet to be sent is full.
POLICIES = ("drop", "block")
#: What of ``aws`` of a Runner may stand behind the name.
_OF_AWS = ("region", "endpoint_url", "profile", "role")
_ENTRIES = (*_OF_AWS, "retention", "policy")
_HINT = "such as cloudwatch:///bunsui/team?region=eu-central-1&retention=30"
#: AWS's own streams may be named by anything; those of jobs are made of what is allowed.
_NAME = re.compile(rf"{NAME_PATTERN}(?![\s\S])")


@frozen
class LogGroup:
    """A group of CloudWatch Logs, and as whom and where it is called.

    Such as::

        from bunsui.aws.log_group import LogGroup

        group = LogGroup.parse("cloudwatch:///bunsui/team?region=eu-central-1&retention=30")
        print(group.name, group.retention)  # /bunsui/team 30
    """

    name: str
    #: Days, one of `DAYS`, after which AWS deletes what is in a group that is made here; None: never.
    retention: int | None = RETENTION
    #: ``drop`` or ``block``; see `bunsui.logging.cloudwatch.queue`.
    policy: str = "drop"
    #: What the URL says: some of region, endpoint_url, profile and role.
    given: Mapping[str, str] = {}

    @classmethod
    def parse(cls, url: str) -> LogGroup:
        """The group that a URL names.

        Raises:
            ConfigError: it names none, or says something of it that can't be.
        """
        name, _, query = url.removeprefix(CLOUDWATCH).partition("?")
        if not url.startswith(CLOUDWATCH) or not _NAME.match(name):
            raise ConfigError(
                f"{quoted(url)} names no group of CloudWatch Logs",
                hint=f"{_HINT}: a name has 1 to 512 letters, digits and '_', '-', '/', '.' and '#', and does"
                " not begin with aws/",
            )
        found = read_entries(query, _ENTRIES, quoted(url), f"{CLOUDWATCH}{name}", _HINT)
        policy = found.pop("policy", POLICIES[0])
        if policy not in POLICIES:
            raise ConfigError(
                f"policy of {quoted(url)} is {quoted(policy)}",
                hint="it is drop (what does not fit is counted, not kept) or block (who logs waits)",
            )
        retention = _retention(found.pop("retention", str(RETENTION)), f"retention of {quoted(url)}")
        read_aws(found, f"{quoted(url)}: aws")
        return cls(name, retention, policy, found)

    @property
    def url(self) -> str:
        """The URL itself."""
        more = dict(self.given)
        if self.retention != RETENTION:
            more["retention"] = NEVER if self.retention is None else str(self.retention)
        if self.policy != POLICIES[0]:
            more["policy"] = self.policy
        query = urlencode(more, quote_via=quote, safe=":/")
        return f"{CLOUDWATCH}{self.name}{'?' if query else ''}{query}"

    def settings(self, others: AwsSettings | None = None) -> AwsSettings:
        """As whom, and where, it is called: as the URL says, and `others` where it does not."""
        found = others or AwsSettings()
        own: dict[str, Any] = {name: value for name, value in self.given.items() if name != "endpoint_url"}
        if "endpoint_url" in self.given:
            own["endpoints"] = {**found.endpoints, "logs": self.given["endpoint_url"]}
        return evolve(found, **own)


def _retention(text: str, where: str) -> int | None:
    if text == NEVER:
        return None
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) in DAYS:
        return int(text)
    raise ConfigError(
        f"{where} is {quoted(text)}",
        hint=f"it is a number of days that AWS knows ({', '.join(map(str, DAYS))}), or {NEVER}",
    )
