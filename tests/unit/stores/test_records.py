"""Events to the text of a commit, and back."""

from __future__ import annotations

import contextlib
import itertools
import json
import typing
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bunsui.engine import events as ev
from bunsui.errors import StoreError
from bunsui.model.artifact import Artifact
from bunsui.model.json import Json
from bunsui.model.session import Failure
from bunsui.stores.records import OVERHEAD, body_of, decode_body, encode_event, split

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
AT_TEXT = "2026-01-02T03:04:05.678901Z"
WHERE = "commit 3 of session s"

# Two lone surrogates that happen to make a pair become one character in JSON; one alone comes back.
text = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "\udfff x", "\x00\x1f\u2028\"\\/'", "é水\U0001f600", "</script>"]
)
ids = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
times = st.datetimes(timezones=st.just(UTC))
numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(text, values, max_size=3)
failures = st.builds(Failure, code=text, message=text, retryable=st.booleans())
attempts = st.integers(0, 1000)
artifacts = st.builds(Artifact, st.from_regex(r"[0-9a-f]{64}", fullmatch=True), st.integers(0, 2**40))

FIELDS = {
    "at": times,
    "session_id": ids,
    "pipeline": text,
    "digest": text,
    "parameters": mappings,
    "bindings": st.dictionaries(text, st.dictionaries(text, mappings, max_size=2), max_size=2),
    "base_dir": st.none() | text,
    "local": st.booleans(),
    "engine": text,
    "tags": st.dictionaries(text, text, max_size=2),
    "env": st.dictionaries(text, text, max_size=2),
    "runner": text,
    "epoch": st.integers(1, 2**40),
    "process": mappings,
    "request": text,
    "job": ids,
    "attempt": attempts,
    "key": ids,
    "output": values.map(Json.of) | artifacts,
    "handle": values.map(Json.of),
    "outputs": st.none() | mappings.map(Json.of) | artifacts,
    "delay": st.floats(0, 1e9),
}
TYPES = {
    float: st.floats(0, 1e9),
    float | None: st.none() | st.floats(0, 1e9),
    int: attempts,
    str: text,
    str | None: st.none() | text,
    bool: st.booleans(),
    tuple[str, ...]: st.lists(text, max_size=3).map(tuple),
    Artifact | None: st.none() | artifacts,
    Failure: failures,
    Failure | None: st.none() | failures,
}


