"""A session's outputs as commands show them: one that can't be read does not hide the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bunsui.cli.streams import note
from bunsui.dsl.problems import printable
from bunsui.errors import NotFound, StoreError
from bunsui.model.lazy import cached_property

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui.model.json import Json
    from bunsui.runner.handle import Session


#: Bytes of JSON above which an output is not read for its beginning.
LARGE = 2**20
#: Characters of an output that a line shows.
SHOWN_OUTPUT = 2000
_WHOLE = "--format json gives it whole"


def _shortened(text: str) -> str:
    if len(text) <= SHOWN_OUTPUT:
        return text
    return f"{text[:SHOWN_OUTPUT]}… ({len(text.encode(errors='replace')):,} bytes; {_WHOLE})"


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

    def lines(self) -> Iterator[tuple[str, str]]:
        """The name and the beginning of each of `outputs` that was given; one that can't be read is noted.

        What is large is not read for that.
        """
        for name in self._declared or self.state.jobs:
            holder = self.state if self._declared else self.state.jobs[name]
            encoded = self.state.outputs if self._declared else self.state.jobs[name].encoded_output
            if holder.status != "succeeded" or encoded is None:
                continue
            if encoded.size > LARGE:
                among = " with the other outputs" if self._declared else ""
                yield name, f"({encoded.size:,} bytes{among}; {_WHOLE})"
                continue
            value = self.outputs[name] if self._declared else self._read(encoded)
            if encoded not in self._lost:
                yield name, _shortened(printable(json.dumps(value, ensure_ascii=False)))

    def _read(self, encoded: Json) -> Any:
        try:
            return encoded.value
        except (NotFound, StoreError) as error:
            note(printable(str(error)))
            self._lost.add(encoded)
            return None
