"""What to write instead of a value that its field does not take."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bunsui.dsl.fields import DURATION_PATTERN, IDENTIFIER_PATTERN
from bunsui.dsl.hints.habits import parameter_type
from bunsui.dsl.problems import did_you_mean
from bunsui.dsl.schema import UNITS

__all__ = ["missing", "remedy"]

Path = Sequence[str | int]

#: Longest text that a hint repeats, in characters.
_MOST = 60
_BOOLEANS = {
    **dict.fromkeys(("yes", "y", "on", "true", "1"), "true"),
    **dict.fromkeys(("no", "n", "off", "false", "0"), "false"),
}
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_DURATION_PART = re.compile(
    r"([0-9]{1,9}(?:\.[0-9]{1,9})?)[ ]*"
    r"(?P<unit>ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
    r"(?![a-z])(?:[ ]*,?[ ]*(?:and[ ]+)?|$)",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_ISO = re.compile(r"P(?:([0-9]{1,9})D)?(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})S)?)?")
#: Quotes as word processors set them.
_CURLY = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f"
_NO_REFERENCE = "a reference can't stand here: write the value itself"
#: Lists whose items are named: the field that names them, and an example.
_NAMED = {"jobs": ("id", "extract"), "parameters": ("name", "source_bucket"), "inputs": ("name", "table")}


def remedy(keyword: str, value: Any, schema: Mapping[str, Any], path: Path) -> str | None:
    """What to write instead of `value`, or None where that can't be told.

    Args:
        keyword: what of `schema` it does not satisfy.
        value: as it stands in the definition.
        schema: of the value.
        path: where it stands; the last name says what it is for.
    """
    if isinstance(value, str) and value.startswith(tuple(_CURLY)):
        straight = value.strip(_CURLY)
        # What is no text needs no quotes at all.
        return remedy(keyword, straight, schema, path) if keyword == "type" else _straight(straight)
    if isinstance(value, str) and "${" in value.replace("$${", ""):
        return _NO_REFERENCE
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    found = None
    if schema.get("pattern") == DURATION_PATTERN:
        found = _duration(value, field)
    elif keyword == "type":
        found = _of_type(value, schema, path)
    elif keyword == "pattern" and schema.get("pattern") == IDENTIFIER_PATTERN:
        found = _identifier(value)
    elif keyword == "enum":
        found = _choice(value, schema["enum"], field)
    elif keyword == "const" and str(value) == str(schema["const"]):
        found = f'write it as text: "{value}"'
    elif keyword == "const":
        name = f"{path[-1]}: " if path and isinstance(path[-1], str) else ""
        found = f"write {name}{json.dumps(schema['const'], ensure_ascii=False)}"
    if found is None and value is None:
        named = _NAMED.get(field)
        found = _listing(*named) if named else "write a value, or take the field out"
    return found or _example(schema, value)


def missing(name: str, schema: Mapping[str, Any], near: Sequence[str]) -> str | None:
    """What to do about the missing field `name`.

    Args:
        name: the field.
        schema: of its value.
        near: the unknown fields that stand in its place.
    """
    if did := [other for other in near if did_you_mean(other, [name])]:
        return f"did you mean '{name}' where it says '{did[0]}'?"
    if "const" in schema:
        return f"add {name}: {json.dumps(schema['const'])}"
    if name in _NAMED:
        return f"add {name}: and below it {_listing(*_NAMED[name]).removeprefix('write ')}"
    examples = schema.get("examples")
    return f"such as {name}: {_written(examples[0])}" if examples else None


def _of_type(value: Any, schema: Mapping[str, Any], path: Path) -> str | None:
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else types
    named = next((_NAMED[step] for step in reversed(path) if step in _NAMED), None) if path else None
    match value:
        case str():
            return _instead_of_text(value, types, path, named)
        case bool() | int() | float():
            as_text = json.dumps(value)
            pattern = schema.get("pattern", "")
            if "string" in types and "array" not in types and re.search(pattern, as_text):
                return f'write it as text: "{as_text}"'
        case dict() if "array" in types and named and path and path[-1] in _NAMED:
            name = value.get(named[0])
            key = (
                name if isinstance(name, str) else next((one for one in value if len(one) <= _MOST), named[1])
            )
            return _listing(named[0], key)
        case dict() if "array" in types and path and path[-1] == "depends_on":
            return f"write a list of ids: [{', '.join(value)}]" if len(str(value)) <= _MOST else None
        case list() if "object" in types and path:
            return "write it as 'name: value', not as a list"
    return None


def _instead_of_text(
    text: str, types: Sequence[str], path: Path, named: tuple[str, str] | None
) -> str | None:
    plain = text.strip()
    if "boolean" in types and plain.lower() in _BOOLEANS:
        return f"write {_BOOLEANS[plain.lower()]}, without quotes; yes, no, on and off are text"
    numbers = "number" in types or ("integer" in types and "." not in plain)
    if numbers and _NUMBER.fullmatch(plain):
        return f"write it without quotes: {plain}"
    if "number" in types and (length := _seconds(plain)) is not None:
        return f"write the number of seconds: {_plainly(length)}"
    if "array" in types and "string" not in types and len(plain) <= _MOST:
        items = [part for part in re.split(r"[\s,]+", plain) if part]
        if items and all(re.fullmatch(r"[\w.*/:-]+", item) for item in items):
            return f"write a list: [{', '.join(items)}]"
    if "object" in types and named and isinstance(path[-1], int) and len(plain) <= _MOST:
        key = plain if re.search(IDENTIFIER_PATTERN, plain) else named[1]
        return _listing(named[0], key).replace("a list: ", "")
    return None


def _listing(field: str, name: str) -> str:
    return f"write a list: '- {field}: {name}', then its other fields below '{field}'"


def _choice(value: Any, allowed: Sequence[Any], field: str) -> str | None:
    texts = [one for one in allowed if isinstance(one, str)]
    if field == "type" and isinstance(value, str) and parameter_type(value) in texts:
        return f"here it is called '{parameter_type(value)}'"
    return did_you_mean(str(value), texts) or did_you_mean(str(value).lower(), texts)


def _identifier(text: str) -> str | None:
    """A name like `text` that fits."""
    near = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:64]
    return f"such as {near}" if re.search(IDENTIFIER_PATTERN, near) else None


def _duration(value: Any, field: str) -> str | None:
    if isinstance(value, str):
        if _NUMBER.fullmatch(value.strip()) and float(value) > 0:
            return f"write seconds without quotes: {value.strip()}, or with a unit: {value.strip()}s"
        length = _seconds(value.strip())
        if length and re.search(DURATION_PATTERN, written := _in_units(length)):
            return f"write {written}"
    is_none = isinstance(value, int | float) and value <= 0
    if field == "ttl":  # Without it there is a limit, too: an hour.
        return "leave 'cache' out where the job is to run each time" if is_none else None
    return "leave it out where there is no limit" if is_none or value is None else None


def _seconds(text: str) -> float | None:
    """The seconds of a duration as other tools write it, or None."""
    if len(text) > _MOST:
        return None
    if clock := _CLOCK.fullmatch(text):
        first, second, third = clock.groups()
        return int(first) * 3600 + int(second) * 60 + int(third or 0)
    if (iso := _ISO.fullmatch(text)) and any(iso.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
        return days * 86400 + hours * 3600 + minutes * 60 + seconds
    total, at = 0.0, 0
    while at < len(text):
        part = _DURATION_PART.match(text, at)
        if part is None or part.end() == at:
            return None
        unit = part["unit"].lower()
        unit = "ms" if unit.startswith(("ms", "milli")) else unit[0]
        total, at = total + float(part[1]) * UNITS[unit], part.end()
    return total if at else None


def _in_units(seconds: float) -> str:
    for unit in ("d", "h", "m", "s"):
        if seconds >= UNITS[unit] and seconds % UNITS[unit] == 0:
            return f"{_plainly(seconds / UNITS[unit])}{unit}"
    return f"{_plainly(seconds * 1000)}ms"


def _plainly(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def _straight(text: str) -> str:
    return f'use straight quotes: "{text}"' if len(text) <= _MOST else "use straight quotes"


def _example(schema: Mapping[str, Any], value: Any) -> str | None:
    """One of the examples that a schema gives, of the kind of the value where there is such."""
    examples = schema.get("examples") or ()
    if not isinstance(examples, list) or not examples:
        return None
    like = [example for example in examples if type(example) is type(value)]
    return f"such as {_written((like or examples)[0])}"


def _written(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)
