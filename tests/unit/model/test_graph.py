"""Order and circles, compared with a plain search over all paths."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ematix_core.model.graph import find_cycle, levels

NAMES = "abcdefg"
graphs = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES + "xyz"), unique=True, max_size=3))
acyclic = graphs.map(lambda graph: {name: [need for need in needs if need < name] for name, needs in graph.items()})


def reaches(graph: dict[str, list[str]], start: str, goal: str) -> bool:
    """Say by plain search whether `start` needs `goal`, directly or through others."""
    seen: set[str] = set()
    waiting = list(graph.get(start, []))
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting += graph.get(name, [])
    return False


@given(graphs)
def test_a_circle_is_found_exactly_when_a_name_needs_itself(graph: dict[str, list[str]]) -> None:
    cycle = find_cycle(graph)
    assert bool(cycle) is any(reaches(graph, name, name) for name in graph)
    assert all(before in graph[after] for before, after in itertools.pairwise(cycle))
    assert cycle[:1] == cycle[-1:]


@given(acyclic)
def test_levels_hold_each_name_once_after_all_that_it_needs(graph: dict[str, list[str]]) -> None:
    found = levels(graph)
    level_of = {name: number for number, level in enumerate(found) for name in level}
    assert sorted(name for level in found for name in level) == sorted(graph)
    for name, needs in graph.items():
        inside = [level_of[need] for need in needs if need in graph]
        assert level_of[name] == max(inside, default=-1) + 1


@given(acyclic)
def test_names_of_one_level_keep_the_order_of_the_graph(graph: dict[str, list[str]]) -> None:
    order = list(graph)
    assert all(list(level) == sorted(level, key=order.index) for level in levels(graph))


def test_circle_starts_with_the_name_listed_first() -> None:
    assert find_cycle({"a": ["c"], "b": ["a"], "c": ["b"]}) == ("a", "b", "c", "a")
    assert find_cycle({"b": ["a"], "a": ["b"]}) == ("b", "a", "b")
    assert find_cycle({"a": ["a"]}) == ("a", "a")
