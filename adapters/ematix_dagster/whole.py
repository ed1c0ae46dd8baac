"""Runs of the whole of a workflow whose assets have partitions.

Dagster runs partitioned assets for a partition only, while a trigger of ours sets off the whole, which is no slice. So
it has a job of plain steps, which tell the catalog of the same assets.

No `from __future__ import annotations`: Dagster looks at the annotation of a step's `context` as it stands.
"""

from collections.abc import Iterator, Mapping

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetMaterialization,
    DependencyDefinition,
    GraphDefinition,
    In,
    JobDefinition,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    op,
)

from ematix_core.orchestration import CompiledWorkflow
from ematix_dagster.assets import options_of
from ematix_dagster.catalog import Catalog
from ematix_dagster.names import RESOURCE, owners_of, plain_name, tags_of
from ematix_dagster.resource import EmatixResource
from ematix_dagster.step import Step, materialization

Told = AssetMaterialization | AssetCheckEvaluation | Output[None]


def whole_job(
    found: Catalog, workflow: CompiledWorkflow, steps: Mapping[str, Step], resource: EmatixResource
) -> JobDefinition:
    """Return the job that runs the whole of a workflow. `steps`: of the project, by the name of the job."""
    after = {job.name: job.depends_on for job in workflow.unit.jobs}
    ops = {name: _op(found, steps[name], upstream) for name, upstream in after.items()}
    graph = GraphDefinition(
        found.starts[workflow.name],
        node_defs=list(ops.values()),
        dependencies={
            ops[name].name: {plain_name(other): DependencyDefinition(ops[other].name) for other in upstream}
            for name, upstream in after.items()
        },
    )
    return graph.to_job(
        resource_defs={RESOURCE: resource},
        description=f"The whole of {workflow.name}, as its conditions set it off: no partition.",
        tags=tags_of(workflow.unit.tags), owners=owners_of(workflow.unit.owner) or None,
    )  # fmt: skip


def _op(found: Catalog, step: Step, upstream: tuple[str, ...]) -> OpDefinition:
    name = f"{plain_name(step.job.name)}_whole"

    @op(
        name=name,
        ins={plain_name(other): In(Nothing) for other in upstream},
        out=Out(Nothing),
        **options_of(found, step.job),
    )
    def run(context: OpExecutionContext) -> Iterator[Told]:
        for event in step.events(context):
            yield _evaluation(event) if isinstance(event, AssetCheckResult) else materialization(event)
        yield Output(None)

    return run


def _evaluation(result: AssetCheckResult) -> AssetCheckEvaluation:
    assert result.asset_key is not None  # noqa: S101 - see Step.events
    assert result.check_name is not None  # noqa: S101 - see Step.events
    return AssetCheckEvaluation(
        asset_key=result.asset_key, check_name=result.check_name, passed=result.passed, severity=result.severity,
        description=result.description,
    )  # fmt: skip
