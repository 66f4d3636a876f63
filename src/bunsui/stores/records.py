"""Events to the text of a commit, and back.

A commit's body is ``{"v": 1, "crc": CHECKSUM, "events": [{"event": NAME, "at": TIME, ...fields}]}``; the
checksum is the CRC-32 of the text of the events, so that a damaged store can't tell a wrong story.

The events that a run consists of are written by hand, with the output's text, encoded once by the
thread that made it, put in as it is; one `json.dumps` for each event would cost more than all the rest
of the engine.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from bunsui.engine import events as ev
from bunsui.errors import StoreError
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


@cache
def _converter() -> Converter:
    # Imported late: 35 ms that a program which only imports bunsui does not need.
    from cattrs import Converter  # noqa: PLC0415
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override  # noqa: PLC0415

    converter = Converter(forbid_extra_keys=False, detailed_validation=False)
    converter.register_unstructure_hook(datetime, to_text)
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _seconds)
    converter.register_structure_hook(datetime, lambda text, _: from_text(text))
    converter.register_unstructure_hook(Json, lambda value: value.value)
    converter.register_structure_hook(Json, lambda value, _: Json.of(value))
    for cls in ev.EVENTS.values():
        converter.register_structure_hook(cls, make_dict_structure_fn(cls, converter))
    # What came later is written only where it says something: an earlier version reads all other sessions.
    later = override(omit_if_default=True)
    created = make_dict_unstructure_fn(ev.SessionCreated, converter, rerun_of=later, reuse=later)
    converter.register_unstructure_hook(ev.SessionCreated, created)
    return converter


def encode_event(event: ev.Event) -> str:
    """One event as JSON text, ASCII only."""
    # Job ids and keys need no escaping: their characters are [A-Za-z0-9_-].
    if isinstance(event, ev.JobStarted):
        return (
            f'{{"event":"JobStarted","at":"{to_text(event.at)}","job":"{event.job}",'
            f'"attempt":{event.attempt},"key":"{event.key}"}}'
        )
    if isinstance(event, ev.JobSucceeded):
        return (
            f'{{"event":"JobSucceeded","at":"{to_text(event.at)}","job":"{event.job}",'
            f'"attempt":{event.attempt},"output":{event.output.text}}}'
        )
    if isinstance(event, ev.ItemStarted):
        return (
            f'{{"event":"ItemStarted","at":"{to_text(event.at)}","job":"{event.job}","item":{event.item},'
            f'"attempt":{event.attempt},"key":"{event.key}"}}'
        )
    if isinstance(event, ev.ItemSucceeded):
        return (
            f'{{"event":"ItemSucceeded","at":"{to_text(event.at)}","job":"{event.job}","item":{event.item},'
            f'"attempt":{event.attempt},"output":{event.output.text}}}'
        )
    if isinstance(event, ev.SessionSucceeded):
        outputs = "null" if event.outputs is None else event.outputs.text
        return f'{{"event":"SessionSucceeded","at":"{to_text(event.at)}","outputs":{outputs}}}'
    if isinstance(event, ev.Unknown):
        return compact(dict(event.data))
    return compact({"event": type(event).__name__, **_converter().unstructure(event)})


def body_of(encoded: Iterable[str]) -> str:
    """The body of a commit of events that `encode_event` has encoded."""
    events = f"[{','.join(encoded)}]"
    return f'{{"v":{VERSION},"crc":"{zlib.crc32(events.encode()):08x}{_EVENTS}{events}}}'


def decode_body(body: str, where: str) -> list[ev.Event]:
    """The events of a commit.

    Args:
        body: as it was read from a store.
        where: names the commit in errors.

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
        return [_decode_event(item, where) for item in data["events"]]
    except StoreError:
        raise
    except Exception as error:  # Damaged data fails in as many ways as there are hooks.
        raise StoreError(f"{where} is damaged: {type(error).__name__}: {error}", hint=DAMAGED) from error


def _decode_event(item: dict[str, Any], where: str) -> ev.Event:
    name = item["event"]
    cls = ev.EVENTS.get(name)
    if cls is not None:
        return _converter().structure(item, cls)
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
