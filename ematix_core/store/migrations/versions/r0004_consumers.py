"""Consumers of streams, and how they fare."""

from __future__ import annotations

import sqlalchemy as sa

from ematix_core.store.migrations.versions.r0001_runs import (
    LONG_TEXT,
    NAME,
    TIME,
    create_index,
    create_table,
    owner,
)

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create what is new."""
    create_table(
        "ematix_consumers",
        sa.Column("consumer_id", NAME, primary_key=True),
        sa.Column("stream", NAME, nullable=False),
        sa.Column("target", NAME, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("error", LONG_TEXT, nullable=False),
        sa.Column("stats", LONG_TEXT, nullable=False),
        *owner(),
    )
    create_index("ematix_consumers_by_stream", "ematix_consumers", ["stream"])
