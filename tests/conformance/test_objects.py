"""Files in a folder against the suites: each format by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ematix_core.model.connection import Connection, ObjectStoreConnection
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


class TestParquet(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", path=str(folder), format="parquet")


class TestCsv(TargetConformance, StrategyConformance, TypeConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", path=str(folder), format="csv")


class TestOrc(TargetConformance, StrategyConformance, TypeConformance):
    times = datetime(1677, 9, 21, 0, 12, 44, tzinfo=UTC), datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)

    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", path=str(folder), format="orc")


class TestJsonLines(TargetConformance, StrategyConformance, TypeConformance):
    @staticmethod
    def connection(folder: Path) -> Connection:
        return ObjectStoreConnection("files", path=str(folder), format="jsonl")
