"""Which tables of which systems a query names, and what it needs of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends.registry import dialect
from ematix_core.errors import SqlError
from ematix_core.model.table import Column, TableName
from ematix_core.sql.federation import Part, looks_once, needs_of, parts_of, query_of
from ematix_core.types import BigInt, Date, Float, Numeric, Text, Timestamp, TimestampTZ

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCES = ("lake", "Shop")
COLUMNS = (
    Column("id", BigInt), Column("Name", Text), Column("price", Numeric), Column("weight", Float), Column("day", Date),
    Column("at", Timestamp), Column("seen", TimestampTZ),
)  # fmt: skip
PART = Part("Shop", TableName("crm", "things"))


def test_tables_are_found_by_the_names_of_the_connections_and_the_rest_of_the_text_stays() -> None:
    sql = """WITH c AS (SELECT * FROM shop.crm.customers) -- all of them
SELECT o.id, c.name FROM lake."orders/*.parquet" AS o JOIN c USING (id), "Shop"."items", range(3)"""
    text, parts = parts_of(sql, SOURCES)
    assert (
        text
        == """WITH c AS (SELECT * FROM "_ematix_0" AS "customers") -- all of them
SELECT o.id, c.name FROM "_ematix_1" AS o JOIN c USING (id), "_ematix_2" AS "items", range(3)"""
    )
    assert parts == (
        Part("Shop", TableName("crm", "customers")), Part("lake", TableName("", "orders/*.parquet")),
        Part("Shop", TableName("", "items")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM orders", "orders is a table of no source"),
        ("SELECT * FROM Shpo.orders", "Did you mean 'Shop'"),
        ("SELECT * FROM lake", "lake is a table of no source"),
        ("SELEC 1 FRM x", "the query cannot be parsed"),
    ],
)
def test_a_table_of_no_source_is_refused_where_it_stands(sql: str, said: str) -> None:
    with pytest.raises(SqlError) as refused:
        parts_of(sql, SOURCES)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("sql", "once"),
    [
        ("SELECT * FROM a JOIN b USING (id) WHERE x > 1 GROUP BY ALL", True),
        ("SELECT * FROM (SELECT * FROM a)", False),
        ("WITH c AS (SELECT * FROM a) FROM c", False),
        ("SELECT * FROM a UNION ALL SELECT * FROM b", False),
        ("SELECT * FROM a WHERE id IN (SELECT id FROM b)", False),
        ("FROM (PIVOT a ON b USING sum(c))", False),
    ],
)
def test_a_query_that_is_one_select_looks_at_each_table_once(sql: str, once: bool) -> None:
    assert looks_once(sql) is once


def asked(sql: str, kind: str = "postgres", **parameters: object) -> str:
    """Return what the query asks of its table, on one line, without quotes."""
    (need,) = needs_of(sql, [COLUMNS], parameters)
    return " ".join(query_of(PART, need, dialect(kind)).replace('"', "").replace("`", "").split())


def where(condition: str, kind: str = "postgres", **parameters: object) -> str:
    """Return the condition that the system is asked for, empty for none."""
    return asked(f'SELECT t.id FROM "_ematix_0" t WHERE {condition}', kind, **parameters).partition(" WHERE ")[2]


def test_only_the_columns_that_are_used_are_asked_for() -> None:
    assert asked('SELECT name FROM "_ematix_0" WHERE id > 3 ORDER BY day') == (
        "SELECT id, Name, day FROM crm.things WHERE id > 3"
    )
    assert asked('SELECT count(*) FROM "_ematix_0"') == "SELECT id FROM crm.things"
    assert asked('SELECT * FROM "_ematix_0"') == "SELECT id, Name, price, weight, day, at, seen FROM crm.things"
    natural = asked('SELECT day FROM "_ematix_0" NATURAL JOIN (SELECT 1 AS id, 2 AS price)')
    assert natural == "SELECT id, price, day FROM crm.things"
    assert asked('SELECT (SELECT t.id) FROM "_ematix_0" t') == "SELECT id FROM crm.things"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COLUMNS(c -> c LIKE 'n%') FROM \"_ematix_0\"",
        "SELECT COLUMNS('n.*') FROM \"_ematix_0\"",
        'SELECT t FROM "_ematix_0" t WHERE t.id = 1',
        'SELECT to_json(t) FROM "_ematix_0" t',
        'SELECT a.id FROM "_ematix_0" a POSITIONAL JOIN range(3)',
        'FROM (UNPIVOT "_ematix_0" ON price, weight)',
        'SELECT id FROM "_ematix_0", LATERAL (SELECT 1)',
        'SELECT nothing_known(1 FROM "_ematix_0"',
    ],
)
def test_where_it_is_not_told_which_columns_are_used_all_are_asked_for(sql: str) -> None:
    assert asked(sql) == "SELECT * FROM crm.things"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("id = 3 AND price < 2.5", "id = 3 AND price < 2.5"),
        ("3 <= id", "3 <= id"),
        ("id BETWEEN -1 AND 5 AND name IN ('a', 'b')", "id BETWEEN -1 AND 5 AND Name IN ('a', 'b')"),
        ("(id = 1 OR name = 'x')", "( id = 1 ) OR ( Name = 'x' )"),
        ("day >= DATE '2026-01-02' AND id IS NOT NULL", "day >= CAST('2026-01-02' AS DATE) AND NOT id IS NULL"),
        ("at < TIMESTAMP '2026-01-02 03:04:05'", "at < CAST('2026-01-02 03:04:05' AS TIMESTAMP)"),
        ("id > 1 AND upper(name) = 'X'", "id > 1"),
        # What another collation orders otherwise, what it takes for equal, what NULL may fulfil, what is rounded:
        *((one, "") for one in (
            "name > 'a'", "name <> 'a'", "name LIKE 'a%'", "NOT (name = 'a')", "id IS NULL", "weight = 0.1",
            "id = price", "id = '3'", "(id = 1 OR upper(name) = 'X')", "id IN (SELECT 1)", "id + 1 = 2",
            "seen > TIMESTAMP '2026-01-02 00:00:00'", "coalesce(id, 0) = 0", "id IS DISTINCT FROM 3", "id <> 3",
        )),
    ],
)  # fmt: skip
def test_a_system_is_asked_for_conditions_that_mean_the_same_there(condition: str, expected: str) -> None:
    assert where(condition) == expected


def test_values_of_parameters_are_compared_by_their_types() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert where("seen >= :mark", mark=now) == "seen >= :mark"
    assert where("at >= :mark", mark=now) == ""
    assert where("at >= :mark", mark=now.replace(tzinfo=None)) == "at >= :mark"
    assert where("day = :mark", mark=now.date()) == "day = :mark"
    assert where("name = :mark", mark="x") == "Name = :mark"
    assert where("id = :mark", mark=None) == ""
    assert where("id = :mark", mark=True) == ""


def test_a_system_that_types_values_is_not_asked_for_times_and_decimals() -> None:
    condition = "id = 1 AND name = 'x' AND price > 1 AND day > DATE '2026-01-02'"
    assert where(condition, "sqlite") == "id = 1 AND Name = 'x'"
    assert where(condition, "mysql") == "id = 1 AND Name = 'x' AND price > 1 AND day > CAST('2026-01-02' AS DATE)"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM (SELECT id, name AS n FROM \"_ematix_0\") q WHERE n = 'x'", "Name = 'x'"),
        ('SELECT * FROM (SELECT * FROM "_ematix_0" WHERE id > 1) q WHERE q.id < 5', "id > 1 AND id < 5"),
        ('SELECT * FROM (SELECT id + 1 AS n FROM "_ematix_0") q WHERE n = 1', ""),
        ('SELECT * FROM (SELECT id FROM "_ematix_0" LIMIT 3) q WHERE id = 1', ""),
        ('SELECT * FROM (SELECT DISTINCT id FROM "_ematix_0") q WHERE id = 1', ""),
        ('SELECT * FROM (SELECT max(id) AS id FROM "_ematix_0") q WHERE id = 1', ""),
        ('SELECT * FROM (SELECT id, row_number() OVER () AS n FROM "_ematix_0") q WHERE id = 1', ""),
        ('WITH q AS (SELECT id FROM "_ematix_0") SELECT * FROM q WHERE id = 1 UNION ALL SELECT * FROM q', ""),
        ('SELECT id FROM "_ematix_0" UNION SELECT 1', ""),
    ],
)
def test_conditions_go_through_subqueries_that_only_choose_columns(sql: str, expected: str) -> None:
    assert asked(sql).partition(" WHERE ")[2] == expected


def test_each_table_of_a_join_is_asked_for_its_own() -> None:
    sql = 'SELECT a.id FROM "_ematix_0" a LEFT JOIN "_ematix_1" b ON a.id = b.id WHERE a.price > 1 AND b.name = \'x\''
    tables: Sequence[Sequence[Column]] = [COLUMNS, COLUMNS]
    texts = [" ".join(query_of(PART, need, dialect("duckdb")).split()) for need in needs_of(sql, tables, {})]
    assert texts == [
        'SELECT "id", "price" FROM "crm"."things" WHERE "price" > 1',
        'SELECT "id", "Name" FROM "crm"."things" WHERE "Name" = \'x\'',
    ]
