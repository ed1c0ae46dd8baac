"""What a load finds that has changed since it was planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.engine import run_job
from ematix_core.engine.bookkeeping import TableChangedError
from ematix_core.store import open_store
from tests.unit.engine.shop import job, table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa


def run(body: Callable[[], Any], warehouse: ematix.Connection, **options: Any) -> ematix.RunResult:  # noqa: ANN401 - options of a job
    """Run the job in a store of its own, as another host without a common store would."""
    with open_store("memory:") as store:
        return run_job(job(body, target="people", target_connection=warehouse, **options), store=store)


def test_a_run_that_was_overtaken_by_another_of_the_same_job_loads_nothing() -> None:
    warehouse = ematix.MemoryConnection("warehouse")
    rows = table([(1, "a", 1)])
    run(lambda: rows, warehouse)

    def overtaken() -> pa.Table:
        run(lambda: rows, warehouse)
        return rows

    with pytest.raises(TableChangedError, match="another run of this job has loaded the table"):
        run(overtaken, warehouse)
    assert warehouse.table("people").num_rows == 2


def test_the_next_attempt_of_an_overtaken_run_loads_what_is_left() -> None:
    warehouse = ematix.MemoryConnection("warehouse")
    run(lambda: table([(1, "a", 1)]), warehouse, watermark="changed")
    calls: list[int] = []

    def overtaken_once() -> pa.Table:
        calls.append(1)
        if len(calls) == 1:
            run(lambda: table([(1, "a", 1), (2, "b", 2)]), warehouse, watermark="changed")
        return table([(1, "a", 1), (2, "b", 2), (3, "c", 3)])

    result = run(overtaken_once, warehouse, watermark="changed", retries=1)
    assert (len(calls), result.inserted) == (2, 1)
    assert warehouse.table("people").sort_by("id").column("id").to_pylist() == [1, 2, 3]
