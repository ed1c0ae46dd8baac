"""Queries whose tables get other names: every form of a name in FROM, and what is left to the usual way."""

from __future__ import annotations

import pytest

from ematix_core.backends.duck.connection import open_duck
from ematix_core.backends.duck.names import table_names
from ematix_core.backends.duck.renaming import as_asked, renamed, views
from ematix_core.errors import SqlError

U1, U2 = '"_ematix_source_1"', '"_ematix_source_2"'


def rename(sql: str, **parameters: object) -> str | None:
    with open_duck() as duck:
        bound = sql.replace(":w", "$w")
        return renamed(duck, sql, parameters, views(table_names(duck, bound)))


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT orders.k FROM orders", f'SELECT orders.k FROM {U1} AS "orders"'),
        ('SELECT \'ü日本🙂\', o.k FROM "a/*.csv" o', f"SELECT 'ü日本🙂', o.k FROM {U1} o"),
        ("FROM a JOIN B AS x USING (k)", f'FROM {U1} AS "a" JOIN {U2} AS x USING (k)'),
        ('FROM lake . "silver/o" AS s', f"FROM {U1} AS s"),
        ('SELECT o.k FROM lake."o@v3", lake."o@v4" b', f'SELECT o.k FROM {U1} AS "o@v3", {U2} b'),
        ("WITH q AS (FROM t) FROM q, t", f'WITH q AS (FROM {U1} AS "t") FROM q, {U1} AS "t"'),
        ("FROM t WHERE :w < (SELECT 1 FROM t)", f'FROM {U1} AS "t" WHERE :w < (SELECT 1 FROM {U1} AS "t")'),
        ("FROM t TABLESAMPLE 10%", f'FROM {U1} AS "t" TABLESAMPLE 10%'),
        ("FROM t AS v(a, b)", f"FROM {U1} AS v(a, b)"),
        ("FROM t PIVOT (sum(a) FOR b IN (1, 2))", f'FROM {U1} AS "t" PIVOT (sum(a) FOR b IN (1, 2))'),
        ("SELECT 1", "SELECT 1"),
    ],
)  # fmt: skip
def test_tables_get_other_names_and_columns_keep_theirs(sql: str, wanted: str) -> None:
    assert rename(sql, w=1) == wanted


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT silver.orders.k FROM silver.orders",
        'SELECT "silver" . ORDERS.k FROM silver.orders',
        "SUMMARIZE t",
        "FROM a: t",
        "FROM t AT (VERSION => 3)",
    ],
)
def test_what_the_text_does_not_tell_is_left_to_rows_that_travel(sql: str) -> None:
    assert rename(sql) is None


def test_an_error_shows_the_query_as_it_was_asked() -> None:
    error = SqlError("no", statement=f"INSERT INTO t SELECT a FROM {U1}", position=23)
    shown = as_asked(error, f"SELECT a FROM {U1}", "SELECT a FROM orders")
    assert isinstance(shown, SqlError)
    assert (shown.statement, shown.position) == ("INSERT INTO t SELECT a FROM orders", None)
