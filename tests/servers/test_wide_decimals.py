"""Decimals of more than 38 digits pass from server to server; where DuckDB shapes the rows, the plan refuses them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.errors import UnsupportedError
from ematix_core.query.batches import BatchSql
from ematix_core.query.local import run_sql
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job

REFUSED = r"'n' is decimal256\(50, 10\)(.|\n)*at most 38 digits(.|\n)*numeric\(38, 10\)"
WIDE = pa.table({"k": [1], "n": pa.array([Decimal("1.5")], pa.decimal256(50, 10))})


@pytest.fixture
def crm() -> Iterator[Connection]:
    with database("postgres") as url:
        execute(url, "CREATE TABLE s (k bigint, n numeric(50, 10))")
        execute(url, "INSERT INTO s VALUES (1, 1234567890123456789012345678901234567890.5)")
        yield ematix.PostgresConnection("crm", url=url)


@pytest.fixture
def shop() -> Iterator[Connection]:
    with database("mysql") as url:
        execute(url, "CREATE TABLE s (k bigint, n decimal(50, 10))")
        yield ematix.MySQLConnection("shop", url=url)


def copy(source: Connection, target: Connection, sql: str = "SELECT k, n FROM s", **options: Any) -> Job:  # noqa: ANN401 - those of a job
    @ematix.job(name="copy", source_connection=source, target="t", target_connection=target, **options)
    def found() -> str:
        return sql

    return found


def test_wide_decimals_pass_where_duckdb_has_no_part(crm: Connection, shop: Connection) -> None:
    assert copy(crm, shop).run().inserted == 1
    assert copy(shop, crm, mode=ematix.scd2(keys="k")).run().inserted == 0


@pytest.mark.parametrize("options", [{"mode": ematix.scd2(keys="k")}, {"transforms": [ematix.limit(3)]}])
def test_wide_decimal_that_duckdb_would_shape_is_refused_when_planned(
    crm: Connection, shop: Connection, options: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedError, match=REFUSED):
        copy(crm, shop, **options).plan()
    cast = copy(crm, shop, "SELECT k, CAST(n AS text) AS n FROM s", **options)
    assert cast.run().inserted == 1


def test_wide_decimal_of_one_of_several_systems_is_refused_with_its_table(crm: Connection, shop: Connection) -> None:
    both = ematix.FederatedConnection("both", sources=[crm, shop])
    with pytest.raises(UnsupportedError, match=REFUSED) as caught:
        copy(both, crm, "SELECT a.k FROM crm.s AS a JOIN shop.s AS b ON a.k = b.k").plan()
    assert "connection crm, table s" in caught.value.where


def test_wide_decimal_of_a_table_in_memory_is_refused_with_its_table(crm: Connection) -> None:
    with pytest.raises(UnsupportedError, match=REFUSED) as caught:
        copy(ematix.MemoryConnection("lists", tables={"s": WIDE}), crm).plan()
    assert "table s of connection lists" in caught.value.where


@pytest.mark.parametrize("rows", [WIDE, pa.table({"n": pa.array([[Decimal(1)]], pa.list_(pa.decimal256(50, 10)))})])
def test_wide_decimal_that_shows_itself_while_rows_pass_is_refused_alike(rows: pa.Table) -> None:
    batches = BatchSql("SELECT * FROM source", "source")
    try:
        with pytest.raises(UnsupportedError, match=REFUSED):
            batches.run(rows)
        with pytest.raises(UnsupportedError, match=REFUSED):
            batches.keep("prices", rows)
    finally:
        batches.close()
    with pytest.raises(UnsupportedError, match=REFUSED):
        run_sql("SELECT * FROM source", rows.to_reader(), "source")
