"""A table's rows become others, run as `python rewrite.py WAY FOLDER` by a test that kills it half-way."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pyarrow as pa

from ematix_core.backends.objects.target import ObjectTarget
from ematix_core.backends.protocols import LoadRecord
from ematix_core.model.connection import ObjectStoreConnection
from ematix_core.model.table import TableName, columns_from

TABLE = TableName("analytics", "events")


def rewrite(way: str, folder: str) -> None:
    """Replace the table's row 1 by 7, 8 and 9, unless this load is in already.

    By the way "truncate" the table is loaded anew in two parts; by "update" the row is changed beside new ones; by
    "append" 7 and 8 are added.
    """
    rows = pa.table({"id": pa.array([7, 8], pa.int64())})
    with ObjectTarget(ObjectStoreConnection("lake", path=folder)).session() as session:
        session.columns(TABLE)
        if session.find_load("s", "run-2") is None:
            if way == "truncate":
                session.clear(TABLE)
            session.load(TABLE, columns_from(rows.schema), rows.to_reader())
            if way == "truncate":
                session.insert(TABLE, ["id"], "SELECT 9", {})
            if way == "update":
                session.execute('UPDATE "analytics"."events" SET "id" = 9 WHERE "id" = 1', {})
            session.record_load(LoadRecord("s", "run-2", datetime.now(UTC), None, {}), [])


if __name__ == "__main__":
    rewrite(sys.argv[1], sys.argv[2])
