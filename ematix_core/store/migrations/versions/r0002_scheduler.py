"""Events, messages and leases; what a scheduler keeps with runs and workflow runs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from ematix_core.store.migrations.versions.r0001_runs import (
    ID,
    LONG_TEXT,
    NAME,
    TIME,
    add_columns,
    create_index,
    create_table,
)

revision = "0002"
down_revision = "0001"

DIGEST = sa.String(64)


def upgrade() -> None:
    """Create what is new, and add to what there is."""
    _events()
    _leases()
    _workflow_runs()
    _runs()


def _control() -> list[sa.Column[Any]]:
    return [
        sa.Column("token", sa.BigInteger),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    ]


def _events() -> None:
    create_table(
        "ematix_events",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("run_id", ID),
        sa.Column("since", sa.BigInteger),
        sa.Column("started_at", TIME),
        sa.Column("tick", TIME),
        sa.Column("data", LONG_TEXT),
    )
    create_index("ematix_events_by_kind", "ematix_events", ["kind", "name", "id"])
    create_table(
        "ematix_last_event",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger, nullable=False),
    )
    last = sa.table("ematix_last_event", sa.column("one"), sa.column("id"))
    if op.get_bind().execute(sa.select(last.c.id)).one_or_none() is None:
        op.get_bind().execute(sa.insert(last).values(one=1, id=0))
    create_table(
        "ematix_messages",
        sa.Column("unit", NAME, primary_key=True),
        sa.Column("position_digest", DIGEST, primary_key=True),
        sa.Column("event", sa.BigInteger, nullable=False),
        sa.Column("workflow_run_id", ID),
    )
    create_index("ematix_messages_by_run", "ematix_messages", ["workflow_run_id"])


def _leases() -> None:
    create_table(
        "ematix_leases",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("holder", NAME, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("renewed_at", TIME, nullable=False),
        sa.Column("previous", TIME),
    )


def _workflow_runs() -> None:
    table = "ematix_workflow_runs"
    add_columns(
        table,
        sa.Column("unit", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("active", NAME),
        sa.Column("slice", NAME, nullable=False, server_default=""),
        sa.Column("key", LONG_TEXT),
        sa.Column("key_digest", DIGEST),
        sa.Column("event", sa.BigInteger),
        sa.Column("tick", TIME),
        sa.Column("parameters", LONG_TEXT),
        sa.Column("cause", LONG_TEXT),
        *_control(),
    )
    create_index("ematix_workflow_runs_open", table, ["active", "slice"], unique=True)
    create_index("ematix_workflow_runs_by_key", table, ["key_digest"], unique=True)


def _runs() -> None:
    table = "ematix_runs"
    add_columns(
        table,
        sa.Column("slice", NAME, nullable=False, server_default=""),
        sa.Column("since", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("attempt_started_at", TIME),
        *_control(),
    )
    _last_attempts()
    create_index("ematix_runs_open", table, ["active_job", "slice"], unique=True)
    # A run is open once for each slice now; the new index holds that, so there is no moment without one.
    if "ematix_runs_active" in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.drop_index("ematix_runs_active", table)


def _last_attempts() -> None:
    """Let the run tell of its last attempt: a row is written when the next one begins only."""
    attempts = sa.table("ematix_attempts", sa.column("run_id"), sa.column("status"), sa.column("started_at"))
    runs = sa.table("ematix_runs", sa.column("run_id"), sa.column("attempt_started_at"))
    is_last = sa.and_(attempts.c.run_id == runs.c.run_id, attempts.c.status == "running")
    began = sa.select(sa.func.max(attempts.c.started_at)).where(is_last).scalar_subquery()
    op.execute(sa.update(runs).where(sa.exists().where(is_last)).values(attempt_started_at=began))
    op.execute(sa.delete(attempts).where(attempts.c.status == "running"))
