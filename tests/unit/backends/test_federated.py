"""Several connections as one source: what a job over them does, plans, refuses and closes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import (
    BadRowError,
    DeclarationError,
    MissingSourceError,
    SqlError,
    UnknownConnectionError,
    UnsupportedError,
)
from ematix_core.types import BigInt

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.backends.federated import FederatedSource

Values = Any
"""An Arrow array, of any type."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lake").mkdir()
    orders = {"id": range(1_000), "customer": [n % 10 for n in range(1_000)], "cents": [n % 7 for n in range(1_000)]}
    pq.write_table(pa.table(orders), tmp_path / "lake" / "orders.parquet")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.execute("CREATE TABLE customers (id BIGINT, country TEXT, changed BIGINT)")
        shop.executemany("INSERT INTO customers VALUES (?, ?, ?)", [(n, "DE" if n % 2 else "FR", n) for n in range(10)])
        shop.commit()
    with duckdb.connect(str(tmp_path / "rates.duckdb")) as rates:
        rates.execute("CREATE TABLE vat AS SELECT * FROM (VALUES ('DE', 19), ('FR', 20)) AS t (country, percent)")
    return tmp_path


LAKE = ematix.ObjectStoreConnection("lake", path="lake")
SHOP = ematix.SQLiteConnection("shop", path="shop.db")
RATES = ematix.DuckDBConnection("rates", path="rates.duckdb")
ALL = ematix.FederatedConnection("all", sources=[LAKE, SHOP, RATES])
SALES = """SELECT c.country, count(*) AS orders, sum(o.cents * v.percent) AS vat
    FROM lake."orders.parquet" AS o JOIN shop.customers AS c ON c.id = o.customer JOIN rates.vat AS v USING (country)
    WHERE o.cents > 0 AND c.country = 'DE' GROUP BY ALL"""


def read(sql: str, connection: ematix.FederatedConnection = ALL, **parameters: object) -> pa.Table:
    with closing(registry.source(connection)) as source:
        return source.read(Query(sql=sql, parameters=parameters)).read_all()


def job(sql: str, connection: ematix.Connection = ALL, **options: Any) -> ematix.Job:  # noqa: ANN401 - what a job takes
    @ematix.job(name="sales", source_connection=connection, target="sales", target_connection=RATES, **options)
    def sales() -> str:
        return sql

    return sales


def test_a_job_joins_three_systems_into_one_of_them() -> None:
    assert job(SALES).run().inserted == 1
    with duckdb.connect("rates.duckdb") as rates:
        assert rates.sql("FROM sales").fetchall() == [("DE", 429, 28_500)]


def test_a_plan_says_what_each_system_is_asked() -> None:
    plan = job(SALES).plan()
    asked = [(name, " ".join(sql.split())) for name, sql in plan.asked]
    assert asked == [
        ("lake", 'SELECT "customer", "cents" FROM "orders.parquet" WHERE "cents" > 0'),
        ("shop", 'SELECT "id", "country" FROM "customers" WHERE "country" = \'DE\''),
        ("rates", 'SELECT "country", "percent" FROM "vat"'),
    ]
    assert "asks shop" in str(plan)
    assert [one["connection"] for one in plan.to_dict()["asked"]] == ["lake", "shop", "rates"]


def test_a_query_that_looks_twice_finds_the_rows_both_times() -> None:
    twice = "WITH c AS (SELECT id FROM shop.customers) SELECT count(*) AS n FROM c a JOIN c b USING (id)"
    assert read(twice).to_pylist() == [{"n": 10}]
    assert read("SELECT id FROM shop.customers WHERE id >= (SELECT max(id) FROM shop.customers)").num_rows == 1


def test_a_watermark_goes_to_the_system_of_its_column() -> None:
    sql = "SELECT c.id, c.changed, o.n FROM shop.customers c JOIN (SELECT customer AS id, count(*) AS n"
    sql += ' FROM lake."orders.parquet" GROUP BY ALL) o USING (id)'
    first = job(sql, watermark="changed", mode=ematix.merge(keys=["id"]))
    assert first.run().inserted == 10
    with closing(sqlite3.connect("shop.db")) as shop:
        shop.execute("INSERT INTO customers VALUES (3, 'IT', 99)")
        shop.commit()
    again = first.plan()
    assert dict(again.asked)["shop"].split()[-3:] == ['"changed"', ">=", ":watermark"]
    assert first.run().rows_read == 2  # the newest of the first time, and the new one


