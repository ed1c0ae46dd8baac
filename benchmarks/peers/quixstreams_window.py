"""quixstreams, exactly once: python quixstreams_window.py BROKER TOPIC OUT COUNT."""

import sys
from datetime import datetime, timedelta
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]  # the peers' environment

broker, topic, out, count = sys.argv[1:5]
app = Application(
    broker_address=broker, consumer_group=out, auto_offset_reset="earliest", processing_guarantee="exactly-once",
    commit_interval=1.0, loglevel="WARNING", state_dir="state",
)  # fmt: skip


def seen(value: Any, _headers: Any, _timestamp: float, _kind: Any) -> int:  # noqa: ANN401 - as the peer declares it
    """Return the record's own time in milliseconds."""
    return int(datetime.fromisoformat(value["seen"]).timestamp() * 1000)


# Records have no keys of their own: the peer brings those of a user together by a topic of its own.
rows = app.dataframe(app.topic(topic, value_deserializer="json", timestamp_extractor=seen))
counts = rows.group_by("who").tumbling_window(timedelta(minutes=1)).count().final()
counts.to_topic(app.topic(out, value_serializer="json"))
app.run(timeout=30)
