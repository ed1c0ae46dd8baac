"""JSON messages: what becomes of values, and what is said of messages that do not fit."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ematix_core import types
from ematix_core.codecs import Decoded, Format, decoder, encoder
from ematix_core.codecs.json_decoding import InferringJsonDecoder
from ematix_core.errors import ConversionError, UnsupportedError
from ematix_core.model.table import Column


def read(kind: type[types.ColumnType], *values: str, nullable: bool = True) -> Decoded:
    column = Column("x", kind, nullable)
    messages = [f'{{"x": {value}}}'.encode() for value in values]
    return decoder(Format(columns=(column,)), topic="t").decode(pa.array(messages, pa.binary()))


def values_of(decoded: Decoded) -> list[Any]:
    assert decoded.bad == ()
    return decoded.rows.column("x").to_pylist()


def error_of(decoded: Decoded) -> str:
    assert decoded.rows.num_rows == 0
    (bad,) = decoded.bad
    assert bad.row == 0
    return bad.error


def test_numbers_keep_all_their_digits() -> None:
    assert values_of(read(types.BigInt, "9007199254740993", "1e3", '"12"')) == [9007199254740993, 1000, 12]
    exact = "12345678901234567890.123456789"
    assert values_of(read(types.Numeric[38, 9], exact, f'"{exact}"')) == [Decimal(exact)] * 2


def test_moments_are_read_from_iso_text_with_their_zone() -> None:
    (moment,) = read(types.TimestampTZ, '"2026-01-31T12:00:00+02:00"').rows.column("x").cast(pa.int64()).to_pylist()
    assert moment == 1769853600 * 10**6
    assert "does not fit TimestampTZ" in error_of(read(types.TimestampTZ, '"2026-01-31T12:00:00"'))
    assert "does not fit Timestamp" in error_of(read(types.Timestamp, '"2026-01-31T12:00:00.123456789"'))


def test_nested_values_are_read_and_json_columns_keep_their_text() -> None:
    kind: Any = types.Struct[
        ("at", types.Date), ("tags", types.Array[types.Text]), ("counts", types.Map[types.Text, types.BigInt])
    ]
    (value,) = read(kind, '{"at": "2026-01-31", "tags": ["a", null], "counts": {"k": 1}, "more": 1}').rows.to_pylist()
    assert str(value["x"]["at"]) == "2026-01-31"
    assert (value["x"]["tags"], value["x"]["counts"]) == (["a", None], [("k", 1)])
    text = read(types.JSON, '{"a": [1.10, 99999999999999999999, "é"]}')
    assert text.rows.column("x").to_pylist() == ['{"a":[1.10,99999999999999999999,"é"]}']


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (types.BigInt, '"abc"', "field 'x': \"abc\" does not fit BigInt: it is no number"),
        (types.BigInt, "1.5", "field 'x': 1.5 does not fit BigInt: it is no whole number"),
        (types.UTinyInt, "256", "field 'x': 256 does not fit UTinyInt"),
        (types.Numeric[5, 2], "1.005", "it has more than 2 digits after the point"),
        (types.Double, "1e400", "it is beyond the range of the type"),
        (types.Text, "1", "field 'x': 1 does not fit Text: it is a number"),
        (types.String[2], '"abc"', "it has more than 2 characters"),
        (types.Boolean, '"true"', "it is a text"),
        (types.Date, '"2026-02-30"', "does not fit Date"),
        (types.UUID, '"1"', "it is no UUID"),
        (types.Bytes, '"a"', "it is no base64 text"),
        (types.Text, '"\\ud800"', "a lone surrogate is no character"),
        (types.Double, "NaN", "malformed JSON: NaN is no JSON value"),
    ],
)
def test_a_value_that_does_not_fit_makes_its_message_bad_and_names_the_field(
    kind: type[types.ColumnType], value: str, said: str
) -> None:
    assert said in error_of(read(kind, value))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "the message is empty"),
        (b"[1]", "the message is an array, not a JSON object"),
        (b"3", "the message is a number, not a JSON object"),
        (b'{"x": 1', "malformed JSON"),
        (b'{"x": 1} {"x": 2}', "malformed JSON: Extra data"),
        (b'{"x": "\xff"}', "no UTF-8: byte 7 is 0xff"),
        (b'\xef\xbb\xbf{"x": 1}', "malformed JSON: Unexpected UTF-8 BOM"),
        (b'{"x": 1, "\\uD800": 1}', "field '\\ud800': a lone surrogate is no character"),
        (b'{"x": 1, "y": [{"a\\udfff": 1}]}', "field 'a\\udfff': a lone surrogate is no character"),
        (b'{"y": 1}', "field 'x' is missing or null, and the column is not nullable"),
        (b'{"x": null}', "field 'x' is missing or null, and the column is not nullable"),
    ],
)
def test_a_message_that_is_not_of_the_format_says_why(message: bytes, said: str) -> None:
    reader = decoder(Format(columns=(Column("x", types.BigInt, nullable=False),)), topic="t")
    assert said in error_of(reader.decode(pa.array([message], pa.binary())))


def test_poison_among_ten_thousand_takes_nothing_with_it() -> None:
    messages = [f'{{"x": {number}}}'.encode() for number in range(10_000)]
    messages[5_000] = b"poison"
    messages[5_001] = json.dumps({"x": 1, "y": "z" * 10_000_000}).encode()
    reader = decoder(Format(columns=(Column("x", types.BigInt),)), topic="t")
    decoded = reader.decode(pa.array(messages, pa.large_binary()))
    assert [one.row for one in decoded.bad] == [5_000]
    expected = [1 if number == 5_001 else number for number in range(10_000) if number != 5_000]
    assert decoded.rows.column("x").to_pylist() == expected


def test_a_slice_of_a_batch_is_read_as_itself() -> None:
    messages = pa.array([b"bad", b'{"x": 1}', b'{"x": 2}', b"bad"], pa.binary()).slice(1, 2)
    decoded = decoder(Format(columns=(Column("x", types.BigInt),)), topic="t").decode(messages)
    assert values_of(decoded) == [1, 2]


def test_no_message_gives_no_row_with_the_columns() -> None:
    decoded = decoder(Format(columns=(Column("x", types.JSON),)), topic="t").decode(pa.array([], pa.binary()))
    assert (decoded.rows.num_rows, decoded.rows.schema.names) == (0, ["x"])


def test_columns_that_nobody_declared_are_found_and_widened() -> None:
    reader = decoder(Format(), topic="t")

    def kinds(*messages: bytes) -> list[str]:
        decoded = reader.decode(pa.array(messages, pa.binary()))
        assert decoded.bad == ()
        return [f"{field.name}: {field.type}" for field in decoded.rows.schema]

    assert kinds(b'{"a": 1, "at": "2026-01-31 00:00:00"}') == ["a: int64", "at: string"]
    assert kinds(b'{"a": 1.5, "b": null}') == ["a: double", "at: string", "b: null"]
    assert kinds(b'{"b": true, "c": {"d": [1]}}')[2:] == ["b: bool", "c: struct<d: list<item: int64>>"]
    assert kinds(b'{"b": "text", "c": {"e": 1}}')[2:] == ["b: string", "c: struct<d: list<item: int64>, e: int64>"]
    rows = reader.decode(pa.array([b'{"a": 7, "b": false}', b'{"b": {"k": 1.10}, "c": null}'], pa.binary())).rows
    assert rows.column("b").to_pylist() == ["false", '{"k":1.10}']
    assert kinds(b"{}") == ["a: double", "at: string", "b: string", "c: struct<d: list<item: int64>, e: int64>"]


BIG = 1234567890123456789


@pytest.mark.parametrize(
    ("whole", "odd"),
    [
        (BIG, "1.5"),
        (-BIG, "1e3"),
        (2**53, "0.5"),
        (BIG, str(10**30)),
        (7, str(10**30)),
        (1, str(2**63)),
        (BIG, '"abc"'),
    ],
)
@pytest.mark.parametrize("form", ['{"x": %s}', '{"x": [%s, null]}', '{"x": {"y": [{"z": %s}]}}'])
@pytest.mark.parametrize("batch", [1, 1_000])
def test_whole_numbers_that_a_double_would_bend_keep_their_digits(form: str, whole: int, odd: str, batch: int) -> None:
    reader = decoder(Format(), topic="t")
    texts = [odd, *(str(whole + number) for number in range(100))]
    for _ in range(2):
        found = [
            reader.decode(pa.array([(form % text).encode() for text in texts[start : start + batch]], pa.binary()))
            for start in range(0, len(texts), batch)
        ]
        assert all(one.bad == () for one in found)
        rows = [str(row["x"]) for one in found for row in one.rows.to_pylist()]
        assert all(text.rstrip("0") in row for text, row in zip(texts[1:], rows[1:], strict=True)), rows[:3]
        assert len(set(rows)) == len(rows)


def test_doubles_stay_doubles_beside_whole_numbers_that_they_hold_and_large_fractions() -> None:
    reader = decoder(Format(), topic="t")
    messages = [b'{"a": 1.5, "b": 1e20, "id": 9007199254740993}', b'{"a": 9007199254740991, "b": 7, "id": 1}']
    for _ in range(2):
        rows = reader.decode(pa.array(messages * 50, pa.binary())).rows
        assert [str(field.type) for field in rows.schema] == ["double", "double", "int64"]
        assert rows.to_pylist()[:2] == [
            {"a": 1.5, "b": 1e20, "id": 9007199254740993}, {"a": 9007199254740991.0, "b": 7.0, "id": 1},
        ]  # fmt: skip


def test_a_column_of_doubles_becomes_text_when_a_later_batch_has_a_whole_number_beyond_them() -> None:
    reader = decoder(Format(), topic="t")
    assert reader.decode(pa.array([b'{"a": 1.5}'], pa.binary())).rows.schema.field("a").type == pa.float64()
    rows = reader.decode(pa.array([b'{"a": %d}' % (BIG + n) for n in range(99)], pa.binary())).rows
    assert rows.column("a").to_pylist() == [str(BIG + n) for n in range(99)]


def test_a_bad_message_teaches_no_columns() -> None:
    decoded = decoder(Format(), topic="t").decode(pa.array([b'{"a": 1}', b'{"b": 2'], pa.binary()))
    assert decoded.rows.schema.names == ["a"]
    assert [one.row for one in decoded.bad] == [1]


def test_half_of_a_surrogate_pair_in_a_name_or_a_value_makes_its_message_alone_bad() -> None:
    messages = [
        b'{"a": "\\ud83d\\ude00"}',
        b'{"\\ud800": 1}',
        b'{"a": "\\ud800"}',
        b'{"a": {"\\ud800": 1}}',
        b'{"a": "b"}',
    ]
    for batch in (messages, messages[:2], messages[1:2]):
        decoded = decoder(Format(), topic="t").decode(pa.array(batch, pa.binary()))
        assert all("a lone surrogate is no character" in one.error for one in decoded.bad)
        assert len(decoded.bad) == sum("ud800" in str(message) for message in batch)


def write(kind: type[types.ColumnType], *values: object) -> list[Any]:
    arrow: Any = kind.to_arrow()
    storage = arrow.storage_type if isinstance(arrow, pa.BaseExtensionType) else arrow
    rows = pa.record_batch([pa.array(values, storage)], names=["x"])
    return encoder(Format(), (Column("x", kind),), topic="t").encode(rows).to_pylist()


def test_rows_are_written_as_objects_with_null_for_null() -> None:
    assert write(types.Text, 'a "b"\n', "é", None) == [b'{"x":"a \\"b\\"\\n"}', '{"x":"é"}'.encode(), b'{"x":null}']
    assert write(types.Numeric[38, 2], Decimal("12345678901234567890.10")) == [b'{"x":12345678901234567890.10}']
    assert write(types.Map[types.BigInt, types.Boolean], [(1, True)], None) == [b'{"x":{"1":true}}', b'{"x":null}']
    kind: Any = types.Array[types.Struct[("a", types.Date), ("b", types.BigInt)]]
    assert write(kind, [{"a": None, "b": 1}, None], []) == [b'{"x":[{"a":null,"b":1},null]}', b'{"x":[]}']


def test_what_json_cannot_hold_is_refused_with_column_and_row() -> None:
    with pytest.raises(ConversionError, match="column 'x', row 1: JSON cannot hold the value: NaN"):
        write(types.Double, 1.0, float("nan"))
    with pytest.raises(ConversionError, match="column 'x', row 0: JSON cannot hold the value: it is no JSON text"):
        write(types.JSON, "{")
    with pytest.raises(UnsupportedError, match="column 'x' is an Interval"):
        encoder(Format(), (Column("x", types.Array[types.Interval]),), topic="t")


def test_rows_must_have_the_columns_of_the_encoder() -> None:
    writer = encoder(Format(), (Column("x", types.TinyInt, nullable=False),), topic="t")
    with pytest.raises(ConversionError, match="the rows have no column 'x'"):
        writer.encode(pa.record_batch([pa.array([1])], names=["y"]))
    with pytest.raises(ConversionError, match="column 'x', row 1"):
        writer.encode(pa.record_batch([pa.array([1, 300])], names=["x"]))
    with pytest.raises(ConversionError, match="column 'x', row 0: NULL"):
        writer.encode(pa.record_batch([pa.array([None], pa.int8())], names=["x"]))


def into(kind: type[types.ColumnType], *batches: list[str]) -> tuple[list[Any], list[str]]:
    """Return the values of `x` and the errors by a decoder whose target has a column `x` of that type."""
    reading = InferringJsonDecoder()
    reading.go_by(lambda name, found: kind if name == "x" else found)
    done = [reading.decode(pa.array([message.encode() for message in batch], pa.binary())) for batch in batches]
    rows = pa.Table.from_batches([one.rows for one in done])
    return rows.column("x").to_pylist(), [f"{one.row}: {one.error}" for part in done for one in part.bad]


def test_a_field_is_read_as_the_type_of_its_target_and_the_others_keep_their_digits() -> None:
    messages = [f'{{"x": {9007199254740993 + number}}}' for number in range(200)]
    messages[3:6] = ['{"x": "a"}', '{"x": null}', "{}"]
    messages[100] = '{"x": 1.5}'
    values, bad = into(types.BigInt, messages)
    assert bad == [
        "3: field 'x': \"a\" does not fit BigInt: it is no number",
        "100: field 'x': 1.5 does not fit BigInt: it is no whole number",
    ]
    assert values[2:6] == [9007199254740995, None, None, 9007199254740999]
    assert values[-1] == 9007199254741192


def test_doubles_take_whole_numbers_as_long_as_they_hold_them() -> None:
    whole = ['{"x": 3}'], ['{"x": 9007199254740992}', '{"x": 9007199254740993}', '{"x": 1e300}'], ['{"x": null}']
    values, bad = into(types.Double, *whole)
    assert values == [3.0, 9007199254740992.0, 1e300, None]
    assert bad == ["1: field 'x': 9007199254740993 does not fit Double: a double does not hold it exactly"]


def test_texts_take_other_values_as_long_as_they_hold_them() -> None:
    assert into(types.Text, ['{"x": 7}', '{"x": true}', '{"x": {"a": [1.50]}}']) == (["7", "true", '{"a":[1.50]}'], [])
    values, bad = into(types.String[3], ['{"x": 1234}', '{"x": 7}'], ['{"x": "abc"}'])
    assert (values, bad) == (["7", "abc"], ["0: field 'x': 1234 does not fit String[3]: it has more than 3 characters"])


@pytest.mark.parametrize(
    ("kind", "messages", "values", "bad"),
    [
        (types.Integer, ["1", "3000000000", "2.0"], [1, 2], [1]),
        (types.Numeric[6, 2], ["1", "2.5", '"3.25"', "1.005"], [Decimal(1), Decimal("2.5"), Decimal("3.25")], [3]),
        (types.Date, ['"2026-01-31"', '"31.1.2026"', "5"], [date(2026, 1, 31)], [1, 2]),
        (types.Array[types.Integer], ["[1, 2]", "[]", "[1.5]", "1"], [[1, 2], []], [2, 3]),
        (types.Struct[("a", types.SmallInt)], ['{"a": 1}', "{}", '{"a": 70000}'], [{"a": 1}, {"a": None}], [2]),
    ],
)
def test_values_of_several_batches_are_read_as_the_type_of_the_target(
    kind: type[types.ColumnType], messages: list[str], values: list[object], bad: list[int]
) -> None:
    texts = [f'{{"y": 1, "x": {message}}}' for message in messages]
    at_once, errors = into(kind, texts)
    assert (at_once, [int(error.partition(":")[0]) for error in errors]) == (values, bad)
    one_by_one, errors = into(kind, *([text] for text in texts))
    assert (one_by_one, len(errors)) == (values, len(bad))


def test_a_new_field_beside_one_of_the_target_is_found() -> None:
    reading = InferringJsonDecoder()
    reading.go_by(lambda name, found: types.Integer if name == "x" else found)
    reading.decode(pa.array([b'{"x": 1}'], pa.binary()))
    rows = reading.decode(pa.array([b'{"x": 2, "y": 2.5}'], pa.binary())).rows
    assert rows.to_pylist() == [{"x": 2, "y": 2.5}]
    assert rows.schema.field("x").type == pa.int32()


def test_a_new_field_of_an_object_of_the_target_is_found() -> None:
    kind: Any = types.Struct[("a", types.Integer)]
    reading = InferringJsonDecoder()
    reading.go_by(lambda _, found: kind if dict(found.parameters["fields"]).keys() == {"a"} else found)
    assert reading.decode(pa.array([b'{"x": {"a": 1}}'], pa.binary())).rows.schema.field("x").type == kind.to_arrow()
    rows = reading.decode(pa.array([b'{"x": {"a": 2, "b": true}}'], pa.binary())).rows
    assert rows.to_pylist() == [{"x": {"a": 2, "b": True}}]
