"""Columns told by DuckDB itself are those that the Arrow schema of the same query has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ematix_core import DuckDBConnection, ObjectStoreConnection
from ematix_core.backends import registry
from ematix_core.backends.duck.connection import open_duck, relation
from ematix_core.backends.duck.types import TYPES, plain_columns
from ematix_core.backends.protocols import Query
from ematix_core.model.table import columns_from

if TYPE_CHECKING:
    from pathlib import Path

FURTHER = ("HUGEINT", "UHUGEINT", "DECIMAL(18,3)", "DECIMAL(38,38)", "ENUM('a', 'b')", "BIT", "INTEGER[3]")
FILLED = [
    kind.format(precision=9, scale=2, item="INTEGER", fields="a INTEGER", key="INTEGER", value="VARCHAR")
    for kind in TYPES.values()
]


@pytest.mark.parametrize("kind", sorted({*FILLED, *FURTHER}))
def test_a_type_is_told_as_arrow_has_it_or_left_to_arrow(kind: str) -> None:
    with open_duck() as connection:
        sql = f'SELECT CAST(NULL AS {kind}) AS "a b"'
        told = plain_columns(relation(connection, sql, {}))
        assert told in (None, columns_from(relation(connection, sql, {}).to_arrow_reader(1).schema))


@pytest.mark.parametrize("columns", ["1 AS a, DATE '2026-01-31' AS b", "1 AS a, INTERVAL 1 DAY AS b"])
def test_a_source_tells_the_columns_of_its_schema(columns: str, tmp_path: Path) -> None:
    with open_duck(tmp_path / "shop.duckdb") as connection:
        connection.execute("CREATE TABLE t (a INTEGER)")
        connection.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path / 't.parquet'}' (FORMAT parquet)")
    for connection_ in (
        DuckDBConnection(name="shop", path=str(tmp_path / "shop.duckdb")),
        ObjectStoreConnection(name="files", path=str(tmp_path)),
    ):
        source = registry.source(connection_)
        name = "t" if connection_.kind == "duckdb" else '"t.parquet"'
        query = Query(sql=f"SELECT {columns} FROM {name}")
        told: Any = source  # not every source has `columns`
        assert told.columns(query) == columns_from(source.schema(query))
        source.close()
