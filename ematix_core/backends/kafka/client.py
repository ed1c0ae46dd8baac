"""Clients of confluent-kafka: how they are made, what they log, and what a cluster says of its topics."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ematix_core.backends.kafka.failures import FINAL, kafka_error, translate, unreachable
from ematix_core.errors import ConfigError, ConnectError, MissingDriverError, MissingSourceError, near

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from confluent_kafka import Consumer, KafkaError, Producer

    from ematix_core.backends.kafka.settings import KafkaSettings

LOGGER = logging.getLogger("ematix.kafka")
LOGGER.addHandler(logging.NullHandler())  # without any handler, Python writes warnings to stderr
_SLICE = 0.5
"""Seconds of one wait for an answer: between two of them the client tells of its errors, and Ctrl-C is noticed."""
_INTERNAL = "__"


def driver() -> ModuleType:
    """Return confluent_kafka. Raises MissingDriverError when it is not installed."""
    try:
        import confluent_kafka
    except ImportError as error:
        raise MissingDriverError("kafka", "confluent-kafka", "kafka") from error
    return confluent_kafka


class Line:
    """What the connections of one client have told of their errors. `last` is the newest, None before any."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.last: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """Be told of an error by the client; what cannot go away is kept before what may."""
        if self.last is None or self.last.name() not in FINAL:
            self.last = error

    def configured(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return a client's whole configuration: `own` is set by us, and the user's settings come before it."""
        config = {"client.id": "ematix", "log.connection.close": False, **own, **self.settings.client}
        config |= {"error_cb": self.note, "logger": LOGGER}
        if self.settings.iam_region:
            config["oauth_cb"] = _iam_token(self.settings.iam_region)
        return config

    def failure(self, seconds: float) -> Exception:
        """Return the error for brokers that did not answer for so long."""
        return unreachable(seconds, self.last, self.settings.where)


def consumer(line: Line, own: Mapping[str, Any]) -> Consumer:
    """Return a consumer; it connects when it is asked. Raises ConfigError for settings that librdkafka refuses."""
    module = driver()
    try:
        made: Consumer = module.Consumer(line.configured(own))
    except module.KafkaException as error:
        raise _refused(error, line) from error
    return made


def producer(line: Line, own: Mapping[str, Any]) -> Producer:
    """Return a producer; it connects when it is asked. Raises ConfigError for settings that librdkafka refuses."""
    module = driver()
    try:
        made: Producer = module.Producer(line.configured(own))
    except module.KafkaException as error:
        raise _refused(error, line) from error
    return made


def topics(client: Consumer | Producer, line: Line, name: str | None = None) -> dict[str, int]:
    """Return the cluster's topics with their numbers of partitions: all that are not internal, or just one.

    A topic that does not exist is left out. Raises ConnectError or AccessError when no broker answers in time.
    """
    module = driver()
    deadline = time.monotonic() + line.settings.timeout
    while True:
        try:
            metadata = client.list_topics(name, timeout=_SLICE) if name else client.list_topics(timeout=_SLICE)
        except module.KafkaException as error:
            client.poll(0)  # which hands over what the connections had to tell
            refused = line.last is not None and line.last.name() in FINAL
            if refused or time.monotonic() >= deadline:
                raise line.failure(line.settings.timeout) from error
            told_error = kafka_error(error)
            if told_error is not None and told_error.name() not in {"_TRANSPORT", "_TIMED_OUT"}:
                raise translate(error, "the topics cannot be listed", line.settings.where) from error
            time.sleep(0.02)
            continue
        found: dict[str, int] = {}
        for topic, told in metadata.topics.items():
            if told.error is None and not (topic.startswith(_INTERNAL) and name is None):
                found[topic] = len(told.partitions)
            elif told.error is not None and "AUTHORIZATION" in told.error.name():
                raise translate(told.error, f"topic {topic} may not be looked at", line.settings.where)
        line.last = None
        return found


def partitions_of(client: Consumer | Producer, line: Line, topic: str) -> int:
    """Return a topic's number of partitions. Raises MissingSourceError with the near name for one that is not there."""
    found = topics(client, line, topic)
    if topic not in found:
        raise MissingSourceError(
            f"there is no topic {topic!r}", where=line.settings.where, hint=near(topic, topics(client, line))
        )
    return found[topic]


def cluster_id(client: Consumer | Producer, line: Line) -> str:
    """Return the id of the cluster. Raises ConnectError when no broker answers."""
    found = client.cluster_id(line.settings.timeout)
    if not found:
        raise ConnectError("the cluster does not tell its id", where=line.settings.where)
    return str(found)


def _refused(error: Exception, line: Line) -> Exception:
    found = kafka_error(error)
    return ConfigError(
        f"librdkafka refuses the settings: {found.str() if found else error}", where=line.settings.where,
        hint="See https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md.",
    )  # fmt: skip


def _iam_token(region: str) -> Any:  # noqa: ANN401 - the driver's callback
    """Return what asks AWS for tokens: https://github.com/aws/aws-msk-iam-sasl-signer-python."""
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError as error:
        raise MissingDriverError("kafka with AWS_MSK_IAM", "aws-msk-iam-sasl-signer-python", "msk") from error

    def token(_config: str) -> tuple[str, float]:
        text, milliseconds = MSKAuthTokenProvider.generate_auth_token(region)
        return text, milliseconds / 1000

    return token
