"""Which queries show one table row by row."""

from __future__ import annotations

import pytest

from ematix_core.sql.rowwise import only_table


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("SELECT * FROM t", "t"),
        ("select a, x.*, b + 1 as c from \"My T\" as x where a > :w and b is not null or not c glob 'z'", "My T"),
        ("SELECT CASE WHEN a THEN b ELSE c END, CAST(a AS TEXT), coalesce(a, b) FROM t WHERE a BETWEEN ? AND ?", "t"),
        ("SELECT a FROM [t a] WHERE b IN (1, 2) -- all of them", "t a"),
    ],
)
def test_a_plain_selection_of_one_table_is_found(sql: str, table: str) -> None:
    assert only_table(sql, "sqlite", without=["rowid"]) == table


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM t", "SELECT total(a) FROM t", "SELECT max(a, b) FROM t",
        "SELECT json_group_array(a) FROM t",
        "SELECT own_function(a) FROM t", "SELECT row_number() OVER () FROM t", "SELECT DISTINCT a FROM t",
        "SELECT a FROM t GROUP BY a", "SELECT a FROM t ORDER BY a", "SELECT a FROM t LIMIT 5", "SELECT a FROM main.t",
        "SELECT * FROM t, u", "SELECT * FROM t JOIN u", "SELECT * FROM t WHERE a IN (SELECT b FROM u)",
        "SELECT (SELECT max(b) FROM u) FROM t", "SELECT * FROM t WHERE EXISTS (SELECT 1)",
        "SELECT * FROM (SELECT * FROM t)",
        "SELECT a FROM t UNION ALL SELECT a FROM u", "WITH q AS (SELECT 1) SELECT * FROM t",
        "SELECT * FROM json_each('[1]')", "SELECT * FROM t INDEXED BY i WHERE a = 1", "SELECT 1", "VALUES (1)",
        "SELECT rowid, * FROM t", "SELECT * FROM t WHERE t.ROWID = 1", "SELECT FROM WHERE", "SELECT 'open",
    ],
)  # fmt: skip
def test_anything_else_is_left_alone(sql: str) -> None:
    assert only_table(sql, "sqlite", without=["rowid"]) is None
