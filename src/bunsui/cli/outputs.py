"""A session's outputs as commands show them: one that can't be read does not hide the others."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from bunsui.cli.streams import note
from bunsui.dsl.problems import printable
from bunsui.errors import NotFound, StoreError

if TYPE_CHECKING:
    from bunsui.model.json import Json
    from bunsui.runner.handle import Session


class Shown:
    """What a session gave, each output read once; one that can't be read is null, and noted."""

    def __init__(self, session: Session) -> None:
        self.state = session.state
        self._declared = session.definition.outputs
        #: What can't be read.
        self._lost: set[Json] = set()

    @cached_property
    def jobs(self) -> dict[str, Any]:
        """Every job's output by its id."""
        return {job: self._read(state.encoded_output) for job, state in self.state.jobs.items()}

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The declared outputs, else every job's; see `Session.outputs`."""
        if not self._declared:
            return self.jobs
        given = None if self.state.outputs is None else self._read(self.state.outputs)
        return dict.fromkeys(self._declared) if given is None else dict(given)

    def is_there(self, name: str) -> bool:
        """Whether one of `outputs` has been given, and could be read."""
        encoded = self.state.outputs if self._declared else self.state.jobs[name].encoded_output
        status = self.state.status if self._declared else self.state.jobs[name].status
        return status == "succeeded" and encoded not in self._lost

    def _read(self, encoded: Json) -> Any:
        try:
            return encoded.value
        except (NotFound, StoreError) as error:
            note(printable(str(error)))
            self._lost.add(encoded)
            return None
