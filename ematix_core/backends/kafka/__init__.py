"""Kafka (`kafka`): topics that are read without end, and written by transactions.

- `settings`, `options`, `client`, `failures`: what the user says, the driver's clients, and their errors in our words.
- `messages`, `offsets`, `membership`, `stream`: reading.
- `rows`, `transactions`, `loads`, `session`, `writing`: writing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.kafka.dialect import DIALECT
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source, Target
    from ematix_core.backends.stream_protocols import SharedSource, StreamQuery
    from ematix_core.model.connection import Connection

__all__ = ["DIALECT", "check", "source", "stream_source", "target"]


def check(connection: Connection) -> str:
    """Ask the brokers for their topics, and say how many there are. Raises ConnectError, AccessError, ConfigError."""
    from ematix_core.backends.kafka.client import Line, producer, topics
    from ematix_core.backends.kafka.settings import settings_of

    line = Line(settings_of(connection))
    return f"Kafka, {len(topics(producer(line, {}), line)):,} topics"


def source(connection: Connection) -> Source:
    """Raise UnsupportedError: a topic has no end at which a job could stop."""
    raise UnsupportedError(
        f"connection {connection.name} of kind kafka cannot be read by a job",
        hint="Read the topic by a stream (ematix.stream), with --until-idle to stop at its end.",
    )


def target(connection: Connection) -> Target:
    """Return what writes to topics."""
    from ematix_core.backends.kafka.writing import KafkaTarget

    return KafkaTarget(connection)


def stream_source(connection: Connection, query: StreamQuery) -> SharedSource:
    """Return what reads a topic, or all topics that a regular expression finds (`^orders_`).

    Options: `group`, `isolation` ("read_committed", "read_uncommitted"), `on_lost` ("fail", "earliest"), `start`
    ("earliest", "latest": where a group without positions begins), `instance`, `session_timeout`, `max_poll_interval`,
    `refresh` (how often new partitions are looked for), and settings of librdkafka, which have a dot in their names.
    """
    from ematix_core.backends.kafka.stream import KafkaStream

    return KafkaStream(connection, query)
