"""What ours runs, in a process of its own: `python -m benchmarks.streams.ours CASE TOPIC OUT SLOT SECONDS`.

Prints JSON: `marks`, a list of [Unix time, CPU seconds, records so far] after each micro-batch or poll, and `peak_mib`.
Rates are taken between the first mark and the last, so that imports and the joining of the group are none of them.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ematix_core as ematix
from benchmarks.streams.avro import schemas
from benchmarks.streams.topics import KEPT, url
from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.streaming import consume_stream
from ematix_core.streaming.control import Control, Unobserved

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.control import Landed


class Marks(Unobserved):
    """Notes the time after each micro-batch."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.taken: list[tuple[float, float, int]] = []
        self.records = 0

    def add(self, records: int) -> None:
        """Take note of more records."""
        self.records += records
        self.taken.append((time.time(), time.process_time(), self.records))

    def landed(self, target: str, done: Landed) -> None:
        """See Observer."""
        _ = target
        self.add(done.records)


def main() -> None:
    """Run one case."""
    case, topic, out, slot, seconds = sys.argv[1:6]
    marks = Marks()
    if case == "consume":
        consumed(topic, marks)
    else:
        with tempfile.TemporaryDirectory(prefix="bench-streams-") as folder:
            shaped(declared(case, topic, out, float(seconds), Path(folder)), int(slot), float(seconds), marks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"marks": marks.taken, "peak_mib": round(peak, 1)}))


def consumed(topic: str, marks: Marks) -> None:
    """Poll all that the topic has, and do nothing with it."""
    connection = ematix.KafkaConnection("events", url=url("kafka"))
    source = registry.stream_source(connection, StreamQuery(topic, {}, "earliest"))
    source.seek("earliest")
    end = sum(place for place in source.end().values() if isinstance(place, int))
    while marks.records < end:
        polled = source.poll(PollLimits(rows=100_000, bytes=64 << 20, seconds=1.0))
        if polled is not None:
            marks.add(polled.rows.num_rows)
    source.close()


def shaped(stream: Stream, slot: int, seconds: float, marks: Marks) -> None:
    """Consume the stream until it is idle, or for so many seconds."""
    control = Control()
    if seconds:
        threading.Timer(seconds, control.stop).start()
    consume_stream(stream, until_idle=not seconds, observer=marks, control=control, slot=slot)


def declared(case: str, topic: str, out: str, seconds: float, folder: Path) -> Stream:
    """Return the stream from the topic to the case's target; in small micro-batches when it is to last `seconds`.

    The case is the target's kind, with `avro_` before it for messages of Avro, read and written.
    """
    kind, avro = case.removeprefix("avro_"), case.startswith("avro_")
    events = ematix.KafkaConnection("events", url=url("kafka"))
    targets: dict[str, Connection] = {
        "kafka": events,
        "postgres": ematix.PostgresConnection("warehouse", url=url("postgres")),
        "duckdb": ematix.DuckDBConnection(name="lake", path=str(folder / "lake.duckdb")),
    }
    columns = "id, seen, who, quantity, price, page"
    return ematix.stream(
        f"bench_{case}_{out}"[:60], source=events, source_query=topic, target=targets[kind], target_table=out,
        transform_sql=f"SELECT {columns} FROM source WHERE {KEPT}" if kind == "kafka" else "",
        format="avro" if avro else "", registry=schemas() if avro else None,
        target_format=ematix.Format("avro", registry=schemas()) if avro and kind == "kafka" else None,
        on_error="fail", batch_seconds=0.05 if seconds else 1.0,
    )  # fmt: skip


if __name__ == "__main__":
    main()
