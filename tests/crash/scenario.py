"""The loads that the crash tests kill: `python scenario.py MODE KIND STEP` carries out one load in the current folder.

A scenario is two loads into the same tables. Times come from a fixed clock, and the rows from the job's own function
in several small batches, from a CSV file with malformed lines, or from a table of the target's own database.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.backends import registry
from ematix_core.engine import run_job
from ematix_core.model.check import not_null
from ematix_core.model.connection import (
    DeltaConnection,
    DuckDBConnection,
    KafkaConnection,
    MemoryConnection,
    MySQLConnection,
    ObjectStoreConnection,
    PostgresConnection,
    SQLiteConnection,
)
from ematix_core.model.job import job, target
from ematix_core.model.maintenance import checkpoint, clean_log, optimize, vacuum
from ematix_core.model.mode import append, merge, scd2, truncate
from ematix_core.model.table import TableName, columns_from
from ematix_core.sql.ddl import Wanted, create_table
from ematix_core.store import open_store
from tools.servers.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.model.mode import Mode

JOB = "orders"
STEPS = 2
KINDS = ("sqlite", "duckdb", "delta", "objects", "postgres", "mysql")
SERVERS = {"postgres": PostgresConnection, "mysql": MySQLConnection}
"""Kinds whose tables are not in the folder: a file there, `<kind>.url`, says where the run's own database is."""
REMOTE: dict[str, Callable[..., Connection]] = {"objects_s3": ObjectStoreConnection, "delta_s3": DeltaConnection}
"""The kinds that keep files, in an object store: `s3.url` says where the run's own prefix is."""
MODES: dict[str, tuple[Mode, dict[str, Any]]] = {
    "append": (append(), {}),
    "append_watermark": (append(), {"watermark": "at"}),
    "truncate": (truncate(), {}),
    "merge_deletes": (merge(keys="k", order_by="at", deletes="delete"), {}),
    "scd2_load_time": (scd2(keys="k", compare=["v"], deletes="close"), {}),
    "scd2_event_time": (scd2(keys="k", compare=["v"], event_time="at"), {}),
    "quarantine": (append(), {"checks": [not_null("v", severity="quarantine")]}),
    "bad_rows": (append(), {"source": "csv"}),
    "same_append": (append(), {"source": "same"}),
    "maintained": (
        merge(keys="k", order_by="at"),
        {"maintenance": [optimize(z_order="k", every=1), vacuum(every=1), checkpoint(every=1), clean_log(every=1)]},
    ),
    "same_merge": (merge(keys="k", order_by="at", deletes="delete"), {"source": "same"}),
}
ONLY = {"maintained": ("delta",)}
"""Modes that not every kind has."""
INCOMING = "incoming"
"""The table of the target's database, or the CSV file, that a load with a source reads."""
MALFORMED = ('7,"x",2026-01-01T00:00:00Z,too many\n', "8\n")
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
    if kind == "delta":
        return DeltaConnection("lake", path=str(folder / "lake"))
    if kind == "kafka":
        return KafkaConnection(kind, url=(folder / "kafka.url").read_text(encoding="utf-8"))
    if kind in REMOTE:
        place = Bucket.from_url((folder / "s3.url").read_text(encoding="utf-8"))
        return REMOTE[kind](kind, path=f"{place.s3_url}/{kind}", options=place.options)
    if kind in SERVERS:
        return SERVERS[kind](kind, url=(folder / f"{kind}.url").read_text(encoding="utf-8"))
    cls = {"duckdb": DuckDBConnection, "sqlite": SQLiteConnection}[kind]
    return cls(kind, path=str(folder / f"target.{kind}"))


def _name(kind: str, folder: Path) -> str:
    """Return the name of the table, or of the run's own topic, which is in a file."""
    return (folder / "topic").read_text(encoding="utf-8") if kind == "kafka" else "orders"


def _drops(folder: Path) -> Connection:
    return ObjectStoreConnection("drops", path=str(folder / "drops"), format="csv")


def prepare(mode: str, kind: str, step: int, folder: Path) -> None:
    """Put what the load reads where it reads it."""
    source = MODES[mode][1].get("source")
    if source == "csv":
        (folder / "drops").mkdir(exist_ok=True)
        lines = [
            f"{row['k']},{row['v'] or ''},{row['at']:%Y-%m-%dT%H:%M:%SZ}\n" for row in rows(step).read_all().to_pylist()
        ]
        text = "".join(["k,v,at\n", lines[0], MALFORMED[step], *lines[1:]])
        (folder / "drops" / f"{INCOMING}.csv").write_text(text, encoding="utf-8")
    elif source == "same":
        _fill(connection(kind, folder), step)


def _fill(own: Connection, step: int) -> None:
    table, columns = TableName("", INCOMING), columns_from(SCHEMA)
    target = registry.target(own)
    try:
        with target.session() as session:
            if session.columns(table) is None:
                session.execute(create_table(Wanted(table, columns), target.dialect), {})
            session.clear(table)
            session.load(table, columns, rows(step))
    finally:
        target.close()


def declare(mode: str, kind: str, step: int, folder: Path) -> Job:
    """Return the job of a scenario. `kind` may be `duckdb+objects`: one read, two targets."""
    loaded, options = MODES[mode]
    how = {name: options[name] for name in ("checks", "maintenance") if name in options}
    targets = [
        target(_name(part, folder), connection=connection(part, folder), mode=loaded, **how) for part in kind.split("+")
    ]

    source = options.get("source")
    if source is None:
        read_by = {"source_connection": MemoryConnection("none")} if kind == "kafka" else {}  # a topic is no source
        return _job(lambda: rows(step), targets=targets, watermark=options.get("watermark"), **read_by)
    if source == "csv":
        sql, read = f'SELECT * FROM "{INCOMING}.csv"', _drops(folder)
    else:
        sql, read = f"SELECT * FROM {INCOMING}", connection(kind, folder)
    return _job(
        lambda: sql, targets=targets, source_connection=read, on_bad_rows="quarantine" if source == "csv" else "fail"
    )


def _job(body: Callable[[], Any], **options: Any) -> Job:  # noqa: ANN401 - whatever a job returns and takes
    made: Job = job(name=JOB, **options)(body)
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
