"""Keys that are met again, where the beginning of an item is missing."""

from __future__ import annotations

import pytest

from bunsui.dsl.parser import parse
from bunsui.dsl.tree import MAX_PROBLEMS
from bunsui.errors import DefinitionError

RENAME = "remove or rename one of them"


def hints(text, language="yaml"):
    """The places and hints of what is wrong with a text."""
    with pytest.raises(DefinitionError) as caught:
        parse(text, language)
    assert {"duplicate-key"} == {problem.code for problem in caught.value.problems}
    return [(problem.line, problem.hint) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (
            "jobs:\n- id: a\n  type: x\n\n  id: b\n  type: y\n- id: c\n  id: d\n",
            "yaml",
            [
                (5, "if another job begins here, write '- ' before it"),
                (8, "if another job begins here, write '- ' before it"),
            ],
        ),
        (
            "parameters:\n- name: a\n  type: x\n  name: b\n  type: y\n",
            "yaml",
            [(4, "if another parameter begins here, write '- ' before it")],
        ),
        (
            '{"jobs": [{"id": "a",\n "type": "x",\n "id": "b", "type": "y"}]}',
            "json",
            [(3, "if another job begins here, write '}, {' before it")],
        ),
        ("jobs: [{id: a,\n id: b}]\n", "yaml", [(2, "if another job begins here, write '}, {' before it")]),
        ("jobs:\n- id: a\n  type: x\n  type: y\n", "yaml", [(4, RENAME)]),
        ("jobs:\n- id: a\n  with:\n    id: b\n    id: c\n    id: d\n", "yaml", [(5, RENAME), (6, RENAME)]),
        ("jobs:\n  a:\n    id: b\n    id: c\n", "yaml", [(4, RENAME)]),
        ("steps:\n- id: a\n  id: b\n", "yaml", [(3, RENAME)]),
        ("name: a\nname: b\n", "yaml", [(2, RENAME)]),
    ],
)
def test_an_item_that_does_not_begin(text, language, expected):
    """Two items in one are one problem, where the second begins; other keys are a problem each."""
    assert expected == hints(text, language)


def test_what_is_not_reported_is_counted():
    """Parsing stops as it does at so many problems: what follows is not looked at."""
    lines = "jobs:\n- id: a\n" + "  id: b\n" * MAX_PROBLEMS
    assert 1 == len(hints(f"{lines}  type: x\n  type: y\n- id: c\n  id: d\n"))
    assert 2 == len(hints("jobs:\n- id: a\n  id: b\n  id: b\n- id: c\n  id: d\n"))
