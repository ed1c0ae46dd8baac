"""A topic, and the table that it is loaded into."""

from __future__ import annotations

import os

import ematix_core as ematix

events = ematix.KafkaConnection("events", url="${BROKER}")
ledger = ematix.SQLiteConnection("ledger", path="ledger.db")

clicks = ematix.stream(
    "clicks", source=events, source_query=os.environ["TOPIC"], target=ledger, target_table="clicks", batch_seconds=0.2,
    transform_sql="SELECT n FROM source",
)  # fmt: skip
