"""A producer that writes by transactions: https://kafka.apache.org/documentation/#semantics."""

from __future__ import annotations

import time
from threading import Thread
from typing import TYPE_CHECKING, Any

from ematix_core.backends.kafka.client import Line, driver, producer
from ematix_core.backends.kafka.failures import kafka_error, translate
from ematix_core.backends.kafka.offsets import places
from ematix_core.errors import ConnectError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Message, Producer

    from ematix_core.backends.kafka.settings import KafkaSettings

_WAITING = 100_000
"""So many messages may wait in librdkafka; the rest stays where it is."""
_SLICE = 0.2


class Transactions:
    """One producer with one transactional.id, kept from transaction to transaction, and made anew after a failure."""

    def __init__(self, settings: KafkaSettings, transactional_id: str, seconds: float) -> None:
        """`seconds`: after which the brokers abort a transaction that has not ended."""
        self.settings = settings
        self.transactional_id = transactional_id
        self._seconds = seconds
        self._line = Line(settings)
        self._client: Producer | None = None
        self._refused: list[Any] = []

    def take_over(self) -> None:
        """Make the producer: that ends what one before it with the same id has left open, and shuts that one out."""
        if self._client is None:
            self._client = producer(self._line, self._config())
            self._tried("the producer cannot begin", lambda client: client.init_transactions(self.settings.timeout))

    def begin(self) -> None:
        """Begin a transaction."""
        self._refused.clear()
        self.take_over()
        self._tried("the transaction cannot begin", lambda client: client.begin_transaction())

    def client(self) -> Producer:
        """Return the driver's producer."""
        assert self._client is not None  # noqa: S101 - asked between begin and the end only
        return self._client

    def produce(self, topic: str, messages: list[dict[str, Any]]) -> None:
        """Hand messages over. Waits while too many of those before are on their way."""
        client, module = self.client(), driver()
        while len(client) > _WAITING:
            client.poll(_SLICE)
            self._require_accepted(topic)
        try:
            if any(message.keys() - {"value", "key"} for message in messages):
                for message in messages:  # batches of the driver know neither headers, times nor partitions
                    client.produce(topic, **message)
            elif client.produce_batch(topic, messages, on_delivery=self._note) != len(messages):
                refused = next(message["_error"] for message in messages if "_error" in message)
                raise translate(refused, "a message was refused", self._where(topic))
        except module.KafkaException as error:
            raise translate(error, "a message was refused", self._where(topic)) from error
        self._require_accepted(topic)

    def flush(self) -> None:
        """Wait until the brokers have every message."""
        client, deadline, module = self.client(), time.monotonic() + self._seconds, driver()
        try:
            while client.flush(_SLICE) and not self._refused:
                if time.monotonic() >= deadline:
                    raise self._line.failure(self._seconds)
        except module.KafkaException as error:
            self._client = None  # what flush raises is fatal: another producer has taken over
            raise translate(error, "the messages were not delivered", self.settings.where) from error
        self._require_accepted("")
        failpoint("kafka.flush.after")

    def send(self, offsets: Mapping[str, int], group: Any, note: str) -> None:  # noqa: ANN401 - an opaque object of the driver
        """Put a group's positions into the transaction, with a note beside each."""
        seconds, doing = self.settings.timeout, "the group's positions cannot be committed"
        sent = places(offsets, note)

        def call(client: Producer) -> None:
            if not within(seconds + 1, lambda: client.send_offsets_to_transaction(sent, group, seconds)):
                self._client = None
                raise ConnectError(f"{doing}: the driver waits for a broker that is gone", where=self.settings.where)

        self._tried(doing, call)

    def commit(self) -> None:
        """Commit. After an error of ConnectError's kind nobody knows whether it was: the next `begin` settles it."""
        self._tried("the transaction was not committed", lambda client: client.commit_transaction(_SLICE * 5))

    def abort(self) -> None:
        """Abort the transaction; a producer that cannot do so is given up, and the next one does it."""
        client, module = self._client, driver()
        if client is None:
            return
        try:
            client.abort_transaction(self.settings.timeout)
            client.flush(0)  # which tells of the messages that the abort has thrown away, before the next ones
        except module.KafkaException:
            self._client = None

    def close(self) -> None:
        """Let the producer go."""
        self._client = None

    def _config(self) -> dict[str, Any]:
        return {
            "transactional.id": self.transactional_id,
            "transaction.timeout.ms": int(self._seconds * 1000),
            "partitioner": "murmur2_random",  # that of Java's client, so that a key has the same partition
            "compression.type": self.settings.target.get("compression", "lz4"),
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 2 * _WAITING,
            "delivery.report.only.error": True,
            "on_delivery": self._note,
        }

    def _note(self, error: Any, _message: Message) -> None:  # noqa: ANN401 - the driver's error
        if error is not None:
            self._refused.append(error)

    def _require_accepted(self, topic: str) -> None:
        if self._refused:
            raise translate(self._refused[0], "a message was not delivered", self._where(topic))

    def _where(self, topic: str) -> str:
        return f"topic {topic} of {self.settings.where}" if topic else self.settings.where

    def _tried(self, doing: str, call: Callable[[Producer], Any]) -> None:
        """Call until it is done, or until the transaction's time is over. Gives up a producer that is fenced."""
        deadline, module = time.monotonic() + min(self._seconds, 6 * self.settings.timeout), driver()
        while True:
            try:
                call(self.client())
            except module.KafkaException as error:
                found = kafka_error(error)
                if found is not None and found.retriable() and time.monotonic() < deadline:
                    continue
                if found is None or not found.txn_requires_abort():
                    self._client = None
                if self._refused:
                    self._require_accepted("")
                if found is not None and found.retriable():
                    raise ConnectError(f"{doing}: {found.str()}", where=self.settings.where) from error
                raise translate(error, doing, self.settings.where) from error
            return


def within(seconds: float, call: Callable[[], object]) -> bool:
    """Call, and say whether it came to its end in time. One that did not is left to itself.

    When brokers have been restarted, sending positions may wait for good, whatever time it is given:
    https://github.com/confluentinc/librdkafka/issues/5456
    """
    failure: list[BaseException] = []

    def called() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            failure.append(error)

    thread = Thread(target=called, name="kafka-positions", daemon=True)  # at exit, nobody waits for it
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    return not thread.is_alive()


def blocks(rows: int, size: int) -> Sequence[tuple[int, int]]:
    """Return first row and number of rows of the parts in which a batch of so many bytes is handed over."""
    step = max(1, min(4096, (4 << 20) * rows // max(size, 1)))
    return [(first, min(step, rows - first)) for first in range(0, rows, step)]
