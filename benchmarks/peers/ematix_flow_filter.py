"""ematix-flow, at least once: python ematix_flow_filter.py BROKER TOPIC OUT COUNT. It is ended from outside."""

import sys

from ematix_flow.connections import KafkaConnection  # type: ignore[import-not-found]  # the peers' environment
from ematix_flow.streaming import run_streaming_pipeline  # type: ignore[import-not-found]  # the peers' environment

broker, topic, out = sys.argv[1:4]
run_streaming_pipeline(
    name="filter",
    source=KafkaConnection(name="events", bootstrap_servers=broker, group_id=out, payload_format="json"),
    source_query=topic,
    target=KafkaConnection(name="out", bootstrap_servers=broker, payload_format="json"),
    target_topic=out,
    transform_sql="SELECT id, seen, who, quantity, price, page FROM source WHERE quantity > 4",
    idle_pause_ms=10,
)
