"""Delta tables in a folder against the suites."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ematix_core.model.connection import Connection, DeltaConnection
from ematix_core.testing import (
    LedgerConformance,
    SourceConformance,
    StrategyConformance,
    TargetConformance,
    TransactionConformance,
    TypeConformance,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TestDelta(
    SourceConformance,
    TargetConformance,
    TransactionConformance,
    LedgerConformance,
    StrategyConformance,
    TypeConformance,
):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_every_name_can_be_a_table[per%cent]": "delta-rs takes a % in a path for the beginning of an escape",
    }

    @staticmethod
    def connection(folder: Path) -> Connection:
        return DeltaConnection("delta", path=str(folder))
