"""How many ways an automaton has to read a text, which is what a matcher that backtracks goes through.

If a state can come back to itself by two ways that read the same text, the number of ways grows exponentially
with the text. If not, it grows like a power of its length, which is found here, after A. Weber and H. Seidl,
"On the degree of ambiguity of finite automata" (Theoretical Computer Science 88, 1991).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import field, frozen

__all__ = ["EXPONENTIAL", "Automaton", "TooLarge", "growth", "ways"]

#: What `growth` says of steps that grow faster than any power.
EXPONENTIAL = 99
#: Steps of the search; they take about 0.1 s.
_MOST_STEPS = 100_000


@frozen
class Automaton:
    """States that each read one character of a set; state 0 is the start, and reads nothing before."""

    #: Of each state, a bit for each kind of characters that it reads.
    reads: Sequence[int]
    #: Of each state, those that may come next, and in how many ways each.
    follow: Sequence[Mapping[int, int]]


_States = tuple[int, ...]


class TooLarge(Exception):
    """The automaton is too large to tell."""


@frozen
class _Search:
    """The automaton as the search needs it."""

    automaton: Automaton
    #: Of each state, the number of its component; a component comes after those that it leads to.
    component: list[int]
    _steps: list[int] = field(factory=lambda: [0])

    def pairs(self, one: int, other: int) -> Iterator[tuple[int, int]]:
        """Where two ways can go by the same character."""
        reads, follow = self.automaton.reads, self.automaton.follow
        for p in follow[one]:
            for q in follow[other]:
                if reads[p] & reads[q]:
                    self.spend()
                    yield p, q

    def spend(self) -> None:
        self._steps[0] += 1
        if self._steps[0] > _MOST_STEPS:
            raise TooLarge


def growth(automaton: Automaton) -> int:
    """The power of a text's length that the steps through the automaton grow with; 0: they are bounded.

    Each way is gone to its end, as if it failed there.

    Raises:
        TooLarge: it can't be told within 0.1 s or so.
    """
    components = _components(automaton)
    component = [0] * len(automaton.reads)
    for number, states in enumerate(components):
        for state in states:
            component[state] = number
    search = _Search(automaton, component)
    cyclic = {number for number, states in enumerate(components) if _is_cyclic(automaton, states)}
    if any(_is_exponential(search, components[number]) for number in cyclic):
        return EXPONENTIAL
    # Each of the ways takes as many steps as the text has characters.
    return _power(search, components, cyclic) + 1 if cyclic else 0


def _components(automaton: Automaton) -> list[list[int]]:
    """The strongly connected components, each after those that it leads to (Tarjan, without recursion)."""
    follow = automaton.follow
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    found: list[list[int]] = []
    open_: list[tuple[int, Iterator[int]]] = []

    def enter(state: int) -> None:
        index[state] = low[state] = len(index)
        path.append(state)
        on_path.add(state)
        open_.append((state, iter(follow[state])))

    enter(0)
    while open_:
        state, rest = open_[-1]
        for after in rest:
            if after not in index:
                enter(after)
                break
            if after in on_path:
                low[state] = min(low[state], index[after])
        else:
            open_.pop()
            if open_:
                above = open_[-1][0]
                low[above] = min(low[above], low[state])
            if low[state] == index[state]:
                states: list[int] = []
                while not states or states[-1] != state:
                    states.append(path.pop())
                    on_path.discard(states[-1])
                found.append(states)
    return found


def _is_cyclic(automaton: Automaton, states: Sequence[int]) -> bool:
    return len(states) > 1 or states[0] in automaton.follow[states[0]]


def _is_exponential(search: _Search, states: Sequence[int]) -> bool:
    """Whether a state of the component comes back to itself by two ways that read the same."""
    component, follow = search.component, search.automaton.follow
    here = component[states[0]]
    for state in states:
        if any(count > 1 and component[after] == here for after, count in follow[state].items()):
            return True

    def step(pair: _States) -> Iterator[_States]:
        for p, q in search.pairs(*pair):
            if component[p] == here == component[q]:
                yield (p, q) if p < q else (q, p)

    parted = {pair for state in states for pair in step((state, state)) if pair[0] != pair[1]}
    return any(one == other for one, other in _reached(parted, step))


def _reached(start: Iterable[_States], step: Callable[[_States], Iterator[_States]]) -> Iterator[_States]:
    """All that can be reached by a step or more, each once, as soon as it is found."""
    seen: set[_States] = set()
    stack = list(start)
    while stack:
        for after in step(stack.pop()):
            if after not in seen:
                seen.add(after)
                stack.append(after)
                yield after


def _power(search: _Search, components: Sequence[Sequence[int]], cyclic: set[int]) -> int:
    """The longest chain of loops, each of which the same text can leave for the next at any time."""
    below = _below(search, components)
    best = dict.fromkeys(range(len(components)), 0)
    # Components come after those that they lead to: the chains from a component are known before it.
    for number, states in enumerate(components):
        best[number] = max((best[other] for other in below[number]), default=0)
        if number in cyclic:
            for other in cyclic:
                if other in below[number] and best[other] >= best[number]:
                    linked = _is_left_any_time(search, states, components[other])
                    best[number] = max(best[number], best[other] + 1 if linked else 0)
    return best[search.component[0]]


def _below(search: _Search, components: Sequence[Sequence[int]]) -> list[set[int]]:
    """Of each component, those that it leads to, near or far, without itself."""
    below: list[set[int]] = []
    for number, states in enumerate(components):
        found: set[int] = set()
        for state in states:
            for after in search.automaton.follow[state]:
                other = search.component[after]
                if other != number and other not in found:
                    found |= below[other] | {other}
        below.append(found)
    return below


def _is_left_any_time(search: _Search, inner: Sequence[int], outer: Sequence[int]) -> bool:
    """Whether one text leads from a state p of `inner` to p, from p to a state q of `outer`, and q to q."""
    component, reads, follow = search.component, search.automaton.reads, search.automaton.follow
    first, last = component[inner[0]], component[outer[0]]

    def step(three: _States) -> Iterator[_States]:
        one, middle, other = three
        for p in follow[one]:
            if component[p] != first:
                continue
            for r in follow[other]:
                both = reads[p] & reads[r] if component[r] == last else 0
                for q in follow[middle] if both else ():
                    if both & reads[q]:
                        search.spend()
                        yield p, q, r

    return any(
        (p, q, q) in _reached([(p, p, q)], step) for p in inner for q in outer if _may_meet(search, p, q)
    )


def _may_meet(search: _Search, p: int, q: int) -> bool:
    """Whether loops through `p` and `q` can begin with the same character at all."""
    component = search.component
    return any(
        component[one] == component[p] and component[other] == component[q]
        for one, other in search.pairs(p, q)
    )


def ways(automaton: Automaton, most: int) -> int:
    """How many ways there are at most to read a text, but for what loops add to them.

    Counting ends where it is more than `most`.
    """
    components = _components(automaton)
    component: dict[int, int] = {}
    found: list[int] = []
    for number, states in enumerate(components):
        component.update(dict.fromkeys(states, number))
        count_here = 1
        for state in states:
            leaving = [
                (automaton.reads[after], count * found[component[after]])
                for after, count in automaton.follow[state].items()
                if component[after] != number
            ]
            count_here = max(count_here, _most_by_one_character(leaving))
        if count_here > most:
            return count_here
        found.append(count_here)
    return found[component[0]]


def _most_by_one_character(leaving: Sequence[tuple[int, int]]) -> int:
    """The greatest sum of the numbers whose sets have a kind of characters in common."""
    most = 0
    kinds = 0
    for reads, _ in leaving:
        kinds |= reads
    while kinds:
        kind = kinds & -kinds
        kinds ^= kind
        most = max(most, sum(count for reads, count in leaving if reads & kind))
    return most
