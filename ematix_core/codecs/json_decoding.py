"""JSON messages with declared columns, and those whose columns are found in them.

The fast way reads a batch as a whole or not at all. So where it does not, the batch is halved until it does, and what
is left of that, a few messages each time, is read the exact way, which says what is wrong with which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core.codecs import json_fast
from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.json_columns import JsonColumn, refuse_unsupported
from ematix_core.codecs.json_exact import ExactRows
from ematix_core.codecs.json_inference import Found, found_in_messages, found_in_table, merged
from ematix_core.codecs.protocols import Decoded, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

FEW = 32
"""Messages that are read exactly rather than halved again; a call of the fast way costs about as much."""


class _Pieces:
    """The rows and the bad messages of one batch, gathered in order."""

    def __init__(self, columns: tuple[JsonColumn, ...]) -> None:
        self.columns = columns
        self.exact = ExactRows(columns)
        self.rows: list[pa.RecordBatch] = []
        self.bad: list[Undecodable] = []

    def read(self, values: Values, start: int, *, fast: bool) -> None:
        """Read the messages, the first of which has the number `start`."""
        rows = json_fast.read(values, self.columns) if fast else None
        if rows is not None:
            self.rows.append(rows)
        elif len(values) <= FEW:
            self._read_exactly(values, start)
        else:
            half = len(values) // 2 if fast else FEW
            self.read(values[:half], start, fast=fast)
            self._rest(values, start, half, fast=fast)

    def _rest(self, values: Values, start: int, done: int, *, fast: bool) -> None:
        if fast:
            self.read(values[done:], start + done, fast=True)
            return
        for begin in range(done, len(values), FEW):
            self._read_exactly(values[begin : begin + FEW], start + begin)

    def _read_exactly(self, values: Values, start: int) -> None:
        rows, bad = self.exact.read(values.to_pylist())
        self.rows.append(rows)
        self.bad += [Undecodable(start + one.row, one.error) for one in bad]

    def decoded(self) -> Decoded:
        """Return all that was read."""
        rows = arrow.concat_batches(self.rows) if self.rows else self.exact.read([])[0]
        return Decoded(rows, tuple(self.bad))


def decode(values: Values, columns: tuple[JsonColumn, ...], *, fast: bool = True) -> Decoded:
    """Read the messages into the columns; `fast=False` uses the exact way alone, with an equal result."""
    pieces = _Pieces(columns)
    if len(values):
        pieces.read(values, 0, fast=fast and json_fast.can_read(columns))
    return pieces.decoded()


class JsonDecoder:
    """Reads JSON objects into declared columns. Fields that no column has are left out."""

    def __init__(self, columns: Sequence[Column]) -> None:
        for column in columns:
            refuse_unsupported(column)
        self._columns = tuple(JsonColumn(column.name, column.type, column.nullable) for column in columns)

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        return decode(values, self._columns)


class InferringJsonDecoder:
    """Reads JSON objects into the columns that they turn out to have.

    A column that was seen stays, and its type only widens, for as long as the decoder lives; see `json_inference`.
    """

    def __init__(self) -> None:
        self._found = Found()
        self._before: Mapping[str, type[ColumnType]] = {}

    def remember(self, types: Mapping[str, type[ColumnType]]) -> None:
        """Read columns of these names as if values of these types had been seen: a decoder before this one saw them."""
        self._before = types

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        if not len(values):
            return decode(values, self._found.columns())
        known = [column for column in self._found.columns() if json_fast.can_read([column])]
        table = json_fast.parse(values, known, unexpected="infer")
        if table is not None and merged(self._found, found_in_table(table, values)) == self._found:
            rows = json_fast.rows_of(table, self._found.columns())
            if rows is not None:
                return Decoded(rows)
        self._learn(values)
        self._found = self._found.widened_by(self._before)
        return decode(values, self._found.columns())

    def apart(
        self, values: pa.BinaryArray | pa.LargeBinaryArray, wanted: Mapping[str, Sequence[type[ColumnType]]]
    ) -> Decoded | None:
        """Read messages again, without those in which a field is of none of the types wanted for it: these are bad.

        What was known of such a field is found anew. None when no message is bad, or each of them is.
        """
        bad = tuple(_misfits(values, 0, wanted))
        if len(bad) in {0, len(values)}:
            return None
        self._found = self._found.without_types(wanted)
        numbers = pa.array(range(len(values)), pa.int64())
        among = compute.is_in(numbers, value_set=pa.array([one.row for one in bad], pa.int64()))
        return Decoded(self.decode(values.filter(compute.invert(among))).rows, bad)

    def _learn(self, values: Values) -> None:
        """Widen what is known by these messages; those that cannot be read tell nothing."""
        table = json_fast.parse(values, (), unexpected="infer")
        if table is not None:
            self._found = merged(self._found, found_in_table(table, values))
        elif len(values) <= FEW:
            self._found = merged(self._found, found_in_messages(values.to_pylist()))
        else:
            half = len(values) // 2
            self._learn(values[:half])
            self._learn(values[half:])


def _misfits(values: Values, start: int, wanted: Mapping[str, Sequence[type[ColumnType]]]) -> Iterator[Undecodable]:
    """Yield those of the messages, the first of which has the number `start`, with a field of none of these types."""
    table = json_fast.parse(values, (), unexpected="infer")
    if table is not None and found_in_table(table, values).misfit(wanted) is None:
        return
    if len(values) > FEW:
        half = len(values) // 2
        yield from _misfits(values[:half], start, wanted)
        yield from _misfits(values[half:], start + half, wanted)
        return
    for number, message in enumerate(values.to_pylist(), start):
        found = found_in_messages([message])
        if (name := found.misfit(wanted)) is not None:
            kinds = " or ".join(kind.label() for kind in wanted[name])
            yield Undecodable(number, f"field {name!r} is {found.types[name].label()}, and the target takes {kinds}")
