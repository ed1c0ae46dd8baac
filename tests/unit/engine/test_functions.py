"""Jobs whose SQL calls functions of the user's: each source that runs in ematix, and those that do not."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import FunctionError, UnsupportedError
from ematix_core.model import normalize
from ematix_core.types import BigInt, Double
from tests.unit.engine.shop import rows_of
from tests.unit.query.aggregates import weighted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core.model.connection import Connection
Values = Any
"""An Arrow array or table, of any type."""

SALES = pa.table({"id": [1, 2, 3], "shop": [1, 1, 2], "price": [4.0, 8.0, 5.0], "cost": [1.0, 4.0, 0.0]})
MARGINS = [(1, 3.0), (2, 4.0), (3, 5.0)]


@ematix.udf(takes=[Double, Double], returns=Double)
def margin(price: Values, cost: Values) -> Values:
    return pc.subtract(price, cost)


def memory(_: Path) -> Connection:
    return ematix.MemoryConnection("sales", tables={"sales": SALES})


def parquet(folder: Path) -> Connection:
    (folder / "lake").mkdir()
    pq.write_table(SALES, folder / "lake" / "sales.parquet")
    return ematix.ObjectStoreConnection("sales", path=str(folder / "lake"))


def loaded(connection: Connection) -> Connection:
    @ematix.job(target="sales", target_connection=connection)
    def sales() -> pa.Table:
        return SALES

    sales.run()
    return connection


def duckdb(folder: Path) -> Connection:
    return loaded(ematix.DuckDBConnection("sales", path=str(folder / "sales.duckdb")))


def delta(folder: Path) -> Connection:
    return loaded(ematix.DeltaConnection("sales", path=str(folder / "delta")))


def sqlite(folder: Path) -> Connection:
    return loaded(ematix.SQLiteConnection("sales", path=str(folder / "sales.sqlite")))


def read(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    source = registry.source(connection)
    try:
        return [tuple(row.values()) for row in source.read(Query(sql=query)).read_all().to_pylist()]
    finally:
        source.close()


SOURCES = [memory, parquet, duckdb, delta]


@pytest.mark.parametrize("make", SOURCES)
def test_sql_that_runs_in_ematix_calls_functions(
    make: Callable[[Path], Connection], tmp_path: Path, warehouse: Connection
) -> None:
    name = "sales.parquet" if make is parquet else "sales"

    @ematix.job(source_connection=make(tmp_path), target="margins", target_connection=warehouse, functions=margin)
    def margins() -> str:
        return f'SELECT id, margin(price, cost) AS margin FROM "{name}" ORDER BY id'

    assert margins.run().inserted == 3
    assert rows_of("SELECT id, margin FROM margins ORDER BY id") == MARGINS


@pytest.mark.parametrize("make", [memory, duckdb])
def test_a_database_may_be_source_and_target_of_a_job_with_functions(
    make: Callable[[Path], Connection], tmp_path: Path
) -> None:
    database = make(tmp_path)

    @ematix.job(target="shops", target_connection=database, functions=[weighted], mode="truncate")
    def shops() -> str:
        return "SELECT shop, weighted(price, cost) AS price FROM sales GROUP BY shop"

    assert shops.run().inserted == 2
    assert shops.run().inserted == 2
    assert read(database, "SELECT shop, price FROM shops ORDER BY shop") == [(1, 7.2), (2, None)]


def test_a_query_for_another_database_that_calls_a_function_is_refused_when_it_is_planned(
    tmp_path: Path, warehouse: Connection
) -> None:
    @ematix.job(source_connection=sqlite(tmp_path), target="margins", target_connection=warehouse, functions=margin)
    def margins() -> str:
        return "SELECT id, MARGIN (price, cost) AS margin FROM sales"

    with pytest.raises(UnsupportedError) as refused:
        margins.plan()
    assert refused.value.what == "the SQL of the job runs in sqlite, where there is no function margin"
    assert "normalize.derive('margin(...)')" in refused.value.hint


def test_rows_of_another_database_are_shaped_by_functions_on_the_way(tmp_path: Path, warehouse: Connection) -> None:
    @ematix.table
    class Margins:
        id: BigInt
        price: Double
        cost: Double
        margin: Annotated[Double, normalize.derive("margin(price, cost)")]

    @ematix.job(
        source_connection=sqlite(tmp_path), target=Margins, target_connection=warehouse, functions=margin,
        transforms=ematix.filter_where("margin(price, cost) > 3.5"),
    )  # fmt: skip
    def margins() -> str:
        return "SELECT id, price, cost FROM sales WHERE 'margin(1)' <> ''"  # a text is no call

    assert margins.plan().targets[0].notes
    assert margins.run().inserted == 2
    assert rows_of("SELECT id, margin FROM margins ORDER BY id") == MARGINS[1:]


@pytest.mark.parametrize("make", SOURCES)
def test_a_function_that_raises_ends_the_job_with_its_name_and_its_exception(
    make: Callable[[Path], Connection], tmp_path: Path, warehouse: Connection
) -> None:
    @ematix.udf(takes=[Double], returns=Double)
    def broken(value: Values) -> Values:
        return pa.array([1 / one for one in value.to_pylist()], pa.float64())

    name = "sales.parquet" if make is parquet else "sales"

    @ematix.job(source_connection=make(tmp_path), target="margins", target_connection=warehouse, functions=broken)
    def margins() -> str:
        return f'SELECT id, broken(cost) AS margin FROM "{name}"'

    with pytest.raises(FunctionError) as raised:
        margins.run()
    assert raised.value.what == "the function raised ZeroDivisionError: float division by zero"
    assert "function broken" in raised.value.where
    assert "job margins" in raised.value.where
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_the_own_queries_of_a_body_call_functions(tmp_path: Path, warehouse: Connection) -> None:
    @ematix.job(source_connection=memory(tmp_path), target="margins", target_connection=warehouse, functions=margin)
    def margins(conn: Any) -> Values:  # noqa: ANN401 - a reader
        return conn.query("SELECT id, margin(price, cost) AS margin FROM sales")

    assert margins.run().inserted == 3


PROCESS = """
import pyarrow as pa, pyarrow.compute as pc
import ematix_core as ematix
from ematix_core.types import Double

sales = ematix.MemoryConnection("sales", tables={"sales": pa.table({"price": [1.0]})})

@ematix.udf(takes=[Double], returns=Double)
def twice(value):
    return pc.multiply(value, 2.0)

@ematix.job(target="twice", target_connection=sales, functions=twice)
def job():
    return "SELECT twice(price) AS price FROM sales"

assert job.run().inserted == 1
"""


def test_nothing_holds_a_function_when_the_process_ends(tmp_path: Path) -> None:
    """DuckDB's binding complains on stderr about functions that refer to the database that has them."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