def events_of(cls: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
    """Any event of a class, with every field."""
    kinds = typing.get_type_hints(cls)
    fields = dict(FIELDS)
    for name in attrs.fields_dict(cls):  # A field that is not listed above is drawn by its type.
        if name not in fields or kinds[name] == Artifact | None:
            fields[name] = TYPES[kinds[name]]
    return st.builds(cls, **{name: fields[name] for name in attrs.fields_dict(cls)})


any_event = st.sampled_from(list(ev.EVENTS.values())).flatmap(events_of)


def body(*items, version=1):
    """The text of a commit, as it could stand in a store."""
    made = body_of(map(json.dumps, items))
    return made.replace('{"v":1,', f'{{"v":{json.dumps(version)},', 1)


def decode_one(event_text):
    """The one event of a commit."""
    (event,) = decode_body(body_of([event_text]), WHERE)
    return event


# There and back


@pytest.mark.parametrize("cls", ev.EVENTS.values(), ids=ev.EVENTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_decoding_is_the_inverse_of_encoding(cls, data):
    """Every event comes back as it was, whatever its texts, numbers and outputs are."""
    event = data.draw(events_of(cls))
    encoded = encode_event(event)
    assert event == decode_one(encoded)
    assert type(event) is type(decode_one(encoded))
    assert encoded == encode_event(decode_one(encoded))


@settings(max_examples=50, deadline=None)
@given(st.lists(any_event, max_size=6))
def test_a_commit_is_the_list_of_its_events(events):
    """The events of a commit come back in their order, and its text is ASCII on one line."""
    encoded = body_of(encode_event(event) for event in events)
    assert events == decode_body(encoded, WHERE)
    assert encoded.isascii()
    assert encoded.isprintable()


@settings(max_examples=50, deadline=None)
@given(any_event)
def test_events_written_by_hand_are_json_like_the_rest(event):
    """An event's text is what a JSON encoder writes: compact, and without doubled names."""
    encoded = encode_event(event)
    assert json.dumps(json.loads(encoded), separators=(",", ":")) == encoded
    assert ["event", "at"] == list(json.loads(encoded))[:2]


def test_the_text_of_each_event_with_a_hand_written_encoder():
    """The shape of the commonest events is a promise to whoever reads a history."""
    assert [
        f'{{"event":"JobStarted","at":"{AT_TEXT}","job":"a","attempt":2,"key":"k"}}',
        f'{{"event":"JobSucceeded","at":"{AT_TEXT}","job":"a","attempt":2,"output":{{"n":1}}}}',
        f'{{"event":"ItemStarted","at":"{AT_TEXT}","job":"a","item":7,"attempt":2,"key":"k"}}',
        f'{{"event":"ItemSucceeded","at":"{AT_TEXT}","job":"a","item":7,"attempt":2,"output":{{"n":1}}}}',
        f'{{"event":"SessionSucceeded","at":"{AT_TEXT}","outputs":{{"n":1}}}}',
        f'{{"event":"SessionSucceeded","at":"{AT_TEXT}","outputs":null}}',
    ] == [
        encode_event(ev.JobStarted(AT, "a", 2, "k")),
        encode_event(ev.JobSucceeded(AT, "a", 2, Json.of({"n": 1}))),
        encode_event(ev.ItemStarted(AT, "a", 7, 2, "k")),
        encode_event(ev.ItemSucceeded(AT, "a", 7, 2, Json.of({"n": 1}))),
        encode_event(ev.SessionSucceeded(AT, Json.of({"n": 1}))),
        encode_event(ev.SessionSucceeded(AT)),
    ]


def test_every_field_is_written():
    """No event's text leaves a field out, so that a default that changes later changes no history; but for
    those of a rerun, which no other session has.
    """
    created = ev.SessionCreated(AT, "s", "p", "d", {})
    fields = {"event", *attrs.fields_dict(ev.SessionCreated)}
    assert fields - {"rerun_of", "reuse"} == set(json.loads(encode_event(created)))
    rerun = attrs.evolve(created, rerun_of="r", reuse=("a",))
    assert fields == set(json.loads(encode_event(rerun)))


def test_fields_with_defaults_may_be_missing():
    """An event of an earlier version, before a field was added, gets the field's default."""
    item = {"event": "SessionCreated", "at": AT_TEXT, "session_id": "s", "pipeline": "p", "digest": "d"}
    assert [ev.SessionCreated(AT, "s", "p", "d", {"a": 1})] == decode_body(
        body({**item, "parameters": {"a": 1}}), WHERE
    )


@pytest.mark.parametrize(
    ("item", "event"),
    [
        ({"event": "SessionSucceeded", "at": AT_TEXT}, ev.SessionSucceeded(AT)),
        ({"event": "SessionFailed", "at": AT_TEXT}, ev.SessionFailed(AT)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_end_of_a_session_of_the_first_version(item, event):
    """The ends of sessions that were written before these events had a field are read as they were meant."""
    assert [event] == decode_body(body(item), WHERE)


def test_the_list_of_a_fan_out_is_not_written():
    """The output of a job that fans out is in the history once: in its items."""
    assert {"event", "at", "job"} == set(json.loads(encode_event(ev.FanOutSucceeded(AT, "a"))))


def test_fields_of_a_later_version_are_ignored():
    """An event with a field that was added later is read without it."""
    item = {"event": "SessionStarted", "at": AT_TEXT, "later": {"a": 1}}
    assert [ev.SessionStarted(AT)] == decode_body(body(item), WHERE)


@pytest.mark.parametrize("output", [1.0, 1e300, -0.0, 2**64, "\ud83d", [[]], {"a": {"b": None}}])
def test_an_output_keeps_its_text(output):
    """An output's text is the same after it was read, number by number."""
    event = ev.JobSucceeded(AT, "a", 1, Json.of(output))
    assert event.output.text == decode_one(encode_event(event)).output.text


# Events of a later version


@settings(max_examples=50, deadline=None)
@given(mappings, times)
@example({"nested": {"optional": False}, "at2": [1.0, "\ud800"]}, AT)
def test_an_optional_event_is_kept(data, at):
    """An event that this version does not know, and may ignore, is written again as it was read."""
    moment = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    item = {"event": "Later", "at": moment, **data, "optional": True}
    item["event"], item["at"] = "Later", moment
    event_text = json.dumps(item, separators=(",", ":"))
    event = decode_one(event_text)
    assert ev.Unknown(at, "Later", item) == event
    assert event_text == encode_event(event)


@pytest.mark.parametrize("optional", [None, False, 1, "true"])
def test_a_required_event_is_refused(optional):
    """An event that this version does not know, and that is not marked as optional, stops the reader."""
    item = {"event": "Later", "at": AT_TEXT} | ({} if optional is None else {"optional": optional})
    with pytest.raises(StoreError) as caught:
        decode_body(body(item), WHERE)
    assert (
        "commit 3 of session s holds the event 'Later', which this bunsui does not know; "
        "use the bunsui that wrote it, or a later one"
    ) == str(caught.value)


def test_an_event_without_a_name_is_refused():
    """A name that is no text is none that this version knows."""
    with pytest.raises(StoreError, match="holds the event None, which this bunsui does not know"):
        decode_body(body({"event": None}), WHERE)


def test_unknown_is_no_events_name():
    """The class that stands for unknown events is itself none of a history's."""
    with pytest.raises(StoreError, match="holds the event 'Unknown', which this bunsui does not know"):
        decode_body(body({"event": "Unknown", "at": AT_TEXT, "name": "x", "data": {}}), WHERE)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(version):
    """A commit of another version is refused before its events are looked at."""
    with pytest.raises(StoreError) as caught:
        decode_body(body("nonsense", version=version), WHERE)
    assert (
        f"commit 3 of session s has version {version}; this bunsui reads version 1; "
        "use the bunsui that wrote it, or a later one"
    ) == str(caught.value)


# Damage

STARTED = {"event": "JobStarted", "at": AT_TEXT, "job": "a", "attempt": 1, "key": "k"}


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '{"v": 1}',
        '{"events": []}',
        '{"v": 1, "events": 7}',
        '{"v": 1, "events": null}',
        body(7),
        body(None),
        body([]),
        body({}),
        body({"event": []}),
        body({"event": "SessionStarted"}),
        body({"event": "SessionStarted", "at": "yesterday"}),
        body({"event": "SessionStarted", "at": "2026-01-02T03:04:05"}),
        body({"event": "SessionStarted", "at": 7}),
        body({"event": "Later", "optional": True}),
        body({"event": "Later", "optional": True, "at": "never"}),
        body({**STARTED, "attempt": "x"}),
        body({**STARTED, "attempt": None}),
        body({key: value for key, value in STARTED.items() if key != "key"}),
        body({"event": "JobFailed", "at": AT_TEXT, "job": "a", "attempt": 1, "error": 7}),
        body({"event": "JobSucceeded", "at": AT_TEXT, "job": "a", "attempt": 1, "output": float("nan")}),
        body({"event": "RunnerClaimed", "at": AT_TEXT, "runner": "r", "epoch": 1, "process": 7}),
        "[" * 100_000,
        '{"v": 1, "events": ' + "[" * 100_000,
        '{"v": ' + "9" * 5000 + "}",
    ],
    ids=lambda damaged: damaged[:60] or "empty",
)
def test_damage_names_its_place(damaged):
    """Whatever is wrong with a commit's text, the error is StoreError, says where, and has its cause."""
    with pytest.raises(StoreError, match=r"^commit 3 of session s is damaged: \w+: ") as caught:
        decode_body(damaged, WHERE)
    assert caught.value.__cause__ is not None


CLAIMED = {"event": "RunnerClaimed", "at": AT_TEXT, "runner": "r", "epoch": 1, "lease": 2.5}
CREATED = {
    "event": "SessionCreated",
    "at": AT_TEXT,
    "session_id": "s",
    "pipeline": "p",
    "digest": "d",
    "parameters": {},
    "tags": {"a": "b"},
    "local": True,
}


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        (STARTED, "attempt", "1"),
        (STARTED, "attempt", 1.0),
        (STARTED, "attempt", True),
        (STARTED, "job", 7),
        (STARTED, "job", None),
        (STARTED, "key", ["k"]),
        (CLAIMED, "epoch", 1.5),
        (CLAIMED, "lease", "2.5"),
        (CLAIMED, "lease", True),
        (CLAIMED, "lease", float("nan")),
        (CLAIMED, "lease", float("inf")),
        (CLAIMED, "lease", 10**400),
        (CREATED, "local", 1),
        (CREATED, "local", "yes"),
        (CREATED, "base_dir", 7),
        (CREATED, "tags", {"a": 1}),
    ],
)
def test_a_field_of_another_type_is_damage(event, field, value):
    """Nothing is made of a value that was not written so, such as a text of None."""
    assert decode_body(body(event), WHERE)
    with pytest.raises(StoreError, match=r"^commit 3 of session s is damaged: "):
        decode_body(body({**event, field: value}), WHERE)


def test_a_whole_number_is_a_number_of_seconds():
    """JSON writes 2.0 as 2 in many hands."""
    (event,) = decode_body(body({**CLAIMED, "lease": 2}), WHERE)
    assert (2.0, float) == (event.lease, type(event.lease))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_text_never_escapes(data):
    """A byte that was changed, or an end that is missing, gives events or StoreError, nothing else."""
    whole = body_of(encode_event(event) for event in data.draw(st.lists(any_event, min_size=1, max_size=2)))
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(st.characters(max_codepoint=127))
    for damaged in (whole[:place], whole[:place] + changed + whole[place + 1 :]):
        with contextlib.suppress(StoreError):
            decode_body(damaged, WHERE)


# Splitting

texts = st.lists(st.integers(1, 60).map(lambda size: "x" * size), max_size=12)


def largest(encoded):
    """Bytes of the largest commit of one event."""
    return max((len(body_of([event])) for event in encoded), default=0)


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(0, 150))
def test_split_keeps_order_and_size(encoded, more):
    """The chunks hold all events in their order, and each fits where its events do."""
    most = largest(encoded) + more
    chunks = split(encoded, most)
    assert encoded == [event for chunk in chunks for event in chunk]
    assert all(len(body_of(chunk)) <= most for chunk in chunks if chunk)


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(0, 150))
def test_split_makes_few(encoded, more):
    """No chunk would have had room for the first event of the next one."""
    most = largest(encoded) + more
    chunks = split(encoded, most)
    for chunk, following in itertools.pairwise(chunks):
        assert len(body_of([*chunk, following[0]])) > most


def test_split_of_an_event_that_is_too_large():
    """An event larger than a commit may be gets a commit of its own, which the store then refuses."""
    assert [["a"], ["x" * 100], ["b"]] == split(["a", "x" * 100, "b"], 50)


def test_split_of_nothing():
    """No events are one commit without events."""
    assert [[]] == split([], 100)


def test_overhead_is_what_a_body_takes():
    """The bytes that are counted for a body are those of an empty one."""
    assert OVERHEAD == len(body_of([]))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place, change):
    """A flipped byte gives StoreError or changes nothing: never another history."""
    events = [ev.JobStarted(AT, "job", 1, "key"), ev.JobSucceeded(AT, "job", 1, Json.of({"rows": 27004}))]
    sound = body_of(map(encode_event, events)).encode()
    place %= len(sound)
    broken = sound[:place] + bytes([sound[place] ^ change]) + sound[place + 1 :]
    try:
        read = decode_body(broken.decode("latin-1"), WHERE)
    except StoreError:
        return
    assert events == read
