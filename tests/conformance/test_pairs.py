"""Any system to any system: one varied table through every pair of source and target, files in every format."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from ematix_core.model.connection import (
    Connection,
    DeltaConnection,
    DuckDBConnection,
    MemoryConnection,
    ObjectStoreConnection,
    SQLiteConnection,
)
from ematix_core.store import open_store
from ematix_core.testing import Reached
from ematix_core.testing.types import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.store import RunStore

SYSTEMS = ("sqlite", "duckdb", "memory", "delta", "parquet", "csv", "orc", "jsonl")
TEXTS = ["", "NULL", 'it\'s "quoted",\nand long', "e\u0301 é 🙂", None, "\\N"]
VARIED = pa.table(
    {
        "id": pa.array([1, 2, 3, 4, 5, 6], pa.int64()),
        "two words": pa.array([-(2**31), 2**31 - 1, 0, None, 1, -1], pa.int32()),
        "ratio": pa.array([0.1, -1e300, None, 5e-324, 1.0, 123456789.12345679], pa.float64()),
        "text": pa.array(TEXTS, pa.string()),
        "flag": pa.array([True, False, None, True, None, False], pa.bool_()),
        "amount": pa.array(
            [Decimal("9" * 29 + ".99"), Decimal("-0.01"), None, Decimal("0.10"), Decimal(0), Decimal(1)],
            pa.decimal128(31, 2),
        ),
        "day": pa.array([date(1, 1, 1), date(9999, 12, 31), None, date(1970, 1, 1), None, date(2024, 2, 29)]),
        "moment": pa.array([1_767_225_600_000_001] * 5 + [None], pa.timestamp("us")),
        "instant": pa.array([datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), None] * 3, pa.timestamp("us", "UTC")),
        "raw": pa.array([b"", b"\x00\xff", None, b"plain", b"'\"", b"\\x41"], pa.binary()),
    }
)
# Text formats have no form for binary, and DuckDB reads JSON numbers of more than 17 digits as DOUBLE.
NOT_HELD = {"csv": ("raw",), "jsonl": ("raw", "amount")}


def connection(system: str, folder: Path) -> Connection:
    match system:
        case "sqlite":
            return SQLiteConnection(system, path=str(folder / "data.sqlite"))
        case "duckdb":
            return DuckDBConnection(system, path=str(folder / "data.duckdb"))
        case "delta":
            return DeltaConnection(system, path=str(folder))
        case "memory":
            return MemoryConnection(system)
    return ObjectStoreConnection(system, path=str(folder), format=system)


def held_by(system: str, table: pa.Table) -> pa.Table:
    """Return the columns that the system can hold."""
    return table.drop_columns([name for name in NOT_HELD.get(system, ()) if name in table.column_names])


@pytest.fixture(scope="module")
def store() -> Iterator[RunStore]:
    with open_store("memory:") as opened:
        yield opened


@pytest.fixture(scope="module", params=SYSTEMS)
def filled(request: pytest.FixtureRequest, store: RunStore, tmp_path_factory: pytest.TempPathFactory) -> Reached:
    """Return a source that holds the varied table; each is filled once for all its targets."""
    folder = tmp_path_factory.mktemp(request.param)
    reached = Reached(connection(request.param, folder), folder, store)
    reached.load("varied", held_by(request.param, VARIED))
    return reached


@pytest.mark.parametrize("system", SYSTEMS)
def test_varied_table_arrives_as_it_left(filled: Reached, store: RunStore, tmp_path: Path, system: str) -> None:
    target = Reached(connection(system, tmp_path), tmp_path, store)
    sent = held_by(system, held_by(filled.connection.name, VARIED))
    names = ", ".join(f'"{name}"' for name in sent.column_names)
    body = f'SELECT {names} FROM "varied"' if sent.num_columns < VARIED.num_columns else None
    table = "" if body else "varied"
    result = target.load("arrived", body, source_connection=filled.connection, source_table=table)
    assert (result.rows_read, result.inserted) == (sent.num_rows, sent.num_rows)
    arrived = target.read("arrived").sort_by("id")
    assert arrived.column_names == sent.column_names
    for name in sent.column_names:
        assert plain(arrived.column(name)) == plain(sent.column(name)), name
