"""A folder of Delta tables to read from and write to, and short ways to do both."""

# ruff: noqa: ANN401 - options and rows of any kind
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.config.settings import Settings
from ematix_core.engine import plan_job, run_job
from ematix_core.model.connection import DeltaConnection
from ematix_core.model.job import Job, job
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.engine.result import JobPlan, RunResult
    from ematix_core.store import RunStore


@dataclass
class Lake:
    """A connection's folder."""

    root: Path
    store: RunStore
    settings: Settings = field(default_factory=Settings.load)

    def connection(self, **options: Any) -> DeltaConnection:
        return DeltaConnection("lake", path=str(self.root), options=options)

    def read(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        source = registry.source(self.connection())
        try:
            return source.read(Query(sql=sql, parameters=parameters)).read_all().to_pylist()
        finally:
            source.close()

    def job(
        self, rows: Any, table: str = "orders", name: str = "orders", options: dict[str, Any] | None = None, **how: Any
    ) -> Job:
        made: Job = job(name=name, target=table, target_connection=self.connection(**(options or {})), **how)(
            lambda: rows
        )
        return made

    def load(self, rows: Any, table: str = "orders", **how: Any) -> RunResult:
        return run_job(self.job(rows, table, **how), store=self.store, settings=self.settings)

    def plan(self, rows: Any, table: str = "orders", **how: Any) -> JobPlan:
        return plan_job(self.job(rows, table, **how), settings=self.settings)

    def at(self, table: str = "orders") -> Path:
        return self.root / table

    def table(self, name: str = "orders") -> DeltaTable:
        return DeltaTable(str(self.at(name)))

    def rows(self, name: str = "orders") -> list[dict[str, Any]]:
        """Return the rows as delta-rs itself reads them, in order.

        Not by its `to_pyarrow_table`: of 40 processes that did no more than that, 2 aborted as they ended (deltalake
        1.6.6), with "terminate called without an active exception".
        """
        found = QueryBuilder().register("found", self.table(name)).execute("SELECT * FROM found").read_all()
        return sorted(pa.table(found).to_pylist(), key=repr)

    def unlisted(self, name: str = "orders") -> set[str]:
        """Return the data files that no version lists."""
        log = "".join(entry.read_text() for entry in (self.at(name) / "_delta_log").glob("*.json"))
        return {file.name for file in self.at(name).rglob("*.parquet") if file.name not in log}


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with open_store("memory:") as store:
        yield Lake(tmp_path / "lake", store)
