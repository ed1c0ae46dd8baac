"""JSON messages with declared columns, and those whose columns are found in them.

The fast way reads a batch as a whole or not at all. So where it does not, the batch is halved until it does, and what
is left of that, a few messages each time, is read the exact way, which says what is wrong with which.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.codecs import json_fast
from ematix_core.codecs.arrays import Values, arrow
from ematix_core.codecs.json_columns import JsonColumn, parsed_type, refuse_unsupported
from ematix_core.codecs.json_exact import ExactRows
from ematix_core.codecs.json_inference import Found, found_in_messages, found_in_table, merged
from ematix_core.codecs.protocols import Decoded, Undecodable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ematix_core.codecs.protocols import ReadAs
    from ematix_core.model.table import Column

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
        self._read_as: ReadAs = lambda _, found: found

    def go_by(self, read_as: ReadAs) -> None:
        """Read the values of a field as the type that `read_as` tells of its name and of the type found in them."""
        self._read_as = read_as

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        columns = self._columns()
        if not len(values):
            return decode(values, columns)
        table = json_fast.parse(values, columns, unexpected="infer") if json_fast.can_read(columns) else None
        if table is not None and not self._shows_more(table, columns, values):
            rows = json_fast.rows_of(table, columns)
            if rows is not None:
                return Decoded(rows)
        self._learn(values)
        return decode(values, self._columns())

    def _columns(self) -> tuple[JsonColumn, ...]:
        found = self._found.columns()
        return tuple(replace(column, type=self._read_as(column.name, column.type)) for column in found)

    def _shows_more(self, table: pa.Table, columns: Sequence[JsonColumn], values: Values) -> bool:
        """Say whether there are fields, or values of types, that were not found before."""
        both = zip(columns, self._found.columns(), strict=True)
        of_target = {now.name: parsed_type(now.type) for now, found in both if now.type is not found.type}
        if any(table.schema.field(name).type != kind for name, kind in of_target.items()):
            return True  # a field of an object
        return merged(self._found, found_in_table(table.drop_columns(list(of_target)), values)) != self._found

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
