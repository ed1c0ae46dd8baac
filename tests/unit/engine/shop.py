"""Small tables, and jobs made in one line, for the engine's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

import ematix_core as ematix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def day(number: int) -> datetime:
    """Return a day of January 2026 in UTC."""
    return datetime(2026, 1, number, tzinfo=UTC)


def table(rows: Sequence[tuple[int | None, str | None, int]]) -> pa.Table:
    """Return rows of (id, name, day of change) as Arrow."""
    kinds: dict[str, pa.DataType] = {"id": pa.int64(), "name": pa.string(), "changed": pa.timestamp("us", "UTC")}
    schema = pa.schema(kinds)
    return pa.Table.from_pylist([{"id": i, "name": n, "changed": day(d)} for i, n, d in rows], schema=schema)


def job(body: Callable[..., Any], **options: Any) -> ematix.Job:  # noqa: ANN401 - handed on to ematix.job
    """Return a job named `load` with this body."""
    made: ematix.Job = ematix.job(name="load", **options)(body)
    return made


def rows_of(query: str, path: str = "warehouse.duckdb") -> list[tuple[Any, ...]]:
    """Return the rows of a query on the warehouse."""
    with duckdb.connect(path) as found:
        return found.execute(query).fetchall()


def tables_of(path: str = "warehouse.duckdb") -> set[str]:
    """Return the names of the warehouse's tables, bookkeeping left out."""
    names = rows_of("SELECT table_name FROM duckdb_tables()", path)
    return {name for (name,) in names if not name.startswith("_ematix")}
