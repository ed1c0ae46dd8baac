"""The loads that the crash tests kill: `python scenario.py MODE KIND STEP` carries out one load in the current folder.

A scenario is two loads into the same tables. Times come from a fixed clock, and the rows in several small batches.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.engine import run_job
from ematix_core.model.check import not_null
from ematix_core.model.connection import DuckDBConnection, ObjectStoreConnection, SQLiteConnection
from ematix_core.model.job import job, target
from ematix_core.model.mode import append, merge, scd2, truncate
from ematix_core.store import open_store

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.model.mode import Mode

JOB = "orders"
STEPS = 2
KINDS = ("sqlite", "duckdb", "objects")
MODES: dict[str, tuple[Mode, dict[str, Any]]] = {
    "append": (append(), {}),
    "append_watermark": (append(), {"watermark": "at"}),
    "truncate": (truncate(), {}),
    "merge_deletes": (merge(keys="k", order_by="at", deletes="delete"), {}),
    "scd2_load_time": (scd2(keys="k", compare=["v"], deletes="close"), {}),
    "scd2_event_time": (scd2(keys="k", compare=["v"], event_time="at"), {}),
    "quarantine": (append(), {"checks": [not_null("v", severity="quarantine")]}),
}
START = datetime(2026, 1, 1, tzinfo=UTC)
_FIELDS: list[pa.Field[Any]] = [
    pa.field("k", pa.int64()),
    pa.field("v", pa.string()),
    pa.field("at", pa.timestamp("us", "UTC")),
]
SCHEMA = pa.schema(_FIELDS)
_LOADS = (
    [(1, "a", 0), (2, "b", 1), (3, None, 2), (4, "d", 2)],
    [(1, "a", 0), (2, "B", 3), (4, "d", 2), (5, "e", 2), (6, None, 4)],
)
"""The second load repeats, changes, adds and drops keys, and has a new row at the watermark of the first."""


def rows(step: int) -> pa.RecordBatchReader:
    """Return the rows of a load, two a batch."""
    found = [{"k": k, "v": v, "at": START + timedelta(hours=hour)} for k, v, hour in _LOADS[step]]
    table = pa.Table.from_pylist(found, schema=SCHEMA)
    return pa.RecordBatchReader.from_batches(SCHEMA, iter(table.to_batches(max_chunksize=2)))


def connection(kind: str, folder: Path) -> Connection:
    """Return the connection of a kind in the folder."""
    if kind == "objects":
        return ObjectStoreConnection("files", path=str(folder / "files"))
    cls = {"duckdb": DuckDBConnection, "sqlite": SQLiteConnection}[kind]
    return cls(kind, path=str(folder / f"target.{kind}"))


def declare(mode: str, kind: str, step: int, folder: Path) -> Job:
    """Return the job of a scenario. `kind` may be `duckdb+objects`: one read, two targets."""
    loaded, options = MODES[mode]
    checks = options.get("checks", ())
    targets = [
        target("orders", connection=connection(part, folder), mode=loaded, checks=checks) for part in kind.split("+")
    ]

    @job(name=JOB, targets=targets, watermark=options.get("watermark"))
    def orders() -> pa.RecordBatchReader:
        return rows(step)

    made: Job = orders
    return made


def main(mode: str, kind: str, step: int) -> None:
    """Run one load."""
    folder = Path.cwd()
    at = START + timedelta(days=1 + step)
    with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        result = run_job(declare(mode, kind, step, folder), store=store, clock=lambda: at)
    sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
