"""Texts of somebody else's objects."""

from __future__ import annotations


def text_of(value: object) -> str:
    """What `str` makes of somebody else's object; it never raises, and what it gives is a plain `str`."""
    try:
        # What a subclass of str adds stays with who made it.
        return str.__str__(value) if isinstance(value, str) else str.__str__(str(value))
    except BaseException as broken:  # Foreign code: the __str__ of somebody's class.
        return f"({type(value).__name__} whose text can't be made: {type(broken).__name__})"
