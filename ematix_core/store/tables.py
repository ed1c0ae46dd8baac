"""The tables of the store, as statements need them. A change here needs a revision in `migrations/versions`.

The revisions create the tables, and say what a single database needs (MySQL's long texts, for one).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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
    false,
)

from ematix_core.store.records import EventKind, Status

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


class PlainData(TypeDecorator[Any]):
    """Plain data as the text of its JSON: MySQL's own type reorders objects and rounds long numbers.

    https://dev.mysql.com/doc/refman/8.0/en/json.html#json-normalization
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ANN401, ARG002 - any plain data; inherited signature
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 - any plain data; inherited signature
        return None if value is None else json.loads(value)


def _names(kinds: type[Status | EventKind]) -> list[str]:
    return [kind.value for kind in kinds]


STATUS = Enum(Status, native_enum=False, length=16, values_callable=_names)
KIND = Enum(EventKind, native_enum=False, length=16, values_callable=_names)
DIGEST = String(64)
"""SHA-256 of a text that is too long for an index."""
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


def _control() -> list[Column[Any]]:
    """Return the columns by which schedulers and people decide about a record."""
    return [
        Column("token", BigInteger),
        Column("cancel_requested", Boolean, nullable=False, server_default=false()),
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
    # Defaults of the database are for rows of before revision 0002, and for processes of that version that go on.
    Column("unit", Boolean, nullable=False, server_default=false()),
    # The workflow while its run is open and may be so only once, else NULL: see active_job below.
    Column("active", NAME),
    Column("slice", NAME, nullable=False, server_default=""),
    Column("key", Text),
    Column("key_digest", DIGEST),
    Column("event", BigInteger),
    Column("tick", UtcDateTime),
    Column("parameters", PlainData),
    Column("cause", PlainData),
    Column("jobs", PlainData),
    *_control(),
    Index("ematix_workflow_runs_by_workflow", "workflow", "started_at"),
    Index("ematix_workflow_runs_by_start", "started_at"),
    Index("ematix_workflow_runs_open", "active", "slice", unique=True),
    Index("ematix_workflow_runs_by_key", "key_digest", unique=True),
)

runs = Table(
    "ematix_runs",
    metadata,
    Column("run_id", ID, primary_key=True),
    Column("job", NAME, nullable=False),
    # The job while the run is open, else NULL: the unique index lets one run of a job and slice be open at a time, and
    # every database takes many NULLs in it.
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
    Column("slice", NAME, nullable=False, server_default=""),
    # The last event that there was when the run began.
    Column("since", BigInteger, nullable=False, server_default="0"),
    # When its last attempt began; NULL when there is but one.
    Column("attempt_started_at", UtcDateTime),
    *_control(),
    Index("ematix_runs_open", "active_job", "slice", unique=True),
    Index("ematix_runs_by_job", "job", "started_at"),
    Index("ematix_runs_by_start", "started_at"),
    Index("ematix_runs_by_workflow_run", "workflow_run_id"),
)

# Attempts that were followed by another one. The last one is told by the run.
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

events = Table(
    "ematix_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", KIND, nullable=False),
    Column("name", NAME, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("run_id", ID),
    Column("since", BigInteger),
    Column("started_at", UtcDateTime),
    Column("tick", UtcDateTime),
    Column("data", PlainData),
    Index("ematix_events_by_kind", "kind", "name", "id"),
)

# One row: the id of the last event. Whoever writes an event updates it first, so that writers take turns and ids count
# up in the order of the commits, without gaps.
last_event = Table(
    "ematix_last_event",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("id", BigInteger, nullable=False),
)

# Every message that ever came, so that it comes once: its event and its run are deleted some day, this row is not.
messages = Table(
    "ematix_messages",
    metadata,
    Column("unit", NAME, primary_key=True),
    Column("position_digest", DIGEST, primary_key=True),
    Column("event", BigInteger, nullable=False),
    # The run that consumed it.
    Column("workflow_run_id", ID),
    Index("ematix_messages_by_run", "workflow_run_id"),
)

consumers = Table(
    "ematix_consumers",
    metadata,
    Column("consumer_id", NAME, primary_key=True),
    Column("stream", NAME, nullable=False),
    Column("target", NAME, nullable=False),
    Column("status", String(16), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("error", Text, nullable=False),
    Column("stats", PlainData, nullable=False),
    *_owner(),
    Index("ematix_consumers_by_stream", "stream"),
)

leases = Table(
    "ematix_leases",
    metadata,
    Column("name", NAME, primary_key=True),
    # Empty when the lease was given back.
    Column("holder", NAME, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("renewed_at", UtcDateTime, nullable=False),
    Column("previous", UtcDateTime),
    # NULL by processes of before revision 0005.
    Column("absence", Double),
    Column("previous_absence", Double),
)
