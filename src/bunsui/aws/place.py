"""Places on S3, as URLs name them."""

from __future__ import annotations

import re

from attrs import frozen

from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError

#: Begins the URLs of objects.
SCHEME = "s3://"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
# Python's `$` also stands before a line's end.
_END = r"(?![\s\S])"
# No segment is empty, or leads upwards: some programs would follow it. Nothing in it has to be quoted.
_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9!_.*'()=+@~,-]{1,200}"
#: A bucket, and what the keys in it begin with: together with what comes behind it, it fits into a key.
URL_PATTERN = rf"^s3://{_BUCKET}(?=.{{0,600}}$)(?:/{_SEGMENT})*/?{_END}"


@frozen
class Place:
    """A bucket, and what the keys in it begin with."""

    bucket: str
    #: Without slashes at its ends; may be empty.
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Place:
        """The place that a URL names, such as ``s3://bucket/prefix``.

        Raises:
            ConfigError: it is none.
        """
        if not re.match(URL_PATTERN, url):
            raise ConfigError(
                f"{quoted(url)} names no place on S3",
                hint="such as s3://bucket/prefix: a bucket's name is of 3 to 63 small letters, digits, dots"
                " and hyphens; a prefix of letters, digits and !_.*'()=+@~,- between slashes",
            )
        bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
        return cls(bucket, prefix.strip("/"))

    @property
    def url(self) -> str:
        """The place's own URL, without a slash at its end."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, *names: str) -> str:
        """The key of what lies below it."""
        return "/".join((self.prefix, *names)) if self.prefix else "/".join(names)
