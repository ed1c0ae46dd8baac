"""The sensor that waits for a run of ematix, wherever that runs: in Airflow, under our scheduler, by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from ematix_provider.operators import data_interval
from ematix_provider.operators.site import DEFAULT_CONNECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from ematix_core.orchestration import RunEnd
    from ematix_provider.hooks import EmatixHook


class EmatixRunSensor(BaseSensorOperator):
    """Waits for the end of the run `run_id`, or for a success of `workflow` or `job`.

    The run has to end well: the task fails, without further tries, when it has failed, was cancelled, or is not there.
    A success counts when it has ended at or after `since` (ISO 8601, templated), default the start of the DagRun's data
    interval, else the time that the DagRun is for. `deferrable`: waits in the triggerer, and not in a worker, looking
    every `poke_interval` seconds. Returns the run's id.
    """

    template_fields: Sequence[str] = ("ematix_conn_id", "directory", "run_id", "workflow", "job", "since")
    ui_color = "#e8e4f8"

    def __init__(
        self,
        *,
        run_id: str = "",
        workflow: str = "",
        job: str = "",
        since: str = "",
        ematix_conn_id: str = DEFAULT_CONNECTION,
        directory: str = "",
        deferrable: bool = True,
        poke_interval: float = 5.0,
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.run_id = run_id
        self.workflow = workflow
        self.job = job
        self.since = since
        self.ematix_conn_id = ematix_conn_id
        self.directory = directory
        self.deferrable = deferrable

    def execute(self, context: Context) -> str:
        """Return the run's id when it has come. Raises TaskDeferred to wait in the triggerer."""
        if not self.deferrable:
            return str(super().execute(context))
        end = self._look(context)
        return self._wait(context) if end is None else self._ended(end)

    def _wait(self, context: Context) -> NoReturn:
        from ematix_provider.triggers import EmatixTrigger

        trigger = EmatixTrigger(
            **self._waits_for(context), ematix_conn_id=self.ematix_conn_id,
            directory=self._hook(context).site().directory,
            poll_seconds=self.poke_interval,
        )  # fmt: skip
        self.defer(trigger=trigger, method_name="resume", timeout=timedelta(seconds=self.timeout))

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        end = self._look(context)
        return PokeReturnValue(is_done=end is not None, xcom_value=None if end is None else self._ended(end))

    def resume(self, context: Context, event: dict[str, str]) -> str:  # noqa: ARG002 - Airflow passes it
        """Return the run's id after the wait in the triggerer."""
        from ematix_core.orchestration import RunEnd

        return self._ended(RunEnd(**event))

    def _look(self, context: Context) -> RunEnd | None:
        from ematix_core.errors import EmatixError
        from ematix_provider.failures import airflow_error
        from ematix_provider.watching import run_watch

        try:
            watch = run_watch(**self._waits_for(context))
            self.log.info("waits for %s", watch)
            with self._hook(context).site().opened() as site:
                return watch.look(site.store)
        except EmatixError as error:
            raise airflow_error(error) from error.__cause__

    def _waits_for(self, context: Context) -> dict[str, str]:
        known = {"run_id": self.run_id, "workflow": self.workflow, "job": self.job}
        return {**known, "since": "" if self.run_id else self.since or _begin(context)}

    def _hook(self, context: Context) -> EmatixHook:
        from ematix_provider.hooks import EmatixHook

        folder = str(Path(context["dag"].fileloc).parent)
        return EmatixHook(self.ematix_conn_id, directory=self.directory, default_directory=folder)

    def _ended(self, end: RunEnd) -> str:
        from airflow.providers.common.compat.sdk import AirflowFailException

        if end.status != "succeeded":
            raise AirflowFailException(f"run {end.run_id}: {end.status}. {end.error}".rstrip(". "))
        self.log.info("run %s has succeeded", end.run_id)
        return end.run_id


def _begin(context: Context) -> str:
    """Return when the data interval begins; without one, the time that the DagRun is for."""
    return str(data_interval.parameters(context).get("slice_start") or context["dag_run"].run_after.isoformat())
