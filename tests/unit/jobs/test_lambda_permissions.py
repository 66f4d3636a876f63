"""What whoever runs a Lambda job has to be allowed: to invoke just what is called."""

from __future__ import annotations

from typing import Any

import pytest

from bunsui.jobs.aws_lambda import LambdaJobType
from bunsui.ports.permissions import Permission, Unnamed, Where

WHERE = Where("eu-central-1", "123456789012")
OWN, OTHER = "arn:aws:lambda:eu-central-1:123456789012", "arn:aws-cn:lambda:cn-north-1:210987654321"


def permissions(**options: Any) -> list[Any]:
    return [*LambdaJobType().permissions(options, WHERE)]


@pytest.mark.parametrize(
    ("options", "resource"),
    [
        ({"function": "load"}, f"{OWN}:function:load"),
        ({"function": "load", "qualifier": "live"}, f"{OWN}:function:load:live"),
        ({"function": "load:live"}, f"{OWN}:function:load:live"),
        ({"function": "load", "qualifier": "$LATEST"}, f"{OWN}:function:load:$LATEST"),
        ({"function": f"{OTHER}:function:load"}, f"{OTHER}:function:load"),
        ({"function": f"{OTHER}:function:load:3"}, f"{OTHER}:function:load:3"),
        ({"function": f"{OTHER}:function:load", "qualifier": "3"}, f"{OTHER}:function:load:3"),
        (
            {"function": "210987654321:function:load"},
            "arn:aws:lambda:eu-central-1:210987654321:function:load",
        ),
    ],
)
def test_the_function_that_is_called(options: dict[str, str], resource: str) -> None:
    """By its ARN, with a version or an alias exactly where the call names one: Lambda tells them apart."""
    assert [Permission(["lambda:InvokeFunction"], [resource])] == permissions(**options)


@pytest.mark.parametrize("name", ["function", "qualifier"])
def test_what_is_known_only_later(name: str) -> None:
    """It can't be named, and that says which field it is."""
    options = {"function": "load", name: "${jobs.a.output}"}
    assert [Unnamed(f"'{name}' is known only when the job starts")] == permissions(**options)


@pytest.mark.parametrize("function", ["load*", "no name", "arn:aws:s3:::bucket", "l\n"])
def test_what_names_no_function(function: str) -> None:
    """No policy is made that would allow more than was meant."""
    ((unnamed),) = permissions(function=function)
    assert unnamed == Unnamed(f"'function' is {function!r}, which names no function")
