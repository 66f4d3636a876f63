"""What the schemas that a definition brings may cost, all together."""

from __future__ import annotations

from attrs import define

#: Most comparisons of a value with a keyword in one definition; compiling its patterns counts, too.
MAX_COMPARISONS = 50_000


@define
class Budget:
    """What may yet be spent, in comparisons of a value with a keyword: up to 4 us each, where it is wrong."""

    left: int = MAX_COMPARISONS

    @property
    def is_spent(self) -> bool:
        """Whether more was asked for than there was; that was reported then."""
        return self.left < 0

    def spend(self, cost: int) -> bool:
        """Whether there was enough."""
        self.left -= cost
        return not self.is_spent
