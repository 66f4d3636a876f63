"""Values against the schemas that a definition brings for them, at a cost that is bounded.

The schemas of job types are ours, or a plugin's. Those of parameters are the definition's own, and so is what
they are compared with: a schema of a thousand branches and a value of a thousand items are a million
comparisons. How many there may be is known before the first is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.dsl.parameters.budget import Budget
from bunsui.dsl.parameters.keywords import patterns
from bunsui.dsl.parameters.patterns import quick, search, size
from bunsui.dsl.shapes import Shape, schema_problems
from bunsui.expressions.references import Path
from bunsui.model.lazy import cached_property

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.dsl.problems import Problem

#: Most comparisons with a keyword of each parameter that a session is started with; see `Budget`.
MAX_COMPARISONS_AT_START = 1_000_000
#: Characters of text that count as one value.
_CHARACTERS = 1024
#: Instructions of a pattern that count as one keyword.
_INSTRUCTIONS = 10


@frozen(slots=False)
class ValueSchema:
    """The schema of a parameter's or an input's values, in which nothing is wrong."""

    schema: Mapping[str, Any]

    @cached_property
    def _shape(self) -> Shape:
        return Shape.of(self.schema, search, quick)

    @cached_property
    def _weight(self) -> int:
        return weight(self.schema) + sum(size(pattern) // _INSTRUCTIONS for pattern in patterns(self.schema))

    def problems(
        self,
        document: Document,
        value: Any,
        path: Path,
        what: str,
        budget: Budget,
        later: Sequence[Path] = (),
    ) -> Iterator[Problem]:
        """What is wrong with a value, as `schema_problems` says it.

        Args:
            document: that the value stands in.
            value: what is compared.
            path: where it stands.
            what: names it in messages.
            budget: is spent; one problem says when it is used up.
            later: as in `schema_problems`.
        """
        if budget.is_spent or self._shape.accepts(value):
            return
        most = budget.left // self._weight
        if not budget.spend(self._weight * weight(value, most)):
            message = (
                f"{what} is too much to check: against a schema of {self._weight:,} keywords and values,"
                f" no more than {most:,} values can be compared here"
            )
            hint = "make the schema simpler, or the value smaller"
            yield document.problem("too-complex", message, path, hint=hint)
            return
        yield from schema_problems(document, self._shape, value, path, what, later=later)


def weight(value: Any, most: int | None = None) -> int:
    """How much a value is: itself, what is in it, and its texts by their length.

    Args:
        value: plain data.
        most: counting ends where it is more.
    """
    count = 0
    level = [value]
    while level and (most is None or count <= most):
        count += len(level)
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                count += len(item) // _CHARACTERS
            elif isinstance(item, Mapping):
                count += sum(map(len, item)) // _CHARACTERS
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return count
