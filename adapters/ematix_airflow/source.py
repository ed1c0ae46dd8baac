"""Where a DAG file's project is: beside the file, compiled."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ProjectError, near
from ematix_core.orchestration import locate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow.sdk import Asset

    from ematix_core.orchestration import CompiledProject, ModuleLike

ADAPTER = Path(__file__).parent
"""The folder of this package: the file that calls it is the DAG file."""


@dataclass(frozen=True)
class Source:
    """A compiled project, and how a task that Airflow starts anywhere finds the same one."""

    project: CompiledProject
    file: str
    """The DAG file that asked for it."""
    site: dict[str, Any]
    """The arguments by which an operator finds the modules and the store."""
    assets: Mapping[str, Asset] = field(default_factory=dict)
    """Airflow's own assets for names of triggers that are URIs."""

    @cached_property
    def workflows(self) -> frozenset[str]:
        """The names that are workflows'; what else a trigger names is a job, or outside."""
        return frozenset(found.unit.name for found in self.project.workflows if not found.unit.single)

    @cached_property
    def awaited(self) -> frozenset[str]:
        """The names whose success something waits for."""
        return frozenset(name for found in self.project.workflows for name in found.unit.waits_for())


def read(
    module: ModuleLike,
    *,
    ematix_conn_id: str | None,
    assets: Mapping[str, Asset] | None = None,
    **where: Any,  # noqa: ANN401 - directory, compiled_file, recompile: see `locate`
) -> Source:
    """Return the compiled project of one or several modules; for the options see `to_dags`.

    Raises ProjectError as `locate` does, and for `assets` under names that nothing waits for.
    """
    found = locate(module, adapter=ADAPTER, **where)
    site: dict[str, Any] = {"modules": found.modules, "directory": found.directory}
    if ematix_conn_id is not None:
        site["ematix_conn_id"] = ematix_conn_id
    source = Source(found.project, found.file, site, assets or {})
    for name, asset in source.assets.items():
        _check_asset(name, asset, source.awaited)
    return source


def _check_asset(name: str, asset: Asset, awaited: Collection[str]) -> None:
    uris = [known for known in awaited if "://" in known]
    if name not in uris:
        raise ProjectError(f"assets= has {name!r}, and no workflow waits for that", hint=near(name, uris))
    if asset.uri.rstrip("/") != name.rstrip("/"):
        raise ProjectError(f"assets= has an asset of {asset.uri!r} under {name!r}", hint="Both are the URI.")
