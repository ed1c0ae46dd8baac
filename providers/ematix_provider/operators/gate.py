"""The first task of a workflow's DAG: asks ematix whether the workflow runs now, and opens its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ematix_provider.operators import data_interval
from ematix_provider.operators.dag_runs import carrier, is_over, run_type, woken_for
from ematix_provider.operators.site import EmatixOperator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Context

    from ematix_core.orchestration import Announcement, Answer, Busy, Gate, Unit, WorkflowRun
    from ematix_provider.hooks import EmatixHook

_AUTOMATIC = frozenset({"scheduled", "asset_triggered"})
"""Kinds of DagRuns that nobody asked for: whether anything is to be done is ours to decide."""


class EmatixGateOperator(EmatixOperator):
    """Asks ematix's own evaluator over its store, whatever set the DagRun off.

    Opens the workflow run and returns `workflow_run_id`, `trigger`, `slice` and `parameters` for the jobs; skips
    itself, and so the tasks after it, when the workflow is not to run now, with the reason in the log; waits, deferred,
    while another run of the workflow is open. A DagRun by hand, or of a backfill, is not asked about: the first runs
    with its `conf` as the parameters, the second with its data interval as the slice. `unit`: the workflow's conditions
    and jobs as compiled; without it they are taken from the project, which is loaded for that. `decides=False`: the DAG
    itself says when the workflow runs, and no DagRun of its is asked about.
    """

    template_fields: Sequence[str] = (*EmatixOperator.template_fields, "workflow")

    def __init__(
        self,
        *,
        workflow: str,
        unit: Unit | None = None,
        decides: bool = True,
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        super().__init__(**kwargs)
        self.workflow = workflow
        self.unit = unit
        self.decides = decides

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what the tasks of the jobs need to know. Raises AirflowSkipException when it does not run now."""
        return self._open(context)

    def ask_again(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the same, once the run that was waited for has ended."""
        self.log.info("the run that was waited for has ended: %s", event.get("status"))
        return self._open(context)

    def _open(self, context: Context) -> dict[str, Any]:
        from airflow.providers.common.compat.sdk import AirflowSkipException

        from ematix_core.orchestration import Busy, Declined, Gate

        hook = self.hook(context)
        with self.opened(hook) as site:
            unit = self.unit or site.unit(self.workflow)
            gate = Gate(site.store, unit, carrier=carrier(context), is_over=lambda other: is_over(context, other))
            answer = _asked(gate, unit, context) if self.decides else _begun(gate, context)
        if isinstance(answer, Declined):
            raise AirflowSkipException(answer.reason)
        if isinstance(answer, Busy):
            self._wait(answer, hook)
        return self._told(answer.run)

    def _told(self, run: WorkflowRun) -> dict[str, Any]:
        self.log.info("run %s of %s is open, by %s", run.workflow_run_id, self.workflow, run.trigger)
        for line in run.cause:
            self.log.info("because %s", line)
        return {
            "workflow_run_id": run.workflow_run_id,
            "trigger": run.trigger,
            "slice": run.slice,
            "parameters": dict(run.parameters),
        }

    def _wait(self, busy: Busy, hook: EmatixHook) -> NoReturn:
        """Give the worker back until the other run has ended, then ask again."""
        from ematix_provider.triggers import EmatixTrigger

        self.log.info("waits: %s", busy.reason)
        trigger = EmatixTrigger(run_id=busy.run_id, ematix_conn_id=self.ematix_conn_id, directory=hook.site().directory)
        self.defer(trigger=trigger, method_name="ask_again")


def _begun(gate: Gate, context: Context) -> Answer:
    """Open the run that the DAG asks for, with the DagRun's data interval and `conf` as the parameters."""
    run, known = context["dag_run"], data_interval.parameters(context)
    part = data_interval.slice_name(known) if run_type(context) == "backfill" else ""
    trigger = "backfill" if part else "airflow"
    return gate.begin(
        trigger=trigger, slice=part, parameters=known | (run.conf or {}), cause=[f"Airflow's {run.run_id}"]
    )


def _asked(gate: Gate, unit: Unit, context: Context) -> Answer:
    run, kind = context["dag_run"], run_type(context)
    if kind == "backfill":
        return _begun(gate, context)
    if kind not in _AUTOMATIC:  # as by hand natively: without an interval
        return gate.begin(parameters=dict(run.conf or {}), cause=[f"Airflow's {run.run_id}"])
    return gate.ask(tick=woken_for(context), announced=_announced(context, unit))


def _announced(context: Context, unit: Unit) -> Iterator[Announcement]:
    """Yield the events of Airflow's assets that the workflow waits for, by the URI as it was written there."""
    from airflow.sdk import Asset

    from ematix_core.orchestration import Announcement

    names = {Asset(uri=name).uri: name for name in unit.waits_for() if "://" in name}
    for asset, events in context["triggering_asset_events"].items():
        if (name := names.get(getattr(asset, "uri", ""))) is None:
            continue
        for event in events:
            source = (event.source_dag_id, event.source_run_id, event.source_task_id, event.source_map_index)
            yield Announcement(name, "/".join(map(str, (*source, event.timestamp.isoformat()))))
