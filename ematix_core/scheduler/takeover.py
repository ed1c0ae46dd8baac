"""Runs that nobody carries out: those of dead schedulers and processes, and those whose beginning was not heard of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.execution import Executions
    from ematix_core.store import SchedulerStore

_log = logging.getLogger(__name__)


def take_over(store: SchedulerStore, executions: Executions, units: Mapping[str, Unit], token: int) -> None:
    """Carry on what another scheduler left, and close what any other dead process left. Raises StoreError."""
    for record in store.orphans(token=token):
        unit = units.get(record.workflow)
        if record.token is None:
            store.abandon(record.workflow_run_id, "its process ended without a result", token=token)
        elif unit is None:
            error = "its scheduler died, and the project no longer declares it"
            store.abandon(record.workflow_run_id, error, token=token)
        else:
            _log.info("run %s of %s is taken over", record.workflow_run_id, record.workflow)
            executions.adopt(store.adopt(record.workflow_run_id, token=token), unit)


def claim_unheard(store: SchedulerStore, executions: Executions, units: Mapping[str, Unit], token: int) -> None:
    """Carry out runs that this scheduler began although the answer to the COMMIT was lost. Raises StoreError."""
    known = {run.id for run in executions.open}
    for record in store.workflow_runs(status=Status.RUNNING, limit=None):
        if record.token == token and record.workflow_run_id not in known and record.workflow in units:
            executions.adopt(record, units[record.workflow])
