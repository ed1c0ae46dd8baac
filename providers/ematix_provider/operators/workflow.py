"""A whole workflow of a project in one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ematix_provider.links import EmatixRunLink
from ematix_provider.operators import data_interval
from ematix_provider.operators.dag_runs import carrier, run_type
from ematix_provider.operators.site import EmatixOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from logging import Logger

    from airflow.sdk import Context

    from ematix_core import WorkflowResult
    from ematix_core.orchestration import Cancellation, OpenSite
    from ematix_provider.stopping import Stoppable


class EmatixWorkflowOperator(EmatixOperator):
    """Runs the jobs of a workflow in the worker, in the order of their dependencies, independent ones at the same time.

    Fails when a job has failed; a further try runs only the jobs that have not succeeded. Jobs make their own retries.
    `parameters`: values for `:name` in SQL, over the DagRun's data interval as `slice_start` and `slice_end`.
    """

    template_fields: Sequence[str] = (*EmatixOperator.template_fields, "workflow", "parameters")
    template_fields_renderers = {"parameters": "json"}  # noqa: RUF012 - as Airflow declares it
    operator_extra_links = (EmatixRunLink(),)

    def __init__(
        self,
        *,
        workflow: str,
        parameters: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        super().__init__(**kwargs)
        self.workflow = workflow
        self.parameters = dict(parameters or {})
        self.run_url = ""
        self._work: Stoppable[WorkflowResult] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the workflow run's id, its status, and the facts of each job's run."""
        from airflow.providers.common.compat.sdk import AirflowException

        from ematix_provider.facts import facts

        hook = self.hook(context)
        with self.opened(hook) as site:
            result = self._run(context, site)
            self.run_url = hook.run_url(result.workflow_run_id)
        if result.status != "succeeded":
            lost = [f"{one.job}: {one.status}. {one.error}" for one in result.outcomes if one.status != "succeeded"]
            raise AirflowException("\n".join([f"workflow {self.workflow} {result.status}", *lost]))
        jobs = {one.job: facts(one.result) for one in result.outcomes if one.result}
        return {"workflow_run_id": result.workflow_run_id, "status": result.status, "jobs": jobs}

    def on_kill(self) -> None:
        """Stop the jobs; `execute` ends when they are rolled back."""
        if self._work is not None:
            self.log.info("Airflow stops the task: the jobs are rolled back")
            self._work.stop()

    @property
    def is_stopped(self) -> bool:
        return self._work is not None and self._work.stopped

    def _run(self, context: Context, site: OpenSite) -> WorkflowResult:
        from ematix_core.orchestration import LoggedProgress, run_whole
        from ematix_provider.stopping import Stoppable

        progress = LoggedProgress(cast("Logger", self.log))
        known = data_interval.parameters(context)
        part = data_interval.slice_name(known) if run_type(context) == "backfill" else ""

        def work(cancellation: Cancellation) -> WorkflowResult:
            return run_whole(
                site, self.workflow, carrier=carrier(context), trigger="airflow", slice=part,
                parameters={**known, **self.parameters}, cancellation=cancellation, progress=progress,
            )  # fmt: skip

        self._work = Stoppable(work)
        return self._work.run()
