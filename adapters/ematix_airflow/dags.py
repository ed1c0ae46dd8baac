"""DAGs of a project: one for each of its workflows, for each job that has conditions of its own, and for streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from ematix_airflow.names import dag_ids
from ematix_airflow.schedule import schedule_of
from ematix_airflow.source import ADAPTER, read
from ematix_airflow.streams import CONTINUOUS, add_consumer
from ematix_airflow.tasks import add_tasks
from ematix_core.errors import DeclarationError
from ematix_core.orchestration import CompiledStream, module_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow.sdk import Asset

    from ematix_airflow.source import Source
    from ematix_core import Stream, Workflow
    from ematix_core.orchestration import CompiledWorkflow, ModuleLike, Recompile


def to_dags(
    module: ModuleLike,
    *,
    directory: str | Path | None = None,
    compiled_file: str | Path | None = None,
    recompile: Recompile | None = None,
    ematix_conn_id: str | None = None,
    prefix: str = "",
    assets: Mapping[str, Asset] | None = None,
    dag_args: Mapping[str, Any] | None = None,
    streams: bool = False,
) -> dict[str, DAG]:
    """Return a DAG for each workflow of the project, and for each job with conditions of its own, by DAG id.

    In a DAG file: `globals().update(to_dags("my_pipelines"))`. `module`: a name, or the path of a `.py` file or a
    package, or several, in `directory` (default the folder of the DAG file). Only the compiled project is read,
    from beside it (`compiled_file`, default `<module>.ematix.json`). `recompile`: "auto" makes it anew when the modules
    have changed, "never" raises then, "always" does not look; default what EMATIX_COMPILE says, else "auto".
    `ematix_conn_id`: the Airflow connection that says where the store is. `prefix`: put before each DAG id. `assets`:
    for URIs in `triggered_by`, Airflow's assets when these have names of their own, or watchers; default the asset that
    is named by the URI. `dag_args`: further arguments of each DAG, over those of the workflow. `streams`: each stream
    has a DAG, too, which consumes it; leave it out where `flow consume` does. Raises ProjectError, and Airflow shows an
    import error.
    """
    source = read(
        module, directory=directory, compiled_file=compiled_file, recompile=recompile, ematix_conn_id=ematix_conn_id,
        assets=assets,
    )  # fmt: skip
    units: list[CompiledWorkflow | CompiledStream] = [*source.project.workflows]
    if streams:
        units += source.project.streams
    ids = dag_ids((unit.name for unit in units), prefix)
    return {ids[unit.name]: _dag(ids[unit.name], unit, source, dag_args or {}) for unit in units}


def to_dag(
    workflow: str | Workflow | Stream,
    module: ModuleLike | None = None,
    *,
    directory: str | Path | None = None,
    compiled_file: str | Path | None = None,
    recompile: Recompile | None = None,
    ematix_conn_id: str | None = None,
    prefix: str = "",
    assets: Mapping[str, Asset] | None = None,
    dag_args: Mapping[str, Any] | None = None,
) -> DAG:
    """Return the DAG of one workflow, of one job with conditions of its own, or of one stream.

    `workflow`: a name together with its `module`, or the imported declaration itself. The other options: see `to_dags`.
    Raises ProjectError for an unknown name, with the nearest one.
    """
    name, source = place(
        workflow, module, directory=directory, compiled_file=compiled_file, recompile=recompile,
        ematix_conn_id=ematix_conn_id, assets=assets,
    )  # fmt: skip
    found = next((one for one in source.project.streams if one.name == name), None) or source.project.workflow(name)
    (dag_id,) = dag_ids([name], prefix).values()
    return _dag(dag_id, found, source, dag_args or {})


def place(
    declared: str | Workflow | Stream,
    module: ModuleLike | None,
    **where: Any,  # noqa: ANN401 - the options of `read`
) -> tuple[str, Source]:
    """Return the name of what is given by it or as itself, and the project that has it."""
    if isinstance(declared, str):
        if module is None:
            raise DeclarationError(
                f"where is {declared!r}?", hint=f"Name its module: to_dag({declared!r}, 'my_pipelines')."
            )
        name, home = declared, module
    else:
        name, example = declared.name, f"to_dag({declared.name!r}, 'my_pipelines')"
        home = module_of(declared, adapter=ADAPTER, example=example) if module is None else module
    return name, read(home, **where)


def _dag(dag_id: str, declared: CompiledWorkflow | CompiledStream, source: Source, dag_args: Mapping[str, Any]) -> DAG:
    given: dict[str, Any] = {
        "description": declared.description or None,
        "doc_md": declared.doc,
        "max_active_runs": 1,  # runs of a unit do not overlap
        "catchup": False,  # the timetable knows which ticks to make up for
    }
    if dag_id != declared.name:
        given["dag_display_name"] = declared.name
    if isinstance(declared, CompiledStream):
        given |= {"tags": list(declared.tags), **CONTINUOUS}
    else:
        given |= {"tags": list(declared.unit.tags), "schedule": schedule_of(declared.unit, source)}
    given |= dag_args
    with DAG(dag_id, schedule=given.pop("schedule"), **given) as dag:
        if isinstance(declared, CompiledStream):
            add_consumer(declared, source)
        else:
            add_tasks(declared, source, decides=True)
    dag.fileloc = source.file
    return dag
