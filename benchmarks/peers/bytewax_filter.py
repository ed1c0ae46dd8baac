"""bytewax, whose Kafka sink knows no transactions: python bytewax_filter.py BROKER TOPIC OUT COUNT."""

import sys
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]  # the peers' environment
import orjson  # type: ignore[import-not-found]  # the peers' environment
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource  # type: ignore[import-not-found]  # the peers' environment
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]  # the peers' environment
from bytewax.testing import run_main  # type: ignore[import-not-found]  # the peers' environment

broker, topic, out = sys.argv[1:4]
LEAST = 5
FIELDS = ("id", "seen", "who", "quantity", "price", "page")


def shaped(message: Any) -> KafkaSinkMessage | None:  # noqa: ANN401 - the source's own message
    """Return the message that passes, with the fields that are wanted."""
    row = orjson.loads(message.value)
    if row["quantity"] < LEAST:
        return None
    return KafkaSinkMessage(None, orjson.dumps({name: row[name] for name in FIELDS}))


flow = Dataflow("filter")
source = KafkaSource([broker], [topic], tail=False, batch_size=1000)
rows = op.filter_map("shaped", op.input("input", flow, source), shaped)
op.output("output", rows, KafkaSink([broker], out))
run_main(flow)
