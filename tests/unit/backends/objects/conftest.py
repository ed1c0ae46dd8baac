"""A folder to read from and write to, and short ways to do both."""

# ruff: noqa: ANN401 - options and column types of any kind
from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.objects.target import ObjectTarget
from ematix_core.backends.protocols import LoadRecord, Query
from ematix_core.model.connection import ObjectStoreConnection
from ematix_core.model.table import TableName, columns_from

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

EVENTS = TableName("analytics", "events")


@dataclass
class Lake:
    """A connection's folder."""

    root: Path

    def connection(self, form: str = "parquet", **options: Any) -> ObjectStoreConnection:
        return ObjectStoreConnection("lake", path=str(self.root), format=form, options=options)

    def write_text(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def read(self, sql: str, form: str = "parquet", options: dict[str, Any] | None = None, **query: Any) -> pa.Table:
        source = ObjectSource(self.connection(form, **(options or {})))
        try:
            return source.read(Query(sql=sql, **query)).read_all()
        finally:
            source.close()

    def quarantine(self, sql: str) -> tuple[pa.Table, list[dict[str, Any]]]:
        source = ObjectSource(self.connection())
        try:
            rows = source.read(Query(sql=sql, on_bad_rows="quarantine")).read_all()
            rejected = source.rejected()
            assert rejected is not None
            return rows, rejected.to_pylist()
        finally:
            source.close()

    def target(self, form: str = "parquet", **options: Any) -> ObjectTarget:
        return ObjectTarget(self.connection(form, **options))

    def load(
        self, rows: pa.Table, form: str = "parquet", *, clear: bool = False, load_id: str = "", **options: Any
    ) -> int:
        with self.target(form, **options).session() as session:
            if clear:
                session.clear(EVENTS)
            count = session.load(EVENTS, columns_from(rows.schema), rows.to_reader())
            if load_id:
                session.record_load(record(load_id), [])
        return count

    def events(self) -> list[Any]:
        return sorted(self.read("SELECT id FROM analytics.events").column("id").to_pylist())

    def foreign(self) -> list[Path]:
        return sorted((self.root / "analytics" / "events").glob("*.*"))

    def stored(self) -> list[str]:
        return sorted(p.name for p in (self.root / ".ematix/analytics/events/_files").rglob("*") if p.is_file())


def record(load_id: str, watermark: str | None = None) -> LoadRecord:
    return LoadRecord("job -> events", load_id, datetime.now(UTC), watermark, {"inserted": 1})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "lake").mkdir()
    return Lake(tmp_path / "lake")
