"""Runs of one slice of a job's data, and parameters of runs, on each embedded database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.engine import run_job
from ematix_core.errors import DeclarationError, SqlError
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.engine.body import Reader, RunContext
    from ematix_core.store import RunStore

START = datetime(2026, 1, 1, tzinfo=UTC)
CONNECTIONS = {
    "duckdb": ematix.DuckDBConnection("db", path="db.duckdb"),
    "sqlite": ematix.SQLiteConnection("db", path="db.sqlite"),
}


@pytest.fixture
def store() -> Iterator[RunStore]:
    with open_store("memory:") as opened:
        yield opened


@pytest.fixture(params=list(CONNECTIONS))
def database(request: pytest.FixtureRequest, store: RunStore) -> ematix.Connection:
    """Return a database with ten days of events, one each six hours."""
    connection = CONNECTIONS[request.param]
    times = [START + timedelta(hours=6 * n) for n in range(40)]

    @ematix.job(target="events", target_connection=connection)
    def events() -> pa.Table:
        naive = [at.replace(tzinfo=None) for at in times]
        return pa.table({"n": range(40), "moment": pa.array(times, pa.timestamp("us", "UTC")), "naive": naive})

    run_job(events, store=store)
    return connection


def day(number: int) -> dict[str, str]:
    start = START + timedelta(days=number)
    return {"slice_start": start.isoformat(), "slice_end": (start + timedelta(days=1)).isoformat()}


def declared(connection: ematix.Connection, sql: str, **options: Any) -> ematix.Job:  # noqa: ANN401 - what @job takes
    @ematix.job(name="copy", source_connection=connection, target="copied", target_connection=connection, **options)
    def body() -> str:
        return sql

    made: ematix.Job = body
    return made


def numbers(connection: ematix.Connection, store: RunStore) -> list[int]:
    found: list[int] = []

    @ematix.job(name="look", source_connection=connection, target="seen", target_connection=connection, mode="truncate")
    def body(conn: Reader) -> pa.Table:
        table = conn.query("SELECT n FROM copied ORDER BY n")
        found.extend(row["n"] for row in table.to_pylist())
        return table

    run_job(body, store=store)
    return found


def test_the_limits_of_a_slice_are_bound_in_sql(database: ematix.Connection, store: RunStore) -> None:
    copy = declared(database, "SELECT n, moment FROM events WHERE moment >= :slice_start AND moment < :slice_end")
    run_job(copy, store=store, slice="day 2", parameters=day(2))
    run_job(copy, store=store, slice="day 0", parameters=day(0))
    assert numbers(database, store) == [0, 1, 2, 3, 8, 9, 10, 11]


@pytest.mark.parametrize("column", ["moment", "naive"])
def test_the_watermark_column_says_what_belongs_to_a_slice(
    database: ematix.Connection, store: RunStore, column: str
) -> None:
    copy = declared(database, f"SELECT n, {column} FROM events", watermark=column)
    run_job(copy, store=store, slice="day 1", parameters=day(1))
    assert numbers(database, store) == [4, 5, 6, 7]


def test_slices_do_not_move_the_mark_of_the_ordinary_loads(database: ematix.Connection, store: RunStore) -> None:
    copy = declared(database, "SELECT n, moment FROM events", watermark="n")
    bounds = {"slice_start": 30, "slice_end": 40}
    run_job(copy, store=store, slice="30", parameters=bounds)
    assert run_job(copy, store=store).rows_read == 40


def test_a_run_that_has_no_slice_says_which_parameter_has_no_value(
    database: ematix.Connection, store: RunStore
) -> None:
    copy = declared(database, "SELECT n, moment FROM events WHERE moment >= :slice_start")
    with pytest.raises(SqlError, match="no value for the parameter :slice_start"):
        run_job(copy, store=store)


def test_a_slice_that_would_append_everything_again_is_refused(database: ematix.Connection, store: RunStore) -> None:
    with pytest.raises(DeclarationError, match="each would append all of them again"):
        run_job(declared(database, "SELECT n FROM events"), store=store, slice="day 1", parameters=day(1))


def test_a_slice_that_would_replace_the_others_is_refused(database: ematix.Connection, store: RunStore) -> None:
    sql = "SELECT n FROM events WHERE moment < :slice_end"
    with pytest.raises(DeclarationError, match="only the last slice would be left"):
        run_job(declared(database, sql, mode="truncate"), store=store, slice="day 1", parameters=day(1))


def test_a_whole_table_is_replaced_in_every_slice_where_the_sql_says_nothing_of_slices(
    database: ematix.Connection, store: RunStore
) -> None:
    copy = declared(database, "SELECT count(*) AS n FROM events", mode="truncate")
    run_job(copy, store=store, slice="day 1", parameters=day(1))
    assert numbers(database, store) == [40]


def test_a_function_reads_its_parameters_from_the_run(database: ematix.Connection, store: RunStore) -> None:
    @ematix.job(name="copy", target="copied", target_connection=database)
    def body(run: RunContext) -> pa.Table:
        return pa.table({"n": [run.parameters["message"]["n"]]})

    run_job(body, store=store, parameters={"message": {"n": 7}, "position": "7.json"})
    assert numbers(database, store) == [7]


def test_other_parameters_are_bound_by_their_names(database: ematix.Connection, store: RunStore) -> None:
    copy = declared(database, "SELECT n FROM events WHERE n = :position")
    run_job(copy, store=store, parameters={"message": {"a": 1}, "position": 5})
    assert numbers(database, store) == [5]
