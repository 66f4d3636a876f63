"""What is promised and not there yet, so that asking for it is told apart from a name that is misspelt."""

from __future__ import annotations

#: By who is asked for it.
LATER = {
    "Pipeline": frozenset({"to_dot", "to_mermaid", "to_svg"}),
    "Runner": frozenset({"acting_as"}),
    "Session": frozenset({"profile", "to_report", "watch"}),
    "engine": frozenset({"stepfunctions"}),
    "bunsui pipeline": frozenset({"compile", "graph"}),
    "bunsui session": frozenset({"profile", "report"}),
}


def not_yet(what: str) -> str:
    """What to say of something that a later version has."""
    return f"{what} is not in this version of bunsui; a later one brings it"


def missing(owner: object, name: str) -> AttributeError:
    """The error of an attribute that an object of this library does not have."""
    kinds = [cls.__name__ for cls in type(owner).__mro__]
    promised = next((kind for kind in kinds if name in LATER.get(kind, ())), None)
    text = not_yet(f"{promised}.{name}") if promised else f"'{kinds[0]}' object has no attribute '{name}'"
    return AttributeError(text, name=name, obj=owner)
