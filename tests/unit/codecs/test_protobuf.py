"""Protobuf messages become rows, and rows messages, by schemas in their text."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from ematix_core import types
from ematix_core.codecs import Format, decoder, encoder, protobuf_index
from ematix_core.codecs.protobuf_files import messages
from ematix_core.codecs.protobuf_writing import schema_of
from ematix_core.codecs.wire import UnreadableError
from ematix_core.errors import ConversionError, DeclarationError, UnsupportedError
from ematix_core.model.table import Column

pytestmark = pytest.mark.slow

SHOP = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
enum State { OPEN = 0; PAID = 1; LOST = -1; }
message Order {
  int64 id = 1;
  optional int64 maybe = 2;
  State state = 3;
  google.protobuf.Timestamp at = 4;
  google.protobuf.Duration took = 5;
  google.protobuf.StringValue note = 6;
  Line first = 7;
  repeated Line lines = 8;
  map<string, Line> named = 9;
  oneof way { string card = 10; uint32 cash = 11; }
  repeated sint32 numbers = 12;
  fixed64 big = 13;
  bytes raw = 14;
  bool yes = 15;
  float small = 16;
  message Line { string what = 1; optional double price = 2; repeated State states = 3; }
}
message Other { string word = 1; }
"""
UTC = dt.UTC


def built(text: str, name: str, **fields: Any) -> bytes:  # noqa: ANN401 - those of the message
    found = next(one for one in messages(text, (), "here") if one.full_name == name)
    written: bytes = message_factory.GetMessageClass(found)(**fields).SerializeToString()
    return written


def read(text: str, *sent: bytes, columns: Any = (), message: str = "") -> Any:  # noqa: ANN401 - columns and rows
    form = Format("protobuf", writer=text, columns=columns, message=message)
    return decoder(form, topic="t").decode(pa.array(sent, pa.binary()))


def test_each_kind_of_field_has_its_column() -> None:
    line = {"what": "tea", "price": 2.5, "states": [1, -1]}
    full = built(
        SHOP, "shop.Order", id=7, maybe=0, state=-1, at=dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        took=dt.timedelta(seconds=-1, microseconds=-5), note={"value": ""}, first=line, lines=[line, {}],
        named={"b": {}, "a": line}, card="visa", numbers=[1, -1], big=2**64 - 1, raw=b"\xff", yes=True, small=0.5,
    )  # fmt: skip
    found = read(SHOP, full, b"")
    tea = {"what": "tea", "price": 2.5, "states": ["PAID", "LOST"]}
    nothing: dict[str, Any] = {"what": "", "price": None, "states": []}
    assert found.bad == ()
    assert found.rows.to_pylist() == [
        {
            "id": 7, "maybe": 0, "state": "LOST", "at": dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
            "took": dt.timedelta(seconds=-1, microseconds=-5), "note": "", "first": tea, "lines": [tea, nothing],
            "named": [("a", tea), ("b", nothing)], "card": "visa", "cash": None, "numbers": [1, -1], "big": 2**64 - 1,
            "raw": b"\xff", "yes": True, "small": 0.5,
        },
        {
            "id": 0, "maybe": None, "state": "OPEN", "at": None, "took": None, "note": None, "first": None, "lines": [],
            "named": [], "card": None, "cash": None, "numbers": [], "big": 0, "raw": b"", "yes": False, "small": 0.0,
        },
    ]  # fmt: skip


def test_bad_messages_are_told_one_by_one() -> None:
    good = [built(SHOP, "shop.Order", id=number) for number in range(100)]
    bad = {
        3: (good[3] + b"\x08", "no message shop.Order"),
        50: (b"\x52\x01\xff", "no message shop.Order"),
        51: (b"\x18\x07", r"field 'state': the enum shop\.State has no number 7"),
        70: (built(SHOP, "shop.Order", at={"seconds": 2**62}), "field 'at': it is beyond the range of TimestampTZ"),
        71: (built(SHOP, "shop.Order", at={"nanos": 1}), r'field \'at\': .*TimestampTZ.* \["ns"\]'),
        72: (built(SHOP, "shop.Order", took={"nanos": 10**9}), "a second or more of nanoseconds"),
    }
    found = read(SHOP, *(bad[row][0] if row in bad else one for row, one in enumerate(good)))
    assert [one.row for one in found.bad] == [*bad]
    for one in found.bad:
        with pytest.raises(ValueError, match=bad[one.row][1]):
            raise ValueError(one.error)
    assert found.rows.column("id").to_pylist() == [number for number in range(100) if number not in bad]


