"""The type vocabulary: to Arrow and back, labels, and what counts as wider."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core import types as t
from ematix_core.sql.widening import widens
from ematix_core.types import ColumnType, from_arrow

SIMPLE: list[type[ColumnType]] = [
    t.Boolean, t.TinyInt, t.SmallInt, t.Integer, t.BigInt, t.UTinyInt, t.USmallInt, t.UInteger, t.UBigInt, t.Float,
    t.Double, t.Text, t.Bytes, t.Date, t.Interval, t.UUID, t.JSON,
]  # fmt: skip
UNITS = st.sampled_from(["s", "ms", "us", "ns"])


@st.composite
def numerics(draw: st.DrawFn) -> type[ColumnType]:
    precision = draw(st.integers(1, 76))
    return parametrised(t.Numeric, (precision, draw(st.integers(0, precision))))


def parametrised(base: type[ColumnType], item: Any) -> type[ColumnType]:  # noqa: ANN401 - what stands in the brackets
    """Subscribe outside an annotation, where a type checker takes `Numeric[12, 2]` for a generic."""
    made: type[ColumnType] = base.__class_getitem__(item)  # type: ignore[attr-defined]  # not all column types have parameters
    return made


with_unit = st.builds(parametrised, st.sampled_from([t.Time, t.Timestamp, t.TimestampTZ, t.Duration]), UNITS)
strings = st.builds(parametrised, st.just(t.String), st.integers(1, 1000))
scalars = st.one_of(st.sampled_from(SIMPLE), numerics(), with_unit)


def nested(inner: st.SearchStrategy[type[ColumnType]]) -> st.SearchStrategy[type[ColumnType]]:
    fields = st.lists(
        st.tuples(st.sampled_from("abc"), inner), min_size=1, max_size=3, unique_by=lambda field: field[0]
    )
    return st.one_of(
        st.builds(parametrised, st.just(t.Array), inner),
        st.builds(parametrised, st.just(t.Map), st.tuples(inner, inner)),
        st.builds(parametrised, st.just(t.Struct), fields.map(tuple)),
    )


any_type = st.recursive(scalars, nested, max_leaves=4)
any_kind = st.one_of(scalars, strings, st.builds(parametrised, st.just(t.Array), scalars | strings))


@given(any_type)
def test_a_type_survives_the_way_to_arrow_and_back(kind: type[ColumnType]) -> None:
    assert from_arrow(kind.to_arrow()) is kind


@given(any_type)
def test_a_label_evaluates_to_the_type_itself(kind: type[ColumnType]) -> None:
    assert eval(kind.label(), dict(vars(t))) is kind  # noqa: S307 - a label is code by definition, and made here


@given(any_kind)
def test_every_type_widens_to_itself(kind: type[ColumnType]) -> None:
    assert widens(kind, kind)


@given(any_kind, any_kind)
def test_two_types_that_widen_to_each_other_are_one(one: type[ColumnType], other: type[ColumnType]) -> None:
    assert not (widens(one, other) and widens(other, one)) or one is other


@given(any_kind, any_kind, any_kind)
def test_widening_twice_is_widening(one: type[ColumnType], two: type[ColumnType], three: type[ColumnType]) -> None:
    assert not (widens(one, two) and widens(two, three)) or widens(one, three)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (t.Integer, t.BigInt, True),
        (t.BigInt, t.Integer, False),
        (t.UInteger, t.BigInt, True),
        (t.Integer, t.UBigInt, False),
        (t.BigInt, t.Double, False),
        (t.Integer, t.Double, True),
        (t.Float, t.Double, True),
        (t.BigInt, parametrised(t.Numeric, (19, 0)), True),
        (t.BigInt, parametrised(t.Numeric, (20, 2)), False),
        (parametrised(t.Numeric, (10, 2)), parametrised(t.Numeric, (12, 4)), True),
        (parametrised(t.Numeric, (10, 2)), parametrised(t.Numeric, (11, 4)), False),
        (parametrised(t.String, 10), t.Text, True),
        (t.Text, parametrised(t.String, 10), False),
        (parametrised(t.Timestamp, "s"), t.Timestamp, True),
        (t.Timestamp, t.TimestampTZ, False),
        (t.Date, t.Timestamp, True),
        (parametrised(t.Array, t.Integer), parametrised(t.Array, t.BigInt), True),
        (t.Boolean, t.TinyInt, False),
    ],
)
def test_wider_means_that_every_value_fits_exactly(
    old: type[ColumnType], new: type[ColumnType], expected: bool
) -> None:
    assert widens(old, new) is expected


def test_one_parametrisation_is_one_class() -> None:
    assert parametrised(t.Numeric, (12, 2)) is parametrised(t.Numeric, (12, 2))
    assert parametrised(t.Numeric, (38, 9)) is t.Numeric
    assert parametrised(t.String, 255) is t.String
    assert parametrised(t.Timestamp, "us") is t.Timestamp


@pytest.mark.parametrize(
    ("arrow", "label"),
    [
        (pa.large_string(), "Text"),
        (pa.dictionary(pa.int32(), pa.string()), "Text"),
        (pa.null(), "Unknown"),
        (pa.float16(), "Float"),
        (pa.binary(16), "Bytes"),
        (pa.date64(), "Date"),
        (pa.large_list(pa.int8()), "Array[TinyInt]"),
        (pa.decimal128(5, -2), "Numeric[7, 0]"),
        (pa.decimal128(2, 5), "Numeric[5, 5]"),
        (pa.timestamp("ms", "Europe/London"), 'TimestampTZ["ms"]'),
    ],
)
def test_arrow_types_without_a_column_type_of_their_own_find_the_nearest(arrow: pa.DataType, label: str) -> None:
    assert from_arrow(arrow).label() == label


def test_an_arrow_type_that_no_system_holds_is_refused() -> None:
    with pytest.raises(TypeError, match="no column type for Arrow type run_end_encoded"):
        from_arrow(pa.run_end_encoded(pa.int32(), pa.string()))


@pytest.mark.parametrize(
    ("base", "item", "message"),
    [
        (t.Numeric, (77, 0), "Numeric[77, 0]: precision must be 1 to 76 and scale 0 to precision"),
        (t.Numeric, (5, 6), "Numeric[5, 6]: precision must be 1 to 76 and scale 0 to precision"),
        (t.String, 0, "String[0]: the length must be at least 1"),
        (t.Time, "h", "Time['h']: the unit must be one of s, ms, us, ns"),
    ],
)
def test_impossible_parameters_are_refused(base: type[ColumnType], item: object, message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        parametrised(base, item)
    assert str(caught.value) == message
