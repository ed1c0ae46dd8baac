"""Which calls of functions are taken out of a query, and what remains of it."""

from __future__ import annotations

import pytest

from ematix_core.sql.hoisting import Hoisted, HoistedCall, Parameter, hoisted

FUNCTIONS = {
    "net": (Parameter("DOUBLE", "double"), Parameter("DOUBLE", "double")),
    "upper_case": (Parameter("VARCHAR", "text"),),
}
COLUMNS = {"price": "double", "cost": "double", "n": "long", "name": "text"}


@pytest.mark.parametrize(
    ("sql", "remains", "calls"),
    [
        ("SELECT net(price, cost) FROM source", "", [("net", 0, ("price", "cost"))]),
        ("SELECT NET(s.Price, s.cost) AS v FROM source s", "", [("net", 0, ("price", "cost"))]),
        (
            "SELECT id, net(price, n) AS v, n + 1 AS more FROM source",
            "SELECT id, n + 1 AS more, CAST(n AS DOUBLE) AS _ematix_0 FROM source",
            [("net", 1, ("price", ""))],
        ),
        (
            "SELECT net(price, cost) AS a, upper_case(name) AS b, * FROM source",
            "SELECT * FROM source",
            [("net", 0, ("price", "cost")), ("upper_case", 1, ("name",))],
        ),
        (
            "SELECT upper_case(name) AS a, *, net(1, cost) AS b, n FROM source",
            "SELECT *, n, CAST(1 AS DOUBLE) AS _ematix_0 FROM source",
            [("upper_case", 0, ("name",)), ("net", -2, ("", "cost"))],
        ),
        (  # which rows remain, only the query says
            "SELECT net(price, cost) AS v FROM source WHERE n > 1",
            "SELECT CAST(price AS DOUBLE) AS _ematix_0, CAST(cost AS DOUBLE) AS _ematix_1 FROM source WHERE n > 1",
            [("net", 0, ("", ""))],
        ),
        (  # a field of a struct, not a column of the table
            "SELECT upper_case(thing.name) FROM source",
            "SELECT CAST(thing.name AS TEXT) AS _ematix_0 FROM source",
            [("upper_case", 0, ("",))],
        ),
    ],
)
def test_calls_that_are_whole_columns_are_taken_out(
    sql: str, remains: str, calls: list[tuple[str, int, tuple[str, ...]]]
) -> None:
    expected = Hoisted(remains, tuple(HoistedCall(*call) for call in calls))
    assert hoisted(sql, "source", COLUMNS, FUNCTIONS) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM source",
        "SELECT net(price, cost) + 1 FROM source",
        "SELECT CASE WHEN cost > 0 THEN net(price, cost) END FROM source",
        "SELECT upper_case(name), net(net(price, cost), cost) FROM source",
        "SELECT upper_case(name) FROM source WHERE net(price, cost) > 1",
        "SELECT net(price, cost), sum(n) OVER (ORDER BY n) FROM source",
        "SELECT net(max(price), 1) FROM source",
        "SELECT DISTINCT net(price, cost) FROM source",
        "SELECT net(price, cost) AS v FROM source ORDER BY n",
        "SELECT net(price, cost) FROM source LIMIT 3",
        "SELECT net(price, cost) FROM other",
        "SELECT net(price, u.cost) FROM source JOIN users u USING (id)",
        "SELECT net(price) FROM source",
        "SELECT *, net(price, cost), * FROM source",
        "SELECT net(price, cost) FROM source UNION ALL SELECT 1",
        "SELECT FROM WHERE",
    ],
)
def test_a_call_that_only_the_query_can_make_stays(sql: str) -> None:
    assert hoisted(sql, "source", COLUMNS, FUNCTIONS) is None
