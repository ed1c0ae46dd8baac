"""Tables and files by OpenLineage's names: https://openlineage.io/docs/spec/naming."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import UnknownConnectionError
from ematix_core.orchestration import Site, dataset

if TYPE_CHECKING:
    from pathlib import Path

POSTGRES = ematix.PostgresConnection("shop", url="postgresql://me:secret@db.example.com/shop")
MYSQL = ematix.MySQLConnection("crm", url="mysql://me:secret@db.example.com:3307/crm")
SQLITE = ematix.SQLiteConnection("file", path="shop.db")
DUCKDB = ematix.DuckDBConnection("warehouse", path="/data/warehouse.duckdb")
OBJECTS = ematix.ObjectStoreConnection("lake", path="/data/lake")
MEMORY = ematix.MemoryConnection("memory")


@pytest.mark.parametrize(
    ("connection", "table", "namespace", "name"),
    [
        (POSTGRES, "orders", "postgres://db.example.com:5432", "shop.public.orders"),
        (POSTGRES, "sales.orders", "postgres://db.example.com:5432", "shop.sales.orders"),
        (MYSQL, "orders", "mysql://db.example.com:3307", "crm.orders"),
        (MYSQL, "sales.orders", "mysql://db.example.com:3307", "sales.orders"),
        (SQLITE, "orders", "sqlite://{folder}/shop.db", "orders"),
        (DUCKDB, "main.orders", "duckdb:///data/warehouse.duckdb", "main.orders"),
        (OBJECTS, "orders/*.parquet", "file", "/data/lake/orders/*.parquet"),
        (MEMORY, "orders", "memory", "orders"),
    ],
)
def test_a_table_has_the_name_of_its_system(
    tmp_path: Path, connection: ematix.Connection, table: str, namespace: str, name: str
) -> None:
    with Site(directory=str(tmp_path), store="memory:").opened() as site:
        found = dataset(site.of(), connection, table)
    assert (found.namespace, found.name) == (namespace.format(folder=tmp_path), name)


def test_an_unknown_connection_is_named(tmp_path: Path) -> None:
    with (
        Site(directory=str(tmp_path), store="memory:").opened() as site,
        pytest.raises(UnknownConnectionError, match="no connection is named 'lost'"),
    ):
        dataset(site.of(), "lost", "orders")
