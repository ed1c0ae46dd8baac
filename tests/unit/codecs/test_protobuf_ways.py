"""Protobuf read and written by columns is the same as message by message, whatever the bytes are."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ematix_core import types
from ematix_core.codecs import protobuf_shapes as shapes
from ematix_core.codecs.protobuf_form import Form
from ematix_core.codecs.protobuf_index import varint
from ematix_core.codecs.protobuf_shapes import Field, Map, Message, Moment, Repeated, Scalar, Shape, Wrapped
from ematix_core.codecs.wire import UnreadableError

pytestmark = pytest.mark.slow

_VARINTS = frozenset({
    shapes.INT32, shapes.INT64, shapes.UINT32, shapes.UINT64, shapes.SINT32, shapes.SINT64, shapes.BOOL,
})  # fmt: skip
_EIGHT = frozenset({shapes.DOUBLE, shapes.FIXED64, shapes.SFIXED64})
_FOUR = frozenset({shapes.FLOAT, shapes.FIXED32, shapes.SFIXED32})
_BYTES = frozenset({shapes.STRING, shapes.BYTES})
SCALARS = st.sampled_from(sorted(_VARINTS | _EIGHT | _FOUR | _BYTES)).map(Scalar)
KEYS = st.sampled_from([shapes.STRING, shapes.INT32, shapes.SINT64, shapes.BOOL, shapes.FIXED64]).map(Scalar)


def _fields(values: st.SearchStrategy[Shape]) -> st.SearchStrategy[tuple[Field, ...]]:
    one = st.tuples(st.integers(1, 40), values, st.booleans(), st.sampled_from(["", "", "either"]))
    return st.lists(one, min_size=1, max_size=6, unique_by=lambda made: made[0]).map(
        lambda many: tuple(_field(number, shape, given, oneof) for number, shape, given, oneof in many)
    )


def _field(number: int, shape: Shape, given: bool, oneof: str) -> Field:
    single = not isinstance(shape, Repeated | Map)
    inside = isinstance(shape, Message | Moment | Wrapped)
    return Field(f"x{number}", number, shape, single and (given or inside or bool(oneof)), oneof if single else "")


PLAIN = st.one_of(
    SCALARS,
    SCALARS.map(Wrapped),
    st.sampled_from([Moment(types.TimestampTZ, "us"), Moment(types.Duration, "ns")]),
)
INNER = PLAIN | PLAIN.map(Repeated) | st.builds(Map, KEYS, PLAIN)
NESTED = _fields(INNER).map(Message)
SHAPES = INNER | NESTED | NESTED.map(Repeated) | st.builds(Map, KEYS, NESTED)
FORMS = _fields(SHAPES)

NUMBERS = st.sampled_from([0, 1, 127, 128, 2**31 - 1, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
OVERLONG = st.tuples(NUMBERS, st.integers(1, 2)).map(
    lambda one: bytes(byte | 0x80 for byte in varint(one[0])) + b"\x80" * (one[1] - 1) + b"\0"
)
VARINTS = NUMBERS.map(varint) | NUMBERS.map(varint) | OVERLONG
TEXTS = st.text(max_size=5).map(str.encode) | st.binary(max_size=5)
UNKNOWN = st.one_of(
    st.tuples(st.just(0), VARINTS),
    st.tuples(st.just(1), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(2), TEXTS.map(lambda text: varint(len(text)) + text)),
    st.tuples(st.just(2), VARINTS),  # a length of something else
    st.tuples(st.sampled_from([3, 4, 6, 7]), st.binary(max_size=3)),
    st.tuples(st.just(5), st.binary(min_size=4, max_size=4)),
)


def _sized(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[int, bytes]]:
    return values.map(lambda one: (2, varint(len(one)) + one))


def _written(shape: Shape) -> st.SearchStrategy[tuple[int, bytes]]:  # noqa: PLR0911 - one line a shape
    """Return wire types and bodies of values of the shape."""
    match shape:
        case Scalar(kind=kind) if kind in _VARINTS:
            return VARINTS.map(lambda one: (0, one))
        case Scalar(kind=kind) if kind in _EIGHT:
            numbers = st.floats(allow_nan=False).map(lambda one: struct.pack("<d", one))
            return numbers.map(lambda one: (1, one))
        case Scalar(kind=kind) if kind in _FOUR:
            numbers = st.floats(allow_nan=False, width=32).map(lambda one: struct.pack("<f", one))
            return numbers.map(lambda one: (5, one))
        case Scalar(kind=shapes.STRING):
            return _sized(st.text(max_size=5).map(str.encode))
        case Scalar():
            return _sized(st.binary(max_size=5))
        case Repeated(item=item):
            if isinstance(item, Scalar) and item.kind not in _BYTES:
                return _written(item) | _sized(
                    st.lists(_written(item).map(lambda one: one[1]), max_size=3).map(b"".join)
                )
            return _written(item)
        case Wrapped(inner=inner):
            return _sized(_message((Field("v", 1, inner, presence=False),)))
        case Moment():
            return _sized(_message(MOMENT))
        case Map(entries=entries):
            return _written(entries)
        case Message(fields=fields):
            return _sized(_message(fields))
    raise TypeError(shape)


MOMENT = (
    Field("seconds", 1, Scalar(shapes.INT64), presence=False),
    Field("nanos", 2, Scalar(shapes.INT32), presence=False),
)


def _message(fields: tuple[Field, ...]) -> st.SearchStrategy[bytes]:
    known = st.one_of([st.tuples(st.just(one.number), _written(one.shape)) for one in fields])
    strange = st.tuples(st.sampled_from([one.number for one in fields] + [0, 41, 2**29 - 1, 2**29, 2**33]), UNKNOWN)
    parts = st.lists(st.one_of([known] * 40 + [strange]), max_size=6)
    return parts.map(lambda many: b"".join(varint(number << 3 | wire) + body for number, (wire, body) in many))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Form, list[bytes]]:
    fields = draw(FORMS)
    whole = _message(fields)
    cut = st.tuples(whole, st.integers(0, 40)).map(lambda one: one[0][: one[1]])
    flipped = st.tuples(whole, st.integers(0, 40), st.integers(0, 255)).map(
        lambda one: one[0][: one[1]] + bytes([one[2]]) + one[0][one[1] + 1 :]
    )
    return Form(fields, "t.Row"), draw(st.lists(st.one_of(whole, whole, whole, cut, flipped), min_size=1, max_size=4))


def _exact(form: Form, messages: pa.BinaryArray) -> pa.RecordBatch | None:
    try:
        return form.read_exactly(messages)
    except UnreadableError:
        return None


@given(cases(), st.sampled_from([pa.binary(), pa.large_binary()]))
@settings(deadline=None, max_examples=100)
def test_what_is_read_by_columns_is_what_is_read_message_by_message(case: tuple[Form, list[bytes]], kind: Any) -> None:  # noqa: ANN401 - a type of Arrow
    form, messages = case
    for values in (pa.array(messages, kind), *(pa.array([one], kind) for one in messages)):
        exact, fast = _exact(form, values), form.read_by_columns(values)
        if fast is not None:
            assert exact is not None, "what upb refuses was read"
            fast.validate(full=True)
            assert str(fast.to_pylist()) == str(exact.to_pylist())  # as text NaN is itself, and -0 is not 0
        if exact is not None:
            exact.validate(full=True)


@given(cases())
@settings(deadline=None, max_examples=50)
def test_what_is_written_by_columns_is_read_as_what_is_written_message_by_message(
    case: tuple[Form, list[bytes]],
) -> None:
    form, messages = case
    for one in messages:
        rows = _exact(form, pa.array([one], pa.binary()))
        if rows is not None:
            for written in (form.writing().write(rows), form.writing().write_exactly(rows)):
                assert str(form.read_exactly(written).to_pylist()) == str(rows.to_pylist())


TEXT, LONG = Scalar(shapes.STRING), Scalar(shapes.INT64)
PAIR = (Field("a", 1, LONG, presence=True, oneof="o"), Field("b", 2, TEXT, presence=True, oneof="o"))


@pytest.mark.parametrize(
    ("fields", "message", "by_columns"),
    [
        (PAIR, b"\x08\x05\x12\x01x", False),
        ((Field("m", 3, Message(PAIR), presence=True),), b"\x1a\x05\x08\x05\x12\x01x", False),
        ((Field("m", 3, Repeated(Message(PAIR)), presence=False),), b"\x1a\x05\x08\x05\x12\x01x", False),
        ((Field("m", 3, Map(LONG, Message(PAIR)), presence=False),), b"\x1a\x07\x12\x05\x08\x05\x12\x01x", False),
        ((Field("m", 3, Message(PAIR), presence=True),), b"\x1a\x02\x08\x05\x1a\x02\x08\x06", True),
        ((Field("a", 1, LONG, presence=False),), b"\x7b\x08\x05\x7c\x08\x07", True),  # an unknown group
    ],
)
def test_where_the_last_of_two_counts_it_does(fields: tuple[Field, ...], message: bytes, *, by_columns: bool) -> None:
    form = Form(fields, "t.Row")
    values = pa.array([message, b""], pa.binary())
    found = form.read_by_columns(values)
    assert (found is not None) == by_columns
    exact = form.read_exactly(values)
    assert found is None or found.equals(exact)
    assert form.read(values).equals(exact)
    assert exact.to_pylist()[0] != exact.to_pylist()[1]


@pytest.mark.parametrize(
    "message",
    [
        varint((2**32 + 1) << 3) + b"\x05",  # a number of a field that is cut to 1
        varint(2 << 3 | 2) + varint(2**64 - 9),  # a length that wraps around
        b"\x08",
        b"\x12\x05ab",
        b"\x12\x01\xff",
        b"\x00\x01",
    ],
)
def test_what_upb_refuses_is_not_read_by_columns(message: bytes) -> None:
    form = Form((Field("a", 1, LONG, presence=False), Field("b", 2, TEXT, presence=False)), "t.Row")
    values = pa.array([b"\x08\x05", message], pa.binary())
    assert form.read_by_columns(values) is None
    with pytest.raises(UnreadableError, match=r"no message t\.Row"):
        form.read(values)


def test_minus_zero_is_written() -> None:
    fields = (Field("d", 1, Scalar(shapes.DOUBLE), presence=False), Field("f", 2, Scalar(shapes.FLOAT), presence=False))
    form = Form(fields, "t.Row")
    rows = pa.RecordBatch.from_pylist([{"f1": -0.0, "f2": -0.0}, {"f1": 0.0, "f2": 0.0}], schema=form.raw)
    for written in (form.writing().write(rows), form.writing().write_exactly(rows)):
        assert str(form.read_exactly(written).to_pylist()) == str(rows.to_pylist())


def test_messages_as_they_usually_are_need_not_be_read_one_by_one() -> None:
    fields = (
        Field("a", 1, Scalar(shapes.INT64), presence=False),
        Field("b", 2, Repeated(Message(MOMENT)), presence=False),
        Field("c", 3, Map(TEXT, Scalar(shapes.DOUBLE)), presence=False),
    )
    form = Form(fields, "t.Row")
    messages = form.writing().write_exactly(
        pa.RecordBatch.from_pylist(
            [{"f1": 1, "f2": [{"f1": 5, "f2": 6}], "f3": [{"f1": "b", "f2": 1.0}]}], schema=form.raw
        )
    )
    read = form.read_by_columns(messages)
    assert read is not None
    assert read.to_pylist() == [{"f1": 1, "f2": [{"f1": 5, "f2": 6}], "f3": [{"f1": "b", "f2": 1.0}]}]
    with pytest.raises(UnreadableError, match=r"it is no message t\.Row"):
        form.read_exactly(pa.array([b"\x08"]))


def test_the_last_entry_of_a_key_counts_and_the_keys_are_in_order() -> None:
    shape = Map(LONG, Wrapped(TEXT))
    sent = [[(5, "a"), (2, "b"), (5, "c")], None, [], [(2, None), (1, "d"), (2, "e")]]
    raw = [
        one and [{"f1": key, "f2": value and {"f1": value}} for key, value in one]  # as in the bytes
        for one in sent
    ]
    found = shape.loaded(pa.array(raw, shape.raw))
    found.validate(full=True)
    assert found.to_pylist() == [[(2, "b"), (5, "c")], None, [], [(1, "d"), (2, "e")]]
    assert shape.loaded(pa.array([], shape.raw)).to_pylist() == []
    whole = found.filter(found.is_valid())
    assert shape.loaded(shape.dumped(whole[1:])).equals(whole[1:])


@pytest.mark.parametrize(("key", "keys"), [(shapes.BOOL, [True, False]), (shapes.FIXED64, [2**64 - 1, 0])])
def test_keys_of_maps_may_be_other_than_text(key: int, keys: list[Any]) -> None:
    shape = Map(Scalar(key), TEXT)
    found = shape.loaded(pa.array([[{"f1": one, "f2": "x"} for one in keys]], shape.raw))
    assert found.to_pylist() == [[(one, "x") for one in sorted(keys)]]
