"""What letters say once more: decoded and shaped, and which of them can be loaded."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.backends.stream_protocols import headers_type
from ematix_core.engine.cancel import Cancellation
from ematix_core.errors import EmatixError, UnsupportedError
from ematix_core.streaming.landing import Landing
from ematix_core.streaming.letters import headers_of_text
from ematix_core.streaming.opening import open_reading, open_source
from ematix_core.streaming.poison import without
from ematix_core.streaming.shaping import Shaping
from ematix_core.streaming.sifting import unloadable
from ematix_core.streaming.text_types import read_as, types_of_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from ematix_core.engine.environment import Environment
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.records import Reading, Records


@dataclass(frozen=True)
class Replayed:
    """How many letters were loaded, the errors of those that failed again, by id, and what else is to be known."""

    loaded: int
    failed: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """The rows of the letters that can be loaded, these letters, and the errors of the others, by id."""

    rows: pa.Table
    ids: list[str]
    failed: dict[str, str]


@dataclass(frozen=True)
class Again:
    """What letters are read, shaped and loaded by. For one thread."""

    reading: Reading
    shaping: Shaping
    landing: Landing

    def tried(self, letters: Sequence[Mapping[str, Any]], value: bytes | None = None) -> Tried:
        """Load the letters and roll back; `value` stands for their bytes."""
        records, failed = _decoded(self.reading, _raw(letters, self.reading.payload, value), letters)
        ids = [one["letter_id"] for one in letters if one["letter_id"] not in failed]
        rows = records.rows
        while rows.num_rows:
            try:
                self.landing.attempt(self.shaping.shaped(rows))
                break
            except EmatixError as error:
                bad = unloadable(rows, self.shaping, self.landing, error)
            failed |= {ids[number]: reason for number, reason in bad.items()}
            rows = without(rows, bad)
            ids = [one for number, one in enumerate(ids) if number not in bad]
        return Tried(self.shaping.shaped(rows) if rows.num_rows else rows.select([]), ids, failed)


@contextmanager
def opened(env: Environment, stream: Stream, target: Target) -> Iterator[Again]:
    """Open what the letters of one target are replayed by. Raises UnsupportedError for a source of rows."""
    with ExitStack() as stack:
        shaping, source = Shaping(env, stream), open_source(env, stream)
        stack.callback(shaping.close)
        stack.callback(source.close)
        reading = open_reading(env, stream, source, target)
        stack.callback(reading.close)
        if not reading.payload:
            raise UnsupportedError(
                "letters of a source of rows are kept as JSON or as lines, which do not give the rows back exactly",
                hint="Mend them at the source and consume again with --from, or load them by a job.",
            )
        landing = stack.enter_context(Landing(env, stream, target, Cancellation(), slot="replay"))
        if (types := types_of_target(stream, target, landing)) is not None:
            reading.go_by(read_as(types(), landing.target.dialect))
        yield Again(reading, shaping, landing)


def _raw(letters: Sequence[Mapping[str, Any]], payload: str, value: bytes | None) -> pa.Table:
    """Return the letters as the source gave them, as far as they are known."""
    import pyarrow as pa

    def column(name: str) -> list[Any]:
        return [one[name] for one in letters]

    partitions = column("partition_name")
    topics = [None if one is None else one.rpartition(":")[0] for one in partitions]
    headers = [headers_of_text(one.get("record_headers")) for one in letters]  # letters of older tables have none

    return pa.table(
        {
            payload: pa.array(column("record_value") if value is None else [value] * len(letters), pa.binary()),
            "_key": pa.array(column("record_key"), pa.binary()),
            "_headers": pa.array(headers, headers_type()),
            "_event_ts": pa.array(column("event_ts"), pa.timestamp("us", "UTC")),
            "_topic": pa.array(topics, pa.string()),
            "_partition": pa.array(partitions, pa.string()),
            "_offset": pa.array(column("record_offset"), pa.int64()),
        }
    )


def _decoded(reading: Reading, raw: pa.Table, letters: Sequence[Mapping[str, Any]]) -> tuple[Records, dict[str, str]]:
    """Return what can be decoded, and the errors of the rest by id."""
    from ematix_core.backends.stream_protocols import Polled

    batch = raw.combine_chunks().to_batches()[0]
    records = reading.read(Polled(batch, {}))
    if records.letters is None:
        return records, {}
    places = {(one["partition_name"], one["record_offset"]): one["letter_id"] for one in letters}
    failed = {places[one["partition_name"], one["record_offset"]]: one["error"] for one in records.letters.to_pylist()}
    return records, failed
