"""One transaction on a cluster: the messages of a load, and the positions that they were made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.backends.kafka.client import Line, cluster_id, consumer, partitions_of
from ematix_core.backends.kafka.loads import Loads
from ematix_core.backends.kafka.stream import KafkaStream
from ematix_core.backends.kafka.transactions import blocks
from ematix_core.errors import CancelledError, ConflictError, UnsupportedError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.kafka.rows import Layouts
    from ematix_core.backends.kafka.settings import KafkaSettings
    from ematix_core.backends.kafka.transactions import Transactions
    from ematix_core.backends.protocols import LoadRecord, SourceFile
    from ematix_core.backends.stream_protocols import Positions, StreamSource
    from ematix_core.model.table import Column, TableName


class KafkaSession:
    """Implements `OffsetsSession`. Without `transactions` it only looks."""

    def __init__(self, settings: KafkaSettings, transactions: Transactions | None, layouts: Layouts) -> None:
        self._settings = settings
        self._transactions = transactions
        self._layouts = layouts
        self._topic = ""
        self._loads: dict[str, Loads] = {}
        self.stopped = False
        """Set from another thread to end the load."""

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Return None: a topic declares no columns. Raises MissingSourceError when there is no such topic."""
        self._topic = self._topic or str(table)
        if self._transactions is None:
            line = Line(self._settings)
            client = consumer(line, {"group.id": "ematix"})
            try:
                partitions_of(client, line, str(table))
            finally:
                client.close()
        else:
            partitions_of(self._transactions.client(), Line(self._settings), str(table))
        return None

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return nothing: topics keep no key unique."""
        _ = table, where
        return ()

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """Produce each row as a message. They become readable when the session ends."""
        transactions, topic, rows = self._writing(), str(table), 0
        shape = self._layouts.of(columns, topic)
        for batch in batches:
            for first, count in blocks(batch.num_rows, batch.nbytes):
                if self.stopped:
                    raise CancelledError("the load was interrupted", where=f"topic {topic}")
                failpoint("kafka.produce.before")
                transactions.produce(topic, shape.messages(batch.slice(first, count)))
                failpoint("kafka.produce.after")
                rows += count
        return rows

    def keep_letters(self, table: TableName, letters: pa.Table) -> int:
        """Produce dead letters with their own key and bytes; the rest is in headers, `ematix.<name>`."""
        transactions, topic = self._writing(), str(table)
        partitions_of(transactions.client(), Line(self._settings), topic)  # says when there is no such topic
        about = [name for name in letters.schema.names if name not in {"record_key", "record_value"}]
        messages = [
            {
                "key": letter["record_key"],
                "value": letter["record_value"],
                "headers": [(f"ematix.{name}", str(letter[name])) for name in about if letter[name] is not None],
            }
            for letter in letters.to_pylist()
        ]
        transactions.produce(topic, messages)
        return len(messages)

    def can_send(self, source: StreamSource) -> bool:
        """Say whether the source is a member of a group on the same cluster."""
        if not isinstance(source, KafkaStream) or source.group_metadata() is None:
            return False
        line = Line(self._settings)
        return source.cluster_id() == cluster_id(self._writing().client(), line)

    def send_positions(self, source: StreamSource, positions: Positions, note: str = "") -> None:
        """Put the positions of a member of a group into this transaction, with a note beside each."""
        if not isinstance(source, KafkaStream) or (group := source.group_metadata()) is None:
            raise UnsupportedError("the positions are not those of a member of a Kafka group",
                                   where=self._settings.where)  # fmt: skip
        offsets = {name: place for name, place in positions.items() if isinstance(place, int)}
        if lost := sorted(set(offsets) - set(source.assigned())):
            raise ConflictError(f"partition {lost[0]} is another consumer's by now", where=self._settings.where)
        failpoint("kafka.offsets.before")
        self._writing().send(offsets, group, note)
        failpoint("kafka.offsets.after")

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """Raise UnsupportedError: a cluster runs no SQL."""
        _ = columns, query, parameters
        raise self._no_sql(str(table))

    def clear(self, table: TableName) -> int:
        """Raise UnsupportedError: messages are not removed."""
        raise self._no_sql(str(table))

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Raise UnsupportedError: a cluster runs no SQL."""
        _ = parameters
        raise self._no_sql(statement)

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Raise UnsupportedError: a cluster runs no SQL."""
        _ = parameters
        raise self._no_sql(statement)

    def last_load(self, scope: str) -> LoadRecord | None:
        """Return None: a topic does not tell how far a job has read."""
        _ = scope
        return None

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """Return the load with this id, if it is among the latest of the scope into the topic first asked about."""
        return self._loads_of(scope).find(load_id)

    def loaded_files(self, scope: str) -> frozenset[SourceFile]:
        """Return nothing, see `last_load`."""
        _ = scope
        return frozenset()

    def record_load(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        """Note the load in this transaction, without its files."""
        _ = files
        failpoint("kafka.record.before")
        self._loads_of(record.scope).note(record, self._writing())
        failpoint("kafka.record.after")

    def _loads_of(self, scope: str) -> Loads:
        if scope not in self._loads:
            within = self._transactions is not None
            self._loads[scope] = Loads(self._settings, self._topic, scope, within=within)
        return self._loads[scope]

    def _writing(self) -> Transactions:
        if self._transactions is None:
            raise UnsupportedError("this session only looks", where=self._settings.where)
        return self._transactions

    def _no_sql(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"Kafka only takes new messages, and runs no SQL: {what[:80]}",
                                where=self._settings.where, hint='Use mode="append".')  # fmt: skip