def test_declared_columns_are_read_by_name_and_converted_if_nothing_is_lost() -> None:
    text = 'syntax = "proto3"; message M { int64 n = 1; string day = 2; string price = 3; string id = 4; X gone = 5; '
    text += "X x = 6; } message X { X more = 1; }"
    columns = [
        Column("price", types.Numeric[9, 2]), Column("day", types.Date), Column("n", types.SmallInt),
        Column("id", types.UUID), Column("absent", types.Text),
    ]  # fmt: skip
    uid = "12345678-1234-5678-1234-567812345678"
    sent = [
        built(text, "M", n=1, day="2024-02-29", price="1.50", id=uid),
        built(text, "M", n=2**20, day="2024-02-29", price="1.50", id=uid),
        built(text, "M", n=2, day="2024-02-30", price="1.50", id=uid),
        built(text, "M", n=3, day="2024-02-29", price="1.505", id=uid),
        built(text, "M", n=4, day="2024-02-29", price="1.50", id="mine"),
    ]
    found = read(text, *sent, columns=columns)
    assert found.rows.schema.names == ["price", "day", "n", "id", "absent"]
    row = found.rows.to_pylist()[0]
    assert (str(row["price"]), row["day"], row["n"], row["absent"]) == ("1.50", dt.date(2024, 2, 29), 1, None)
    assert [one.row for one in found.bad] == [1, 2, 3, 4]
    assert read(text, sent[0], columns=[Column("a", types.Text, nullable=False)]).bad[0].error.startswith("there is no")


def test_nanoseconds_are_read_into_a_column_that_holds_them() -> None:
    sent = built(SHOP, "shop.Order", at={"seconds": -1, "nanos": 1})
    found = read(SHOP, sent, columns=[Column("at", types.TimestampTZ["ns"])])
    assert found.rows.column("at").cast(pa.int64()).to_pylist() == [-999_999_999]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('syntax = "proto3"; message M { M again = 1; }', "field 'again'.*within itself, M"),
        ('syntax = "proto3"; message M { E none = 1; } message E {}', "field 'none'.*without fields, E"),
        ('syntax = "proto2"; message M { optional group G = 1 { optional int32 a = 1; } }', "field 'g'.*a group"),
    ],
)
def test_fields_that_fit_no_column_are_named(text: str, said: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"{said}(.|\n)*columns= without it"):
        read(text)
    assert read(text, b"", columns=[Column("other", types.Text)]).rows.to_pylist() == [{"other": None}]


def test_syntax_2_and_the_message_that_is_named() -> None:
    text = """syntax = "proto2"; package p; enum E { A = 5; } message First { optional int32 x = 1; }
    message M { required int32 n = 1; optional E e = 2 [default = A]; repeated int32 many = 3 [packed = false]; }"""
    sent = built(text, "p.M", n=0, many=[1, 2])
    assert read(text, sent, b"\x10\x05", message="p.M").rows.to_pylist() == [
        {"n": 0, "e": None, "many": [1, 2]}, {"n": None, "e": "A", "many": []},
    ]  # fmt: skip
    assert read(text, b"\x08\x02").rows.to_pylist() == [{"x": 2}]
    with pytest.raises(DeclarationError, match=r"has no message 'p\.Mm'(.|\n)*p\.M"):
        read(text, message="p.Mm")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('syntax = "proto3"; message M { strin a = 1; }', r'schema\.proto:1:\d+: "strin" is not defined(.|\n)*topic t'),
        ('syntax = "proto3"; import "a.proto"; message M {}', r"a\.proto"),
        ('syntax = "proto3";', "has no message"),
    ],
)
def test_a_schema_that_cannot_be_read_is_told_when_planned(text: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        read(text)


ROWS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "n": (types.BigInt, st.integers(-(2**63), 2**63 - 1)),
    "i": (types.TinyInt, st.integers(-128, 127)),
    "u": (types.UBigInt, st.integers(0, 2**64 - 1)),
    "d": (types.Double, st.floats(allow_nan=False)),
    "p": (types.Numeric[9, 2], st.decimals(-(10**6), 10**6, places=2)),
    "b": (types.Boolean, st.booleans()),
    "t": (types.Text, st.text(max_size=5)),
    "day": (types.Date, st.dates()),
    "at": (types.TimestampTZ["ns"], st.integers(-(2**63), 2**63 - 1)),
    "ms": (types.TimestampTZ["ms"], st.integers(-(2**60), 2**60)),
    "local": (types.Timestamp, st.datetimes()),
    "clock": (types.Time, st.integers(0, 86_399_999_999)),
    "took": (types.Duration, st.integers(-(2**63), 2**63 - 1)),
    "raw": (types.Bytes, st.binary(max_size=5)),
    "id": (types.UUID, st.binary(min_size=16, max_size=16)),
    "inner": (types.Struct[("x", types.BigInt), ("y", types.Text)],
              st.fixed_dictionaries({"x": st.none() | st.integers(0, 9), "y": st.none() | st.text(max_size=3)})),
    "list": (types.Array[types.TimestampTZ["ms"]], st.lists(st.integers(-(2**60), 2**60), max_size=3)),
    "map": (types.Map[types.Text, types.Float],
            st.dictionaries(st.text(max_size=3), st.floats(width=32, allow_nan=False), max_size=3).map(
                lambda one: sorted(one.items()))),
}  # fmt: skip
ALWAYS = {"n", "list", "map"}
COLUMNS = tuple(Column(name, kind, nullable=name not in ALWAYS) for name, (kind, _) in ROWS.items())


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    arrays: list[Any] = []
    for column in COLUMNS:
        kind: Any = column.type.to_arrow()
        plain = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        array: Any = pa.array([row[column.name] for row in rows], plain)
        arrays.append(array if plain is kind else pa.ExtensionArray.from_storage(kind, array))
    fields = [types.to_field(one.name, one.type).with_nullable(one.nullable) for one in COLUMNS]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


