"""A session's outputs by job, decoded when somebody asks for one."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

from bunsui.model.json import Json


class Outputs(dict[str, Any]):
    """The outputs of jobs as a dict whose values are decoded, and read where they are artifacts, on access.

    So an artifact that is gone, or large, costs nobody who wants another output. It is a copy of its own:
    what is put into it stays here.

    Args:
        encoded: the outputs by job, as JSON.
    """

    def __init__(self, encoded: Mapping[str, Json]) -> None:
        super().__init__(encoded)

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return value.value if isinstance(value, Json) else value

    # With it, dict(...) and {**...} go through the above instead of copying what is held.
    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        """The output of a job, or `default` where there is no such job."""
        value = super().get(key, default)
        return value.value if isinstance(value, Json) else value

    def pop(self, key: str, *default: Any) -> Any:
        """Takes an output out; see `dict.pop`."""
        if key not in self:
            return super().pop(key, *default)
        value = self[key]
        del self[key]
        return value

    def values(self) -> ValuesView[Any]:  # type: ignore[override] # A view, but not the one of dict.
        """All outputs, each decoded when it is its turn."""
        return ValuesView(self)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override] # Likewise.
        """All jobs and outputs, each decoded when it is its turn."""
        return ItemsView(self)

    def copy(self) -> dict[str, Any]:
        """All of them, decoded."""
        return dict(self)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return {**self, **other}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # As a dict.

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        return repr(dict(self))
