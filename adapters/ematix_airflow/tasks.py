"""The tasks of a workflow: the gate, a task for each job with edges by `depends_on`, and the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, WeightRule
from ematix_provider.operators import EmatixCloseOperator, EmatixGateOperator, EmatixJobOperator

from ematix_airflow.names import CLOSE, GATE, again_uri, job_uri, task_ids, workflow_uri
from ematix_airflow.retries import retry_arguments, timeout_arguments

if TYPE_CHECKING:
    from collections.abc import Collection

    from ematix_airflow.source import Source
    from ematix_core.orchestration import CompiledJob, CompiledWorkflow, Unit


def add_tasks(workflow: CompiledWorkflow, source: Source, *, decides: bool) -> None:
    """Add the workflow's tasks to the DAG or group that is open. `decides`: whether the gate asks the evaluator."""
    unit = workflow.unit
    shared = {"unit": unit, "workflow": unit.name, **source.site, **_queueing(unit.priority, unit.owner)}
    gate = EmatixGateOperator(task_id=GATE, decides=decides, **shared)
    ids = task_ids(job.name for job in workflow.jobs)
    tasks = {
        job.name: EmatixJobOperator(
            task_id=ids[job.name], job=job.name, gate_task_id=gate.task_id, compiled=job,
            outlets=_outlets(job, source.awaited), **source.site, **_options(job, unit),
        )
        for job in workflow.jobs
    }  # fmt: skip
    close = EmatixCloseOperator(
        task_id=CLOSE, gate_task_id=gate.task_id, tasks={name: task.task_id for name, task in tasks.items()},
        outlets=[Asset(workflow_uri(unit.name))], again=again_uri(unit), **shared,
    )  # fmt: skip
    upstream = {job.name: job.depends_on for job in unit.jobs}
    for name, task in tasks.items():
        task.set_upstream([tasks[other] for other in upstream[name]] or gate)
    inner = {other for others in upstream.values() for other in others}
    close.set_upstream([task for name, task in tasks.items() if name not in inner])
    close.as_teardown(setups=gate)


def _options(job: CompiledJob, unit: Unit) -> dict[str, Any]:
    """Return the arguments of the job's task that Airflow itself goes by."""
    options = _queueing(unit.priority + job.priority, job.owner or unit.owner)
    if pool := job.pool or unit.pool:
        options["pool"] = pool
    return {**options, "doc_md": job.doc, **retry_arguments(job.retry), **timeout_arguments(job.timeout)}


def _queueing(priority: int, owner: str) -> dict[str, Any]:
    """Return weight and owner. Airflow's weights begin with 1 where our priorities begin with 0."""
    options: dict[str, Any] = {"priority_weight": priority + 1, "weight_rule": WeightRule.ABSOLUTE}
    return options | ({"owner": owner} if owner else {})


def _outlets(job: CompiledJob, awaited: Collection[str]) -> list[Asset]:
    uris = [target.uri for target in job.targets]
    if job.name in awaited:
        uris.append(job_uri(job.name))
    return [Asset(uri) for uri in dict.fromkeys(uris)]
