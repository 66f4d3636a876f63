"""What was really run: the truth about the world outside the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define

from bunsui.model.json import Json

if TYPE_CHECKING:
    from bunsui.engine.units import Unit
    from bunsui.runner.attempts.work import Work


@define(eq=False)
class Run:
    """One execution of an attempt by a thread of a process."""

    key: str
    attempt: int
    #: The claim under which it was started.
    epoch: int
    is_over: bool = False


class Ledger:
    """All executions, and what they came to; by idempotency keys."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, Unit], list[Run]] = {}
        self._outputs: set[tuple[str, str]] = set()
        self._failures: set[tuple[str, str]] = set()

    def runs(self, work: Work) -> list[Run]:
        """The executions of the attempt's job, or item."""
        return self._runs.setdefault((work.live.id, work.unit), [])

    def begin(self, work: Work) -> Run:
        """Notes that a thread begins to run an attempt."""
        run = Run(work.key, work.attempt, work.live.epoch)
        self.runs(work).append(run)
        return run

    def end(self, run: Run, work: Work) -> None:
        """Notes what came of it, whether or not anybody hears of it."""
        run.is_over = True
        if work.failure is not None:
            self._failures.add((run.key, work.failure.code))
        elif work.output is not None:
            self._outputs.add((run.key, work.output.text))

    def note(self, key: str, output: Any) -> None:
        """Notes what a service says that work has returned."""
        self._outputs.add((key, Json.of(output).text))

    def returned(self, key: str, output: Json) -> bool:
        """Whether a run under this key has returned this."""
        return (key, output.text) in self._outputs

    def failed(self, key: str, code: str) -> bool:
        """Whether a run under this key has failed with this code."""
        return (key, code) in self._failures
