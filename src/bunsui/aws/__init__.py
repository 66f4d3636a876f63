"""AWS: who calls it, where, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bunsui.aws.policies import IamPolicy
    from bunsui.model.pipeline import Pipeline


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
