"""From what was polled to rows: messages are decoded, those that cannot be are set aside one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ematix_core.errors import BadRowError
from ematix_core.streaming.letters import letters_of, letters_of_left_out

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from ematix_core.backends.stream_protocols import Polled
    from ematix_core.codecs.protocols import Decoder, ReadAs
    from ematix_core.codecs.registry import Registry


@dataclass(frozen=True)
class Records:
    """Rows with the columns of the payload, then those that the source added; `raw` is what each was polled as.

    `letters`: the records that could not be decoded. `skipped`: tombstones, which have no payload.
    `side`: of a join, 0 for left and 1 for right.
    """

    rows: pa.Table
    raw: pa.Table
    letters: pa.Table | None = None
    skipped: int = 0
    side: int = 0

    @property
    def count(self) -> int:
        """How many records were polled."""
        return self.rows.num_rows + self.skipped + (self.letters.num_rows if self.letters else 0)


class Reading:
    """Makes records of what one source gives. `payload`: the column with the bytes of messages; empty for rows.

    `told`: columns that the messages say better than the source that added them.
    """

    def __init__(
        self, decoder: Decoder | None, payload: str, registry: Registry | None = None, told: Collection[str] = ()
    ) -> None:
        self._told = told
        self._decoder = decoder
        self._registry = registry
        self.payload = payload

    def read(self, polled: Polled) -> Records:
        """Return the rows, and the letters of those messages that are none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        raw = pa.Table.from_batches([polled.rows])
        if self._decoder is None or not self.payload:
            return Records(raw, raw, None if polled.bad is None else letters_of_left_out(polled.bad))
        skipped = raw.column(self.payload).null_count
        if skipped:
            raw = raw.filter(pc.is_valid(raw.column(self.payload)))
        values = raw.column(self.payload).combine_chunks()
        decoded = self._decoder.decode(cast("pa.BinaryArray", values))
        letters = None
        if decoded.bad:
            numbers = [one.row for one in decoded.bad]
            letters = letters_of(raw, numbers, [one.error for one in decoded.bad], payload=self.payload)
            raw = raw.filter(pc.invert(pc.is_in(_numbers(raw), value_set=pa.array(numbers, pa.int64()))))
        rows = pa.Table.from_batches([decoded.rows])
        return Records(_beside(rows, raw, {self.payload, *self._told}), raw, letters, skipped)

    def go_by(self, read_as: ReadAs) -> None:
        """Have values whose types are found in messages read as `read_as` tells."""
        if (go_by := getattr(self._decoder, "go_by", None)) is not None:
            go_by(read_as)

    def close(self) -> None:
        """Release the registry."""
        if self._registry is not None:
            self._registry.close()

    def refused(self, letters: pa.Table) -> BadRowError:
        """Return the error of a stream that does not go on with the first of these."""
        first = letters.slice(0, 1).to_pylist()[0]
        return BadRowError(
            f"a record cannot be read: {first['error']}",
            where=f"partition {first['partition_name']}, offset {first['record_offset']}",
            hint="Set on_error='dead_letter' to keep such records aside and go on.",
        )


def _numbers(rows: pa.Table) -> pa.Array[Any]:
    import pyarrow as pa

    return pa.array(range(rows.num_rows), pa.int64())


def _beside(rows: pa.Table, raw: pa.Table, without: Collection[str]) -> pa.Table:
    for name in raw.schema.names:
        if name in without:
            continue
        if name in rows.schema.names:
            raise BadRowError(
                f"the messages have a field {name!r}, and so has what the source adds",
                hint="Name the columns that are wanted by schema=, without this one.",
            )
        rows = rows.append_column(raw.schema.field(name), raw.column(name))
    return rows
