"""What is written as Avro is read as it was, and a message that was damaged harms no other."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ematix_core import types
from ematix_core.codecs import Format, decoder, encoder
from ematix_core.codecs.avro_schema import schema_of
from ematix_core.model.table import Column

_WHOLE = st.integers(-(2**63), 2**63 - 1)
_INT = st.integers(-(2**31), 2**31 - 1)
_TEXT = st.text(max_size=8)


def _entries(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(values.items())


_TEXTS = st.lists(st.none() | _TEXT, max_size=3)
VALUES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "n": (types.BigInt, _WHOLE),
    "i": (types.TinyInt, st.integers(-128, 127)),
    "u": (types.UInteger, st.integers(0, 2**32 - 1)),
    "d": (types.Double, st.floats(allow_nan=False)),
    "f": (types.Float, st.floats(allow_nan=False, width=32)),
    "p": (types.Numeric[9, 2], st.decimals(-(10**6), 10**6, places=2)),
    "P": (types.Numeric[50, 10], st.decimals(-(10**30), 10**30, places=10)),
    "b": (types.Boolean, st.booleans()),
    "t": (types.Text, _TEXT),
    "day": (types.Date, _INT),
    "at": (types.TimestampTZ, _WHOLE),
    "local": (types.Timestamp["ns"], _WHOLE),
    "clock": (types.Time, st.integers(0, 86_399_999_999)),
    "raw": (types.Bytes, st.binary(max_size=8)),
    "id": (types.UUID, st.binary(min_size=16, max_size=16)),
    "list": (types.Array[types.TimestampTZ["ms"]], st.lists(st.none() | _WHOLE, max_size=3)),
    "map": (types.Map[types.Text, types.Numeric[5, 1]],
            st.dictionaries(_TEXT, st.none() | st.decimals(-999, 999, places=1), max_size=3).map(_entries)),
    "inner": (types.Struct[("x", types.BigInt), ("y", types.Array[types.Text])],
              st.fixed_dictionaries({"x": st.none() | _WHOLE, "y": st.none() | _TEXTS})),
}  # fmt: skip
COLUMNS = tuple(Column(name, kind, nullable=name != "n") for name, (kind, _) in VALUES.items())
FORMAT = Format("avro", columns=COLUMNS, writer=schema_of(COLUMNS, "orders"))
ROWS = st.lists(
    st.fixed_dictionaries({name: some if name == "n" else st.none() | some for name, (_, some) in VALUES.items()}),
    max_size=6,
)


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    arrays: list[Any] = []
    for column in COLUMNS:
        kind: Any = column.type.to_arrow()
        plain = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        array: Any = pa.array([row[column.name] for row in rows], plain)
        arrays.append(array if plain is kind else pa.ExtensionArray.from_storage(kind, array))
    fields = [types.to_field(one.name, one.type).with_nullable(one.nullable) for one in COLUMNS]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


@given(ROWS)
@settings(deadline=None)
def test_rows_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    expected = batch(rows)
    messages = encoder(FORMAT, COLUMNS, topic="t").encode(expected)
    found = decoder(FORMAT, topic="t").decode(messages)
    assert found.bad == ()
    assert found.rows.equals(expected)
    same = decoder(Format("avro", writer=FORMAT.writer), topic="t").decode(
        encoder(FORMAT, COLUMNS, topic="t").encode(expected)
    )
    assert same.rows.num_rows == len(rows)
    assert same.rows.schema.names == [column.name for column in COLUMNS]


@given(ROWS.filter(bool), st.data())
@settings(deadline=None)
def test_a_cut_or_lengthened_message_is_bad_and_the_others_are_read(rows: list[dict[str, Any]], data: Any) -> None:  # noqa: ANN401 - hypothesis names no type
    expected = batch(rows)
    messages = encoder(FORMAT, COLUMNS, topic="t").encode(expected).to_pylist()
    row = data.draw(st.integers(0, len(rows) - 1))
    whole = messages[row] or b""
    messages[row] = data.draw(st.integers(0, len(whole) - 1).map(lambda end: whole[:end]) | st.just(whole + b"\0"))
    found = decoder(FORMAT, topic="t").decode(pa.array(messages, pa.binary()))
    assert [one.row for one in found.bad] == [row]
    assert found.rows.equals(batch(rows[:row] + rows[row + 1 :]))
