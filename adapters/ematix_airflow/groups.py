"""A workflow inside a DAG of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup

from ematix_airflow.dags import place
from ematix_airflow.names import task_ids
from ematix_airflow.tasks import add_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core import Workflow
    from ematix_core.orchestration import ModuleLike, Recompile


def to_task_group(
    workflow: str | Workflow,
    module: ModuleLike | None = None,
    *,
    group_id: str | None = None,
    directory: str | Path | None = None,
    compiled_file: str | Path | None = None,
    recompile: Recompile | None = None,
    ematix_conn_id: str | None = None,
) -> TaskGroup:
    """Add a workflow to the DAG that is open, as a group of tasks, and return the group.

    The DAG decides when it runs: the workflow's own conditions are not asked. Each run is one in ematix's store, and
    counts there. `group_id`: default the workflow's name. The other options: see `to_dag`. Raises ProjectError for an
    unknown name, with the nearest one.
    """
    name, source = place(
        workflow, module, directory=directory, compiled_file=compiled_file, recompile=recompile,
        ematix_conn_id=ematix_conn_id,
    )  # fmt: skip
    found = source.project.workflow(name)
    (default,) = task_ids([name]).values()
    with TaskGroup(group_id or default, tooltip=found.description) as group:
        add_tasks(found, source, decides=False)
    return group
