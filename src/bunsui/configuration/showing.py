"""The settings as they are shown: no secret, no password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from bunsui.configuration.config import Config
from bunsui.configuration.keys import KEYS, schema_of
from bunsui.configuration.origins import Origin
from bunsui.configuration.settings import VARIABLE_PATTERN
from bunsui.errors import NotFound
from bunsui.stores.urls import shown

#: Stands for what may be a secret.
HIDDEN_VALUE = "***"
_VARIABLE = re.compile(VARIABLE_PATTERN)


@frozen
class Shown:
    """A setting that can be shown."""

    key: str
    #: JSON-able; None: nothing is set, and there is no default.
    value: Any
    origin: Origin


def every(config: Config) -> Iterator[Shown]:
    """Every key with its value, in the schema's order; of a table each entry, and {} where it has none."""
    for key, schema in KEYS.items():
        if "additionalProperties" in schema:
            entries = sorted(name for name in config.settings if name.startswith(f"{key}."))
            yield from (_shown(config, name) for name in entries)
            if not entries:
                yield Shown(key, {}, config.origin(key))
        else:
            yield _shown(config, key)


def one(config: Config, key: str) -> Any:
    """The value of a key, or of an entry of a table, as it can be shown.

    Raises:
        ConfigError: there is no such key.
        NotFound: it is not set.
    """
    schema = schema_of(key)
    if "additionalProperties" in schema:
        begin = f"{key}."
        return {
            name.removeprefix(begin): _shown(config, name).value
            for name in config.settings
            if name.startswith(begin)
        }
    found = _shown(config, key).value if "." not in key or key in config.settings else None
    if found is None:
        raise NotFound(f"'{key}' is not set", kind="key", name=key, hint="'bunsui config list' shows what is")
    return found


def _shown(config: Config, key: str) -> Shown:
    name, _, entry = key.partition(".")
    value: Any = config.settings[key].value if entry else getattr(config, name, None)
    if name == "env":
        value = list(config.names.env)
    elif name == "aws_allowed_roles" and value is not None:
        value = list(value)
    elif name in ("store", "aws") and isinstance(value, str):
        value = shown(value)  # An endpoint is a URL, too.
    elif name == "secrets":
        value = reference(value)
    elif name == "alerts":
        value = [rule.to_dict() for rule in value]
    elif name == "alert_channels":
        # Which options there are, and no value: a URL may be all that one needs to write to it.
        value = {option: text if option == "type" else HIDDEN_VALUE for option, text in value.items()}
    return Shown(key, value, config.origin(key))


def reference(text: str) -> str:
    """Where a secret is found, where that is certain not to be the secret itself.

    A value may stand there by mistake, also one with a colon, such as a URL with a password. So only what
    names a variable or a path is shown; keys of a plugin's source have no form that is known here.
    """
    source, _, key = text.partition(":")
    named = source in ("env", "environment") and _VARIABLE.match(key)
    if named or (source == "file" and key.startswith(("/", "~/", "./", "../"))):
        return text
    return HIDDEN_VALUE
