"""Whether a value fits its schema, with the few keywords that the configuration's schema uses.

The jsonschema library takes 80 ms to import, which each command would pay where there is a file; a test
holds this to what that library says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from bunsui.dsl.fields import IDENTIFIER_RULE
from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError

#: What the names in tables are.
NAME_RULE = f"a name is {IDENTIFIER_RULE}"

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": (list, tuple),
    "object": Mapping,
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


@frozen
class Wrong:
    """The first part of a value that its schema does not allow."""

    #: Where it stands in the value.
    path: tuple[str | int, ...]
    #: What it should be, in words.
    expected: str
    #: Whether it is the name that is wrong, and not what stands under it.
    is_name: bool = False


def rule_of(names: Mapping[str, Any]) -> str:
    """What the names in a table are, in words; `names` is their schema."""
    rule: str = names.get("title", NAME_RULE)
    return rule


def fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Whether a value is what its schema says."""
    return wrong_part(value, schema) is None


def wrong_part(value: Any, schema: Mapping[str, Any]) -> Wrong | None:
    """The first part of a value that is wrong; None where nothing is."""
    expected = schema.get("title", NAME_RULE)
    if not _is_of_type(value, schema["type"]) or _is_out_of_bounds(value, schema):
        return Wrong((), expected)
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return Wrong((), expected)
    parts: Sequence[tuple[str | int, Any, Mapping[str, Any]]] = ()
    if isinstance(value, Mapping):
        for name in value:
            if "propertyNames" in schema and not fits(name, schema["propertyNames"]):
                return Wrong((str(name),), rule_of(schema["propertyNames"]), is_name=True)
        if any(name not in value for name in schema.get("required", ())):
            return Wrong((), expected)
        # What has no schema may be anything.
        schemas = {**dict.fromkeys(value, schema.get("additionalProperties")), **schema.get("properties", {})}
        parts = [(name, item, schemas[name]) for name, item in value.items() if schemas[name] is not None]
    elif isinstance(value, list | tuple):
        parts = [(i, item, schema["items"]) for i, item in enumerate(value)]
    for name, item, inner in parts:
        if (found := wrong_part(item, inner)) is not None:
            return evolve(found, path=(name, *found.path))
    return None


def _is_of_type(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _is_out_of_bounds(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, str):
        return len(value) < int(schema.get("minLength", 0))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return True  # TOML has nan and inf; JSON, of which the schema speaks, has neither.
    above, least = schema.get("exclusiveMinimum"), schema.get("minimum")
    return bool(
        (above is not None and value <= above)
        or (least is not None and value < least)
        or value > schema.get("maximum", math.inf)
    )


def check(value: Any, schema: Mapping[str, Any], where: str, key: str, *, hidden: bool) -> None:
    """Refuses a value that its schema does not allow.

    Args:
        value: what was given for `key`.
        schema: the key's.
        where: the file and line, or the like, that it stands in; ends with ``: ``.
        key: names it in the error.
        hidden: whether nothing of the value may be shown.

    Raises:
        ConfigError: it is wrong.
    """
    found = wrong_part(value, schema)
    if found is None:
        return
    if found.is_name:
        raise ConfigError(f"{where}{key} has the key {quoted(found.path[-1])}", hint=found.expected)
    part = value
    for step in found.path:
        part = part[step]
        key += f"[{step}]" if isinstance(step, int) else f".{step}"
    if hidden:
        raise ConfigError(f"{where}{key} is not {found.expected}")
    raise ConfigError(f"{where}{key} is {quoted(part)}; it is {found.expected}")


def parsed(text: str, schema: Mapping[str, Any]) -> Any:
    """The value that a text means for a key: text as it is, numbers, true or false, all else JSON.

    What can't be read so is returned as it is: `check` then refuses it.
    """
    kind = schema["type"]
    if kind == "boolean":
        return _BOOLEANS.get(text, text)
    if kind in ("integer", "number"):
        try:
            # A whole number stays one, so that it is written as it was given.
            return int(text) if kind == "integer" or text.strip().lstrip("+-").isdigit() else float(text)
        except ValueError:
            return text
    if kind in ("array", "object"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
