"""A project with every kind of edge. Its paths are relative, so that each copy of the file is a world by itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import ematix_core as ematix
from ematix_core.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

crm = ematix.SQLiteConnection("crm", path="crm.db")
lake = ematix.SQLiteConnection("lake", path="lake.db")
landing = ematix.ObjectStoreConnection("landing", path="landing")

BY_HAND = "0 4 1 1 *"
"""A tick that no test sees: what has it is started by hand."""


def loads(name: str, **options: Any) -> Callable[[Callable[..., Any]], ematix.Job]:  # noqa: ANN401 - of @job
    return ematix.job(name=name, target=name, target_connection=lake, **options)


@loads("orders", source_connection=crm, mode=ematix.merge(keys=["id"]))
def orders() -> str:
    return "SELECT id, region, amount FROM orders"


@loads("by_region", source_connection=lake, mode="truncate", depends_on=[orders])
def by_region() -> str:
    return "SELECT region, sum(amount) AS amount FROM orders GROUP BY region"


@loads("large", source_connection=lake, mode="truncate", depends_on=[orders], priority=3, owner="ada", tags="finance")
def large() -> str:
    return "SELECT id, amount FROM orders WHERE amount > 20"


@loads("report", source_connection=lake, depends_on=[by_region, large])
def report() -> str:
    return "SELECT r.region, r.amount, count(l.id) AS large FROM by_region r, large l GROUP BY r.region, r.amount"


@loads("totals", source_connection=lake, mode="truncate", depends_on=[orders])
def totals() -> str:
    """Be a job by itself: no workflow has it."""
    return "SELECT count(*) AS orders FROM orders"


def row(name: str, **options: Any) -> ematix.Job:  # noqa: ANN401 - of @job
    return loads(name, **options)(lambda: pa.table({"n": [1]}))


@loads("flaky", retries=ematix.Retry(retries=2, delay=0.1))
def flaky() -> pa.Table:
    mark = Path("flaky.tried")
    if not mark.exists():
        mark.touch()
        raise ConnectError("the line is down")
    return pa.table({"n": [1, 2]})


@loads("broken", retries=3)
def broken() -> pa.Table:
    raise ValueError("broken on purpose")


@loads("slow")
def slow() -> Iterator[pa.RecordBatch]:
    """Never ends, unless the file `quick` is there."""
    yield pa.record_batch({"n": [1]})
    Path("slow.began").touch()
    while not Path("quick").exists():
        time.sleep(0.05)
        yield pa.record_batch({"n": [2]})


@loads("patient")
def patient() -> pa.Table:
    time.sleep(4)
    return pa.table({"n": [1]})


@loads("letter")
def letter(run: Any) -> pa.Table:  # noqa: ANN401 - the run's context
    return pa.table({"text": [run.parameters["message"]["text"]]})


@loads("days", source_connection=crm)
def days() -> str:
    return "SELECT id, :slice_start AS since FROM orders WHERE day >= :slice_start AND day < :slice_end"


sales = ematix.workflow(
    "sales", jobs=[orders, by_region, large, report], owner="grace", tags="finance", schedule=BY_HAND
)
stock = ematix.workflow("stock", jobs=[row("stock_level")], schedule=BY_HAND)
both = ematix.workflow("both", jobs=[row("b")], triggered_by=[sales, stock])
either = ematix.workflow("either", jobs=[row("e")], triggered_by=ematix.any_of(sales, stock))
after_any = ematix.any_of(sales, "broken")
nested = ematix.workflow("nested", jobs=[row("n")], triggered_by=ematix.all_of(after_any, report))
minutely = ematix.workflow("minutely", jobs=[row("m")], triggered_by=stock, schedule="* * * * *")
outside = ematix.workflow("outside", jobs=[row("o")], triggered_by="s3://lake/drop/")
kept = ematix.workflow("kept", jobs=[patient], triggered_by="stock_level")
trying = ematix.workflow("trying", jobs=[flaky], schedule=BY_HAND)
after = row("after", depends_on=[broken])
failing = ematix.workflow("failing", jobs=[broken, row("beside"), after], schedule=BY_HAND)
never = ematix.workflow("never", jobs=[row("never_row")], triggered_by=failing)
stopped = ematix.workflow("stopped", jobs=[slow], schedule=BY_HAND)
letters = ematix.workflow("letters", jobs=[letter], on_message=ematix.inbox("in", connection=landing, path="*.json"))
daily = ematix.workflow("daily", jobs=[days], schedule="0 0 * * *", catchup="none")
