"""Rows read inside the target's own session: names of the source never stand for tables of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.model.connection import (
    DeltaConnection,
    DuckDBConnection,
    MemoryConnection,
    ObjectStoreConnection,
)
from ematix_core.model.job import job

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection

pytestmark = pytest.mark.slow

SOURCES = ("delta", "objects")
TARGETS = ("duckdb", "memory", "delta", "objects")
MODES = ("append", "truncate", "merge", "scd2")
TAKEN = [(kind, mode) for kind in TARGETS for mode in MODES if kind != "objects" or mode in {"append", "truncate"}]


def _connection(kind: str, folder: Path) -> Connection:
    match kind:
        case "delta":
            return DeltaConnection(folder.name, path=str(folder / "delta"))
        case "objects":
            return ObjectStoreConnection(folder.name, path=str(folder / "objects"))
        case "duckdb":
            folder.mkdir(exist_ok=True)
            return DuckDBConnection(folder.name, path=str(folder / "w.duckdb"))
    return MemoryConnection(folder.name)


def _load(rows: pa.Table, target: Connection, table: str = "orders") -> None:
    job(name="fill", target=table, target_connection=target)(lambda: rows).run()


def _rows(connection: Connection, table: str = "orders") -> list[dict[str, Any]]:
    source = registry.source(connection)
    try:
        found = source.read(Query(sql=f"SELECT k, v FROM {table}")).read_all()
    finally:
        source.close()
    return sorted(found.to_pylist(), key=repr)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("target_kind", "mode"), TAKEN)
@pytest.mark.parametrize("source_kind", SOURCES)
def test_a_source_table_of_the_name_of_the_target_is_read_and_the_target_written(
    source_kind: str, target_kind: str, mode: str, tmp_path: Path
) -> None:
    source, target = _connection(source_kind, tmp_path / "from"), _connection(target_kind, tmp_path / "to")
    how: Any = {"merge": {"name": "merge", "keys": ["k"]}, "scd2": {"name": "scd2", "keys": ["k"]}}.get(mode, mode)
    _load(pa.table({"k": [1, 2], "v": ["a", "b"]}), source)
    load = job(name="copy", target="orders", source_connection=source, target_connection=target, mode=how)(
        lambda: "SELECT orders.k, v FROM orders"
    )
    assert "nothing crosses the wire" in str(load.plan())
    assert load.run().inserted == 2
    _load(pa.table({"k": [3], "v": ["c"]}), source)
    second = load.run()
    assert second.rows_read == 3
    new = [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}, {"k": 3, "v": "c"}]
    assert _rows(target) == (sorted([*new[:2], *new], key=repr) if mode == "append" else new)
    assert _rows(source) == new


@pytest.mark.parametrize("target_kind", TARGETS)
@pytest.mark.parametrize("source_kind", SOURCES)
def test_several_tables_are_joined_inside_the_target(source_kind: str, target_kind: str, tmp_path: Path) -> None:
    source, target = _connection(source_kind, tmp_path / "from"), _connection(target_kind, tmp_path / "to")
    _load(pa.table({"k": [1, 2, 3], "c": [7, 8, 7]}), source, "silver.orders")
    _load(pa.table({"c": [7, 8], "name": ["Ann", "Ben"]}), source, "silver.customers")
    sql = """
        SELECT o.k, customers.name AS v FROM silver.orders AS o JOIN silver.customers USING (c) WHERE o.c = 7
    """
    load = job(target="silver.orders", source_connection=source, target_connection=target, mode="truncate")(lambda: sql)
    assert "nothing crosses the wire" in str(load.plan())
    load.run()
    assert _rows(target, "silver.orders") == [{"k": 1, "v": "Ann"}, {"k": 3, "v": "Ann"}]


@pytest.mark.parametrize("mode", ["append", "truncate"])
def test_a_delta_table_is_loaded_from_itself(mode: str, tmp_path: Path) -> None:
    lake = _connection("delta", tmp_path / "lake")
    _load(pa.table({"k": [1, 2], "v": ["a", "b"]}), lake)
    load = job(target="orders", target_connection=lake, mode=mode)(lambda: "SELECT k + 10 AS k, v FROM orders")
    assert load.run().inserted == 2
    new = [{"k": 11, "v": "a"}, {"k": 12, "v": "b"}]
    assert _rows(lake) == (
        sorted([{"k": 1, "v": "a"}, {"k": 2, "v": "b"}, *new], key=repr) if mode == "append" else new
    )
