"""SQL over a stream of Arrow batches: what it leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest

from ematix_core.backends.duck.connection import open_duck
from ematix_core.errors import SqlError
from ematix_core.query.local import run_sql

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def test_query_that_cannot_begin_leaves_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[DuckDBPyConnection] = []

    def noted() -> DuckDBPyConnection:
        opened.append(open_duck())
        return opened[-1]

    monkeypatch.setattr("ematix_core.query.local.open_duck", noted)
    with pytest.raises(SqlError, match="nope"):
        run_sql("SELECT nope FROM rows", pa.table({"a": [1]}).to_reader(), "rows")
    with pytest.raises(duckdb.ConnectionException):
        opened[0].execute("SELECT 1")
