"""Outputs by job: whatever is done with them, they are as the dict of what they hold."""

from __future__ import annotations

import copy
import json
import pickle
from collections import UserDict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui.errors import NotFound
from bunsui.model.artifact import Artifact
from bunsui.model.json import Json
from bunsui.runner.outputs import Outputs

KEYS = st.sampled_from("abcd")
VALUES = st.none() | st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2)
DICTS = st.dictionaries(KEYS, VALUES, max_size=4)
MISSING = object()

Call = Callable[[Any], Any]


def fuse(other: Any) -> Call:
    def fused(held: Any) -> Any:
        held |= copy.deepcopy(other)
        return held

    return fused


def changed_inside(key: str) -> Call:
    """What is changed in a value that is held is so for whoever asks next."""

    def change(held: Any) -> Any:
        if isinstance(held[key], list):
            held[key].append(9)
        return held[key]

    return change


#: Of what two calls on one are compared: the outcome, or the error's type.
CALLS: dict[str, st.SearchStrategy[Call]] = {
    "__contains__": KEYS.map(lambda k: lambda d: k in d),
    "__delitem__": KEYS.map(lambda k: lambda d: d.__delitem__(k)),
    "__eq__": DICTS.map(lambda o: lambda d: (d == o, o == d, d == dict(d), d == copy.copy(d))),
    "__getitem__": KEYS.map(lambda k: lambda d: d[k]),
    "__getstate__": st.just(copy.copy),
    "__ior__": DICTS.map(fuse) | DICTS.map(lambda o: fuse([*o.items()])) | st.just(fuse(5)),
    "__iter__": st.just(lambda d: [*iter(d)]),
    "__len__": st.just(lambda d: (len(d), bool(d))),
    "__ne__": DICTS.map(lambda o: lambda d: (d != o, o != d, d != dict(d))),
    "__or__": DICTS.map(lambda o: lambda d: d | o) | st.just(lambda d: d | [("a", 1)]),
    "__reduce__": st.sampled_from(range(pickle.HIGHEST_PROTOCOL + 1)).map(
        lambda n: lambda d: pickle.loads(pickle.dumps(d, n))
    ),
    "__reduce_ex__": st.just(copy.deepcopy),
    "__repr__": st.just(lambda d: (repr(d), str(d), f"{d}")),
    "__reversed__": st.just(lambda d: [*reversed(d)]),
    "__ror__": DICTS.map(lambda o: lambda d: o | d) | st.just(lambda d: 5 | d),
    "__setitem__": st.tuples(KEYS, VALUES).map(lambda p: lambda d: d.__setitem__(*copy.deepcopy(p))),
    "clear": st.just(lambda d: d.clear()),
    "copy": st.just(lambda d: d.copy()),
    "fromkeys": st.just(lambda d: (d.fromkeys("ab"), type(d).fromkeys("a", 1))),
    "get": st.tuples(KEYS, VALUES).map(lambda p: lambda d: (d.get(p[0]), d.get(*p))),
    "items": st.just(
        lambda d: (
            [*d.items()],
            [*reversed(d.items())],
            len(d.items()),
            ("a", 1) in d.items(),
            repr(d.items()),
        )
    ),
    "keys": st.just(lambda d: ([*d.keys()], d.keys() & {"a"}, dict(d.keys().mapping))),
    "pop": st.tuples(KEYS, VALUES).map(lambda p: lambda d: d.pop(*p))
    | KEYS.map(lambda k: lambda d: d.pop(k))
    | KEYS.map(lambda k: lambda d: d.pop(k, 1, 2)),
    "popitem": st.just(lambda d: d.popitem()),
    "setdefault": st.tuples(KEYS, VALUES).map(lambda p: lambda d: d.setdefault(*copy.deepcopy(p)))
    | KEYS.map(lambda k: lambda d: d.setdefault(k)),
    "update": DICTS.map(lambda o: lambda d: d.update(copy.deepcopy(o), e=1)),
    "values": st.just(lambda d: ([*d.values()], [*reversed(d.values())], 1 in d.values(), repr(d.values()))),
}
MORE = (
    KEYS.map(changed_inside)
    | KEYS.map(lambda k: lambda d: d[k] is d[k])
    | KEYS.map(lambda k: lambda d: d.get(k) is d.setdefault(k))
    | st.sampled_from([None, 2]).map(
        lambda n: lambda d: (json.dumps(d), json.dumps(d, indent=n, sort_keys=True))
    )
    | st.just(
        lambda d: ({**d}, dict(d), dict(d, z=1), {"a": 0} | d, dict(**d), [*map(type, (d | {}, d.copy()))])
    )
    | st.just(lambda d: (d.items() == dict(d).items(), dict(d).items() == d.items()))
    | st.just(lambda d: ("{a}".format_map(d), "{a}".format(**d)))
    | st.just(lambda d: (d == ANY, d != ANY, d == 5, UserDict(d) == d, d == MappingProxyType(d)))
    | st.just(hash)
    | st.just(lambda d: d[[]])
    | st.just(lambda d: d.get([]))
    | st.just(lambda d: d < {})
)