FORMAT = Format("protobuf", columns=COLUMNS, writer=schema_of(COLUMNS, "the-orders"))
READER, WRITER = decoder(FORMAT, topic="t"), encoder(FORMAT, COLUMNS, topic="t")


@given(st.lists(st.fixed_dictionaries({
    name: some if name in ALWAYS else st.none() | some for name, (_, some) in ROWS.items()
}), max_size=4))  # fmt: skip
@settings(deadline=None)
def test_rows_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    expected = batch(rows)
    found = READER.decode(WRITER.encode(expected))
    assert found.bad == ()
    assert found.rows.equals(expected)
    assert str(found.rows.column("d")) == str(expected.column("d"))  # -0


def test_what_a_column_cannot_be_written_as_is_named() -> None:
    for column, said in (
        (Column("a", types.Interval), "Interval has no form"),
        (Column("a", types.Array[types.Array[types.Text]]), "has no form"),
        (Column("a", types.Map[types.Double, types.Text]), "keys that Protobuf does not allow"),
        (Column("a b", types.Text), "'a b' is no name"),
    ):
        with pytest.raises(UnsupportedError, match=rf"{said}(.|\n)*column 'a"):
            schema_of([column], "t")


def test_what_a_schema_cannot_hold_is_told_by_column_and_row() -> None:
    form = Format("protobuf", writer=SHOP, message="shop.Order.Line")
    columns = [Column("what", types.Text), Column("price", types.Double), Column("states", types.Array[types.Text])]
    writer = encoder(form, columns, topic="t")

    def rows(*states: Any, what: str | None = "tea") -> pa.RecordBatch:  # noqa: ANN401 - right and wrong values
        columns: list[Any] = [
            pa.array([what] * len(states), pa.string()),
            pa.nulls(len(states), pa.float64()),
            pa.array(states, pa.list_(pa.string())),
        ]
        return pa.RecordBatch.from_arrays(columns, names=["what", "price", "states"])

    line = b"\n\x03tea\x1a\x01\x01"
    assert writer.encode(rows(["PAID"], [])).to_pylist() == [line, line[:5]]
    with pytest.raises(ConversionError, match=r"column 'states', row 1: the enum shop\.State has no word 'NEVER'"):
        writer.encode(rows(["PAID"], ["NEVER"]))
    with pytest.raises(ConversionError, match="column 'states', row 1: NULL"):
        writer.encode(rows([], None))
    with pytest.raises(ConversionError, match=r"column 'states', row 0: .*takes no NULL"):
        writer.encode(rows([None]))
    with pytest.raises(ConversionError, match="column 'what', row 0: NULL"):
        writer.encode(rows([], what=None))
    with pytest.raises(UnsupportedError, match="differ in price"):
        encoder(form, [columns[0], columns[2]], topic="t")


@pytest.mark.parametrize(
    ("wire", "first", "line", "other"),
    [
        ("confluent", b"\0", b"\x04\0\x02", b"\x02\x02"),  # within: the entries of the map come first
        ("apicurio", b"\x07\x0a\x05Order", b"\x0c\x0a\x0aOrder.Line", b"\x07\x0a\x05Other"),
        ("glue", b"\0", b"\x01", b"\x03"),  # 2: the entries of the map
    ],
)
def test_the_place_of_a_message_in_its_schema_is_written_and_read(
    wire: str, first: bytes, line: bytes, other: bytes
) -> None:
    all_ = messages(SHOP, (), "here")
    for name, expected in (("shop.Order", first), ("shop.Order.Line", line), ("shop.Other", other)):
        one = next(found for found in all_ if found.full_name == name)
        assert protobuf_index.written(one, all_, wire) == expected
        head = protobuf_index.reader(wire)(expected + b"\x08\x05")
        assert head.size == len(expected)
        assert protobuf_index.at(head.key, all_).full_name == name


def test_places_that_are_none_are_told() -> None:
    all_ = messages(SHOP, (), "here")
    for wire in ("confluent", "apicurio", "glue"):
        for message in (b"", b"\x80", b"\xff\xff\xff\xff\xff\xff"):
            with pytest.raises(UnreadableError, match="which message of its schema"):
                protobuf_index.reader(wire)(message)
    with pytest.raises(UnreadableError, match="which message"):
        protobuf_index.reader("confluent")(b"\x01" * 9)  # less than none
    assert protobuf_index.reader("apicurio")(b"\x02\x02\x08").key == (1,)  # told to do as Confluent does
    for place in ((5,), (0, 9), "Nothing", 77):
        with pytest.raises(UnreadableError, match="its schema has no message"):
            protobuf_index.at(place, all_)
