"""IAM's policies as they count: what no statement allows is refused.

As "Policy evaluation logic" in IAM's guide has it for policies of identities within one account. What each
call needs, the services say themselves, as AWS's service authorization reference does: nothing of it comes
from what is tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import field, frozen


@frozen
class Need:
    """What a caller has to be allowed for a call."""

    #: As IAM calls it.
    action: str
    resource: str
    #: By condition key.
    context: Mapping[str, str] = field(factory=dict)


class Policies:
    """The policies of callers. Whoever has none may do anything."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Any]] = {}
        self._refused: list[Need] = []

    def attach(self, principal: str, document: Mapping[str, Any]) -> None:
        """From now on it is allowed what this policy allows, and nothing else.

        Args:
            principal: An access key, or the ARN of a role.
            document: The policy.
        """
        self._of[principal] = dict(document)

    @property
    def refused(self) -> list[Need]:
        """What was missing so far."""
        return list(self._refused)

    def missing(self, principal: str, wanted: Callable[[], Iterable[Need]]) -> Need | None:
        """The first thing that it is not allowed; None: it is allowed all.

        Args:
            principal: As in `attach`.
            wanted: Says what it has to be allowed, where it has a policy.
        """
        document = self._of.get(principal)
        if document is None:
            return None
        for need in wanted():
            if not any(_allows(statement, need) for statement in document["Statement"]):
                self._refused.append(need)
                return need
        return None


def _allows(statement: Mapping[str, Any], need: Need) -> bool:
    assert statement["Effect"] == "Allow"
    return (
        any(_matches(pattern.lower(), need.action.lower()) for pattern in _listed(statement["Action"]))
        and any(_matches(pattern, need.resource) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(operator, need.context.get(key), wanted)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _holds(operator: str, actual: str | None, wanted: str | list[str]) -> bool:
    """Whether a condition is met; what a call does not come with meets none."""
    matches = {"StringEquals": str.__eq__, "ArnEquals": _matches, "ArnLike": _matches, "StringLike": _matches}
    return actual is not None and any(matches[operator](each, actual) for each in _listed(wanted))


def _matches(pattern: str, text: str) -> bool:
    """``*`` is any number of characters, ``?`` one, and ``${*}`` is itself."""
    tokens = re.findall(r"\$\{[*?$]\}|.", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    parts = (wild.get(each) or re.escape(each[2] if len(each) > 1 else each) for each in tokens)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
