"""The SQLite store, in a file and in memory, against its suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.testing import StoreConformance

if TYPE_CHECKING:
    from pathlib import Path


class TestFileStore(StoreConformance):
    @staticmethod
    def url(folder: Path) -> str:
        return f"sqlite:///{folder / 'runs.db'}"


class TestMemoryStore(StoreConformance):
    url = "memory:"
