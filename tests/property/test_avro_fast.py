"""The fast way and the exact way of reading Avro give the same rows, and find the same messages bad."""

from __future__ import annotations

import io
import json
from itertools import count
from typing import Any

import fastavro
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ematix_core.codecs import Decoded, Format
from ematix_core.codecs.avro_decoding import AvroDecoder
from ematix_core.codecs.avro_fast import readers_of
from ematix_core.codecs.avro_schema import fields_of, plain
from ematix_core.model.table import Column

Schema = Any
_LONG = st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 70)
_INT = st.integers(-(2**31), 2**31 - 1) | st.integers(-70, 70)
_TEXT = st.text(max_size=6) | st.text("x", min_size=60, max_size=70)
_DIGITS = st.integers(1, 76).flatmap(lambda most: st.tuples(st.just(most), st.integers(0, most)))
_LOGICAL = {
    "int": ("date", "time-millis"),
    "long": ("time-micros", *(f"{p}timestamp-{u}" for p in ("", "local-") for u in ("millis", "micros", "nanos"))),
    "string": ("uuid",),
}
_PRIMITIVES = st.sampled_from(["boolean", "int", "long", "float", "double", "bytes", "string"])


def _named(number: int) -> st.SearchStrategy[Schema]:
    words = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True)
    return st.one_of(
        words.map(lambda symbols: {"type": "enum", "name": f"e{number}", "symbols": symbols}),
        st.integers(1, 20).map(lambda size: {"type": "fixed", "name": f"f{number}", "size": size}),
        _DIGITS.map(
            lambda digits: {
                "type": "fixed", "name": f"d{number}", "size": 9, "logicalType": "decimal",
                "precision": min(digits[0], 20), "scale": min(digits[1], digits[0], 20),
            }
        ),
    )  # fmt: skip


def _logical(kind: str) -> st.SearchStrategy[Schema]:
    return st.sampled_from(_LOGICAL[kind]).map(lambda word: {"type": kind, "logicalType": word})


@st.composite
def schemas(draw: st.DrawFn, numbers: Any = None, depth: int = 2) -> Schema:  # noqa: ANN401 - an iterator of numbers
    """Draw the schema of a record of all that has a fast way."""
    numbers = numbers or count()
    record: Schema = {"type": "record", "name": f"r{next(numbers)}", "fields": []}
    for number in range(draw(st.integers(1, 5 if depth == 2 else 2))):
        kinds = [
            _PRIMITIVES, _named(next(numbers)), *map(_logical, _LOGICAL),
            _DIGITS.map(lambda d: {"type": "bytes", "logicalType": "decimal", "precision": d[0], "scale": d[1]}),
        ]  # fmt: skip
        if depth:
            kinds.append(schemas(numbers, depth - 1))
        kind = draw(st.one_of(kinds))
        branches = draw(st.sampled_from([kind, [kind], ["null", kind], [kind, "null"]]))
        record["fields"].append({"name": f"c{number}", "type": branches})
    return record


def values(schema: Schema) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one line a type
    """Return values of a schema, as they are without logical types."""
    if isinstance(schema, list):
        return st.one_of([st.none() if one == "null" else values(one) for one in schema])
    if isinstance(schema, str):
        schema = {"type": schema}
    match schema["type"]:
        case "record":
            return st.fixed_dictionaries({one["name"]: values(one["type"]) for one in schema["fields"]})
        case "enum":
            return st.sampled_from(schema["symbols"])
        case "fixed":
            small = st.integers(-999, 999).map(lambda n: n.to_bytes(schema["size"], "big", signed=True))
            size = schema["size"]
            return small if size > 1 and "logicalType" in schema else st.binary(min_size=size, max_size=size)
        case "string" if schema.get("logicalType") == "uuid":
            return st.uuids().map(str) | st.uuids().map(lambda one: one.hex.upper()) | _TEXT
        case "bytes" if "logicalType" in schema:
            return st.integers(-9, 9).map(lambda n: n.to_bytes(1, "big", signed=True)) | st.binary(max_size=34)
        case str() as kind:
            return _BY_KIND[kind]
        case inner:
            return values(inner)


