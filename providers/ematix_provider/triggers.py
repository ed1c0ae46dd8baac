"""The trigger that waits for a run of the store to end, without a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from ematix_core.errors import EmatixError, StoreError, is_transient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ematix_core.orchestration import RunEnd, RunWatch

POLL_SECONDS = 5.0
FIRST_LOOK_SECONDS = 10.0
"""A task that goes on sooner than its worker is cleared away, which takes 5 s, Airflow takes for failed.

https://github.com/apache/airflow/issues/71580, https://github.com/apache/airflow/issues/72716
"""


class EmatixTrigger(BaseTrigger):
    """Fires once what it waits for has come: `{"run_id": ..., "status": ..., "error": ...}`.

    It waits for the end of the run (of a job or a workflow) `run_id`; or for a success of `workflow`, or of `job`, that
    has ended at or after `since` (ISO 8601). Looks at the store every `poll_seconds`, first after 10 s. It keeps
    nothing, so a triggerer that starts anew goes on; while the store does not answer, it waits.
    """

    def __init__(
        self,
        *,
        run_id: str = "",
        workflow: str = "",
        job: str = "",
        since: str = "",
        ematix_conn_id: str = "ematix_default",
        directory: str = "",
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self._waits_for = {"run_id": run_id, "workflow": workflow, "job": job, "since": since}
        self._ematix_conn_id = ematix_conn_id
        self._directory = directory
        self._poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes an equal trigger, in any triggerer. Holds no secret."""
        return "ematix_provider.triggers.EmatixTrigger", {
            **self._waits_for,
            "ematix_conn_id": self._ematix_conn_id,
            "directory": self._directory,
            "poll_seconds": self._poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        self._watch()  # which says at once what is wrong with it
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        look = sync_to_async(self._look, thread_sensitive=False)  # a store that is slow holds up no other trigger
        while (end := await look()) is None:  # noqa: ASYNC110 - a database tells nobody when it changes
            await asyncio.sleep(self._poll_seconds)
        told = {"run_id": end.run_id, "status": end.status, "error": end.error}
        yield TriggerEvent(told)  # type: ignore[no-untyped-call]  # Airflow gives it no types

    def _watch(self) -> RunWatch:
        from ematix_provider.watching import run_watch

        return run_watch(**self._waits_for)

    def _look(self) -> RunEnd | None:
        from ematix_provider.hooks import EmatixHook

        try:
            with EmatixHook(self._ematix_conn_id, directory=self._directory).site().opened() as site:
                return self._watch().look(site.store)
        except EmatixError as error:
            if not (is_transient(error) or isinstance(error, StoreError)):
                raise
            self.log.warning("the store does not answer, asking again: %s", error)
            return None
