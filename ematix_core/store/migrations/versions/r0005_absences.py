"""How long the holder of a lease, and the one before, may be away without that being a downtime."""

from __future__ import annotations

import sqlalchemy as sa

from ematix_core.store.migrations.versions.r0001_runs import add_columns

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add to what there is."""
    add_columns("ematix_leases", sa.Column("absence", sa.Double), sa.Column("previous_absence", sa.Double))
