"""The jobs of a `flow run` of several, whose names together may be longer than a name."""

from __future__ import annotations

import sqlalchemy as sa

from ematix_core.store.migrations.versions.r0001_runs import LONG_TEXT, add_columns

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add to what there is."""
    add_columns("ematix_workflow_runs", sa.Column("jobs", LONG_TEXT))
