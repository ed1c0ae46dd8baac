"""Running one job: modes end to end, marks, retries, cancelling, the record."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core import pk
from ematix_core.engine.cancel import Cancellation, TimeoutExceededError
from ematix_core.engine.progress import Silent
from ematix_core.errors import CancelledError, ConnectError, RunError
from ematix_core.store import Status, open_store
from ematix_core.types import BigInt, Text, TimestampTZ  # noqa: TC001 - the table decorator reads them
from tests.unit.engine.shop import day, job, rows_of, table

if TYPE_CHECKING:
    from collections.abc import Iterator

STORE = "sqlite:///.ematix/runs.db"


def test_an_append_adds_every_row_each_time(warehouse: ematix.Connection) -> None:
    load = job(lambda: table([(1, "a", 1), (1, "a", 1)]), target="t", target_connection=warehouse)

    assert [load.run().inserted, load.run().inserted] == [2, 2]
    assert rows_of("SELECT count(*) FROM t") == [(4,)]


def test_an_incremental_append_keeps_ties_at_the_mark_and_doubles_none(warehouse: ematix.Connection) -> None:
    rows = [(1, "a", 1), (2, "b", 2)]
    load = job(lambda: table(rows), target="t", target_connection=warehouse, watermark="changed")
    load.run()
    rows += [(3, "c", 2), (2, "b", 2)]  # a tie at the mark, and the same row a second time

    result = load.run()

    assert (result.rows_read, result.inserted, result.unchanged) == (3, 2, 1)
    assert rows_of("SELECT id FROM t ORDER BY id") == [(1,), (2,), (2,), (3,)]


def test_a_row_that_changed_after_the_mark_is_added_although_its_key_is_there(warehouse: ematix.Connection) -> None:
    @ematix.table()
    class Visits:
        id: Annotated[BigInt, pk()]
        name: Text | None
        changed: TimestampTZ

    rows = [(1, "a", 1), (2, "b", 2)]
    load = job(lambda: table(rows), target=Visits, target_connection=warehouse, watermark="changed")
    load.run()
    rows[:] = [(2, "b", 2), (2, "c", 3)]

    assert load.run().inserted == 1
    assert rows_of("SELECT name FROM visits WHERE id = 2 ORDER BY ALL") == [("b",), ("c",)]


def test_the_watermark_reaches_sql_and_body(warehouse: ematix.Connection) -> None:
    seen = []
    source = ematix.MemoryConnection("source", tables={"rows": table([(1, "a", 1), (2, "b", 2)])})

    def body(watermark: object) -> str:
        seen.append(watermark)
        return "SELECT * FROM rows WHERE changed >= :watermark"

    load = job(body, source_connection=source, target="t", target_connection=warehouse, watermark="changed")

    assert [load.run().rows_read, load.run().rows_read] == [2, 1]
    assert seen == [None, day(2)]


def test_rows_without_a_watermark_value_are_loaded_once_and_reported(warehouse: ematix.Connection) -> None:
    rows = table([(1, "a", 1)]).set_column(2, "changed", pa.array([None], pa.timestamp("us", "UTC")))
    load = job(lambda: rows, target="t", target_connection=warehouse, watermark="changed")

    assert load.run().targets[0].warnings == ("1 rows have no changed: later incremental loads will not see them",)


def test_the_same_database_on_both_sides_sends_nothing_over_the_wire(warehouse: ematix.Connection) -> None:
    job(lambda: table([(1, "a", 1), (2, "b", 2)]), target="t", target_connection=warehouse).run()
    count = job(lambda: "SELECT count(*) AS n FROM t", target="counts", target_connection=warehouse, mode="truncate")

    assert "nothing crosses the wire" in str(count.plan())
    assert count.run().inserted == 1
    assert rows_of("SELECT n FROM counts") == [(2,)]


def test_a_table_may_be_replaced_by_a_query_over_itself(warehouse: ematix.Connection) -> None:
    job(lambda: table([(1, "a", 1), (2, "b", 2)]), target="t", target_connection=warehouse).run()
    thin = job(lambda: "SELECT * FROM t WHERE id = 2", target="t", target_connection=warehouse, mode="truncate")

    assert thin.run().inserted == 1
    assert rows_of("SELECT id FROM t") == [(2,)]


def test_batches_of_an_iterator_are_loaded_as_they_come(warehouse: ematix.Connection) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(5):
            yield from table([(number, "x", 1)]).to_batches()

    assert job(batches, target="t", target_connection=warehouse).run().inserted == 5


def test_an_error_half_way_leaves_nothing_in_the_target(warehouse: ematix.Connection) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from table([(1, "x", 1)]).to_batches()
        raise ValueError("the disk caught fire")

    with pytest.raises(RunError, match="the disk caught fire"):
        job(batches, target="t", target_connection=warehouse).run()
    assert rows_of("SELECT count(*) FROM duckdb_tables()") == [(0,)]


def test_a_transient_error_is_retried_and_every_attempt_recorded(warehouse: ematix.Connection) -> None:
    attempts = []

    def flaky(run: object) -> pa.Table:
        attempts.append(run)
        if len(attempts) < 3:
            raise ConnectError("the line is down")
        return table([(1, "a", 1)])

    policy = ematix.Retry(retries=2, delay=0.01)
    result = job(flaky, target="t", target_connection=warehouse, retries=policy).run()

    assert result.attempts == 3
    with open_store(STORE) as store:
        states = [attempt.status for attempt in store.attempts(result.run_id)]
    assert states == [Status.FAILED, Status.FAILED, Status.SUCCEEDED]


def test_a_permanent_error_is_not_retried(warehouse: ematix.Connection) -> None:
    calls = []

    def broken() -> pa.Table:
        calls.append(1)
        raise RunError("it will never work")

    with pytest.raises(RunError, match="never work"):
        job(broken, target="t", target_connection=warehouse, retries=5).run()
    assert len(calls) == 1


def test_an_attempt_beyond_its_timeout_is_rolled_back(warehouse: ematix.Connection) -> None:
    def slow() -> Iterator[pa.RecordBatch]:
        while True:
            time.sleep(0.02)
            yield from table([(1, "x", 1)]).to_batches()

    with pytest.raises(TimeoutExceededError, match=r"timeout of 0\.3 s"):
        job(slow, target="t", target_connection=warehouse, timeout=0.3).run()
    assert rows_of("SELECT count(*) FROM duckdb_tables()") == [(0,)]


def test_a_run_can_be_cancelled_from_another_thread(warehouse: ematix.Connection) -> None:
    button = Cancellation()

    def endless() -> Iterator[pa.RecordBatch]:
        while True:
            time.sleep(0.02)
            yield from table([(1, "x", 1)]).to_batches()

    threading.Timer(0.3, button.cancel).start()
    with pytest.raises(CancelledError):
        job(endless, target="t", target_connection=warehouse).run(cancellation=button)
    with open_store(STORE) as store:
        assert store.runs()[0].status is Status.CANCELLED


def test_a_run_is_recorded_with_its_counts_plan_and_log(warehouse: ematix.Connection) -> None:
    result = job(lambda: table([(1, "a", 1)]), target="t", target_connection=warehouse).run()

    with open_store(STORE) as store:
        run = store.run(result.run_id)
        messages = [line.message for line in store.logs(result.run_id)]
    assert result.plan is not None
    first = result.plan.targets[0].columns[0]
    assert (first.name, first.type.label()) == ("id", "BigInt")
    assert (run.status, run.rows_read, run.inserted, run.plan_hash) == (Status.SUCCEEDED, 1, 1, result.plan.hash())
    assert any("attempt 1 of job load starts" in message for message in messages)


def test_a_job_that_waits_for_another_says_what_it_waits_for(warehouse: ematix.Connection) -> None:
    started, go_on = threading.Event(), threading.Event()
    waits: list[str] = []

    class Watch(Silent):
        def waiting(self, job: str, text: str) -> None:  # noqa: ARG002 - the protocol's signature
            waits.append(text)
            go_on.set()

    def slow() -> pa.Table:
        started.set()
        assert go_on.wait(20)
        return table([(1, "a", 1)])

    first = ematix.job(name="first", target="a", target_connection=warehouse)(slow)
    thread = threading.Thread(target=first.run)
    thread.start()
    assert started.wait(20)
    job(lambda: table([(1, "a", 1)]), target="b", target_connection=warehouse).run(progress=Watch())
    thread.join()

    assert waits == ["waits for warehouse.duckdb, which another job holds (up to 60 s)"]
    assert rows_of("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)") == [(1, 1)]
