"""A channel as the configuration has it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from attrs import field, frozen


def _unchanging(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(deepcopy(dict(mapping)))


@frozen
class ConfiguredChannel:
    """A channel of a name that the configuration gives it: of which type it is, and with which options."""

    #: The name of a registered type.
    type: str
    #: Those of the type. Never shown: a URL may be all that one needs to write to it.
    options: Mapping[str, Any] = field(factory=dict, converter=_unchanging, repr=False)
    #: Where it was configured, such as a file and a line; "" where that is not known.
    place: str = field(default="", eq=False)


def configured(table: Mapping[str, Any], place: str = "") -> ConfiguredChannel:
    """What a table of the configuration says, which has a ``type``.

    Args:
        table: the type, and its options.
        place: where it stands.
    """
    return ConfiguredChannel(
        table["type"], {name: value for name, value in table.items() if name != "type"}, place
    )
