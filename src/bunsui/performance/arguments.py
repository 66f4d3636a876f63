"""What the arguments of this room have in common."""

from __future__ import annotations

from bunsui.errors import ConfigError


def counted(name: str, value: object, example: int) -> int:
    """A whole number of at least 1.

    Args:
        name: the argument's.
        value: what was given for it.
        example: one that would do.

    Raises:
        ConfigError: it is none.
    """
    if type(value) is not int or value < 1:
        raise ConfigError(
            f"{name} is {value!r}", hint=f"it is a whole number of at least 1, such as {example}"
        )
    return value
