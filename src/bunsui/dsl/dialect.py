"""The jsonschema library's validator (draft 2020-12), with four keywords that are looked at in our way.

``pattern``, ``patternProperties`` and ``additionalProperties`` match by a function that is given: not all
patterns are to be trusted. ``uniqueItems`` takes a time that grows with the items, not with their square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from bunsui.model.json import canonical, whole

__all__ = ["validator_class"]


@cache
def validator_class(search: Callable[[str, str], object]) -> type[Draft202012Validator]:
    """The validator that matches patterns by `search`, which says whether one matches in a text.

    The error of ``additionalProperties`` has what is too much as its instance.
    """

    def pattern(_: Any, limit: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not search(limit, instance):
            yield ValidationError(f"it must match the pattern {limit}")

    def pattern_properties(
        validator: Any, limit: Mapping[str, Any], instance: Any, _: Any
    ) -> Iterator[ValidationError]:
        for of_names, schema in limit.items() if isinstance(instance, Mapping) else ():
            for name, value in instance.items():
                if search(of_names, name):
                    yield from validator.descend(value, schema, path=name, schema_path=of_names)

    def additional_properties(
        validator: Any, limit: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[ValidationError]:
        if not isinstance(instance, Mapping):
            return
        known, by_pattern = schema.get("properties", {}), schema.get("patternProperties", {})
        further = {
            name: value
            for name, value in instance.items()
            if name not in known and not any(search(of_names, name) for of_names in by_pattern)
        }
        if limit is False and further:
            yield ValidationError("there are fields too many", instance=further)
        for name, value in further.items() if limit is not False else ():
            yield from validator.descend(value, limit, path=name)

    keywords = {
        "pattern": pattern,
        "patternProperties": pattern_properties,
        "additionalProperties": additional_properties,
        "uniqueItems": _unique_items,
    }
    made: type[Draft202012Validator] = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
    return made


def _unique_items(_: Any, limit: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
    if not limit or not isinstance(instance, list):
        return
    # In JSON, 1 and 1.0 are equal, and 1 and true are not.
    if len({canonical(whole(item)) for item in instance}) < len(instance):
        yield ValidationError("it holds the same item twice")
