"""Fixtures of the engine's tests: an empty working folder, and a warehouse in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder: the store and relative paths go there."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def warehouse() -> ematix.Connection:
    """Return a DuckDB file in the working folder."""
    return ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")
