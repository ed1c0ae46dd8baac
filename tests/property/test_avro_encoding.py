"""What is written as Avro a column at a time is, byte for byte, what fastavro writes row by row."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import assume, given, settings

from ematix_core.codecs import Format
from ematix_core.codecs.avro_decoding import AvroDecoder
from ematix_core.codecs.avro_encoding import AvroEncoder
from ematix_core.codecs.avro_fast_encoding import writers_of
from ematix_core.codecs.avro_schema import fields_of, has_fixed_decimal, parsed, schema_of
from tests.property.test_avro_fast import cases
from tests.property.test_avro_messages import COLUMNS, ROWS, batch

FAST = [column for column in COLUMNS if column.name not in {"list", "map", "inner"}]


def _assert_equal(text: str, rows: pa.RecordBatch) -> None:
    columns = [one.column for one in fields_of(parsed(text, "t")) if one.column is not None]
    form = Format("avro", writer=text)
    one, other = (AvroEncoder(form, columns, topic="t", fast=fast).encode(rows).to_pylist() for fast in (True, False))
    assert one == other


@given(ROWS.filter(bool))
@settings(deadline=None)
def test_both_ways_write_the_same(rows: list[dict[str, Any]]) -> None:
    text = schema_of(FAST, "orders")
    assert writers_of(parsed(text, "t"), [column.type for column in FAST]) is not None
    _assert_equal(text, batch([rows[0], *rows])[1:])


@given(cases())
@settings(deadline=None)
def test_both_ways_write_the_same_of_any_schema(case: tuple[Any, list[bytes]]) -> None:
    schema, messages = case
    text = json.dumps(schema)
    assume(not has_fixed_decimal(schema))
    decoder = AvroDecoder(Format("avro", writer=text), topic="t", fast=False)
    _assert_equal(text, decoder.decode(pa.array(messages, pa.binary())).rows)