def test_functions_of_the_job_run_over_the_join() -> None:
    @ematix.udf(takes=[BigInt], returns=BigInt)
    def twice(value: Values) -> Values:
        return pc.add(value, value)

    job("SELECT twice(c.id) AS n FROM shop.customers c JOIN rates.vat v USING (country)", functions=[twice]).run()
    with duckdb.connect("rates.duckdb") as rates:
        assert rates.sql("SELECT sum(n) FROM sales").fetchall() == [(90,)]


def test_sources_may_be_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMATIX_CONNECTION_SHOP", "sqlite:///shop.db")
    named = ematix.FederatedConnection("named", sources=["shop", LAKE])
    counting = job('SELECT count(*) AS n FROM shop.customers, lake."orders.parquet"', named)
    counting.run()
    with duckdb.connect("rates.duckdb") as rates:
        assert rates.sql("FROM sales").fetchall() == [(10_000,)]
    missing = job("SELECT 1 FROM shpo.x", ematix.FederatedConnection("named", sources=["shpo", LAKE]))
    with pytest.raises(UnknownConnectionError, match="shpo"):
        missing.run()


def test_a_project_knows_the_sources_and_misses_those_that_nobody_declares() -> None:
    federated = ematix.FederatedConnection("named", sources=["elsewhere", LAKE])
    project = ematix.Project.of(job("SELECT 1", federated))
    assert "lake" in project.connections
    assert project.unresolved_connections() == {"elsewhere": ("sales",)}


def test_secrets_of_the_sources_are_resolved_and_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_FILE", "shop.db")
    shop = ematix.SQLiteConnection("shop", path="${SHOP_FILE}")
    job("SELECT id FROM shop.customers", ematix.FederatedConnection("f", sources=[shop])).run()
    secret = ematix.PostgresConnection("crm", url="postgresql://me:hidden@host/db")
    assert "hidden" not in repr(ematix.FederatedConnection("f", sources=[secret]))


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([], "names no connections"),
        ("shop", "names no connections"),
        ([LAKE, ematix.SQLiteConnection("LAKE", path="x")], "two of its sources are named 'lake'"),
        ([ALL], "none that is federated itself"),
        ([3], "3 is no source"),
    ],
)
def test_sources_that_cannot_be_are_refused(sources: Any, said: str) -> None:  # noqa: ANN401 - what a user writes
    with pytest.raises(DeclarationError) as refused:
        ematix.FederatedConnection("all", sources=sources)
    assert said in str(refused.value)


def test_errors_name_the_connection_and_show_the_text_as_it_was_written() -> None:
    with pytest.raises(MissingSourceError) as missing:
        read('SELECT * FROM lake."order.parquet" JOIN shop.customers USING (id)')
    assert "connection lake" in str(missing.value)
    assert "orders.parquet" in str(missing.value)
    with pytest.raises(SqlError) as unknown:
        read("SELECT c.nam FROM shop.customers c")
    assert "nam" in unknown.value.what
    assert "shop.customers c" in unknown.value.statement
    with pytest.raises(SqlError, match="is a table of no source"):
        read("SELECT * FROM customers")


def test_an_error_half_way_is_that_of_the_system(place: Path) -> None:
    (place / "lake" / "bad.csv").write_text("id,n\n" + "1,2\n" * 50_000 + "1,2,3\n")
    for sql in ('SELECT sum(n) FROM lake."bad.csv"', 'SELECT n FROM lake."bad.csv" UNION ALL SELECT 1'):
        with pytest.raises(BadRowError) as bad:
            read(sql)
        assert "bad.csv" in str(bad.value)
        assert "50002" in str(bad.value).replace(",", "")


def test_what_only_one_system_can_do_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cannot be written"):
        registry.target(ALL)

    @ematix.job(source_connection=ALL, source_table="shop.customers", target="t", target_connection=RATES)
    def whole() -> None: ...

    with pytest.raises(UnsupportedError, match="is read by SQL"):
        whole.plan()


def test_a_check_asks_every_system() -> None:
    with closing(registry.source(ALL)) as source:
        answer = source.check()
    assert [part.partition(":")[0] for part in answer.split("; ")] == ["lake", "shop", "rates"]


def test_what_was_opened_is_closed_also_when_the_rows_are_not_read_to_the_end() -> None:
    source: FederatedSource = registry.source(ALL)  # type: ignore[assignment]  # of this kind
    reader = source.read(Query(sql='SELECT * FROM lake."orders.parquet", rates.vat'))
    assert reader.read_next_batch().num_rows
    source.close()
    duckdb.connect("rates.duckdb").close()  # with other settings: nothing of the process holds the file
