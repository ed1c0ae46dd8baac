"""A truncate load in two parts, run as `python rewrite.py FOLDER` by a test that kills it half-way."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pyarrow as pa

from ematix_core.backends.objects.target import ObjectTarget
from ematix_core.backends.protocols import LoadRecord
from ematix_core.model.connection import ObjectStoreConnection
from ematix_core.model.table import TableName, columns_from

TABLE = TableName("analytics", "events")


def rewrite(folder: str) -> None:
    """Replace the table's rows by 7, 8 and 9, unless this load is in already."""
    rows = pa.table({"id": pa.array([7, 8], pa.int64())})
    with ObjectTarget(ObjectStoreConnection("lake", path=folder)).session() as session:
        session.columns(TABLE)
        if session.find_load("s", "run-2") is None:
            session.clear(TABLE)
            session.load(TABLE, columns_from(rows.schema), rows.to_reader())
            session.insert(TABLE, ["id"], "SELECT 9", {})
            session.record_load(LoadRecord("s", "run-2", datetime.now(UTC), None, {}), [])


if __name__ == "__main__":
    rewrite(sys.argv[1])
