"""Order, cycles and ancestors, against brute force."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.model.graph import Graph

NAMES = "abcdefgh"


@st.composite
def graphs(draw: st.DrawFn, *, cyclic: bool = False) -> dict[str, list[str]]:
    """Dependencies of up to 8 jobs, in any order of definition, with repeated ones."""
    names = NAMES[: draw(st.integers(0, len(NAMES)))]
    edges = {
        name: (
            draw(st.lists(st.sampled_from(names if cyclic else names[:i]), max_size=5)) if cyclic or i else []
        )
        for i, name in enumerate(names)
    }
    return {name: edges[name] for name in draw(st.permutations(names))}


def closure(edges: dict[str, list[str]]) -> set[tuple[str, str]]:
    """(job, ancestor), near and far, after Warshall."""
    reach = {(job, parent) for job, parents in edges.items() for parent in parents}
    for middle, job, parent in product(edges, repeat=3):
        if (job, middle) in reach and (middle, parent) in reach:
            reach.add((job, parent))
    return reach


@given(graphs())
def test_order_is_topological_and_complete(edges: dict[str, list[str]]) -> None:
    """Every job comes once, behind all that it waits for."""
    order = Graph(edges).order
    assert sorted(edges) == sorted(order)
    assert all(order.index(parent) < order.index(job) for job in edges for parent in edges[job])


@given(graphs())
def test_order_does_not_depend_on_how_dependencies_are_listed(edges: dict[str, list[str]]) -> None:
    """The order of a job's own dependencies does not change the order of the jobs."""
    assert Graph(edges).order == Graph({job: parents[::-1] for job, parents in edges.items()}).order


@given(graphs())
def test_order_keeps_the_definitions_order_of_jobs_that_are_ready_together(
    edges: dict[str, list[str]],
) -> None:
    """Jobs with the same dependencies come in the definition's order."""
    place = {job: i for i, job in enumerate(Graph(edges).order)}
    for first, second in product(edges, repeat=2):
        if list(edges).index(first) < list(edges).index(second) and set(edges[first]) == set(edges[second]):
            assert place[first] < place[second]


@given(graphs(cyclic=True))
def test_ancestors_are_the_transitive_closure(edges: dict[str, list[str]]) -> None:
    """All that a job waits for, near and far, but never the job itself."""
    reach, graph = closure(edges), Graph(edges)
    for job in edges:
        assert {parent for child, parent in reach if child == job} - {job} == graph.ancestors(job)


@given(graphs())
def test_upstream_is_the_transitive_closure(edges: dict[str, list[str]]) -> None:
    """One job is upstream of another exactly where a way of dependencies leads to it, near or far."""
    reach, graph = closure(edges), Graph(edges)
    for parent, job in product(edges, repeat=2):
        assert ((job, parent) in reach) is graph.is_upstream(parent, job)


@given(graphs(), st.data())
def test_upstream_with_dependencies_that_do_not_exist(
    edges: dict[str, list[str]], data: st.DataObject
) -> None:
    """They change nothing of what is said of those that do."""
    named = {job: data.draw(st.lists(st.sampled_from(["ghost", *parents]))) for job, parents in edges.items()}
    known = {job: [parent for parent in parents if parent != "ghost"] for job, parents in named.items()}
    reach, graph = closure(known), Graph(named)
    for parent, job in product(edges, repeat=2):
        assert ((job, parent) in reach) is graph.is_upstream(parent, job)


@given(graphs(cyclic=True))
def test_upstream_in_a_cycle_is_refused_or_near(edges: dict[str, list[str]]) -> None:
    """In a cyclic graph only a job's own dependencies can be told; nothing else is said wrongly."""
    graph = Graph(edges)
    for parent, job in product(edges, repeat=2):
        if parent in edges[job]:
            assert graph.is_upstream(parent, job)
        elif graph.find_cycle() is not None:
            with pytest.raises(ValueError, match="cyclic"):
                graph.is_upstream(parent, job)


@given(graphs(cyclic=True))
def test_downstream_is_the_inverse_of_upstream(edges: dict[str, list[str]]) -> None:
    """Who waits for a job: each once, in the definition's order."""
    expected = {job: tuple(child for child in edges if job in edges[child]) for job in edges}
    assert expected == Graph(edges).downstream


@given(graphs(cyclic=True))
def test_a_cycle_is_found_iff_there_is_one(edges: dict[str, list[str]]) -> None:
    """A cycle is found exactly where some job waits for itself."""
    cyclic = any(job == parent for job, parent in closure(edges))
    assert cyclic is (Graph(edges).find_cycle() is not None)


@given(graphs(cyclic=True))
def test_a_cycle_is_named_in_full(edges: dict[str, list[str]]) -> None:
    """Each job of a cycle depends on the next one, each comes once, and the last is the first."""
    cycle = Graph(edges).find_cycle()
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(parent in edges[job] for job, parent in pairwise(cycle))


def test_order_of_a_cycle_names_it() -> None:
    """Asking for the order of a cycle says which jobs it consists of, and no others."""
    graph = Graph({"d": ["c"], "a": ["b"], "b": ["c"], "c": ["a"]})
    with pytest.raises(ValueError, match="cyclic") as caught:
        _ = graph.order
    assert "cyclic dependencies: c -> a -> b -> c" == str(caught.value)


def test_a_job_that_waits_for_itself() -> None:
    """The smallest cycle has one job."""
    assert ("a", "a") == Graph({"a": ["a"]}).find_cycle()


def test_unknown_dependencies_do_no_harm() -> None:
    """A graph may name jobs that do not exist: the validator reports them."""
    graph = Graph({"a": ["ghost"], "b": ["a", "a"]})
    assert (("a", "b"), frozenset({"a"})) == (graph.order, graph.ancestors("b"))


def test_each_dependency_counts_once() -> None:
    """A dependency that is listed twice is one."""
    assert ("b", "a") == Graph({"a": [], "b": [], "c": ["b", "a", "b"]}).upstream["c"]


def test_a_chain_of_ten_thousand() -> None:
    """The depth of a graph is not limited by Python's stack."""
    chain = {f"j{i}": [f"j{i - 1}"] if i else [] for i in range(10_000)}
    assert 9_999 == len(Graph(chain).ancestors("j9999"))
    assert [True, False] == [Graph(chain).is_upstream("j0", "j9999"), Graph(chain).is_upstream("j9999", "j0")]
    assert tuple(chain) == Graph(chain).order


def test_a_cycle_of_ten_thousand() -> None:
    """Nor is the length of a cycle."""
    ring = {f"j{i}": [f"j{(i - 1) % 10_000}"] for i in range(10_000)}
    assert 10_001 == len(Graph(ring).find_cycle() or ())
