"""Debezium's change events as rows of changes: the row after each change, or as it was, and what became of it.

An event has the row `before` and `after`, an `op`, and where and when the `source` had it:
https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-change-events-value
What reads the envelope gives it as structs, with its fields as Connect names them; the rest is done here, by columns.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from ematix_core import types
from ematix_core.codecs import debezium_order
from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.connect_types import ConnectField, typed
from ematix_core.codecs.fitting import fitted
from ematix_core.codecs.protocols import Decoded, Undecodable
from ematix_core.codecs.wire import in_order
from ematix_core.errors import ConversionError
from ematix_core.model.changes import DELETED, EVENT_TIME, OP, SOURCE_ORDER
from ematix_core.model.table import Column
from ematix_core.sql.widening import widens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.codecs.protocols import ReadAs

_OPS = ("c", "u", "d", "r")
_NAMES = ("insert", "update", "delete", "snapshot")
_DELETE = "d"
_LEFT_OUT = "__debezium_unavailable_value"
"""https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-toasted-values"""
_ADDED = (
    Column(OP, types.Text), Column(DELETED, types.Boolean), Column(EVENT_TIME, types.TimestampTZ),
    Column(SOURCE_ORDER, types.Text),
)  # fmt: skip
_FAULTS = (ValueError, OverflowError, ArithmeticError, pa.ArrowException, ConversionError)


@dataclass(frozen=True)
class Envelopes:
    """Some events of one schema: `before`, `after`, `source`, `op`, `ts_ms` and the like, and their numbers."""

    events: pa.RecordBatch
    numbers: Values
    fields: tuple[ConnectField, ...]

    def part(self, rows: Values) -> Envelopes:
        """Return those of a mask, or with these places."""
        take = "filter" if pa.types.is_boolean(rows.type) else "take"
        return Envelopes(getattr(self.events, take)(rows), getattr(self.numbers, take)(rows), self.fields)


def without_bad(
    decoded: Decoded, numbers: Values, fields: tuple[ConnectField, ...], bad: dict[int, str]
) -> Envelopes:  # fmt: skip
    """Return the events that could be read; the others are told in `bad`."""
    if decoded.bad:
        bad |= {numbers[one.row].as_py(): one.error for one in decoded.bad}
        wrong = arrow.array([one.row for one in decoded.bad], numbers.type)
        numbers = numbers.filter(compute.invert(compute.is_in(arrow.arange(0, len(numbers)), value_set=wrong)))
    return Envelopes(decoded.rows, numbers, fields)


class EnvelopeReader(Protocol):
    """Reads the envelopes of messages."""

    def read(self, values: Values) -> tuple[list[Envelopes], dict[int, str]]:
        """Return the events, and by their number the messages that are none. May ask a registry, as a Decoder may."""
        ...


class DebeziumDecoder:
    """Reads events into the declared columns, by name, or into those that they have; and what became of the row.

    A column that was seen stays, and its type only widens. One that is declared without NULL takes it of a row that is
    gone.
    """

    def __init__(self, reader: EnvelopeReader, columns: Sequence[Column]) -> None:
        self._reader = reader
        self._declared = bool(columns)
        self._columns = {column.name: column for column in columns}

    def go_by(self, read_as: ReadAs) -> None:
        """Read fields whose types are found in the messages as `read_as` tells; see `InferringJsonDecoder`."""
        if (go_by := getattr(self._reader, "go_by", None)) is not None:
            go_by(read_as)

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        found, bad = self._reader.read(values)
        if not self._declared:
            for one in found:
                self._learn(one.fields)
        good: list[tuple[pa.Int64Array, pa.RecordBatch]] = []
        for one in found:
            self._keep(_changes(one, bad), good, bad)
        empty = pa.RecordBatch.from_pylist([], schema=self._schema())
        return Decoded(in_order(good, empty), tuple(Undecodable(number, bad[number]) for number in sorted(bad)))

    def _learn(self, fields: Sequence[ConnectField]) -> None:
        for field in fields:
            known = self._columns.get(field.name)
            if known is None or widens(known.type, field.type):
                self._columns[field.name] = Column(field.name, field.type)

    def _schema(self) -> pa.Schema:
        return pa.schema([types.to_field(one.name, one.type) for one in (*self._columns.values(), *_ADDED)])

    def _keep(
        self, events: Envelopes, good: list[tuple[pa.Int64Array, pa.RecordBatch]], bad: dict[int, str]
    ) -> None:  # fmt: skip
        """Keep the rows of events that fit the columns; halve them until those that do not are alone."""
        count = len(events.numbers)
        if not count:
            return
        try:
            good.append((events.numbers, self._rows(events)))
        except _FAULTS as error:
            if count == 1:
                bad[events.numbers[0].as_py()] = getattr(error, "what", "") or str(error)
                return
            half = count // 2
            # As copies, for Arrow validates what lies beyond a slice of structs too.
            self._keep(events.part(arrow.arange(0, half)), good, bad)
            self._keep(events.part(arrow.arange(half, count)), good, bad)

    def _rows(self, events: Envelopes) -> pa.RecordBatch:
        gone = compute.equal(events.events.column("op"), _DELETE)
        known = {field.name: field for field in events.fields}
        arrays = []
        for column in self._columns.values():
            field = known.get(column.name)
            values = arrow.nulls(len(gone), column.type.to_arrow()) if field is None else _chosen(events, field, gone)
            arrays.append(fitted(values, Column(column.name, column.type)))
            _require(column, arrays[-1], gone)
        return pa.RecordBatch.from_arrays([*arrays, *_added(events.events, gone)], schema=self._schema())


def _chosen(events: Envelopes, field: ConnectField, gone: Values) -> Values:
    """Return a field of the row: as it was where it is gone, else as it is."""
    before = child(events.events.column("before"), field.name, field.wire)
    after = child(events.events.column("after"), field.name, field.wire)
    _require_known(after, field.name)
    try:
        return typed(after if before is None else compute.if_else(gone, before, after), field)
    except (ValueError, ArithmeticError, pa.ArrowException) as error:
        raise ConversionError(f"field {field.name!r} does not fit {field.type.label()}: {error}") from error


def _require_known(after: Values, name: str) -> None:
    """Raise ConversionError for a value that is not in PostgreSQL's log: a large one that did not change."""
    kind = after.type
    if not pa.types.is_string(kind) and not pa.types.is_binary(kind):
        return
    left_out = arrow.array([_LEFT_OUT, b64encode(_LEFT_OUT.encode()).decode()]).cast(kind)
    if compute.any(compute.is_in(after, value_set=left_out)).as_py():
        raise ConversionError(
            f"field {name!r}: PostgreSQL's log does not have its value, as it is large and did not change; run on the "
            "source: ALTER TABLE ... REPLICA IDENTITY FULL"
        )


