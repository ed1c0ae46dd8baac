"""Where a code location's project is: beside the file that asks for it, compiled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.orchestration import locate
from ematix_core.orchestration.content import place
from ematix_dagster.names import definition_names, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.orchestration import CompiledProject, ModuleLike, Unit

ADAPTER = Path(__file__).parent
"""The folder of this package: the file that calls it is the code location's."""


@dataclass(frozen=True)
class Source:
    """A compiled project, and how a process that Dagster starts finds the same one."""

    project: CompiledProject
    modules: tuple[str, ...]
    directory: str

    @cached_property
    def jobs(self) -> Mapping[str, str]:
        """Dagster's name of the job of each unit and stream. Raises ProjectError for two that would have one name.

        Where a job or stream of ours, which is a step in Dagster, is called like it, it ends with `_job`: Dagster lets
        no job and step share a name.
        """
        streams = [stream.name for stream in self.project.streams]
        steps = {plain_name(name) for name in (*(job.name for job in self.project.jobs), *streams)}
        wanted = {
            name: f"{name}_job" if plain_name(name) in steps else name
            for name in (*(found.name for found in self.project.workflows), *streams)
        }
        names = definition_names(wanted.values(), "job")
        return {name: names[text] for name, text in wanted.items()}

    def place(self, file: str) -> Path:
        """Return where a file is that a compiled job or stream names."""
        if file not in self._places:
            self._places[file] = place(file, Path(self.directory).absolute())
        return self._places[file]

    @cached_property
    def _places(self) -> dict[str, Path]:
        return {}

    @cached_property
    def homes(self) -> Mapping[str, tuple[Unit, ...]]:
        """The workflows that have each job."""
        found: dict[str, tuple[Unit, ...]] = {}
        for workflow in self.project.workflows:
            if not workflow.unit.single:
                for job in workflow.jobs:
                    found[job.name] = (*found.get(job.name, ()), workflow.unit)
        return found


def read(
    module: ModuleLike,
    **where: Any,  # noqa: ANN401 - directory, compiled_file, recompile: see `locate`
) -> Source:
    """Return the compiled project of one or several modules; for the options see `to_definitions`.

    Raises ProjectError as `locate` does.
    """
    found = locate(module, adapter=ADAPTER, **where)
    return Source(found.project, found.modules, found.directory)
