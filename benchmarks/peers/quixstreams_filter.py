"""quixstreams, exactly once: python quixstreams_filter.py BROKER TOPIC OUT COUNT."""

import sys

from quixstreams import Application  # type: ignore[import-not-found]  # the peers' environment

broker, topic, out, count = sys.argv[1:5]
app = Application(
    broker_address=broker, consumer_group=out, auto_offset_reset="earliest", processing_guarantee="exactly-once",
    commit_interval=1.0, loglevel="WARNING",
)  # fmt: skip
rows = app.dataframe(app.topic(topic, value_deserializer="json"))
LEAST = 5
rows = rows[rows["quantity"] >= LEAST]
rows = rows[["id", "seen", "who", "quantity", "price", "page"]]
rows.to_topic(app.topic(out, value_serializer="json"))
app.run(count=int(count), timeout=30)
