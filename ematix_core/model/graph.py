"""Graphs of names: an order in which everything comes after what it needs, or the circle that forbids one.

A graph maps each name to the names that it needs. Names that are needed but are no key of the graph are ignored:
they stand outside it.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Graph = Mapping[str, Iterable[str]]


def find_cycle(graph: Graph) -> tuple[str, ...]:
    """Return one circle as a path that starts and ends with the same name, each needed by the next; else nothing.

    The path starts with the name of the circle that the graph lists first.
    """
    try:
        _sorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1][:-1]
        first = min(range(len(circle)), key=lambda i: list(graph).index(circle[i]))
        return (*circle[first:], *circle[: first + 1])
    return ()


def levels(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Return the names in levels: each needs only names of earlier levels. Within a level: the graph's own order.

    Raises graphlib.CycleError for a graph with a circle; ask `find_cycle` first.
    """
    position = {name: number for number, name in enumerate(graph)}
    sorter = _sorter(graph)
    sorter.prepare()
    found: list[tuple[str, ...]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        found.append(tuple(sorted(ready, key=position.__getitem__)))
        sorter.done(*ready)
    return tuple(found)


def _sorter(graph: Graph) -> TopologicalSorter[str]:
    return TopologicalSorter({name: [need for need in needs if need in graph] for name, needs in graph.items()})
