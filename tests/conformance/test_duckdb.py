"""DuckDB database files against the suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.model.connection import Connection, DuckDBConnection
from ematix_core.testing import (
    LedgerConformance,
    SourceConformance,
    StrategyConformance,
    TargetConformance,
    TransactionConformance,
    TypeConformance,
)

if TYPE_CHECKING:
    from pathlib import Path


class TestDuckDB(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return DuckDBConnection("duckdb", path=str(folder / "test.duckdb"))
