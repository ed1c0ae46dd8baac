"""Lineage: which columns of which tables the columns of a query are made of, and what is said when that is unclear."""

from __future__ import annotations

import pytest

from ematix_core.sql.lineage import Sources, column_lineage, columns_of, tables_of

EVERY_DIALECT = pytest.mark.parametrize("dialect", ["postgres", "mysql", "sqlite", "duckdb"])
A, B = ("a", "id"), ("b", "id")


@EVERY_DIALECT
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id, x * 2 AS twice FROM a", {"id": (A,), "twice": (("a", "x"),)}),
        ("SELECT id FROM a WHERE x >= :watermark", {"id": (A,)}),
        ("SELECT :slice_start AS since, count(*) AS n FROM a", {"since": (), "n": ()}),
        ("SELECT upper(name) AS name FROM a WHERE name > 'k' ORDER BY name", {"name": (("a", "name"),)}),
        ("SELECT k AS key_of, sum(x) AS total FROM a GROUP BY k", {"key_of": (("a", "k"),), "total": (("a", "x"),)}),
        (
            "SELECT p.id, q.name, p.x + q.y AS s FROM a AS p LEFT JOIN b AS q ON q.id = p.id",
            {"id": (A,), "name": (("b", "name"),), "s": (("a", "x"), ("b", "y"))},
        ),
        ("SELECT a.x FROM shop.a JOIN b ON a.id = b.id", {"x": (("shop.a", "x"),)}),
        (
            """WITH c AS (SELECT id, max(v) AS top FROM a GROUP BY id), d AS (SELECT id, w FROM b)
            SELECT c.id, c.top, d.w FROM c JOIN d ON d.id = c.id;""",
            {"id": (A,), "top": (("a", "v"),), "w": (("b", "w"),)},
        ),
        ("SELECT id FROM a UNION ALL SELECT id FROM b", {"id": (A, B)}),
        ("SELECT id AS one FROM a UNION ALL SELECT x FROM b", {"one": (A, ("b", "x"))}),
        ("SELECT s.y FROM (SELECT x AS y FROM a) AS s", {"y": (("a", "x"),)}),
        (
            "SELECT id, (SELECT max(z) FROM b WHERE b.id = a.id) AS top FROM a",
            {"id": (A,), "top": (("b", "z"),)},
        ),
        ("SELECT CASE WHEN k > 1 THEN x ELSE y END AS v FROM a", {"v": (("a", "k"), ("a", "x"), ("a", "y"))}),
        ("SELECT id, x FROM (SELECT * FROM a) AS s", {"id": (A,), "x": (("a", "x"),)}),
    ],
)  # fmt: skip
def test_sources_of_each_output_column_are_found(sql: str, expected: dict[str, Sources], dialect: str) -> None:
    assert column_lineage(sql, dialect) == expected


@EVERY_DIALECT
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM a", {"*": (("a", "*"),)}),
        ("SELECT a.*, b.x FROM a JOIN b ON a.id = b.id", {"x": (("b", "x"),), "*": (("a", "*"),)}),
        ("SELECT a.*, b.* FROM a JOIN b ON a.id = b.id", {"*": (("a", "*"), ("b", "*"))}),
        ("SELECT * FROM a UNION ALL SELECT * FROM b", {"*": (("a", "*"), ("b", "*"))}),
        ("SELECT a.id, x FROM a JOIN b ON a.id = b.id", {"id": (A,)}),
        ("SELECT a.id, a.x + y AS s FROM a JOIN b ON a.id = b.id", {"id": (A,)}),
        ("SELECT id, x FROM (SELECT a.*, b.* FROM a, b) AS s", {}),
        ("SELECT count(*), id FROM a", {"id": (A,)}),
    ],
)
def test_what_the_text_does_not_tell_is_left_out(sql: str, expected: dict[str, Sources], dialect: str) -> None:
    assert column_lineage(sql, dialect) == expected


@EVERY_DIALECT
def test_known_columns_tell_what_a_star_is_and_whose_a_column_is(dialect: str) -> None:
    known = {"a": ("id", "x"), "shop.b": ("id", "y")}
    starred = {"id": (A,), "x": (("a", "x"),)}
    assert column_lineage("SELECT * FROM a", dialect, known) == starred
    joined = "SELECT x, y FROM shop.a JOIN shop.b ON shop.a.id = shop.b.id"
    both = {"shop.a": ("id", "x"), "shop.b": ("id", "y")}
    assert column_lineage(joined, dialect, both) == {"x": (("shop.a", "x"),), "y": (("shop.b", "y"),)}


