"""One job of a project as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ematix_provider.links import EmatixRunLink
from ematix_provider.operators import data_interval
from ematix_provider.operators.dag_runs import carrier, is_over, run_type
from ematix_provider.operators.site import EmatixOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from logging import Logger

    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from ematix_core import RunResult
    from ematix_core.orchestration import Cancellation, CompiledJob, OpenSite
    from ematix_provider.lineage import Movement
    from ematix_provider.stopping import Stoppable


class EmatixJobOperator(EmatixOperator):
    """Runs a job of the project in the worker, one attempt a try: Airflow's retries are attempts of one run.

    `gate_task_id`: the gate that opened the workflow run which this belongs to; without it the job's run is its own,
    and gets the DagRun's data interval as `slice_start` and `slice_end`. `parameters`: values for `:name` in the job's
    SQL, over those. `compiled`: the job as compiled, for OpenLineage. What is Permanent is not tried again.
    """

    template_fields: Sequence[str] = (*EmatixOperator.template_fields, "job", "parameters")
    template_fields_renderers = {"parameters": "json"}  # noqa: RUF012 - as Airflow declares it
    operator_extra_links = (EmatixRunLink(),)

    def __init__(
        self,
        *,
        job: str,
        gate_task_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        compiled: CompiledJob | None = None,
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.gate_task_id = gate_task_id
        self.parameters = dict(parameters or {})
        self.compiled = compiled
        self.run_url = ""
        self._work: Stoppable[RunResult] | None = None
        self._moved: Movement | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the facts of the run, for XCom: id, counts, seconds, the plan's hash."""
        from ematix_provider.facts import attach, facts
        from ematix_provider.lineage import movement

        hook = self.hook(context)
        with self.opened(hook) as site:
            result = self._attempt(context, site)
            self.run_url = hook.run_url(result.run_id)
            if self.compiled is not None:
                self._moved = movement(site, self.compiled, result)
        attach(context, self.outlets, result)
        return facts(result)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:  # noqa: ARG002 - what OpenLineage calls
        """Return what the run has moved, for the OpenLineage provider; None for a job that was not compiled."""
        return self._moved.facets() if self._moved is not None else None

    def on_kill(self) -> None:
        """Stop the load; `execute` ends when it is rolled back."""
        if self._work is not None:
            self.log.info("Airflow stops the task: the load is rolled back")
            self._work.stop()

    @property
    def is_stopped(self) -> bool:
        return self._work is not None and self._work.stopped

    def declared(self, site: OpenSite) -> OpenSite:
        """Return the site whose project has the job."""
        return site

    def _attempt(self, context: Context, site: OpenSite) -> RunResult:
        from ematix_core.orchestration import LoggedProgress, run_attempt
        from ematix_provider.stopping import Stoppable

        ti = context["ti"]
        options = self._carried(context)
        site = self.declared(site)

        def work(cancellation: Cancellation) -> RunResult:
            return run_attempt(
                site, self.job, carrier=carrier(context), again=ti.try_number <= ti.max_tries,
                is_over=lambda other: is_over(context, other),
                cancellation=cancellation, progress=LoggedProgress(cast("Logger", self.log)), **options,
            )  # fmt: skip

        self._work = Stoppable(work)
        return self._work.run()

    def _carried(self, context: Context) -> dict[str, Any]:
        """Return what the run belongs to, its slice and its parameters."""
        if self.gate_task_id is not None:
            opened = context["ti"].xcom_pull(task_ids=self.gate_task_id) or {}
            return {
                "workflow_run_id": opened.get("workflow_run_id"),
                "trigger": opened.get("trigger", "airflow"),
                "slice": opened.get("slice", ""),
                "parameters": {**opened.get("parameters", {}), **self.parameters},
            }
        known = data_interval.parameters(context)
        part = data_interval.slice_name(known) if run_type(context) == "backfill" else ""
        return {"trigger": "airflow", "slice": part, "parameters": {**known, **self.parameters}}
