"""What whoever runs a job has to be allowed at AWS, as job types, stores and secret sources say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Permission", "Unnamed", "Where", "literal"]


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def literal(text: str) -> str:
    """A text as a resource of a policy has it, in which some characters have a meaning of their own.

    Such as::

        from bunsui.ports.permissions import literal

        print(literal("raw/2026-*"))  # raw/2026-${*}

    See "Policy variables" in IAM's guide.
    """
    return "".join(f"${{{each}}}" if each in "*?$" else each for each in text)


@frozen
class Where:
    """Where something is at AWS, for its ARN.

    Such as::

        from bunsui.ports.permissions import Where

        where = Where("eu-central-1", "123456789012")
        print(where.arn("lambda", "function:load"))  # arn:aws:lambda:eu-central-1:123456789012:function:load
    """

    region: str
    #: Twelve digits.
    account: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in this region and account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


@frozen
class Permission:
    """Actions that are called, and on what.

    Such as::

        from bunsui.ports.permissions import Permission

        arn = "arn:aws:lambda:eu-central-1:123456789012:function:load"
        print(Permission(["lambda:InvokeFunction"], [arn]).actions)  # ('lambda:InvokeFunction',)
    """

    #: As IAM calls them, such as ``ecs:RunTask``.
    actions: tuple[str, ...] = field(converter=_texts)
    #: ARNs, in which ``*`` may stand for what is known only when it is made; ``*`` alone where IAM knows no
    #: resource for the actions.
    resources: tuple[str, ...] = field(converter=_texts)
    #: As IAM writes them: by operator, then by key.
    conditions: Mapping[str, Mapping[str, str]] = field(factory=dict)


@frozen
class Unnamed:
    """What is called can't be named before the run.

    Such as::

        from bunsui.ports.permissions import Unnamed

        print(Unnamed("'function' is known only when the job starts").why)
    """

    #: Ends a sentence that names the job.
    why: str
