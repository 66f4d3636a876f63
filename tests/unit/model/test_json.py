"""JSON as a value."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.model.json import MAX_DEPTH, NULL, Json, canonical, check, compact

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def nested(levels: int) -> Any:
    value: Any = 1
    for i in range(levels):
        value = [value] if i % 2 else {"x": value}
    return value


@given(values)
def test_value_is_the_inverse_of_of(value: Any) -> None:
    """What was encoded comes back as it was."""
    assert value == Json.of(value).value


@given(values)
def test_the_text_is_compact_ascii(value: Any) -> None:
    """The text needs no encoding, and has no blank between its parts."""
    assert json.dumps(value, separators=(",", ":"), ensure_ascii=True) == Json.of(value).text


@given(values)
def test_canonical_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    """Mappings that differ in the order of their keys have one canonical text."""

    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: turned(child) for key, child in reversed(item.items())}
        return [turned(child) for child in item] if isinstance(item, list) else item

    assert canonical(value) == canonical(turned(value))


@given(values)
def test_canonical_is_json(value: Any) -> None:
    """The canonical text says the same value."""
    assert value == json.loads(canonical(value))


def test_value_is_decoded_anew() -> None:
    """What one reader does to a value can't reach another's."""
    document = Json.of({"x": [1]})
    document.value["x"].append(2)
    assert {"x": [1]} == document.value


def test_tuples_are_lists() -> None:
    """A tuple is encoded as a list."""
    assert Json("[1,[2]]") == Json.of((1, (2,)))


def test_null_is_one_object() -> None:
    """None is the one NULL."""
    assert NULL is Json.of(None)


def test_json_is_equal_by_its_text() -> None:
    """Equal texts are equal documents, with equal hashes."""
    assert {Json.of([1])} == {Json("[1]")}


def test_json_is_no_text() -> None:
    """A document is not equal to the text that it consists of."""
    assert Json("1") != "1"


def test_repr_is_cut() -> None:
    """A large document shows its beginning."""
    assert f"Json('[{'0,' * 29}0...)".replace("0...", "0'...") == repr(Json.of([0] * 1000))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: "x"}, "keys must be text, not int (1); str() makes it"),
        ({None: "x"}, "keys must be text, not NoneType (None); str() makes it"),
        ([{"x": ({True: 1},)}], "keys must be text, not bool (True); str() makes it"),
        ({(1, 2): 3}, "keys must be text, not tuple ((1, 2)); str() makes it"),
        ([{1, 2}], "[0] is of type set; convert it to text, a number, a list or a dict"),
        (b"x", "it is of type bytes; convert it to text, a number, a list or a dict"),
        ({"rows": [1, {"a b": [b"x"]}]}, 'rows[1]["a b"][0] is of type bytes; convert it to'),
        (("a", {"after": {"all": b""}}), "[1].after.all is of type bytes; convert it to"),
    ],
)
def test_what_is_not_json_is_a_type_error(value: object, message: str) -> None:
    """Keys that are not text, and values that JSON does not know, are refused by name."""
    with pytest.raises(TypeError) as caught:
        Json.of(value)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "it is nan, and JSON has no NaN"),
        (float("inf"), "it is inf, and JSON has no NaN"),
        ([1.5, float("-inf")], "[1] is -inf, and JSON has no NaN"),
        ({"x": {"y": float("nan")}}, "x.y is nan, and JSON has no NaN"),
    ],
)
def test_nan_and_infinity_are_refused(value: object, message: str) -> None:
    """JSON has no such numbers; the error says where it stands."""
    with pytest.raises(ValueError, match="JSON has no NaN and no infinity; None would do, or text") as caught:
        Json.of(value)
    assert str(caught.value).startswith(message)


def test_the_deepest_value() -> None:
    """A value of the greatest depth comes back as it was."""
    assert nested(MAX_DEPTH) == Json.of(nested(MAX_DEPTH)).value


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000])
def test_a_value_that_is_too_deep_is_refused(levels: int) -> None:
    """Deep nesting is refused by a clean error, not by Python's stack."""
    with pytest.raises(ValueError, match="nested") as caught:
        Json.of(nested(levels))
    assert "it is nested more than 200 levels deep, or holds itself" == str(caught.value)


def test_depth_counts_what_is_shared_at_its_deepest_place() -> None:
    """A list that stands near the top and far below as well is as deep as its deepest place."""
    shared = nested(MAX_DEPTH - 1)
    with pytest.raises(ValueError, match="nested more than 200 levels deep"):
        Json.of([shared, [[shared]]])


def test_a_cycle_is_refused() -> None:
    """What holds itself, more than once even, is refused in bounded time."""
    value: list[Any] = []
    value += [value, {"x": value}]
    with pytest.raises(ValueError, match="holds itself"):
        Json.of(value)


def test_shared_parts_are_no_cycle() -> None:
    """A part that stands in two places is written twice."""
    part = {"x": 1}
    assert Json('[{"x":1},{"x":1}]') == Json.of([part, part])


def test_what_is_shared_is_looked_at_once() -> None:
    """A value that would have 2 ** 199 parts if it were written out is checked in no time."""
    value: Any = []
    for _ in range(MAX_DEPTH - 1):
        value = [value, value]
    check(value)
    with pytest.raises(ValueError, match="nested more than 200 levels deep"):
        check([value])


def test_a_key_far_behind_is_refused() -> None:
    """Also behind more lists than are looked at together."""
    with pytest.raises(TypeError, match="keys must be text, not int"):
        check([[[]] for _ in range(2500)] + [[{1: 2}]])


def test_checking_needs_no_memory_of_its_own() -> None:
    """However many lists stand side by side: 300,000 took 30 MB, and take some kilobytes."""
    value = [[[]] for _ in range(150_000)]
    tracemalloc.start()
    try:
        check(value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_compact() -> None:
    """Compact text keeps the order of keys, and escapes all that is not ASCII."""
    assert '{"b":1,"a":"\\u5206"}' == compact({"b": 1, "a": "分"})
