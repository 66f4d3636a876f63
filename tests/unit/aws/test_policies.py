"""Policies are made of permissions: as few statements as say the same, in one order."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.aws.policies import MAX_CHARACTERS, IamPolicy, document
from bunsui.ports.permissions import Permission, literal

PASSED = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


def statements(*permissions: Permission) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(permissions)["Statement"]
    return found


def test_the_document() -> None:
    """It has the version in which variables are known; what stands alone is no list."""
    made = document([Permission(["lambda:InvokeFunction"], ["arn:f"])])

    assert {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "LambdaInvokeFunction",
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": "arn:f",
            }
        ],
    } == made
    assert made == json.loads(str(IamPolicy(made))) == json.loads(IamPolicy(made).to_json())


def test_merged() -> None:
    """Actions with the same resources, and resources with the same actions; each once."""
    (found,) = statements(
        Permission(["s3:PutObject"], ["arn:b/*", "arn:a/*"]),
        Permission(["s3:GetObject"], ["arn:a/*"]),
        Permission(["s3:GetObject"], ["arn:b/*"]),
    )
    assert (["s3:GetObject", "s3:PutObject"], ["arn:a/*", "arn:b/*"]) == (found["Action"], found["Resource"])


def test_conditions_and_services_keep_statements_apart() -> None:
    """What may be done under a condition may not be done without."""
    found = statements(
        Permission(["iam:PassRole"], ["arn:r"], PASSED),
        Permission(["iam:PassRole"], ["arn:q"]),
        Permission(["ecs:DescribeTaskDefinition", "s3:ListAllMyBuckets"], ["*"]),
    )
    assert [
        ("ecs:DescribeTaskDefinition", "*", None),
        ("iam:PassRole", "arn:q", None),
        ("iam:PassRole", "arn:r", PASSED),
        ("s3:ListAllMyBuckets", "*", None),
    ] == [(each["Action"], each["Resource"], each.get("Condition")) for each in found]
    assert len(found) == len({each["Sid"] for each in found})
    assert all(each["Sid"].isalnum() for each in found)


PERMISSIONS = st.lists(
    st.builds(
        Permission,
        st.lists(st.sampled_from(["s3:Get", "s3:Put", "ecs:Run", "ecs:Stop"]), min_size=1, max_size=3),
        st.lists(st.sampled_from(["*", "arn:a", "arn:b", "arn:c"]), min_size=1, max_size=3),
        st.sampled_from([{}, PASSED]),
    ),
    max_size=6,
)


@given(PERMISSIONS, st.randoms())
def test_it_allows_that_and_nothing_else(permissions: list[Permission], random: Any) -> None:
    """Each action with each resource under its conditions, in whatever order they came; no name twice."""
    wanted = {
        (action, resource, json.dumps(each.conditions))
        for each in permissions
        for action, resource in itertools.product(each.actions, each.resources)
    }
    made = statements(*permissions)
    found = [
        (action, resource, json.dumps(each.get("Condition", {})))
        for each in made
        for action, resource in itertools.product(_listed(each["Action"]), _listed(each["Resource"]))
    ]
    assert sorted(wanted) == sorted(found)
    random.shuffle(permissions)
    assert made == statements(*permissions)
    assert len(made) == len({each["Sid"] for each in made})


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_too_long() -> None:
    """White space does not count; where it is too much for a managed policy, that is said."""
    text = json.dumps(document([]), separators=(",", ":"))
    room = MAX_CHARACTERS - len(text)
    fits = IamPolicy({**document([]), "Statement": ["x" * (room - 2)]})
    more = IamPolicy({**document([]), "Statement": ["x" * (room - 1)]})

    assert (MAX_CHARACTERS, None) == (fits.size, fits.hint)
    assert MAX_CHARACTERS + 1 == more.size
    assert "6,145 characters, and a managed policy has 6,144 at most" in str(more.hint)
    assert "all that are within a role 10,240 together" in str(more.hint)


@pytest.mark.parametrize(
    ("text", "expected"), [("a/b-c.1", "a/b-c.1"), ("a*", "a${*}"), ("a?${x}", "a${?}${$}{x}")]
)
def test_a_text_that_means_itself(text: str, expected: str) -> None:
    """What a policy would take for a pattern, or for a variable, is written as itself."""
    assert expected == literal(text)
