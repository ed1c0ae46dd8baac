"""Options of a Kafka stream, and what a consumer is configured with for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ematix_core.backends.tailing import choice, options_of
from ematix_core.errors import ConfigError
from ematix_core.model.duration import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.backends.stream_protocols import StreamQuery

ON_LOST = ("fail", "earliest")
ISOLATION = ("read_committed", "read_uncommitted")
STARTS = ("earliest", "latest")
_KNOWN: dict[str, Any] = {
    "group": "", "isolation": "read_committed", "on_lost": "fail", "start": "", "instance": "",
    "session_timeout": "", "max_poll_interval": "", "refresh": 10.0,
}  # fmt: skip
_ANONYMOUS = "ematix"
"""The driver wants the name of a group, also where none is joined and nothing is committed."""
_SESSION_MS = 45_000
"""What `session.timeout.ms` is unless set: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md"""


@dataclass(frozen=True)
class StreamOptions:
    """Options with their defaults. Times are seconds."""

    group: str
    isolation: str
    on_lost: str
    start: str
    instance: str
    refresh: float
    """So often topics and partitions that are new are looked for."""
    client: Mapping[str, Any] = field(default_factory=dict)
    """Settings of librdkafka."""

    def consumer(self, group: str) -> dict[str, Any]:
        """Return what a consumer is configured with; `group` is "" for one that is no member."""
        config: dict[str, Any] = {
            "group.id": group or self.group or _ANONYMOUS,
            "isolation.level": self.isolation,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            # An offset that is not kept any more is an error: librdkafka would go on elsewhere without a word.
            "auto.offset.reset": "error",
            # With the default of 1 s, large batches stall for as long when the local queue is full.
            "fetch.queue.backoff.ms": 5,
            # A partition's broker answers at once when there are messages, and after so long when there are none.
            "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": int(self.refresh * 1000),
            "topic.blacklist": "^__.*",
            **self.client,
        }
        if group:
            config["partition.assignment.strategy"] = "cooperative-sticky"
            if self.instance:
                config["group.instance.id"] = self.instance
        return config


def session_seconds(config: Mapping[str, Any]) -> float:
    """Return how long a silent member keeps its partitions, by its own configuration, as all of a group have it."""
    return int(config.get("session.timeout.ms", _SESSION_MS)) / 1000


def stream_options(query: StreamQuery, where: str) -> StreamOptions:
    """Return a stream's options. Raises ConfigError for one that is not known or has no such value."""
    client = {name: value for name, value in query.options.items() if "." in name}
    own = {name: value for name, value in query.options.items() if "." not in name}
    values = options_of(type(query)(query.name, own), _KNOWN, where)
    for ours, theirs in (("session_timeout", "session.timeout.ms"), ("max_poll_interval", "max.poll.interval.ms")):
        if values[ours]:
            client[theirs] = int(parse_seconds(values[ours], ours) * 1000)
    if values["instance"] and not isinstance(values["instance"], str):
        raise ConfigError(f"instance={values['instance']!r} is no name", where=where)
    return StreamOptions(
        group=str(values["group"]),
        isolation=choice(values["isolation"], "isolation", ISOLATION, where),
        on_lost=choice(values["on_lost"], "on_lost", ON_LOST, where),
        start=choice(values["start"] or query.start, "start", STARTS, where),
        instance=values["instance"],
        refresh=parse_seconds(values["refresh"], "refresh"),
        client=client,
    )
