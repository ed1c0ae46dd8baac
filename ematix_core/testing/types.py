"""TypeConformance: what comes back is what was sent, or planning says that the system cannot hold it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pyarrow as pa
import pytest

from ematix_core.errors import ConversionError, EmatixError, UnsupportedError
from ematix_core.model.table import Column, TableDef, TableName
from ematix_core.testing.reach import Conformance, Reached
from ematix_core.testing.values import SAMPLES, column
from ematix_core.types import BigInt, Bytes, ColumnType, Text, from_arrow

if TYPE_CHECKING:
    from datetime import datetime

MANY_COLUMNS = 300
LARGE = 50 * 1024 * 1024
NAMES = (
    "select", "order", "Group", "user", "two words", 'a "quoted" one', "it's", "semi;colon", "dash-ed", "dot.ted",
    "ünï", "日本", "1st", "percent%s", "colon:name", "question?", "dollar$1", "back\\slash", "UPPER", "_", "x" * 60,
)  # fmt: skip


class TypeConformance(Conformance):
    """Round trips of every column type that the Dialect names, and of awkward shapes of tables.

    `times` is the range of times that the system holds when that is not all from year 1 to 9999: what lies outside
    must be refused by an error that names the column.
    """

    times: ClassVar[tuple[datetime, datetime] | None] = None

    @pytest.mark.parametrize("sample", SAMPLES)
    def test_values_come_back_as_they_were_sent(self, system: Reached, table: str, sample: str) -> None:
        kind, _ = SAMPLES[sample]
        values = column(sample)
        sent = pa.table({"n": pa.array(range(len(values)), pa.int64()), "value": values})
        declared = TableDef(TableName("", table), (Column("n", BigInt), Column("value", kind)))
        if not self._holds(system, kind):
            with pytest.raises(UnsupportedError, match="value"):
                system.plan(declared, sent)
            return
        if self.times is not None and (held := within(sent, *self.times)).num_rows < sent.num_rows:
            with pytest.raises(ConversionError, match="value"):
                system.load(declared, sent)
            sent = held
        system.load(declared, sent)
        back = system.read(table).sort_by("n")
        assert plain(back.column("value")) == plain(sent.column("value"))
        assert not missing(from_arrow(back.schema.field("value").type).kind, kind.kind)

    def test_text_with_nul_is_kept_or_refused_but_never_cut(self, system: Reached, table: str) -> None:
        sent = pa.table({"n": [1, 2], "value": ["a\0b", "\0"]})
        try:
            system.load(table, sent)
        except EmatixError:
            return
        assert system.read(table).sort_by("n").column("value").to_pylist() == ["a\0b", "\0"]

    def test_every_name_can_be_a_column(self, system: Reached, table: str) -> None:
        sent = pa.table({name: [number] for number, name in enumerate(NAMES)})
        system.load(table, sent)
        back = system.read(table)
        assert back.column_names == list(NAMES)
        assert back.to_pylist() == sent.to_pylist()

    @pytest.mark.parametrize("name", ["select", "two words", "it's", 'a "quoted" one', "ünï", "Mixed", "per%cent"])
    def test_every_name_can_be_a_table(self, system: Reached, table: str, name: str) -> None:
        sent = pa.table({"n": [1, 2]})
        declared = TableDef(TableName("", f"{name} {table}"), (Column("n", BigInt),))
        for mode in ("append", "truncate"):
            result = system.load(declared, sent, mode=mode, name=mode)
            assert result.inserted == 2

    def test_three_hundred_columns(self, system: Reached, table: str) -> None:
        sent = pa.table({f"column_{number}": [number, None] for number in range(MANY_COLUMNS)})
        system.load(table, sent)
        assert system.read(table).to_pylist() == sent.to_pylist()

    @pytest.mark.parametrize("mode", ["append", "truncate"])
    def test_no_rows_make_an_empty_table(self, system: Reached, table: str, mode: str) -> None:
        sent = pa.table({"n": pa.array([], pa.int64()), "value": pa.array([], pa.string())})
        result = system.load(table, sent, mode=mode)
        assert (result.rows_read, result.inserted) == (0, 0)
        assert system.read(table).num_rows == 0
        assert system.read(table).column_names == ["n", "value"]

    @pytest.mark.parametrize("kind", ["text", "bytes"])
    def test_one_value_of_fifty_megabytes(self, system: Reached, table: str, kind: str) -> None:
        value = "é" * (LARGE // 2) if kind == "text" else b"\x00\xff" * (LARGE // 2)
        if not self._holds(system, Text if kind == "text" else Bytes):
            return
        system.load(table, pa.table({"value": [value, None]}))
        found = system.read(table).column("value").to_pylist()
        assert sorted(found, key=lambda one: one is None) == [value, None]

    @staticmethod
    def _holds(system: Reached, kind: type[ColumnType]) -> bool:
        target = system.target()
        try:
            target.dialect.sql_type(kind, column="value")
            target.check_columns([Column("value", kind)])
        except UnsupportedError:
            return False
        finally:
            target.close()
        return True


def within(rows: pa.Table, first: datetime, last: datetime) -> pa.Table:
    """Return the rows whose `value` is no time, or NULL, or one in [first, last] (UTC)."""
    values: Any = rows.column("value")
    if not pa.types.is_timestamp(values.type):
        return rows
    low, high = (pa.scalar(time, pa.timestamp("us", "UTC")).cast(pa.int64()).as_py() for time in (first, last))
    counts = [value and value * 10 ** (3 * (2 - _unit(values.type))) for value in values.cast(pa.int64()).to_pylist()]
    return rows.filter(pa.array([count is None or low <= count <= high for count in counts]))


def plain(values: pa.ChunkedArray[Any]) -> list[object]:
    """Return the values in a form that compares exactly: times as counts of nanoseconds, floats by their text.

    Two things may change on the way: the sign of zero, and how a JSON document is laid out.
    """
    kind: Any = values.type
    if isinstance(kind, pa.BaseExtensionType):
        storage: list[Any] = [chunk.storage for chunk in cast("list[Any]", values.chunks)]
        if isinstance(kind, pa.JsonType):
            return [text and json.loads(text) for text in pa.chunked_array(storage).to_pylist()]
        return plain(pa.chunked_array(storage))
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind) or pa.types.is_duration(kind):
        return [None if n is None else n * 1000 ** (3 - _unit(kind)) for n in values.cast(pa.int64()).to_pylist()]
    if pa.types.is_time32(kind):
        counts = values.cast(pa.int32()).cast(pa.int64()).to_pylist()
        return [None if n is None else n * 1000 ** (3 - _unit(kind)) for n in counts]
    if pa.types.is_floating(kind):
        return [repr(0.0 if value == 0 else value) for value in values.to_pylist()]
    return list(values.to_pylist())


def _unit(kind: Any) -> int:  # noqa: ANN401 - a type with a unit; the stubs give it no common class
    position: int = ("s", "ms", "us", "ns").index(kind.unit)
    return position


def missing(found: str, wanted: str) -> str:
    """Return what is wrong with the type that came back; text may stand for its relatives."""
    alike = {"string": "text"}
    found, wanted = alike.get(found, found), alike.get(wanted, wanted)
    return "" if found == wanted else f"{wanted} came back as {found}"
