"""The project of the fleet: FLEET_SIZE workflows of one job each, which all wait for the success of one other job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa

import ematix_core as ematix

if TYPE_CHECKING:
    from ematix_core.engine.body import RunContext

warehouse = ematix.PostgresConnection("warehouse", url=os.environ["FLEET_WAREHOUSE"])
patient = ematix.Retry(retries=20, delay=0.5, backoff="fixed")


@ematix.job(name="start", target="start", target_connection=warehouse)
def start() -> pa.Table:
    """Return a row; the tests record its success themselves."""
    return pa.table({"n": [1]})


def declare(number: int) -> ematix.Workflow:
    """Return a workflow whose job appends one row a load."""

    @ematix.job(name=f"job{number}", target=f"rows{number}", target_connection=warehouse, retries=patient)
    def body(run: RunContext) -> pa.Table:
        return pa.table({"load": [run.run_id]})

    return ematix.workflow(f"flow{number}", jobs=[body], triggered_by=["start"])


for flow in [declare(number) for number in range(int(os.environ["FLEET_SIZE"]))]:
    globals()[flow.name] = flow
