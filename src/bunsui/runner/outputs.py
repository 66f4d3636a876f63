"""A session's outputs by job, decoded when somebody asks for one."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import Any

from bunsui.model.json import Json


class Outputs(dict[str, Any]):
    """The outputs of jobs as a dict whose values are decoded, and read where they are artifacts, on access.

    So an artifact that is gone, or large, costs nobody who wants another output. All else is as with any
    dict: an output that was read once stays, with what is changed in it. It is a copy of its own: what is put
    into it stays here.

    Args:
        encoded: the outputs by job, as JSON.
    """

    def __init__(self, encoded: Mapping[str, Json]) -> None:
        super().__init__({job: _Unread(output) for job, output in encoded.items()})

    # What looks at a value reads it first; then what dict does is right.

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if value.__class__ is _Unread:
            value = value.output.value
            self[key] = value
        return value

    # With it, dict(...) and {**...} go through the above instead of copying what is held.
    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        """The output of a job, or `default` where there is no such job."""
        if key not in self:
            return default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Takes an output out; see `dict.pop`. One that can't be read stays."""
        if key in self:
            self[key]
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Takes the last one out; see `dict.popitem`. One that can't be read stays."""
        for key in reversed(self):
            self[key]
            break
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The output of a job, which is `default` from now on where there is none."""
        return self[key] if key in self else super().setdefault(key, default)

    def values(self) -> ValuesView[Any]:  # type: ignore[override] # A view, but not the one of dict.
        """All outputs, each decoded when it is its turn."""
        return _Values(self)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override] # Likewise.
        """All jobs and outputs, each decoded when it is its turn."""
        return _Items(self)

    # What makes another dict, or looks at all of this one, reads all. Those that are made are plain.

    def copy(self) -> dict[str, Any]:
        """All of them, decoded."""
        return dict(self)

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> dict[Any, Any]:
        """A plain dict; see `dict.fromkeys`."""
        return dict.fromkeys(keys, value)

    def __or__(self, other: dict[Any, Any]) -> dict[Any, Any]:
        return dict(self) | other if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: dict[Any, Any]) -> dict[Any, Any]:
        return dict(other) | dict(self) if isinstance(other, dict) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return dict(self) == other if isinstance(other, dict) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return dict(self) != other if isinstance(other, dict) else NotImplemented

    __hash__ = None  # As a dict.

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        return repr(dict(self))


class _Unread:
    """Stands in an output's place until it is read."""

    __slots__ = ("output",)

    def __init__(self, output: Json) -> None:
        self.output = output


class _Values(ValuesView[Any]):
    """The values of `Outputs`, in either direction, as those of a dict are."""

    _mapping: Outputs

    def __reversed__(self) -> Iterator[Any]:
        return (self._mapping[key] for key in reversed(self._mapping))

    def __repr__(self) -> str:
        return f"dict_values({[*self]!r})"


class _Items(ItemsView[str, Any]):
    """The items of `Outputs`; see `_Values`."""

    _mapping: Outputs

    def __reversed__(self) -> Iterator[tuple[str, Any]]:
        return ((key, self._mapping[key]) for key in reversed(self._mapping))

    def __repr__(self) -> str:
        return f"dict_items({[*self]!r})"
