"""Runs a history of loads through the engine, and reads the target back as plain rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.config.settings import Settings
from ematix_core.engine import run_job
from ematix_core.errors import EmptySourceError, KeyViolationError
from ematix_core.model.connection import DeltaConnection, DuckDBConnection, SQLiteConnection
from ematix_core.model.job import job
from ematix_core.model.mode import Mode, Scd2
from ematix_core.store import open_store
from tests.property import histories
from tests.property.model import Counts, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.store import RunStore

    Row = dict[str, Any]

KINDS = ("duckdb", "sqlite", "delta")


def connection(kind: str, folder: Path) -> Connection:
    """Return a connection to a file in the folder, or to the folder."""
    if kind == "delta":
        return DeltaConnection("target", path=str(folder))
    cls = {"duckdb": DuckDBConnection, "sqlite": SQLiteConnection}[kind]
    return cls("target", path=str(folder / f"target.{kind}"))


@dataclass
class Bench:
    """One database and one store for many histories, each in a table of its own."""

    target: Connection
    store: RunStore
    settings: Settings = field(default_factory=Settings.load)
    numbers: count[int] = field(default_factory=count)

    @classmethod
    def make(cls, kind: str, folder: Path) -> Bench:
        """Return a bench on a new database in the folder."""
        return cls(connection(kind, folder), open_store("memory:"))

    def table(self, mode: Mode, watermark: str | None = None) -> Loads:
        """Begin a new history."""
        return Loads(self, f"t{next(self.numbers)}", mode, watermark)


@dataclass
class Loads:
    """One table and the loads into it."""

    bench: Bench
    name: str
    mode: Mode
    watermark: str | None = None
    made: bool = False

    def load(self, rows: Sequence[Row], at: datetime) -> Counts:
        """Load the rows at that time. Raises Refused for what the documentation promises to refuse."""
        declared = self.declared(rows)
        try:
            result = run_job(declared, store=self.bench.store, settings=self.bench.settings, clock=lambda: at)
        except (KeyViolationError, EmptySourceError) as error:
            raise Refused(_problem(error)) from error
        self.made = True
        return Counts(result.inserted, result.updated, result.unchanged, result.deleted, result.closed)

    def declared(self, rows: Sequence[Row]) -> Job:
        """Return the job that loads the rows."""
        declare = job(
            name=self.name, target=self.name, target_connection=self.bench.target, mode=self.mode,
            watermark=self.watermark,
        )  # fmt: skip
        made: Job = declare(lambda: histories.table(rows))
        return made

    def rows(self) -> list[Row]:
        """Return the table's rows; of history without the row hash, which the model does not have."""
        if not self.made:
            return []
        source = registry.source(self.bench.target)
        try:
            found: list[Row] = source.read(Query(table=self.name)).read_all().to_pylist()
        finally:
            source.close()
        hidden = self.mode.row_hash if isinstance(self.mode, Scd2) else ""
        return [{name: value for name, value in row.items() if name != hidden} for row in found]


def _problem(error: KeyViolationError | EmptySourceError) -> str:
    """Return which Require step refused, told from the message as a user would."""
    if isinstance(error, EmptySourceError):
        return "empty_source"
    if "is NULL" in error.what:
        return "null_event_time" if error.what.startswith("the event time") else "null_key"
    return "duplicate_key"


def in_order(rows: Sequence[Row]) -> list[tuple[tuple[str, str], ...]]:
    """Return the rows in a form whose order and equality depend on nothing but their values."""
    return sorted(tuple((name, _text(value)) for name, value in sorted(row.items())) for row in rows)


def _text(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else repr(value)
