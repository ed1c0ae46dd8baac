"""Which queries treat each row by itself, and how it is asked for which rows one fails."""

from __future__ import annotations

import pytest

from ematix_core.sql.trying import failing, tracing

CAST = "SELECT id, CAST(price AS INT) AS price FROM source"


@pytest.mark.parametrize(
    ("sql", "traced"),
    [
        ("SELECT a FROM source", "SELECT a, source._n FROM source"),
        ("select a from source s where b > 0", "SELECT a, s._n FROM source AS s WHERE b > 0"),
        ("SELECT a, n FROM source JOIN users USING (id)", "SELECT a, n, source._n FROM source JOIN users USING (id)"),
        ("SELECT * FROM source", "SELECT * FROM source"),
        ("SELECT s.*, a + 1 AS b FROM source s", "SELECT s.*, a + 1 AS b FROM source s"),
        ("SELECT DISTINCT a FROM source", None),
        ("SELECT a FROM source ORDER BY a LIMIT 1", None),
        ("SELECT a, count(*) FROM source GROUP BY a", None),
        ("SELECT max(a) FROM source", None),
        ("SELECT a, sum(b) OVER () FROM source", None),
        ("SELECT a FROM source QUALIFY row_number() OVER (PARTITION BY a) = 1", None),
        ("SELECT a FROM source WHERE a IN (SELECT b FROM users)", None),
        ("SELECT a FROM source TABLESAMPLE 3%", None),
        ("SELECT a FROM source UNION ALL SELECT a FROM source", None),
        ("WITH s AS (SELECT a FROM source) SELECT a FROM s", None),
        ("SELECT a FROM users", None),
        ("SELECT FROM WHERE", None),
    ],
)
def test_a_row_is_traced_through_a_query_that_treats_each_by_itself(sql: str, traced: str | None) -> None:
    assert tracing(sql, "source", "_n") == traced
    if traced is None:
        assert failing(sql, "source", "_n") is None


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        (CAST, "TRY(CAST(price AS INT)) IS NULL AND NOT price IS NULL"),
        ("SELECT * REPLACE (a::INT AS a) FROM source", "TRY(CAST(a AS INT)) IS NULL AND NOT a IS NULL"),
        ("SELECT a FROM source WHERE a::INT > 2", "TRY(CAST(a AS INT) > 2) IS NULL AND NOT a IS NULL"),
        (
            "SELECT a / b AS c FROM source WHERE d",
            "TRY(d) AND (TRY(a / b) IS NULL AND NOT a IS NULL AND NOT b IS NULL)",
        ),
    ],
)
def test_a_row_fails_where_something_gives_null_of_values(sql: str, wanted: str) -> None:
    assert failing(sql, "source", "_n") == f"SELECT DISTINCT source._n FROM source WHERE {wanted}"


def test_a_query_that_computes_nothing_fails_for_no_row() -> None:
    assert failing("SELECT a, b AS c, 1 AS d, * FROM source WHERE e", "source", "_n") is None