_BY_KIND: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(), "int": _INT, "long": _LONG, "float": st.floats(width=32), "double": st.floats(),
    "bytes": st.binary(max_size=70), "string": _TEXT,
}  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, message: bytes) -> bytes:
    """Draw a message that was cut, made longer, or changed in a bit or a byte."""
    place = draw(st.integers(0, max(len(message) - 1, 0)))
    flipped = bytearray(message or b"\0")
    flipped[place] ^= 1 << draw(st.integers(0, 7))
    put = draw(st.sampled_from([b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff" * 11, b"\x80" * 9 + b"\x02"]))
    return draw(
        st.sampled_from(
            [
                message[:place],
                message + put,
                bytes(flipped),
                message[:place] + put + message[place + 1 :],
                put + message,
            ]
        )
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schema, list[bytes]]:
    """Draw a schema and messages, some of which are damaged, or give bytes to the one after them."""
    schema = draw(schemas())
    parsed, messages = fastavro.parse_schema(plain(schema)), []
    for record in draw(st.lists(values(schema), min_size=1, max_size=6)):
        target = io.BytesIO()
        fastavro.schemaless_writer(target, parsed, record)
        messages.append(target.getvalue())
    for row in draw(st.sets(st.integers(0, len(messages) - 1), max_size=3)):
        messages[row] = draw(damaged(messages[row]))
    if len(messages) > 1 and draw(st.booleans()):
        end = draw(st.integers(0, len(messages[0])))
        messages[:2] = [messages[0][:end], messages[0][end:] + messages[1]]
    return schema, messages


def _columns(schema: Schema) -> list[Column]:
    return [one.column for one in fields_of(schema) if one.column is not None]


def _shown(decoded: Decoded) -> tuple[str, list[str], list[int]]:
    """Return the rows as Arrow prints them, which knows every date and takes NaN for equal, and the bad messages."""
    decoded.rows.validate(full=True)
    shown = [text for column in decoded.rows.columns for text in _printed(column)]
    return str(decoded.rows.schema), shown, [one.row for one in decoded.bad]


def _printed(column: Any) -> list[str]:  # noqa: ANN401 - arrays of any type
    own = column.is_valid() if pa.types.is_struct(column.type) else column
    inner = column.flatten() if pa.types.is_struct(column.type) else []
    return [own.to_string(window=100), *(text for one in inner for text in _printed(one))]


def _both(form: Format, messages: pa.BinaryArray | pa.LargeBinaryArray) -> tuple[Decoded, Decoded]:
    one, other = (AvroDecoder(form, topic="t", fast=fast).decode(messages) for fast in (True, False))
    return one, other


@given(cases(), st.data())
@settings(deadline=None, max_examples=300)
def test_both_ways_give_the_same(case: tuple[Schema, list[bytes]], data: Any) -> None:  # noqa: ANN401 - hypothesis names no type
    schema, messages = case
    columns = _columns(schema)
    assert readers_of(schema, {column.name: column for column in columns}) is not None
    declared = data.draw(st.sampled_from([[], columns, columns[:1]]))
    if declared and data.draw(st.booleans()):
        declared = [Column(column.name, column.type, nullable=False) for column in declared]
    form = Format("avro", columns=declared, writer=json.dumps(schema))
    kind = data.draw(st.sampled_from([pa.binary(), pa.large_binary()]))
    one, other = _both(form, pa.array([b"before", *messages, b"after"], kind)[1:-1])
    assert _shown(one) == _shown(other)


@given(st.lists(st.sampled_from([b"\2a\2", b"\2a\4", b"\2", b"\2b\2\0", b"", b"\4ab\1", b"\2\xff\2"]), max_size=40))
def test_messages_whose_lengths_add_up_are_still_read_each_by_itself(messages: list[bytes]) -> None:
    schema = '{"type":"record","name":"r","fields":[{"name":"s","type":"string"},{"name":"n","type":"int"}]}'
    one, other = _both(Format("avro", writer=schema), pa.array(messages, pa.binary()))
    assert _shown(one) == _shown(other)
