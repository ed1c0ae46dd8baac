"""Tables in memory against the suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.model.connection import Connection, MemoryConnection
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


class TestMemory(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    @staticmethod
    def connection(_folder: Path) -> Connection:
        return MemoryConnection("memory")
