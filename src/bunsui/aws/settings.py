"""As whom, and where, AWS is called where nothing else is said."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError

#: The ARN of a role, as IAM has it; in its partition, such as aws or aws-cn.
ROLE_PATTERN = r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,576}(?!\n)$"
#: A region, such as eu-central-1 or us-gov-west-1.
REGION_PATTERN = r"^[a-z]{2,}(-[a-z]+)+-\d+(?!\n)$"
#: A URL of an endpoint.
URL_PATTERN = r"^https?://[^/\s?#]+(/[^\s?#]*)?(?!\n)$"
#: Begins the names of entries that give one service's endpoint, such as ``endpoint_url_lambda``: so AWS's own
#: variables are called, too.
ENDPOINT_OF = "endpoint_url_"
#: The entries that are one text.
TEXTS = ("region", "profile", "endpoint_url", "role", "external_id")
#: Ends the errors about what is no entry.
RULE = f"its entries are {', '.join(TEXTS)}, and {ENDPOINT_OF}SERVICE, such as {ENDPOINT_OF}lambda"
#: A name that an entry may have.
ENTRY_PATTERN = rf"^({'|'.join(TEXTS)}|{ENDPOINT_OF}[a-z0-9_]+)(?!\n)$"

_PATTERNS = {"region": REGION_PATTERN, "endpoint_url": URL_PATTERN, "role": ROLE_PATTERN}
_WORDS = {
    "region": "a region, such as 'eu-central-1'",
    "endpoint_url": "a URL, such as 'http://localhost:4566'",
    "role": "the ARN of a role, such as 'arn:aws:iam::123456789012:role/etl'",
}


def _unchanging(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(mapping))


@frozen
class AwsSettings:
    """As whom, and where, AWS is called. Without arguments: as AWS's own tools would.

    Such as::

        from bunsui.aws.settings import AwsSettings

        aws = AwsSettings(region="eu-central-1", role="arn:aws:iam::123456789012:role/etl")
        with bunsui.Runner("memory://", aws=aws) as runner:
            ...
    """

    #: None: that of AWS_REGION or AWS_DEFAULT_REGION, or the profile's.
    region: str | None = None
    #: A profile of AWS's own files; None: the default one, or that of AWS_PROFILE.
    profile: str | None = None
    #: URLs by service, such as ``lambda``; under "" that of all others. Where there is none, AWS's own.
    endpoints: Mapping[str, str] = field(factory=dict, converter=_unchanging)
    #: The ARN of a role in which everything is called; None: as whoever the credentials are of.
    role: str | None = None
    #: What the role asks for; see "external ID" in AWS's guide to IAM.
    external_id: str | None = None
    #: The roles that jobs may name; None: any.
    allowed_roles: tuple[str, ...] | None = None

    def endpoint(self, service: str) -> str | None:
        """The URL of a service, or None where it is AWS's own."""
        return self.endpoints.get(service.replace("-", "_"), self.endpoints.get(""))


def read_aws(given: Mapping[str, Any] | AwsSettings, where: str = "aws") -> AwsSettings:
    """The ``aws`` argument of a Runner as a value.

    Args:
        given: by entry; ``endpoint_url`` is one URL, or a mapping of them by service.
        where: how errors call it.

    Raises:
        ConfigError: it is wrong.
    """
    if isinstance(given, AwsSettings):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{where} is {type(given).__name__}, not a mapping", hint='such as {"region": "eu-central-1"}'
        )
    texts: dict[str, str] = {}
    endpoints: dict[str, str] = {}
    roles: tuple[str, ...] | None = None
    for name, value in given.items():
        if value is None:
            continue
        if name == "allowed_roles":
            roles = _roles(value, f"{where}.{name}")
        elif name == "endpoint_url" and isinstance(value, Mapping):
            for service, url in value.items():
                entry = f"{where}.endpoint_url[{quoted(str(service))}]"
                endpoints[_service(str(service), entry)] = _text(url, "endpoint_url", entry)
        elif isinstance(name, str) and re.match(ENTRY_PATTERN, name):
            entry = "endpoint_url" if name.startswith(ENDPOINT_OF) else name
            text = _text(value, entry, f"{where}.{name}")
            if entry == "endpoint_url":
                endpoints[
                    _service(name.removeprefix("endpoint_url").removeprefix("_"), f"{where}.{name}")
                ] = text
            else:
                texts[name] = text
        else:
            known = (*TEXTS, "allowed_roles")
            hint = did_you_mean(name, known) if isinstance(name, str) else None
            raise ConfigError(f"{where} has no entry {quoted(str(name))}", hint=hint or RULE)
    return AwsSettings(**texts, endpoints=endpoints, allowed_roles=roles)


def _service(name: str, where: str) -> str:
    """A service as the keys of endpoints name it; "" is that of all.

    Raises:
        ConfigError: boto3 knows none of this name: what was meant for an emulator would go to AWS.
    """
    key = name.replace("-", "_")
    known = {each.replace("-", "_") for each in _services()} if key else set()
    if known and key not in known:
        hint = did_you_mean(key, tuple(known)) or "such as lambda, ecs, s3, sts, logs or iam"
        raise ConfigError(f"{where} is of no service of AWS that boto3 knows", hint=hint)
    return key


def _services() -> list[str]:
    """The services that boto3 knows, which is not imported for it: each has a folder."""
    found = find_spec("botocore")
    folders = [] if found is None or found.origin is None else [str(Path(found.origin).parent / "data")]
    # Where its guide says that models of one's own are.
    folders += ["~/.aws/models", *filter(None, os.environ.get("AWS_DATA_PATH", "").split(os.pathsep))]
    names: list[str] = []
    for folder in folders:
        with suppress(OSError, RuntimeError):  # It is not there, or there is no home.
            names += [each.name for each in Path(folder).expanduser().iterdir() if each.is_dir()]
    return names


def _text(value: Any, entry: str, where: str) -> str:
    words = _WORDS.get(entry, "a text")
    if not isinstance(value, str) or not value or not re.match(_PATTERNS.get(entry, r"[\s\S]"), value):
        raise ConfigError(f"{where} is {quoted(value)}", hint=f"it is {words}")
    return value


def _roles(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ConfigError(f"{where} is {quoted(value)}", hint="it is a list of ARNs of roles")
    return tuple(_text(role, "role", f"{where}[{i}]") for i, role in enumerate(value))
