"""Which schemas of Avro have a fast way, and that whole messages are read by it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ematix_core import types
from ematix_core.codecs import Format, encoder
from ematix_core.codecs.avro_decoding import AvroDecoder
from ematix_core.codecs.avro_fast import Messages, read, readers_of
from ematix_core.codecs.avro_schema import fields_of, parsed, schema_of
from ematix_core.errors import ConversionError, UnsupportedError
from ematix_core.model.table import Column

COLUMNS = [
    Column("n", types.BigInt, nullable=False),
    Column("i", types.Integer),
    Column("d", types.Double),
    Column("f", types.Float),
    Column("b", types.Boolean),
    Column("t", types.Text),
    Column("p", types.Numeric[38, 2]),
    Column("wide", types.Numeric[60, 2]),
    Column("day", types.Date),
    Column("at", types.TimestampTZ["ns"]),
    Column("raw", types.Bytes),
    Column("inner", types.Struct[("x", types.BigInt), ("y", types.Text)]),
]


def _rows(count: int) -> pa.RecordBatch:
    columns: list[Any] = [
        pa.array([(-1) ** n * 7**n for n in range(count)], pa.int64()),
        pa.array([None if n % 3 == 0 else (-2) ** n for n in range(count)], pa.int32()),
        pa.array([n / 3 for n in range(count)], pa.float64()),
        pa.array([n / 2 for n in range(count)], pa.float32()),
        pa.array([n % 2 == 0 for n in range(count)]),
        pa.array([None if n % 4 == 0 else "é" * n * 9 for n in range(count)]),
        pa.array([(-1) ** n * 10**n for n in range(count)]).cast(pa.decimal128(38, 2)),
        pa.array([(-1) ** n * 10**n for n in range(count)]).cast(pa.decimal256(60, 2)),
        pa.array(range(count), pa.int32()).cast(pa.date32()),
        pa.array([8**n for n in range(count)], pa.int64()).cast(pa.timestamp("ns", "UTC")),
        pa.array([bytes(n) for n in range(count)]),
        pa.array([None if n % 2 else {"x": n, "y": str(n)} for n in range(count)], COLUMNS[-1].type.to_arrow()),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[column.name for column in COLUMNS])


def _readers(text: str) -> Any:  # noqa: ANN401 - of any kind
    schema = parsed(text, "t")
    return readers_of(schema, {one.name: one.column for one in fields_of(schema) if one.column is not None})


def test_whole_messages_are_all_read_the_fast_way() -> None:
    text, rows = schema_of(COLUMNS, "orders"), _rows(18)
    messages = encoder(Format("avro", writer=text), COLUMNS, topic="t").encode(rows)
    found, plain = read(_readers(text), Messages(messages))
    assert plain.all()
    assert found.to_pydict() == rows.to_pydict()


def test_the_longest_numbers_are_read_the_fast_way() -> None:
    text, rows = schema_of(COLUMNS[:1], "orders"), pa.record_batch({"n": [2**63 - 1, -(2**63), 2**62, -(2**55), 0]})
    messages = encoder(Format("avro", writer=text), COLUMNS[:1], topic="t").encode(rows)
    found, plain = read(_readers(text), Messages(messages))
    assert plain.all()
    assert found.to_pydict() == rows.to_pydict()


def test_a_damaged_message_leaves_the_others_to_the_fast_way() -> None:
    text, rows = schema_of(COLUMNS, "orders"), _rows(18)
    messages = encoder(Format("avro", writer=text), COLUMNS, topic="t").encode(rows).to_pylist()
    messages[4] = (messages[4] or b"")[:-1]
    messages[9] = (messages[9] or b"") + b"\0"
    _, plain = read(_readers(text), Messages(pa.array(messages)))
    assert np.flatnonzero(~plain).tolist() == [4, 9]
    decoded = AvroDecoder(Format("avro", writer=text), topic="t").decode(pa.array(messages))
    assert [(one.row, one.error) for one in decoded.bad] == [
        (4, "it ends before the record does"), (9, "1 bytes are left after the record"),
    ]  # fmt: skip
    assert decoded.rows.column("n").to_pylist() == [n for r, n in enumerate(rows["n"].to_pylist()) if r not in {4, 9}]


@pytest.mark.parametrize(
    "kind", [{"type": "array", "items": "int"}, {"type": "map", "values": "int"}, ["null", "int", "string"], "null"]
)
def test_a_schema_with_such_a_field_is_read_the_exact_way(kind: object) -> None:
    text = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "int"}, {"name": "x", "type": kind}]}
    assert _readers(json.dumps(text)) is None


def test_rows_of_a_mixed_batch_keep_the_order_of_their_messages() -> None:
    text = schema_of(COLUMNS[:1], "orders")
    overlong = b"\x82" + b"\x80" * 10 + b"\0"  # 1, in more bytes than the fast way reads
    messages = pa.array([b"\4", overlong, b"\6", b"", b"\x08"])
    decoded = AvroDecoder(Format("avro", writer=text), topic="t").decode(messages)
    assert decoded.rows.to_pydict() == {"n": [2, 1, 3, 4]}
    assert [one.row for one in decoded.bad] == [3]


def test_null_where_the_schema_takes_none_is_told_with_its_row() -> None:
    inner = {"type": "record", "name": "i", "fields": [{"name": "x", "type": "long"}]}
    text = json.dumps({"type": "record", "name": "r", "fields": [{"name": "inner", "type": inner}]})
    column = Column("inner", types.Struct[(("x", types.BigInt),)], nullable=False)
    rows = pa.RecordBatch.from_pylist([{"inner": {"x": 1}}, {"inner": {"x": None}}])
    with pytest.raises(ConversionError, match="row 1 does not fit"):
        encoder(Format("avro", writer=text), [column], topic="t").encode(rows)


def test_decimals_as_fixed_are_refused_when_writing() -> None:
    kind = {"type": "fixed", "name": "f", "size": 4, "logicalType": "decimal", "precision": 5, "scale": 1}
    text = json.dumps({"type": "record", "name": "r", "fields": [{"name": "p", "type": ["null", kind]}]})
    with pytest.raises(UnsupportedError, match="decimals as fixed"):
        encoder(Format("avro", writer=text), [Column("p", types.Numeric[5, 1])], topic="t")
