"""References that are replaced before anything runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bunsui.expressions.resolution import Scope
from bunsui.expressions.settling import Unsettled, settle

SCOPE = Scope(
    {"n": 3, "deep": {"list": [1, "${n}"]}, "token": "${secrets.token}"},
    {},
    "",
    datetime(2026, 1, 1, tzinfo=UTC),
    "flow",
    {"REGION": "eu"},
    frozenset({"token"}),
)
KNOWN = {"parameters", "pipeline", "env"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${n}", 3),
        ("n=${n}", "n=3"),
        ("${deep}", {"list": [1, "${n}"]}),
        ("${deep.list[0]} in ${env.REGION}", "1 in eu"),
        ("$${n}", "${n}"),
        ({"a": ["${n}", True, None]}, {"a": [3, True, None]}),
        ("${jobs.a.output}", Unsettled("${jobs.a.output}")),
        ("${n} of ${jobs.a.output.n}", Unsettled("3 of ${jobs.a.output.n}")),
        ("$${n} ${item}", Unsettled("$${n} ${item}")),
        ("${deep} ${item}", Unsettled('{"list":[1,"$${n}"]} ${item}')),
        ("${secrets.key}", Unsettled("${secrets.key}")),
        ("${token}", Unsettled("${secrets.token}")),
        ("key ${token} ${n}", Unsettled("key ${secrets.token} 3")),
        ("${deep.gone}", Unsettled("${deep.gone}")),
        ("${deep.gone} ${n}", Unsettled("${deep.gone} 3")),
    ],
)
def test_what_is_known_is_replaced(value: Any, expected: Any) -> None:
    """What is not known, is secret or is not there stays as a reference; a literal stays a literal."""
    assert expected == settle(value, SCOPE, lambda reference: reference.root in KNOWN)


def test_it_is_a_copy() -> None:
    """Who changes what it gives changes no parameter."""
    settle("${deep}", SCOPE, lambda _: True)["list"].append(2)
    assert {"list": [1, "${n}"]} == SCOPE.parameters["deep"]