def outcome(call: Call, held: Any) -> Any:
    try:
        found = call(held)
    except Exception as error:  # What it is counts.
        return type(error)
    # As it is now: it may be changed later.
    return copy.deepcopy(dict(found) if isinstance(found, dict) else found)


@settings(max_examples=400, deadline=None)
@given(held=DICTS, calls=st.lists(st.one_of(*CALLS.values(), MORE), max_size=8))
def test_as_a_dict(held: dict[str, Any], calls: list[Call]) -> None:
    """Each method of dict gives the same, raises the same and leaves the same behind, also nested."""
    outputs = Outputs({key: Json.of(value) for key, value in held.items()})
    for call in calls:
        assert outcome(call, held) == outcome(call, outputs)
    assert [*held.items()] == [*dict(outputs).items()]


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), held=DICTS)
def test_each_method_alone(name: str, data: st.DataObject, held: dict[str, Any]) -> None:
    """On outputs that nobody has read yet."""
    call = data.draw(CALLS[name])
    outputs = Outputs({key: Json.of(value) for key, value in held.items()})
    assert outcome(call, held) == outcome(call, outputs)
    assert [*held.items()] == [*dict(outputs).items()]


def test_every_method_is_compared() -> None:
    """All that a dict has for itself; but for making one, its types and orders, and what any object has."""
    own = {name for name in dir(dict) if getattr(dict, name) is not getattr(object, name, MISSING)}
    own -= {"__init_subclass__", "__subclasshook__"}
    of_the_type = {"__class_getitem__", "__doc__", "__getattribute__", "__init__", "__new__", "__sizeof__"}
    orders = {"__ge__", "__gt__", "__le__", "__lt__", "__hash__"}
    assert own - of_the_type - orders - CALLS.keys() == set()


def gone(artifact: Artifact) -> str:
    raise NotFound("it is gone", kind="artifact", name=artifact.sha256)


@pytest.mark.parametrize("call", [Outputs.popitem, lambda o: o.pop("lost"), lambda o: o.pop("lost", 1)])
def test_what_can_not_be_read_is_not_taken_out(call: Call) -> None:
    """It is there for who asks again; the others are not touched by it."""
    outputs = Outputs({"a": Json("1"), "lost": Artifact("a" * 64, 7, "x", gone)})
    with pytest.raises(NotFound):
        call(outputs)
    assert (["a", "lost"], 1, 1) == ([*outputs], outputs["a"], next(iter(outputs.values())))
    with pytest.raises(NotFound):
        outputs["lost"]


def test_an_artifact_is_read_when_it_is_asked_for_and_once() -> None:
    """So that of many nobody pays for those that nobody wants."""
    read: list[str] = []

    def load(artifact: Artifact) -> str:
        read.append(artifact.whose)
        return '"large"'

    outputs = Outputs({name: Artifact("a" * 64, 7, name, load) for name in "ab"})
    assert ([], 2, True) == (read, len(outputs), "a" in outputs)
    assert (["large"] * 2, ["a"]) == ([outputs["a"], outputs.get("a")], read)
