"""Simulated worlds in which what is really stored stands in a table of DynamoDB."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from bunsui.ports.store import Append, Appended
from bunsui.stores.dynamodb import DynamoDbStore
from bunsui.testing import simulate
from bunsui.testing.simulation import simulation
from bunsui_tests.aws.emulators import Emulator

if TYPE_CHECKING:
    from bunsui.testing.simulation.clock import ProcessClock

#: Worlds for each emulator. The ordinary run has a few: each is some thousand calls over HTTP.
WORLDS = 100 if os.environ.get("BUNSUI_FAULTS") == "full" else 3
_NUMBERS = itertools.count(1)


class Table(DynamoDbStore):
    """What is really stored, as the simulation asks for it; see `bunsui.testing.simulation.store.Truth`."""

    endpoint = ""

    def __init__(self) -> None:
        url = f"dynamodb://world-{next(_NUMBERS)}?region=eu-central-1&endpoint_url={self.endpoint}"
        super().__init__(url, now=lambda: self.reader.now().timestamp())
        self.reader: ProcessClock
        self.writes = 0
        self._lengths: dict[str, int] = {}
        self.create()

    def length(self, history: str) -> int:
        """The number of commits of a history."""
        return self._lengths.get(history, 0)

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        outcomes = super().append(appends)
        for entry, outcome in zip(appends, outcomes, strict=True):
            if outcome.ok and entry.commit.position > self.length(entry.history):
                self.writes += 1
                self._lengths[entry.history] = entry.commit.position
        return outcomes

    def put(self, kind: str, key: str, value: Mapping[str, Any], *more: Any, **others: Any) -> int:
        self.writes += 1
        return super().put(kind, key, value, *more, **others)

    def delete(self, kind: str, key: str) -> None:
        self.writes += 1
        super().delete(kind, key)


@pytest.mark.timeout(0)
def test_every_invariant_holds(dynamodb_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worlds are those of the same seeds in memory, to the last step, and every invariant holds."""
    in_memory = [simulate(seed).trace for seed in range(WORLDS)]

    class Here(Table):
        endpoint = dynamodb_emulator.url

    monkeypatch.setattr(simulation, "Truth", Here)
    assert in_memory == [simulate(seed).trace for seed in range(WORLDS)]
