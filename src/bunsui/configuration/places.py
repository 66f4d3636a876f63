"""Values that say where something is: paths in a file begin at its folder, and a project's stay in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bunsui.aws.log_group import CLOUDWATCH, LogGroup
from bunsui.aws.place import SCHEME
from bunsui.configuration import files, urls
from bunsui.configuration.origins import Origin, Source
from bunsui.errors import ConfigError


def place_of(name: str, value: str, where: str, origin: Origin) -> str:
    """The value of one of `PLACES`, as it is meant where it stands.

    Args:
        name: the key.
        value: what was given for it, which fits its schema.
        where: the place, for errors; ends with ``: ``.
        origin: the same.

    Raises:
        ConfigError: it may not be set there.
    """
    folder = None if origin.file is None else origin.file.parent
    if folder is None and name != "logs":
        return value
    found, inside = PLACES[name](value, where, folder or Path())
    if origin.source is Source.PROJECT and inside is not None:
        what, form = inside
        raise ConfigError(
            f"{where}a project's file may name a {what} in its own folder only, such as {form[0]}",
            hint=f"{form[1]} is set in your own file with: bunsui config set --user {name} {form[2]}",
        )
    return found


#: A value as it is meant; and where it lies outside of the folder, what would lie inside: what it is, an
#: example, what else there is, and how that is written.
_Placed = tuple[str, tuple[str, tuple[str, str, str]] | None]


def _store(value: str, where: str, folder: Path) -> _Placed:
    del where
    found = urls.anchored(value, folder)
    inside = urls.stays_in(found, folder)
    return found, None if inside else ("store", ("sqlite:///bunsui.db", "any other", "URL"))


def _artifacts(value: str, where: str, folder: Path) -> _Placed:
    del where
    if value.startswith(SCHEME):
        return value, ("folder", ("artifacts", "any other", "URL"))
    path = folder / files.expanded(value)
    inside = urls.lies_in(path, folder)
    return str(path), None if inside else ("folder", ("artifacts", "any other", "FOLDER"))


def _telemetry(value: str, where: str, folder: Path) -> _Placed:
    del where
    kind, colon, place = value.partition(":")
    if not colon or place in ("stdout", "stderr"):
        return value, None
    path = folder / files.expanded(place)
    outside = ("file", ("emf:metrics.jsonl", "any other", "emf:PATH"))
    return f"{kind}:{path}", None if urls.lies_in(path, folder) else outside


def _logs(value: str, where: str, folder: Path) -> _Placed:
    outside = ("folder", ("logs", "any other place", "PLACE"))
    if value.startswith(CLOUDWATCH):
        try:
            LogGroup.parse(value)
        except ConfigError as error:
            raise ConfigError(f"{where}logs: {error.message}", hint=error.hint) from None
        return value, outside
    if value == "none" or folder == Path():
        return value, None
    path = folder / files.expanded(value)
    return str(path), None if urls.lies_in(path, folder) else outside


def _bindings(value: str, where: str, folder: Path) -> _Placed:
    del where
    return str(folder / files.expanded(value)), None


#: The keys whose values are places, each with what it is meant to be in a file of a folder.
PLACES: Mapping[str, Callable[[str, str, Path], _Placed]] = {
    "store": _store,
    "artifacts": _artifacts,
    "telemetry": _telemetry,
    "logs": _logs,
    "bindings": _bindings,
}
