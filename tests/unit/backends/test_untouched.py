"""Columns that a query only hands on: another type for them changes nothing else."""

from __future__ import annotations

import duckdb
import pytest

from ematix_core.backends.duck.untouched import untouched

QUERIES = {
    "SELECT * FROM t": "abc",
    "FROM t": "abc",
    "SELECT a, b FROM t": "ab",
    'SELECT "A", B FROM t': "ab",
    "SELECT s.* FROM t s": "abc",
    "SELECT s.a FROM t s": "a",
    "SELECT t.a, s.b FROM t": "a",
    "SELECT *, a FROM t": "abc",
    "SELECT * FROM t LIMIT 3": "abc",
    "SELECT a FROM t ORDER BY b": "a",
    "SELECT * FROM t WHERE b > 1": "ac",
    "SELECT * EXCLUDE (a) FROM t": "bc",
    "SELECT * REPLACE (upper(a) AS a) FROM t": "bc",
    "SELECT * RENAME (a AS z) FROM t": "bc",
    "SELECT * FROM (SELECT * FROM t) AS x WHERE c > 1": "ab",
    "SELECT * FROM (SELECT a, b + 1 AS b FROM t) AS x": "a",
    "SELECT a, (SELECT max(b) FROM t) FROM t": "a",
    "SELECT a AS b FROM t": "",
    "SELECT a, upper(a) AS u FROM t": "",
    "SELECT CAST(a AS INTEGER) AS a FROM t": "",
    "SELECT first_value(a) OVER () AS a FROM t": "",
    "SELECT r.a FROM t": "",
    "SELECT COLUMNS(*) FROM t": "",
    "SELECT * FROM t ORDER BY ALL": "",
    "SELECT DISTINCT * FROM t": "",
    "SELECT a, count(*) FROM t GROUP BY a": "",
    "SELECT a FROM t QUALIFY row_number() OVER () = 1": "",
    "SELECT * FROM t JOIN s USING (a)": "",
    "SELECT * FROM t, s": "",
    "SELECT * FROM t UNION ALL SELECT * FROM s": "",
    "WITH x AS (SELECT * FROM t) SELECT * FROM x": "",
    "SELECT * FROM t AS x(a, b)": "",
    "SELECT * FROM range(3)": "",
    "SELECT 1": "",
    "PIVOT t ON a USING sum(b)": "",
    "no SQL": "",
}


@pytest.mark.parametrize("sql", QUERIES)
def test_columns_that_stand_by_themselves_are_untouched(sql: str) -> None:
    with duckdb.connect() as connection:
        assert untouched(connection, sql, "abc") == frozenset(QUERIES[sql])
