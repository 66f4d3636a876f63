"""What errors of AWS say of the attempts that raise them, beside that these failed."""

from __future__ import annotations

from bunsui.errors import AwsError

#: Why a session pauses without credentials of AWS.
AWS_CREDENTIALS = "aws-credentials"


def is_in_doubt(error: BaseException) -> bool:
    """Whether an error leaves open whether the call had an effect, so that the job's ``on_lost`` decides."""
    return type(error) is AwsError and error.kind == "open"


def is_missing(error: BaseException) -> bool:
    """Whether an error says that something is missing, and so that the call had no effect.

    Of no class of somebody's: that may say anything.
    """
    return type(error) is AwsError and error.kind == "credentials"
