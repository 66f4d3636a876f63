"""What attempts lack that only a person can give: then they wait for that, and none of them fails."""

from __future__ import annotations

from bunsui.errors import AwsError

#: Why a session pauses without credentials of AWS.
AWS_CREDENTIALS = "aws-credentials"


def is_missing(error: BaseException) -> bool:
    """Whether an error says that something is missing, and so that the call had no effect.

    Of no class of somebody's: that may say anything.
    """
    return type(error) is AwsError and error.kind == "credentials"
