"""A refused statement is shown as the user wrote it, whatever was put around it."""

from __future__ import annotations

from pathlib import Path

import pytest

import ematix_core as ematix
from ematix_core.errors import SqlError
from tests.unit.engine.shop import job

FILES = ematix.ObjectStoreConnection("files", path="drops", format="csv")
TARGETS = {
    "duckdb": ematix.DuckDBConnection("warehouse", path="warehouse.duckdb"),
    "objects": ematix.ObjectStoreConnection("lake", path="lake"),
}


@pytest.fixture(autouse=True)
def _files() -> None:
    Path("drops").mkdir()
    Path("drops/a.csv").write_text("id,name\n1,one\n2,two\n", encoding="utf-8")


def refused(sql: str, kind: str, **options: object) -> SqlError:
    load = job(lambda: sql, target="t", source_connection=FILES, target_connection=TARGETS[kind], **options)
    with pytest.raises(SqlError) as caught:
        load.run()
    return caught.value


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, sum(name) FROM \"a.csv\" WHERE id >= :watermark OR name = ':watermark'",
        'SELECT name,\n  id, sum(name) FROM "*.csv"',
        "SELECT 'ü日本🙂' AS x, id, sum(name) FROM \"a.csv\"",
    ],
)
def test_query_over_files_is_refused_at_its_own_position(kind: str, sql: str) -> None:
    error = refused(sql, kind, watermark="id")
    assert (error.statement, error.position) == (sql, sql.index("sum"))


@pytest.mark.parametrize("kind", TARGETS)
def test_query_over_files_that_fails_while_it_runs_is_shown_alone(kind: str) -> None:
    sql = 'SELECT id, CASE WHEN id = 2 THEN error(name) END AS x FROM "a.csv"'
    error = refused(sql, kind)
    assert (error.what, error.statement, error.position) == ("two", sql, None)


@pytest.mark.parametrize("kind", TARGETS)
def test_incremental_query_is_shown_without_the_filter_around_it(kind: str) -> None:
    sql = {"now": 'SELECT id FROM "a.csv"'}
    load = job(
        lambda: sql["now"], target="t", source_connection=FILES, target_connection=TARGETS[kind], watermark="id"
    )  # fmt: skip
    load.run()
    sql["now"] = 'SELECT id,\n  sum(name) FROM "a.csv"'
    with pytest.raises(SqlError) as caught:
        load.run()
    assert (caught.value.statement, caught.value.position) == (sql["now"], sql["now"].index("sum"))


def test_fault_outside_the_query_is_shown_with_what_is_around_it() -> None:
    inner = "SELECT 1 AS a"
    sent = f'SELECT * FROM (\n{inner}\n) AS q WHERE "b" > 0'
    assert SqlError("no column b", statement=sent, position=sent.index('"b"')).within(inner).statement == sent
    assert SqlError("no column b", statement=sent, position=sent.index("1 AS")).within(inner).position == 7