@EVERY_DIALECT
@pytest.mark.parametrize(
    "sql",
    [
        "", "no sql at all", "SELECT", "SELECT 'open", "DELETE FROM a", "SELECT (((", "VALUES (1)", ";",
        "SELECT 1; SELECT 2",
        "SELECT a FROM", "WITH a AS (SELECT 1", "SELECT :", "\0",
    ],
)  # fmt: skip
def test_text_that_is_no_query_has_no_columns_and_raises_nothing(sql: str, dialect: str) -> None:
    assert column_lineage(sql, dialect) == {}
    assert tables_of(sql, dialect) in {(), ("a",)}
    assert columns_of(sql, dialect) is not None


@pytest.mark.parametrize(
    ("dialect", "table", "column"),
    [
        ("postgres", "sales.orders", "id"),  # which folds what is not quoted
        ("mysql", "Sales.Orders", "ID"),
        ("sqlite", "Sales.Orders", "ID"),
        ("duckdb", "Sales.Orders", "ID"),
    ],
)
def test_names_are_those_that_the_system_knows(dialect: str, table: str, column: str) -> None:
    sql = "SELECT o.ID FROM (SELECT ID FROM Sales.Orders) AS o"
    assert column_lineage(sql, dialect) == {column: ((table, column),)}
    assert tables_of(sql, dialect) == (table,)


def test_case_does_not_count_where_the_system_does_not_count_it() -> None:
    sql = "SELECT o.Id FROM (SELECT id FROM Orders) AS O"
    assert column_lineage(sql, "duckdb") == {"Id": (("Orders", "Id"),)}
    assert column_lineage("SELECT * FROM ORDERS", "sqlite", {"Orders": ("Id",)}) == {"Id": (("ORDERS", "Id"),)}


@pytest.mark.parametrize("path", ["orders/*.parquet", "Silver/Orders.csv", "s3://lake/x.y/*.json"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_files_are_tables_of_duckdb(path: str, quote: str) -> None:
    sql = f"SELECT x FROM {quote}{path}{quote} WHERE x > :watermark"
    assert tables_of(sql, "duckdb") == (path,)
    assert column_lineage(sql, "duckdb") == {"x": ((path, "x"),)}


def test_functions_in_from_are_no_tables() -> None:
    sql = "SELECT x, g.i FROM read_csv('a.csv') AS r(x), generate_series(1, 3) AS g(i)"
    assert tables_of(sql, "duckdb") == ()


@EVERY_DIALECT
@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("WITH c AS (SELECT * FROM z) SELECT * FROM c JOIN b ON c.id = b.id", ("b", "z")),
        ("WITH z AS (SELECT * FROM z) SELECT * FROM z", ("z",)),
        ("SELECT 1 FROM a WHERE EXISTS (SELECT 1 FROM x.b) AND k IN (SELECT k FROM c)", ("a", "c", "x.b")),
        ("SELECT 1 FROM a UNION SELECT 2 FROM a UNION SELECT 3 FROM b", ("a", "b")),
        ("WITH RECURSIVE r AS (SELECT id FROM t UNION ALL SELECT t.id FROM t JOIN r ON r.id = t.up) SELECT id FROM r",
         ("t",)),
    ],
)  # fmt: skip
def test_tables_are_those_that_are_read(sql: str, tables: tuple[str, ...], dialect: str) -> None:
    assert tables_of(sql, dialect) == tables


def test_a_recursive_query_is_followed_to_its_table() -> None:
    sql = (
        "WITH RECURSIVE r AS (SELECT id, up FROM t UNION ALL SELECT t.id, t.up FROM t JOIN r ON r.up = t.id)"
        " SELECT id FROM r"
    )
    assert column_lineage(sql, "postgres") == {"id": (("t", "id"),)}


def test_columns_of_an_expression_are_found() -> None:
    assert columns_of("first || ' ' || upper(last) || first", "duckdb") == ("first", "last")