def child(values: Values, name: str, kind: type[types.ColumnType]) -> Values:
    """Return a field of structs in a type; NULL where they have none."""
    wanted = kind.to_arrow()
    if not pa.types.is_struct(values.type) or values.type.get_field_index(name) < 0:
        return arrow.nulls(len(values), wanted)
    found = compute.struct_field(values, name)
    return found if found.type.equals(wanted) else found.cast(wanted)


def _require(column: Column, values: Values, gone: Values) -> None:
    if column.nullable or not values.null_count:
        return
    if compute.any(compute.and_not(values.is_null(), gone)).as_py():
        raise ConversionError(f"field {column.name!r} is missing or null, and the column is not nullable")


def _changes(events: Envelopes, bad: dict[int, str]) -> Envelopes:
    """Return the events that are changes of a row; the others are told in `bad`."""
    op = events.events.column("op")
    row = compute.is_in(op, value_set=pa.array(_OPS))
    gone = compute.fill_null(compute.equal(op, _DELETE), False)  # noqa: FBT003 - the value to fill in
    sides = [events.events.column(name).is_valid() for name in ("before", "after")]
    told = compute.and_(row, compute.if_else(gone, *sides))
    if compute.all(told).as_py():
        return events
    wrong = compute.invert(told)
    for number, name in zip(events.numbers.filter(wrong).to_pylist(), op.filter(wrong).to_pylist(), strict=True):
        bad[number] = _problem(name)
    return events.part(told)


def _problem(op: str | None) -> str:
    match op:
        case "t":
            return (
                "the source's table was truncated, which no row can say: load the target anew, or have the connector "
                "leave it out (skipped.operations=t)"
            )
        case "d":
            return "a row was deleted, and the event does not say which: give the source's table a replica identity"
        case None:
            return "it is no change event of Debezium: it has no op"
    return f"the event has op {op!r}, and no row" if op in _OPS else f"no change of a row: op {op!r}"


def _added(events: pa.RecordBatch, gone: Values) -> list[Values]:
    op = pa.array(_NAMES).take(compute.index_in(events.column("op"), value_set=pa.array(_OPS)))
    source = events.column("source")
    return [op, gone, _times(events, source), debezium_order.order_of(source)]


def _times(events: pa.RecordBatch, source: Values) -> Values:
    """Return when each change was committed, as exactly as the event says; else when Debezium saw it."""
    top: Mapping[str, Values] = {name: events.column(name) for name in events.schema.names}
    found = []
    for unit, factor in (("us", 1), ("ms", 1000)):
        found.append(compute.multiply(child(source, f"ts_{unit}", types.BigInt), factor))
    if "ts_ms" in top:
        found.append(compute.multiply(top["ts_ms"].cast(pa.int64()), 1000))
    return compute.coalesce(*found).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
