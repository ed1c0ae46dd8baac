"""One declaration for three engines: every mode, several targets, shapes of graphs, triggers, failures, slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

import ematix_core as ematix
from ematix_core.errors import ConnectError

if TYPE_CHECKING:
    from ematix_core.engine.body import RunContext

crm = ematix.SQLiteConnection("crm", path="crm.db")
lake = ematix.SQLiteConnection("lake", path="lake.db")
warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")

BY_HAND = "0 4 1 1 *"
"""A tick that no test sees: what has it is started by hand."""


# Every mode, in a diamond.


@ematix.job(target="events", source_connection=crm, target_connection=lake, mode="append", watermark="id")
def events() -> str:
    return "SELECT id, kind, amount FROM events"


@ematix.job(target="customers", source_connection=crm, target_connection=lake, mode=ematix.merge(keys="id"))
def customers() -> str:
    return "SELECT id, city FROM customers"


@ematix.job(
    target="customers_history",
    source_connection=crm,
    target_connection=lake,
    mode=ematix.scd2(keys="id", compare=["city"], event_time="updated_at", deletes="ignore"),
)
def customers_history() -> str:
    return "SELECT id, city, updated_at FROM customers"


@ematix.job(target="by_kind", source_connection=lake, target_connection=lake, mode="truncate", depends_on=[events])
def by_kind() -> str:
    return "SELECT kind, sum(amount) AS amount FROM events GROUP BY kind"


@ematix.job(
    target="report",
    source_connection=lake,
    target_connection=warehouse,
    mode="truncate",
    depends_on=[by_kind, customers, customers_history],
)
def report() -> str:
    return "SELECT kind, amount, (SELECT count(*) FROM customers) AS customers FROM by_kind"


load = ematix.workflow(
    "load",
    jobs=[events, customers, customers_history, by_kind, report],
    schedule=BY_HAND,
)


# One read into two systems, after it; and after others.


@ematix.job(
    source_connection=lake,
    targets=[
        ematix.target("copy", connection=lake, mode="truncate"),
        ematix.target("copy", connection=warehouse, mode="truncate"),
    ],
)
def copy() -> str:
    return "SELECT id, kind FROM events WHERE amount > 1"


def one_row(name: str) -> ematix.Job:
    return ematix.job(name=name, target=name, target_connection=lake)(lambda: pa.table({"n": [1]}))


fan_out = ematix.workflow("fan_out", jobs=[copy], triggered_by=load)
stock = ematix.workflow("stock", jobs=[one_row("stock_level")], schedule=BY_HAND)
both = ematix.workflow("both", jobs=[one_row("after_both")], triggered_by=[load, stock])
either = ematix.workflow("either", jobs=[one_row("after_either")], triggered_by=ematix.any_of(load, "stock_level"))
nested = ematix.workflow(
    "nested", jobs=[one_row("after_nested")], triggered_by=ematix.all_of(ematix.any_of(load, "broken"), report)
)


@ematix.job(target="totals", source_connection=lake, target_connection=lake, mode="truncate", depends_on=[events])
def totals() -> str:
    """Count events; a job by itself, which no workflow has."""
    return "SELECT count(*) AS events FROM events"


# Failures: one that goes away, one that does not, and what waits for that.


@ematix.job(target="flaky", target_connection=lake, retries=ematix.Retry(retries=2, delay=0.1))
def flaky() -> pa.Table:
    mark = Path("flaky.tried")
    if not mark.exists():
        mark.touch()
        raise ConnectError("the line is down")
    return pa.table({"n": [1, 2]})


@ematix.job(target="broken", source_connection=crm, target_connection=lake, retries=2)
def broken() -> str:
    return "SELECT id FROM nowhere"


@ematix.job(target="after_broken", target_connection=lake, depends_on=[broken])
def after_broken() -> pa.Table:
    return pa.table({"n": [1]})


trying = ematix.workflow("trying", jobs=[flaky], schedule=BY_HAND)
failing = ematix.workflow("failing", jobs=[broken, after_broken, one_row("beside")], schedule=BY_HAND)
never = ematix.workflow("never", jobs=[one_row("never_row")], triggered_by=failing)


# Days of a zone in which one of them has 23 hours.


@ematix.job(target="days", target_connection=lake, mode=ematix.merge(keys="since"))
def days(run: RunContext) -> pa.Table:
    """Keep which slices there were."""
    return pa.table({"since": [str(run.parameters["slice_start"])], "until": [str(run.parameters["slice_end"])]})


daily = ematix.workflow("daily", jobs=[days], schedule="0 0 * * *", timezone="Europe/Berlin")
