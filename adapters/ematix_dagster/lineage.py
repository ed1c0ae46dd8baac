"""What comes after what in the catalog: `depends_on`, and tables that one writes and another reads."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from ematix_core.orchestration import CompiledStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.orchestration import CompiledJob, CompiledProject, Unit

Loader: TypeAlias = "CompiledJob | CompiledStream"
Table = tuple[str, str]
"""A connection and the name of a table."""


def loaders(project: CompiledProject) -> tuple[Loader, ...]:
    """Return what loads tables: the jobs, then the streams."""
    return (*project.jobs, *project.streams)


def writers(project: CompiledProject) -> dict[Table, tuple[str, ...]]:
    """Return the jobs and streams that load each table."""
    found: dict[Table, tuple[str, ...]] = {}
    for one in loaders(project):
        for target in one.targets:
            place = (target.connection, target.name)
            found[place] = (*found.get(place, ()), one.name)
    return found


def reads(one: Loader) -> list[Table]:
    """Return the tables that a job reads, as far as its SQL tells, or what a stream reads."""
    tables = (one.query,) if isinstance(one, CompiledStream) else one.tables
    return [(one.source, table) for table in tables]


def upstream(project: CompiledProject, homes: Mapping[str, tuple[Unit, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the jobs and streams that each job and stream comes after.

    Dagster orders the steps of a run by this, where ematix goes by `depends_on` alone: so of two jobs of one workflow a
    table is an edge only if it is in keeping with their order. Nor is one that would close a circle.
    """
    made = writers(project)
    declared = {job.name: dict.fromkeys(job.depends_on) for job in project.jobs}
    declared |= {stream.name: {} for stream in project.streams}
    orders = _Orders()
    read = {
        one.name: dict.fromkeys(
            maker
            for table in reads(one)
            for maker in made.get(table, ())
            if maker != one.name and maker not in declared[one.name] and orders.allow(one.name, maker, homes)
        )
        for one in loaders(project)
    }
    _open_circles(declared, read)
    return {name: (*declared[name], *read[name]) for name in declared}


class _Orders:
    """What comes before what in a workflow, by `depends_on`; found when it is first asked for."""

    def __init__(self) -> None:
        self._before: dict[str, dict[str, frozenset[str]]] = {}

    def allow(self, later: str, earlier: str, homes: Mapping[str, tuple[Unit, ...]]) -> bool:
        """Say whether each workflow that has both jobs runs them in this order anyhow."""
        common = [unit for unit in homes.get(later, ()) if unit in homes.get(earlier, ())]
        return all(earlier in self._of(unit)[later] for unit in common)

    def _of(self, unit: Unit) -> dict[str, frozenset[str]]:
        if unit.name not in self._before:
            direct = {job.name: job.depends_on for job in unit.jobs}
            before: dict[str, frozenset[str]] = {}
            for name in TopologicalSorter(direct).static_order():
                before[name] = frozenset(direct[name]).union(*(before[one] for one in direct[name]))
            self._before[unit.name] = before
        return self._before[unit.name]


def _open_circles(declared: Mapping[str, dict[str, None]], read: Mapping[str, dict[str, None]]) -> None:
    """Take edges that only tables make away, until there is no circle left."""
    while True:
        try:
            TopologicalSorter({name: [*declared[name], *read[name]] for name in declared}).prepare()
        except CycleError as circle:
            name, one = next((later, earlier) for earlier, later in pairwise(circle.args[1]) if earlier in read[later])
            del read[name][one]
        else:
            return
