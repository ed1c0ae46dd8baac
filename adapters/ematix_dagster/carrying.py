"""What a step of Dagster belongs to: a workflow run that its Dagster run carries, or a run of the job alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dagster import RunsFilter

from ematix_dagster.names import CARRIER, WORKFLOW_RUN, carrier_of, run_id_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster import AssetKey, DagsterInstance, DagsterRun, OpExecutionContext

    from ematix_core.orchestration import OpenSite, Unit, WorkflowRun
    from ematix_dagster.partitions import Slice

_LOOK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What `run_attempt` is told of the run."""

    carrier: str
    workflow_run_id: str | None = None
    trigger: str = "manual"
    slice: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Whole:
    """A unit, and the keys of all of its assets."""

    unit: Unit
    keys: frozenset[AssetKey]

    def is_run_by(self, run: DagsterRun) -> bool:
        """Say whether the Dagster run is one of the whole unit, or goes on with one."""
        return WORKFLOW_RUN in run.tags or not run.asset_selection or run.asset_selection >= self.keys


def carried(context: OpExecutionContext, site: OpenSite, whole: Whole | None, part: Slice) -> Carried:
    """Return what the step belongs to, and begin it if the step is the first one. Blocks while others run the unit.

    `whole`: of the Dagster job that is run; None for a run of single assets. A Dagster run that goes on with
    another one goes on with its workflow run, too.
    """
    run = context.run
    carrier = run.tags.get(CARRIER) or carrier_of(run.root_run_id or run.run_id)
    told = Carried(
        carrier=carrier, trigger="backfill" if "dagster/backfill" in run.tags else "manual", slice=part.name,
        parameters=part.parameters,
    )  # fmt: skip
    if whole is None or not whole.is_run_by(run):
        return told
    begun = _begun(context, site, whole.unit, told)
    return Carried(
        carrier=carrier, workflow_run_id=begun.workflow_run_id, trigger=begun.trigger, slice=begun.slice,
        parameters=begun.parameters,
    )  # fmt: skip


def runs_of(instance: DagsterInstance, carrier: str) -> list[DagsterRun]:
    """Return the Dagster runs of a carrier that this instance knows, those included that go on with another one."""
    own = run_id_of(carrier)
    if own is None:
        return list(instance.get_runs(RunsFilter(tags={CARRIER: carrier})))
    first = instance.get_run_by_id(own)
    if first is None:
        return []
    return [first, *instance.get_runs(RunsFilter(tags={"dagster/root_run_id": own}))]


def is_over(instance: DagsterInstance, carrier: str) -> bool:
    """Say whether Dagster has ended all runs of a carrier. Another instance's are not over, as far as we know."""
    runs = runs_of(instance, carrier)
    return bool(runs) and all(run.is_finished for run in runs)


def _begun(context: OpExecutionContext, site: OpenSite, unit: Unit, wanted: Carried) -> WorkflowRun:
    """Return the open workflow run of the carrier, which another step may have begun."""
    from ematix_core.orchestration import Gate, Opened

    gate = Gate(site.store, unit, carrier=wanted.carrier, is_over=lambda other: is_over(context.instance, other))
    told = ""
    while True:
        answer = gate.begin(
            trigger=wanted.trigger, slice=wanted.slice, parameters=wanted.parameters,
            cause=[f"Dagster run {context.run.run_id}"],
        )  # fmt: skip
        if isinstance(answer, Opened):
            return answer.run
        if answer.reason != told:
            told = answer.reason
            context.log.info("waits: %s", told)
        time.sleep(_LOOK_SECONDS)
