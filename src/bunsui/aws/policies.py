"""Policies of IAM, made of permissions: as few statements as say the same, always in the same order.

See "IAM JSON policy elements reference" and "IAM and STS quotas" in IAM's guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from bunsui.dsl.problems import Problem
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.permissions import Permission

#: Characters of a managed policy, white space not counted.
MAX_CHARACTERS = 6144
#: Of all policies within a role together, likewise.
MAX_IN_ROLE = 10_240
#: Actions whose names stand in the name of a statement.
_NAMED = 2


@frozen
class IamPolicy:
    """What whoever runs a pipeline has to be allowed at AWS, and no more.

    Such as::

        with bunsui.Runner("memory://", artifacts="s3://etl/artifacts") as runner:
            policy = runner.iam_policy(pipeline, account="123456789012", region="eu-central-1")
        print(policy.document["Statement"][0]["Resource"])  # arn:aws:s3:::etl/artifacts/*
    """

    #: As IAM takes it, with ``Version`` and ``Statement``. Where nobody at AWS is called it has no statement;
    #: IAM takes none of that kind.
    document: Mapping[str, Any]
    #: The ARNs of the roles that are taken in a run: what is called in them, they have to be allowed, by
    #: policies of their own.
    roles: tuple[str, ...] = ()
    #: What is called as well and can't be named; see the argument ``partial``.
    unnamed: tuple[Problem, ...] = field(default=(), repr=False)

    @property
    def size(self) -> int:
        """How many characters of it count against IAM's limits: all but white space."""
        return len("".join(self.to_json().split()))

    @property
    def hint(self) -> str | None:
        """What to do where IAM would not take it as one managed policy; None: it would."""
        if self.size <= MAX_CHARACTERS:
            return None
        return (
            f"it has {self.size:,} characters, and a managed policy has {MAX_CHARACTERS:,} at most, all that"
            f" are within a role {MAX_IN_ROLE:,} together: make several managed ones of its statements, or"
            " name resources by a common beginning and '*'"
        )

    def to_json(self) -> str:
        """The document as JSON text, indented by two spaces."""
        return json.dumps(self.document, indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        return self.to_json()


def iam_policy(
    pipeline: Pipeline,
    parameters: Mapping[str, Any] | None = None,
    *,
    region: str | None = None,
    account: str | None = None,
    role: str | None = None,
    partial: bool = False,
    **runner: Any,
) -> IamPolicy:
    """The least-privilege IAM policy for running a pipeline; see `Runner.iam_policy`.

    Such as::

        import bunsui.aws

        policy = bunsui.aws.iam_policy(
            pipeline, region="eu-central-1", account="123456789012", artifacts="s3://etl/artifacts"
        )
        print(policy.document["Statement"][0]["Resource"])  # arn:aws:s3:::etl/artifacts/*

    Args:
        pipeline: what would be run.
        parameters: as `Runner.start` takes them.
        region: as `Runner.iam_policy` takes it; so are `account`, `role` and `partial`.
        account: see there.
        role: see there.
        partial: see there.
        runner: what the Runner would be made with, such as ``store``, ``artifacts``, ``bindings`` or ``aws``.

    Raises:
        BunsuiError: as `Runner` and `Runner.iam_policy` do.
    """
    from bunsui.runner.runner import Runner  # noqa: PLC0415 - all of bunsui, which stands above this room

    with Runner(**runner) as made:
        return made.iam_policy(
            pipeline, parameters, region=region, account=account, role=role, partial=partial
        )


def document(permissions: Iterable[Permission]) -> dict[str, Any]:
    """The policy that allows these, and nothing else."""
    statements = _merged(permissions)
    taken: dict[str, int] = {}
    return {
        "Version": "2012-10-17",
        "Statement": [_statement(*each, taken) for each in sorted(statements)],
    }


#: Sorted actions, sorted resources, and the conditions as JSON.
_Parts = tuple[tuple[str, ...], tuple[str, ...], str]


def _merged(permissions: Iterable[Permission]) -> list[_Parts]:
    """Statements of one service each. Only what agrees in all else is merged: no action gains a resource."""
    actions: dict[tuple[str, str, str], set[str]] = {}
    for each in permissions:
        conditions = json.dumps(each.conditions, sort_keys=True, default=dict)
        for action in each.actions:
            for resource in each.resources:
                actions.setdefault((action.partition(":")[0], resource, conditions), set()).add(action)
    resources: dict[tuple[tuple[str, ...], str], set[str]] = {}
    for (_, resource, conditions), of_resource in actions.items():
        resources.setdefault((tuple(sorted(of_resource)), conditions), set()).add(resource)
    return [(done, tuple(sorted(to)), conditions) for (done, conditions), to in resources.items()]


def _statement(
    actions: tuple[str, ...], resources: tuple[str, ...], conditions: str, taken: dict[str, int]
) -> dict[str, Any]:
    found = {
        "Sid": _sid(actions, taken),
        "Effect": "Allow",
        "Action": _one_or_all(actions),
        "Resource": _one_or_all(resources),
    }
    under = json.loads(conditions)
    return found | ({"Condition": under} if under else {})


def _one_or_all(texts: tuple[str, ...]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else [*texts]


def _sid(actions: tuple[str, ...], taken: dict[str, int]) -> str:
    """A name of letters and digits that no other statement has."""
    service = actions[0].partition(":")[0]
    names = [action.partition(":")[2] for action in actions] if len(actions) <= _NAMED else []
    # No name ends with a digit, so that with one it is not another's.
    plain = "".join(each for each in f"{service.capitalize()}{''.join(names)}" if each.isalnum())
    taken[plain] = taken.get(plain, 0) + 1
    return plain if taken[plain] == 1 else f"{plain}x{taken[plain]}"
