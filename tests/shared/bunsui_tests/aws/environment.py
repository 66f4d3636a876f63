"""The surroundings of an AWS client that are a test's own."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any

ACCESS_KEY = "AKIATESTING000000000"
REGION = "eu-central-1"
#: A path below which nothing can be: a file that is no folder.
_NOTHING = f"{os.devnull}/nothing"


def isolation() -> dict[str, str]:
    """What keeps clients from the user's own files and from the metadata service."""
    # Nothing of what is asked of this machine goes through a proxy; what else does not is the user's affair.
    direct = {
        "127.0.0.1",
        "localhost",
        *os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(","),
    }
    names = ",".join(sorted(direct - {""}))
    return {
        "AWS_CONFIG_FILE": _NOTHING,
        "AWS_SHARED_CREDENTIALS_FILE": _NOTHING,
        "AWS_EC2_METADATA_DISABLED": "true",
        "BOTO_CONFIG": _NOTHING,
        "NO_PROXY": names,
        "no_proxy": names,
    }


def environment(access_key: str = ACCESS_KEY, region: str = REGION) -> dict[str, str]:
    """The same, with credentials that are no secret and a region."""
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": region,
        **isolation(),
    }


def isolate(variables: MutableMapping[str, str]) -> None:
    """Takes all that is AWS's out of an environment: there are no credentials, and none can be found."""
    for name in [name for name in variables if name.startswith("AWS_")]:
        del variables[name]
    variables.update(isolation())


def client(
    service: str, url: str, *, access_key: str = ACCESS_KEY, region: str = REGION, **config: Any
) -> Any:
    """A boto3 client for an endpoint that does not try again, with a session of its own.

    Args:
        service: As boto3 calls it.
        url: The endpoint.
        access_key: Its secret does not matter.
        region: The region.
        config: Further options of botocore's Config.
    """
    import boto3
    from botocore.config import Config

    options = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60, **config}
    session = boto3.Session(aws_access_key_id=access_key, aws_secret_access_key="testing", region_name=region)
    return session.client(service, endpoint_url=url, config=Config(**options))
