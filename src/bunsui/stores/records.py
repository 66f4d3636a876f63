"""Events to the text of a commit, and back.

A commit's body is ``{"v": 1, "crc": CHECKSUM, "events": [{"event": NAME, "at": TIME, ...fields}]}``; the
checksum is the CRC-32 of the text of the events, so that a damaged store can't tell a wrong story.

An event whose output is an artifact has another name, "JobSucceeded@2", and in place of the output
``"artifact": {"sha256": ..., "bytes": ...}``: a version that knows none would take what is not there for
null.

Events are written field by field, with the output's text, encoded once by the thread that made it, put in as
it is: to decode it for one `json.dumps` of the whole event would cost more than all the rest of the engine.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from attrs import evolve, fields_dict

from bunsui.engine import events as ev
from bunsui.errors import StoreError
from bunsui.model.artifact import Artifact, owner
from bunsui.model.json import Json, compact
from bunsui.model.times import from_text, to_text

if TYPE_CHECKING:
    from cattrs import Converter

#: The version of the body's shape.
VERSION = 1
#: What stands between the checksum and the events.
_EVENTS = '","events":'
#: Bytes that a body takes beside its events.
OVERHEAD = len('{"v":1,"crc":"00000000","events":[]}')
#: What follows the name of an event whose output is an artifact.
_ARTIFACT = "@2"
#: The events that hold an output, by the name of the field.
_OUTPUT: dict[type[ev.Event], str] = {
    cls: name for cls in ev.EVENTS.values() for name in ("output", "outputs") if name in fields_dict(cls)
}
_WITH_ARTIFACT = {f"{cls.__name__}{_ARTIFACT}": cls for cls in _OUTPUT}
#: What came later is written only where it says something: an earlier version reads all other sessions.
_LATER: dict[type[ev.Event], tuple[str, ...]] = {
    ev.SessionCreated: ("rerun_of", "reuse"),
    ev.RunnerClaimed: ("trace",),
    ev.JobStarted: ("trace",),
    ev.ItemStarted: ("trace",),
    ev.JobSucceeded: ("cached_from",),
    ev.ItemSucceeded: ("cached_from",),
    ev.FanOutSucceeded: ("output",),
}
#: Of no field.
_ALWAYS = object()
#: What is written of an event: each key as text, the field, and the value of which nothing is written.
_LAYOUTS: dict[type[ev.Event], list[tuple[str, str, object]]] = {
    cls: [
        (f',"{name}":', name, each.default if name in _LATER.get(cls, ()) else _ALWAYS)
        for name, each in fields_dict(cls).items()
    ]
    for cls in ev.EVENTS.values()
}
#: What to do about a history that is damaged.
DAMAGED = "restore the store from a backup; its other sessions are not touched by this"


def _exactly(kind: type) -> Callable[[object, type], object]:
    """Takes a value of this kind as it is, and no other: nothing is made of what was not written so."""

    def structure(value: object, _: type) -> object:
        if value.__class__ is kind:
            return value
        raise ValueError(f"{value!r} is no {kind.__name__}")

    return structure


def _seconds(value: object, _: type) -> float:
    # JSON writes a whole number either way.
    if value.__class__ in (float, int) and isfinite(seconds := float(value)):
        return seconds
    raise ValueError(f"{value!r} is no number")


def _no_artifact(value: object, _: type) -> Artifact:
    # Those are put in by `_decode_event`, from a place of their own.
    raise ValueError(f"{value!r} is no artifact")


@cache
def _converter() -> Converter:
    # Imported late: 35 ms that a program which only imports bunsui does not need.
    from cattrs import Converter  # noqa: PLC0415 - see above
    from cattrs.gen import make_dict_structure_fn  # noqa: PLC0415 - see above

    converter = Converter(forbid_extra_keys=False, detailed_validation=False)
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _seconds)
    converter.register_structure_hook(datetime, lambda text, _: from_text(text))
    converter.register_structure_hook(Json, lambda value, _: Json.of(value))
    converter.register_structure_hook(Artifact, _no_artifact)
    for cls in ev.EVENTS.values():
        converter.register_structure_hook(cls, make_dict_structure_fn(cls, converter))
    return converter


def encode_event(event: ev.Event) -> str:
    """One event as JSON text, ASCII only."""
    if isinstance(event, ev.Unknown):
        return compact(dict(event.data))
    name, artifact, written = type(event).__name__, None, ""
    for key, field, left_out in _LAYOUTS[type(event)]:
        value = getattr(event, field)
        if value == left_out:
            continue
        if value.__class__ is Artifact:
            artifact = value
        else:
            written += key + _text(value)
    if artifact is not None:
        name += _ARTIFACT
        written += f',"artifact":{{"sha256":"{artifact.sha256}","bytes":{artifact.size}}}'
    return f'{{"event":"{name}"{written}}}'


def _text(value: Any) -> str:
    kind = value.__class__
    if kind is str:
        return compact(value)
    if kind is Json:  # As it is: it was encoded once, by the thread that made it.
        text: str = value.text
        return text
    if kind is datetime:
        return f'"{to_text(value)}"'
    if kind is int:
        return str(value)
    return "null" if value is None else compact(_converter().unstructure(value))


def body_of(encoded: Iterable[str]) -> str:
    """The body of a commit of events that `encode_event` has encoded."""
    events = f"[{','.join(encoded)}]"
    return f'{{"v":{VERSION},"crc":"{zlib.crc32(events.encode()):08x}{_EVENTS}{events}}}'


def _with_output(event: ev.Event, output: Json) -> ev.Event:
    """The event with another output."""
    fields: dict[str, Any] = {_OUTPUT[type(event)]: output}
    return evolve(event, **fields)


def decode_body(body: str, where: str, load: Callable[[Artifact], str] | None = None) -> list[ev.Event]:
    """The events of a commit. No artifact is read: their texts are, when somebody asks for them.

    Args:
        body: as it was read from a store.
        where: names the commit in errors.
        load: reads the artifacts of this session; None: nobody is going to ask for them.

    Raises:
        StoreError: it is damaged, or was written by a later version.
    """
    try:
        data = json.loads(body)
        if data["v"] != VERSION:
            raise StoreError(
                f"{where} has version {data['v']}; this bunsui reads version {VERSION}",
                hint="use the bunsui that wrote it, or a later one",
            )
        events = body[body.index(_EVENTS) + len(_EVENTS) : -1]
        if data["crc"] != f"{zlib.crc32(events.encode()):08x}":
            raise StoreError(f"{where} is damaged: its checksum is wrong", hint=DAMAGED)
        return [_decode_event(item, where, load) for item in data["events"]]
    except StoreError:
        raise
    except Exception as error:  # Damaged data fails in as many ways as there are hooks.
        raise StoreError(f"{where} is damaged: {type(error).__name__}: {error}", hint=DAMAGED) from error


def _decode_event(item: dict[str, Any], where: str, load: Callable[[Artifact], str] | None) -> ev.Event:
    name = item["event"]
    cls = ev.EVENTS.get(name)
    if cls is not None:
        return _converter().structure(item, cls)
    cls = _WITH_ARTIFACT.get(name)
    if cls is not None:
        told = item.pop("artifact")
        artifact = Artifact(told["sha256"], told["bytes"], owner(item.get("job"), item.get("item")), load)
        return _with_output(_converter().structure(item, cls), artifact)
    if item.get("optional") is True:
        return ev.Unknown(from_text(item["at"]), name, item)
    raise StoreError(
        f"{where} holds the event {name!r}, which this bunsui does not know",
        hint="use the bunsui that wrote it, or a later one",
    )


def split(encoded: Sequence[str], max_bytes: int) -> list[list[str]]:
    """The events in as few commits of at most `max_bytes` as keep their order.

    An event that is larger by itself gets a commit of its own.
    """
    chunks: list[list[str]] = [[]]
    size = OVERHEAD
    for text in encoded:  # ASCII: as many bytes as characters.
        comma = 1 if chunks[-1] else 0
        if comma and size + comma + len(text) > max_bytes:
            chunks.append([])
            size, comma = OVERHEAD, 0
        chunks[-1].append(text)
        size += comma + len(text)
    return chunks
