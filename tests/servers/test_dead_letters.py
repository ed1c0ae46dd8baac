"""Dead letters in a PostgreSQL table: listed, shown, parked and purged."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ematix_core.model.connection import ObjectStoreConnection, PostgresConnection
from ematix_core.model.stream import stream
from ematix_core.streaming.dead_letters import find_letters, list_letters, park_letters, purge_letters, unpark_letters
from tests.servers.reach import database

if TYPE_CHECKING:
    from pathlib import Path


def test_letters_in_postgres_are_listed_parked_and_purged(tmp_path: Path) -> None:
    pq.write_table(pa.table({"k": [1, 2, 3], "v": ["1", "b", "c"]}), tmp_path / "a.parquet")
    os.utime(tmp_path / "a.parquet", (time.time() - 60,) * 2)
    with database("postgres") as url:
        orders = stream(
            "orders", source=ObjectStoreConnection("files", path=str(tmp_path)), source_query="*.parquet",
            target=PostgresConnection("store", url=url), target_table="orders",
            transform_sql="SELECT k, CAST(v AS INTEGER) AS v FROM source", on_error="dead_letter",
        )  # fmt: skip
        orders.consume(until_idle=True)
        ids = ["orders/a.parquet/2", "orders/a.parquet/1"]
        assert [letter["letter_id"] for letter in list_letters(orders).letters] == ids
        assert find_letters(orders, ids[0])[0]["record_value"] == b'{"k": 3, "v": "c"}'
        assert (park_letters(orders, letter_ids=ids[:1]), unpark_letters(orders), park_letters(orders)) == (1, 1, 2)
        assert list_letters(orders).counts == {"new": 0, "parked": 2, "replayed": 0}
        assert purge_letters(orders, before=datetime.now(UTC) - timedelta(days=1)) == 0
        assert purge_letters(orders, states=["parked"]) == 2
