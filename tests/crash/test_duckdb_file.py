"""A DuckDB file whose maker dies before its header is written can never be opened: it is made under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends import registry
from ematix_core.model.connection import DuckDBConnection
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from pathlib import Path


def test_half_made_file_of_a_dead_process_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb.new").write_bytes(b"")
    target = registry.target(DuckDBConnection("x", path=str(tmp_path / "x.duckdb")))
    with target.session() as session:
        assert session.columns(TableName("", "t")) is None
    target.close()
    assert [file.name for file in tmp_path.iterdir()] == ["x.duckdb"]
