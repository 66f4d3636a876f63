"""Whether the options of a channel are what its type takes.

Errors show no value: it may be a URL with a token.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.dsl.words import place, type_names
from bunsui.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

#: What can make a channel need options.
_DEMANDING = frozenset({"required", "anyOf", "oneOf", "allOf", "not", "if", "minProperties", "$ref"})


def needs_none(schema: Mapping[str, Any]) -> bool:
    """Whether a type of channels certainly takes no options at all, or all of its options have defaults."""
    return not _DEMANDING & {*schema}


def check_options(options: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    """Refuses options that their schema does not allow.

    Args:
        options: those of one channel, without its type.
        schema: its type's.
        where: names the channel, such as ``alert_channels.ops``.

    Raises:
        ConfigError: they are wrong; of several faults it is about the most telling one.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 80 ms, only where channels are configured
    from jsonschema.exceptions import relevance  # noqa: PLC0415 - see above

    errors = [*Draft202012Validator(schema).iter_errors(_plain(options))]
    if errors:
        raise _explained(max(errors, key=relevance), where)


def _plain(value: Any) -> Any:
    """Tables and lists as JSON Schema's library knows them."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _explained(error: ValidationError, where: str) -> ConfigError:
    keyword, limit = str(error.validator), cast("Any", error.validator_value)
    schema, instance = cast("Any", error.schema), cast("Any", error.instance)
    path = place(tuple(error.absolute_path))
    subject = f"{where}.{path}" if path else where
    if keyword == "additionalProperties" and limit is False:
        known = schema.get("properties", {})
        unknown = next(str(name) for name in instance if name not in known)
        return ConfigError(f"{subject} has no option {quoted(unknown)}", hint=_meant(unknown, known))
    if keyword == "required":
        name = next(name for name in limit if name not in instance)
        said = schema.get("properties", {}).get(name, {}).get("title")
        return ConfigError(f"{subject} needs {quoted(name)}", hint=None if said is None else f"it is {said}")
    if "propertyNames" in error.absolute_schema_path:
        return ConfigError(f"{subject} has the key {quoted(str(instance))}", hint=schema.get("title"))
    if "title" in schema and path:
        return ConfigError(f"{subject} is not {schema['title']}")
    if keyword == "type":
        return ConfigError(f"{subject} is not {type_names(limit)}")
    if keyword == "enum":
        return ConfigError(f"{subject} is none of {', '.join(map(str, limit))}")
    rule = "" if isinstance(limit, Mapping | list) else f": {keyword} {limit}"
    return ConfigError(f"{subject} is not what its type takes{rule}", hint=schema.get("title"))


def _meant(name: str, known: Collection[str]) -> str:
    offered = f"its options are type, {', '.join(known)}" if known else "it has none but its type"
    return did_you_mean(name, known) or offered
