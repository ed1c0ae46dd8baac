"""The tables of the store, as statements need them. A change here needs a revision in `migrations/versions`.

The revisions create the tables, and say what a single database needs (MySQL's long texts, for one).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from ematix_core.store.records import Status

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept as UTC without a zone: SQLite and MySQL have no type with one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - inherited signature
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - inherited signature
        return value and value.replace(tzinfo=UTC)


STATUS = Enum(Status, native_enum=False, length=16, values_callable=lambda statuses: [s.value for s in statuses])
ID = String(40)
NAME = String(255)

metadata = MetaData()
# Only an INTEGER key counts by itself in SQLite: https://www.sqlite.org/autoinc.html
_COUNTER = BigInteger().with_variant(Integer(), "sqlite")


def _owner() -> list[Column[Any]]:
    """Return the columns that say whose a record is."""
    return [
        Column("host", NAME, nullable=False),
        Column("machine", NAME, nullable=False),
        Column("pid", Integer, nullable=False),
        Column("process_started", Double, nullable=False),
        Column("heartbeat_at", UtcDateTime, nullable=False),
    ]


workflow_runs = Table(
    "ematix_workflow_runs",
    metadata,
    Column("workflow_run_id", ID, primary_key=True),
    Column("workflow", NAME, nullable=False),
    Column("trigger", NAME, nullable=False),
    Column("status", STATUS, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("error", Text, nullable=False),
    *_owner(),
    Index("ematix_workflow_runs_by_workflow", "workflow", "started_at"),
    Index("ematix_workflow_runs_by_start", "started_at"),
)

runs = Table(
    "ematix_runs",
    metadata,
    Column("run_id", ID, primary_key=True),
    Column("job", NAME, nullable=False),
    # The job while the run is open, else NULL: the unique index lets one run of a job be open at a time, and every
    # database takes many NULLs in it.
    Column("active_job", NAME),
    Column("workflow_run_id", ID),
    Column("trigger", NAME, nullable=False),
    Column("status", STATUS, nullable=False),
    Column("load_id", ID, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("inserted", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
    Column("closed", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("targets", JSON, nullable=False),
    *_owner(),
    Index("ematix_runs_active", "active_job", unique=True),
    Index("ematix_runs_by_job", "job", "started_at"),
    Index("ematix_runs_by_start", "started_at"),
    Index("ematix_runs_by_workflow_run", "workflow_run_id"),
)

attempts = Table(
    "ematix_attempts",
    metadata,
    Column("run_id", ID, ForeignKey("ematix_runs.run_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("status", STATUS, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("error", Text, nullable=False),
)

log_lines = Table(
    "ematix_log_lines",
    metadata,
    Column("id", _COUNTER, primary_key=True),
    Column("run_id", ID, ForeignKey("ematix_runs.run_id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("level", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Index("ematix_log_lines_by_run", "run_id", "id"),
)
