"""The last task of a workflow's DAG: ends the workflow run that the first one opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from ematix_provider.operators.dag_runs import carrier, woken_for
from ematix_provider.operators.site import EmatixOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from ematix_core.orchestration import Unit


class EmatixCloseOperator(EmatixOperator):
    """Ends the workflow run with what Airflow says of the tasks, and announces a success by its `outlets`.

    Meant as the teardown of the gate: `close.as_teardown(setups=gate)`, so that it runs though jobs have failed, and
    not when the gate has skipped. `tasks`: the id of the task that runs each job, by the job's name. When the workflow
    has not succeeded the task is skipped, after it has recorded that: then nothing is announced. `again`: the URI of an
    asset that wakes the same DAG; it is updated when the workflow is due again and nothing else is going to wake it.
    """

    template_fields: Sequence[str] = (*EmatixOperator.template_fields, "workflow")

    def __init__(
        self,
        *,
        workflow: str,
        gate_task_id: str,
        tasks: Mapping[str, str],
        unit: Unit | None = None,
        again: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        if again is not None:
            kwargs["outlets"] = [*kwargs.get("outlets", ()), AssetAlias(again)]
        super().__init__(**kwargs)
        self.workflow = workflow
        self.gate_task_id = gate_task_id
        self.tasks = dict(tasks)
        self.unit = unit
        self.again = again

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the workflow run's id and status. Raises AirflowSkipException when it has not succeeded."""
        from airflow.providers.common.compat.sdk import AirflowSkipException

        from ematix_core.orchestration import Gate, close

        opened = context["ti"].xcom_pull(task_ids=self.gate_task_id)
        if not opened:
            raise AirflowSkipException(
                f"{self.gate_task_id} has opened no run of {self.workflow}: nothing is to be closed"
            )
        states = self._states(context)
        with self.opened(self.hook(context)) as site:
            unit = self.unit or site.unit(self.workflow)
            run = close(site.store, unit, opened["workflow_run_id"], carrier=carrier(context), states=states)
            gate = Gate(site.store, unit, carrier=carrier(context))
            if self.again is not None and gate.unheard(tick=woken_for(context)):
                self.log.info("%s is due again: its DAG is woken once more", self.workflow)
                context["outlet_events"][AssetAlias(self.again)].add(Asset(self.again))
        self.log.info("run %s of %s: %s", run.workflow_run_id, self.workflow, run.status)
        if run.status != "succeeded":
            raise AirflowSkipException(f"{self.workflow} {run.status}, which nobody is told as a success. {run.error}")
        known: dict[str, Any] = {"workflow_run_id": run.workflow_run_id, "status": str(run.status)}
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra = known
        return known

    def _states(self, context: Context) -> dict[str, str]:
        """Return what Airflow says of each job, by its name."""
        ti = context["ti"]
        found = ti.get_task_states(ti.dag_id, task_ids=list(self.tasks.values()), run_ids=[ti.run_id])
        states = found.get(ti.run_id, {})
        return {job: str(states[task_id]) for job, task_id in self.tasks.items() if states.get(task_id)}
