"""Runs, their attempts and log lines, workflow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

revision = "0001"
down_revision = None

# MySQL drops fractions of a second unless told: https://dev.mysql.com/doc/refman/8.4/en/fractional-seconds.html
TIME = sa.DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")
# MySQL's TEXT ends at 64 KiB: https://dev.mysql.com/doc/refman/8.4/en/storage-requirements.html
LONG_TEXT = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
# Only an INTEGER key counts by itself in SQLite: https://www.sqlite.org/autoinc.html
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Two jobs may differ in case or accents only, as in any other database: MySQL's own choice would take them for one.
# https://dev.mysql.com/doc/refman/8.0/en/charset-unicode-sets.html
TABLE = {
    f"{name}_{option}": value
    for name in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
ID = sa.String(40)
NAME = sa.String(255)


def upgrade() -> None:
    """Create the tables."""
    _workflow_runs()
    _runs()
    _attempts_and_logs()


def create_table(name: str, *columns: sa.Column[Any]) -> None:
    """Create the table unless it is there: MySQL keeps what a migration that died had made so far."""
    op.create_table(name, *columns, if_not_exists=True, **TABLE)


def create_index(name: str, table: str, columns: Sequence[str], *, unique: bool = False) -> None:
    """Create the index unless it is there."""
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns, unique=unique)


def add_columns(table: str, *columns: sa.Column[Any]) -> None:
    """Add the columns that are not there."""
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in present:
            op.add_column(table, column)


def owner() -> list[sa.Column[Any]]:
    """Return the columns that say whose a record is."""
    return [
        sa.Column("host", NAME, nullable=False),
        sa.Column("machine", NAME, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("process_started", sa.Double, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
    ]


def _workflow_runs() -> None:
    create_table(
        "ematix_workflow_runs",
        sa.Column("workflow_run_id", ID, primary_key=True),
        sa.Column("workflow", NAME, nullable=False),
        sa.Column("trigger", NAME, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("error", LONG_TEXT, nullable=False),
        *owner(),
    )
    create_index("ematix_workflow_runs_by_workflow", "ematix_workflow_runs", ["workflow", "started_at"])
    create_index("ematix_workflow_runs_by_start", "ematix_workflow_runs", ["started_at"])


def _runs() -> None:
    counts = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
    create_table(
        "ematix_runs",
        sa.Column("run_id", ID, primary_key=True),
        sa.Column("job", NAME, nullable=False),
        sa.Column("active_job", NAME),
        sa.Column("workflow_run_id", ID),
        sa.Column("trigger", NAME, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("load_id", ID, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("attempts", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("plan_hash", LONG_TEXT, nullable=False),
        sa.Column("error", LONG_TEXT, nullable=False),
        sa.Column("targets", sa.JSON, nullable=False),
        *owner(),
    )
    create_index("ematix_runs_active", "ematix_runs", ["active_job"], unique=True)
    create_index("ematix_runs_by_job", "ematix_runs", ["job", "started_at"])
    create_index("ematix_runs_by_start", "ematix_runs", ["started_at"])
    create_index("ematix_runs_by_workflow_run", "ematix_runs", ["workflow_run_id"])


def _attempts_and_logs() -> None:
    run_id = sa.ForeignKey("ematix_runs.run_id")
    create_table(
        "ematix_attempts",
        sa.Column("run_id", ID, run_id, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("error", LONG_TEXT, nullable=False),
    )
    create_table(
        "ematix_log_lines",
        sa.Column("id", COUNTER, primary_key=True),
        sa.Column("run_id", ID, sa.ForeignKey("ematix_runs.run_id"), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("message", LONG_TEXT, nullable=False),
    )
    create_index("ematix_log_lines_by_run", "ematix_log_lines", ["run_id", "id"])
