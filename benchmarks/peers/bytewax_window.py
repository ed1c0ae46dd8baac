"""bytewax, whose Kafka sink knows no transactions: python bytewax_window.py BROKER TOPIC OUT COUNT."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]  # the peers' environment
import bytewax.operators.windowing as win  # type: ignore[import-not-found]  # the peers' environment
import orjson  # type: ignore[import-not-found]  # the peers' environment
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource  # type: ignore[import-not-found]  # the peers' environment
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]  # the peers' environment
from bytewax.recovery import RecoveryConfig, init_db_dir  # type: ignore[import-not-found]  # the peers' environment
from bytewax.testing import cluster_main  # type: ignore[import-not-found]  # the peers' environment

broker, topic, out = sys.argv[1:4]


def parsed(message: Any) -> tuple[str, datetime]:  # noqa: ANN401 - the source's own message
    """Return user and time."""
    row = orjson.loads(message.value)
    return row["who"], datetime.fromisoformat(row["seen"])


flow = Dataflow("window")
source = KafkaSource([broker], [topic], tail=False, batch_size=1000)
rows = op.map("parsed", op.input("input", flow, source), parsed)
clock = win.EventClock(lambda at: at, wait_for_system_duration=timedelta(seconds=10))
minute = win.TumblingWindower(timedelta(minutes=1), align_to=datetime(2026, 1, 1, tzinfo=UTC))
counts = win.fold_window("count", rows, clock, minute, lambda: 0, lambda n, _: n + 1, lambda one, other: one + other)
told = op.map("told", counts.down, lambda one: KafkaSinkMessage(None, orjson.dumps({"who": one[0], "n": one[1][1]})))
op.output("output", told, KafkaSink([broker], out))
folder = Path("recovery")
folder.mkdir()
init_db_dir(folder, 1)
cluster_main(flow, [], 0, epoch_interval=timedelta(seconds=1), recovery_config=RecoveryConfig(folder))
