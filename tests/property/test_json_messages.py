"""The fast way of reading JSON gives what the exact way gives, whatever the messages are."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ematix_core import types
from ematix_core.codecs import Format, decoder, encoder, json_fast
from ematix_core.codecs.json_columns import JsonColumn
from ematix_core.codecs.json_decoding import decode
from ematix_core.model.table import Column

KINDS: dict[str, Any] = {
    "n": types.BigInt,
    "u": types.UTinyInt,
    "i": types.Integer,
    "d": types.Double,
    "f": types.Float,
    "p": types.Numeric[9, 2],
    "P": types.Numeric[50, 10],
    "b": types.Boolean,
    "t": types.Text,
    "s": types.String[3],
    "day": types.Date,
    "at": types.TimestampTZ,
    "local": types.Timestamp["ns"],
    "clock": types.Time,
    "id": types.UUID,
    "raw": types.Bytes,
    "took": types.Duration,
    "list": types.Array[types.BigInt],
    "inner": types.Struct[("x", types.BigInt), ("y", types.Array[types.Text])],
}
COLUMNS = tuple(JsonColumn(name, kind, nullable=name != "n") for name, kind in KINDS.items())

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-(10**9), 10**9, places=2).map(str),
    st.sampled_from(
        [
            "-0",
            "-0.0",
            "0.0",
            "1e400",
            "-1e400",
            "1e-400",
            "1E5",
            "1.0",
            "100e-2",
            "1e38",
            "1e39",
            "0.10",
            "1.005",
            "12345678.5",
            "01",
            "1.",
            "+1",
            ".5",
            "-",
            "1e",
        ]
    ),
)
TEXTS = st.one_of(
    st.text(max_size=5).map(json.dumps),
    st.sampled_from(
        [
            '"2026-01-31"',
            '"2026-01-31T12:34:56Z"',
            '"2026-01-31 12:34:56.123456+02:00"',
            '"2026-01-31T12:34:56.123456789"',
            '"12:34:56"',
            '"24:00:00"',
            '"2026-02-30"',
            '"00000000-0000-0000-0000-00000000000A"',
            '"0000"',
            '"aGk="',
            '"aGk"',
            '"12.5"',
            '" 12"',
            '"1e2"',
            '".5"',
            '"+5"',
            '"5."',
            '"NaN"',
            '"a\\ud800"',
            '"\\ud83d\\ude00"',
            '"\\u0000"',
            '"\x01"',
            '"\\x"',
            '"unended',
            '"Infinity"',
            '": Inf"',
        ]
    ),
)
CONSTANTS = st.sampled_from(
    ["null", "true", "false", "NaN", "Infinity", "-Infinity", "Inf", "nul", "", "{}", "[]", "[[]]"]
)
VALUES = st.recursive(
    NUMBERS | TEXTS | CONSTANTS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3).map(
            lambda fields: "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"
        ),
    ),
    max_leaves=6,
)
FIELDS = st.lists(st.tuples(st.sampled_from([*KINDS, "other", "\\u006e"]), VALUES), max_size=4)
OBJECTS = FIELDS.map(lambda fields: "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}")
WHOLE = st.builds(lambda number: f'{{"n":{number}}}', st.integers(-(2**63), 2**63 - 1))
MESSAGES = st.one_of(
    WHOLE.map(str.encode),
    OBJECTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    VALUES.map(lambda text: text.encode("utf-8", "surrogatepass")),
    OBJECTS.map(lambda text: text.encode()[:-2]),
    st.sampled_from(
        [
            b"",
            b" ",
            b"{}",
            b'{"n":1}{"n":2}',
            b'{"n":1',
            b'}{"n":2}',
            b'\xef\xbb\xbf{"n":1}',
            b' {"n":1}\r\n',
            b'{\n"n":\t1\n}',
            b'{"n":1} x',
            b'{"n":1,}',
            b'{"n":1,"n":2}',
            b'{"n":1,"other":1,"other":NaN}',
            b'{"n":1,"t":"\xff"}',
            b'{"n":1,"other":"\xff"}',
            b"[1]",
            b"3",
            b'{"n":1}//',
            b"\x00",
            b'{"n":1,"t":"Infinity, NaN"}',
            b"{" * 600 + b"}" * 600,
            b'{"n":1,"other":' + b"[" * 99 + b"]" * 99 + b"}",
        ]
    ),
)
BATCHES = st.lists(MESSAGES, max_size=80)


@settings(max_examples=400, deadline=None)
@given(BATCHES)
@example([b'{"n":1}'] * 50 + [b'{"n":1,"d":NaN}'] + [b'{"n":2}'] * 50)
@example([b'{"n":1', b'}{"n":2}'] * 40)
@example([b'{"n":1}{"n":2}', b""] * 40)
def test_both_ways_give_the_same_rows_and_the_same_bad_messages(messages: list[bytes]) -> None:
    values = pa.array(messages, pa.binary())
    fast, exact = decode(values, COLUMNS), decode(values, COLUMNS, fast=False)
    assert fast.bad == exact.bad
    assert fast.rows.schema == exact.rows.schema
    # By their representation: -0.0 is not 0.0.
    assert fast.rows.to_pylist().__repr__() == exact.rows.to_pylist().__repr__()
    assert fast.rows.num_rows + len(fast.bad) == len(messages)


@settings(max_examples=400, deadline=None)
@given(MESSAGES, st.sampled_from(sorted(KINDS)))
def test_what_the_fast_way_reads_of_one_message_is_exact(message: bytes, name: str) -> None:
    column = JsonColumn(name, KINDS[name])
    fast = json_fast.read(pa.array([message], pa.binary()), (column,))
    if fast is not None:
        exact = decode(pa.array([message], pa.binary()), (column,), fast=False)
        assert exact.bad == ()
        assert repr(fast.to_pylist()) == repr(exact.rows.to_pylist())


@settings(max_examples=200, deadline=None)
@given(st.lists(BATCHES, max_size=3))
def test_found_columns_are_kept_and_each_message_is_a_row_or_bad(batches: list[list[bytes]]) -> None:
    inferring = decoder(Format(), topic="t")
    names: list[str] = []
    for messages in batches:
        decoded = inferring.decode(pa.array(messages, pa.binary()))
        assert decoded.rows.num_rows + len(decoded.bad) == len(messages)
        assert decoded.rows.schema.names[: len(names)] == names
        names = decoded.rows.schema.names
        decoded.rows.validate(full=True)


MIXED = st.one_of(
    st.integers(-(2**53) - 2, 2**53 + 2).map(str),
    st.integers(-(2**65), 2**65).map(str),
    st.sampled_from([str(sign * (2**power + by)) for sign in (1, -1) for power in (53, 63, 64) for by in (-1, 0, 1)]),
    st.sampled_from(["0", "-0", "1.5", "1e3", "1e20", "-2.5e30", str(10**30), "1e400", "true", "null", '"abc"']),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
PLACES = st.sampled_from(
    ['{"a":%s}', '{"b": %s }', '{"a":[1,%s]}', '{"c":[%s]}', '{"c":[7,%s]}', '{"d":{"x":[{"y":%s}]}}']
)
NUMBERED = st.lists(st.builds(lambda form, text: (form % text).encode(), PLACES, MIXED), min_size=1, max_size=70)


def numbers_in(value: object) -> list[Any]:
    """Return the numbers of a value of any depth, in order; whole ones in a text too."""
    if isinstance(value, dict):
        return [one for inner in value.values() for one in numbers_in(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in numbers_in(inner)]
    if isinstance(value, str):
        try:
            return numbers_in(json.loads(value))
        except ValueError:
            return []
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@settings(max_examples=400, deadline=None)
@given(st.lists(NUMBERED, min_size=1, max_size=3))
@example([[b'{"a":1.5}'] + [b'{"a":%d}' % (2**60 + n) for n in range(60)]])
@example([[b'{"a":1.5}'], [b'{"a":%d}' % (2**60 + n) for n in range(60)], [b'{"a":7}']])
@example([[b'{"c":[%d]}' % (10**30 + n) for n in range(60)]])
def test_found_columns_bend_no_number_and_both_ways_find_the_same(batches: list[list[bytes]]) -> None:
    fast, exact = decoder(Format(), topic="t"), decoder(Format(), topic="t")
    for messages in batches:
        values = pa.array(messages, pa.binary())
        decoded = fast.decode(values)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(json_fast, "parse", lambda *_, **__: None)
            other = exact.decode(values)
        assert decoded.bad == other.bad
        assert {field.name: field.type for field in decoded.rows.schema} == {
            field.name: field.type for field in other.rows.schema
        }
        assert repr(decoded.rows.select(sorted(decoded.rows.schema.names)).to_pylist()) == repr(
            other.rows.select(sorted(other.rows.schema.names)).to_pylist()
        )
        bad = {one.row for one in decoded.bad}
        good = [message for row, message in enumerate(messages) if row not in bad]
        for message, row in zip(good, decoded.rows.to_pylist(), strict=True):
            assert numbers_in(row) == numbers_in(json.loads(message))


ROWS: dict[str, Any] = {
    "n": st.integers(-(2**63), 2**63 - 1),
    "d": st.floats(allow_nan=False, allow_infinity=False),
    "p": st.decimals(-(10**6), 10**6, places=2),
    "b": st.booleans(),
    "t": st.text(st.characters(codec="utf-8"), max_size=8),
    "day": st.dates(),
    "at": st.datetimes(),
    "clock": st.times(),
    "id": st.uuids().map(lambda one: one.bytes),
    "raw": st.binary(max_size=8),
    "list": st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=3),
    "inner": st.fixed_dictionaries(
        {"x": st.none() | st.integers(0, 9), "y": st.none() | st.lists(st.text('ab"', max_size=3))}
    ),
}


@pytest.mark.parametrize("name", sorted(ROWS))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_encoded_is_decoded_again(name: str, data: st.DataObject) -> None:
    kind = KINDS[name].to_arrow()
    given_values = data.draw(st.lists(st.none() | ROWS[name], min_size=1, max_size=10))
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    array = pa.array(given_values, storage)
    rows = pa.record_batch(
        [pa.ExtensionArray.from_storage(kind, array) if isinstance(kind, pa.BaseExtensionType) else array], names=[name]
    )
    columns = (Column(name, KINDS[name]),)
    messages = encoder(Format(), columns, topic="t").encode(rows)
    for message in messages.to_pylist():
        json.loads(message or b"")
    decoded = decoder(Format(columns=columns), topic="t").decode(messages)
    assert decoded.bad == ()
    assert repr(decoded.rows.to_pylist()) == repr(rows.to_pylist())
