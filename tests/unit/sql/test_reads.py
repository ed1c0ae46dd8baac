"""What a query reads, as far as its text tells."""

from __future__ import annotations

import pytest

from ematix_core.backends import registry
from ematix_core.model.table import TableName
from ematix_core.sql import reads

SQLITE = registry.dialect("sqlite")


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM a JOIN x.b USING (id)", {"a", "x.b"}),
        ('SELECT (SELECT max(v) FROM "C c") FROM a', {"C c", "a"}),
        ("this is no SQL at all (", None),
        ("VACUUM a", None),
    ],
)
def test_tables_that_a_query_reads_are_found(sql: str, tables: set[str] | None) -> None:
    found = reads.tables_in(sql, SQLITE)
    assert (found if found is None else {str(table) for table in found}) == tables


@pytest.mark.parametrize(
    ("read", "kind", "same"),
    [
        (TableName("", "orders"), "postgres", True),
        (TableName("Shop", "ORDERS"), "postgres", True),
        (TableName("old", "orders"), "postgres", False),
        (TableName("old", "orders"), "duckdb", True),  # a catalog, perhaps
        (TableName("shop", "order"), "postgres", False),
    ],
)
def test_names_that_may_mean_one_table_are_taken_for_one(read: TableName, kind: str, *, same: bool) -> None:
    assert reads.may_be(read, TableName("shop", "orders"), registry.dialect(kind)) is same


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM shop.Recent", True),
        ('SELECT * FROM "RECENT"', True),
        ("SELECT a AS recent FROM b", True),
        ("SELECT * FROM recently", False),
        ("SELECT * FROM `of today`", True),
        ("SELECT * FROM today", False),
        ('SELECT * FROM "a ""b"" c"', True),
        ('SELECT * FROM U&"rec\\0065nt"', True),
        ("SELECT 1", False),
    ],
)
def test_a_name_counts_wherever_it_stands_in_the_text(sql: str, *, found: bool) -> None:
    assert reads.names_any(sql, ("recent", "of today", 'a "b" c')) is found
