"""Which queries a column can be carried through."""

from __future__ import annotations

import pytest

from ematix_core.sql.carried import carrying


@pytest.mark.parametrize(
    ("sql", "carried"),
    [
        ("SELECT a FROM source", "SELECT a, source._p FROM source"),
        ("select a, b + 1 as c from source s where b > 0", "SELECT a, b + 1 AS c, s._p FROM source AS s WHERE b > 0"),
        (
            "SELECT a FROM source JOIN users USING (id)",
            "SELECT a, source._p FROM source JOIN users USING (id)",
        ),
        ("SELECT a, _p FROM source", None),
        ("SELECT * FROM source", None),
        ("SELECT s.* FROM source s", None),
        ("SELECT DISTINCT a FROM source", None),
        ("SELECT a, count(*) FROM source GROUP BY a", None),
        ("SELECT max(a) FROM source", None),
        ("SELECT a FROM source LIMIT 3", None),
        ("SELECT a FROM source UNION ALL SELECT a FROM source", None),
        ("SELECT a FROM (SELECT a FROM source)", None),
        ("SELECT FROM WHERE", None),
    ],
)
def test_column_is_carried_through_a_query_that_gives_each_row_a_row(sql: str, carried: str | None) -> None:
    assert carrying(sql, "source", "_p") == carried
