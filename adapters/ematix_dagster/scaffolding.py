"""What `dg scaffold defs ematix_dagster.EmatixProject` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import Scaffolder, ScaffoldRequest, scaffold_component
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from pathlib import Path

STARTER = '''\
"""A project to begin with: a table of three rows, made each hour."""

import ematix_core as ematix
import pyarrow as pa

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")


@ematix.job(target="numbers", target_connection=warehouse, mode="truncate")
def numbers():
    return pa.table({"n": [1, 2, 3]})


hourly = ematix.workflow("hourly", jobs=[numbers], schedule="0 * * * *")
'''


class ProjectParameters(BaseModel):
    """What can be said on the command line: `--module`, `--directory`."""

    module: str | None = Field(
        default=None, description="The project's module: a name, or a path. Default: a new pipelines.py to begin with."
    )
    directory: str | None = Field(
        default=None, description="The folder that the module is in, from that of the YAML file, which is the default."
    )


class ProjectScaffolder(Scaffolder[ProjectParameters]):
    """Writes defs.yaml, and a project to begin with when no module is named."""

    @classmethod
    def get_scaffold_params(cls) -> type[ProjectParameters]:
        return ProjectParameters

    def scaffold(self, request: ScaffoldRequest[ProjectParameters]) -> None:
        said = request.params.model_dump(exclude_none=True)
        if "module" not in said:
            said = {"module": "pipelines.py", **said}
            _begin(request.target_path / said.get("directory", "") / "pipelines.py")
        scaffold_component(request, said)


def _begin(file: Path) -> None:
    """Write the project to begin with, unless there is one."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(STARTER, encoding="utf-8")
