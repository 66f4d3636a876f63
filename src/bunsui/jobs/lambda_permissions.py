"""What whoever runs a Lambda job has to be allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bunsui.jobs.verifying import is_known
from bunsui.ports.permissions import Permission, Unnamed

if TYPE_CHECKING:
    from bunsui.ports.permissions import Where

# "FunctionName" of "Invoke" in Lambda's API reference: an ARN, one that lacks its beginning, or a name; each
# may end with a version or an alias.
_FUNCTION = re.compile(
    r"(?:(?:arn:(?P<partition>aws[a-z-]*):lambda:(?P<region>[a-z0-9-]+):)?(?P<account>[0-9]{12}):function:)?"
    r"(?P<name>[a-zA-Z0-9_-]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?"
)


def permissions(options: Mapping[str, Any], where: Where) -> list[Permission | Unnamed]:
    """See `JobType.permissions`.

    A policy that names a function without a version or an alias allows no call that names one, and the other
    way round: so the ARN is the one that is called.
    """
    if unknown := [name for name in ("function", "qualifier") if not is_known(options, name)]:
        return [Unnamed(f"'{name}' is known only when the job starts") for name in unknown]
    found = _FUNCTION.fullmatch(options["function"])
    if found is None:
        return [Unnamed(f"'function' is {options['function']!r:.200}, which names no function")]
    partition, region, account, name, qualifier = found.groups()
    # Where only the account is named it is called in this region.
    place = f"{partition or where.partition}:lambda:{region or where.region}:{account or where.account}"
    called = options.get("qualifier", qualifier)
    resource = f"arn:{place}:function:{name}" + ("" if called is None else f":{called}")
    return [Permission(["lambda:InvokeFunction"], [resource])]
