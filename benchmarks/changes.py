"""How many changes a second Debezium's events in a topic are applied to PostgreSQL, as current state and as history.

`python -m benchmarks.changes --changes 400000 --keys 100000 --rounds 3`. Needs the broker and PostgreSQL of `make
servers`. A fifth of the changes are inserts, a fifth deletes, the rest updates, of random keys. The time of a round is
that from the first micro-batch to the last, so that start-up is no part of it. JSON with every round goes to
`benchmarks/results/changes.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import ematix_core as ematix
from benchmarks.machine import describe, versions
from benchmarks.places import RESULTS
from benchmarks.streams.ours import Marks
from benchmarks.streams.topics import dropped, filled, url
from ematix_core import pk
from ematix_core.streaming import consume_stream
from ematix_core.types import BigInt, Numeric, Text, Timestamp  # noqa: TC001 - the table decorator reads them
from tools.servers.client import execute

if TYPE_CHECKING:
    from ematix_core.model.mode import Mode

WANTED = 50_000
"""Changes a second, applied by key."""
_BEGIN = 1_770_000_000_000_000
MODES: dict[str, Mode] = {
    "merge": ematix.merge(keys="id", deleted_by="_deleted"),
    "merge, none older": ematix.merge(keys="id", deleted_by="_deleted", order_by="_source_order"),
    "scd2": ematix.scd2(keys="id", event_time="_event_ts", deleted_by="_deleted"),
}


def main() -> None:
    """Measure every mode in each round, print the rates, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=400_000, help="events of the topic")
    parser.add_argument("--keys", type=int, default=100_000, help="keys that they are of")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best counts")
    parser.add_argument("--results", type=Path, default=RESULTS / "changes.json", help="where the JSON goes")
    options = parser.parse_args()
    facts = {**describe(Path(sys.executable)), "changes": options.changes, "keys": options.keys, "wanted": WANTED}
    facts["clients"] = versions(Path(sys.executable), ("confluent-kafka", "asyncpg", "pgpq"))
    topic = filled(1, options.changes, events(options.changes, options.keys).__getitem__)
    figures = []
    try:
        for number in range(options.rounds):
            for name, mode in MODES.items():
                rate = measured(topic, mode)
                figures.append({"round": number, "mode": name, "changes_per_second": round(rate)})
                print(f"{name}: {rate:,.0f} changes/s (wanted: {WANTED:,})", flush=True)
    finally:
        dropped([topic])
    facts["load_average_after"] = [round(value, 1) for value in os.getloadavg()]
    options.results.write_text(json.dumps({**facts, "figures": figures}, indent=1) + "\n", encoding="utf-8")


def events(changes: int, keys: int) -> list[bytes]:
    """Return a log of changes that could have happened: rows are updated and deleted only while they are there."""
    chance = random.Random(1)  # noqa: S311 - the same log each time
    rows: dict[int, dict[str, Any]] = {}
    made = []
    for number in range(changes):
        key = chance.randrange(keys)
        before = rows.pop(key, None)
        op = "c" if before is None else "d" if chance.random() < 1 / 4 else "u"
        after = None
        if op != "d":
            text = f"customer {number:09} of the shop"
            after = rows[key] = {"id": key, "name": text, "total": f"{number % 9973}.50", "at": _BEGIN + number}
        at = _BEGIN + 10 * number
        source = {"version": "3.0.8.Final", "connector": "postgresql", "name": "shop", "ts_ms": at // 1000,
                  "snapshot": "false", "db": "shop", "sequence": f'["{number}","{number}"]', "ts_us": at,
                  "ts_ns": at * 1000, "schema": "public", "table": "orders", "txId": number, "lsn": number}  # fmt: skip
        event = {"before": before, "after": after, "source": source, "op": op, "ts_ms": at // 1000}
        made.append(json.dumps(event, separators=(",", ":")).encode())
    return made


def measured(topic: str, mode: Mode) -> float:
    """Apply the topic's changes to a new table, and return how many that were a second."""
    name = f"bench_{uuid4().hex[:10]}"
    marks = Marks()
    marks.add(0)
    consume_stream(declared(topic, name, mode), until_idle=True, observer=marks)
    execute(url("postgres"), f"DROP TABLE {name}")
    (begin, _, before), (finish, _, after) = marks.taken[1], marks.taken[-1]
    return (after - before) / (finish - begin)


def declared(topic: str, name: str, mode: Mode) -> ematix.Stream:
    """Return the stream from the topic into the table."""

    @ematix.table(name=name)
    class Orders:
        id: Annotated[BigInt, pk()]
        name: Text
        total: Numeric[12, 2]  # type: ignore[type-arg, valid-type] # mypy does not know subscripted types
        at: Timestamp
        _source_order: Text | None

    @ematix.table(name=name)
    class Versions:
        id: BigInt
        name: Text
        total: Numeric[12, 2]  # type: ignore[type-arg, valid-type] # mypy does not know subscripted types
        at: Timestamp

    return ematix.stream(
        name, source=ematix.KafkaConnection("events", url=url("kafka")), source_query=topic,
        target=ematix.PostgresConnection("warehouse", url=url("postgres")), mode=mode,
        target_table=Versions if mode.name == "scd2" else Orders,
        format_options={"envelope": "debezium", "decimals": "string"},
    )  # fmt: skip


if __name__ == "__main__":
    main()
