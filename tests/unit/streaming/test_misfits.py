"""Which types of JSON values a target's columns take, where those of a micro-batch do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from ematix_core.backends import registry
from ematix_core.model.table import Column
from ematix_core.streaming.misfits import wanted_types
from ematix_core.types import (
    Array,
    BigInt,
    Boolean,
    ColumnType,
    Date,
    Double,
    Integer,
    Numeric,
    Struct,
    Text,
    Unknown,
)

LIST: Any = Array[BigInt]


@pytest.mark.parametrize(
    ("found", "stored", "wanted"),
    [
        (Text, BigInt, [BigInt]),
        (Text, Double, [Double]),
        (Text, Boolean, [Boolean]),
        (Text, Numeric[38, 2], [BigInt]),
        (BigInt, Text, [Text]),
        (Text, LIST, [LIST]),
        (Text, Integer, None),  # no JSON number is known to fit
        (Text, Numeric[10, 2], None),
        (Text, Date, None),
        (BigInt, BigInt, None),
        (Unknown, BigInt, None),
        (BigInt, Numeric[38, 2], None),
        (Struct["a", BigInt], Struct["a", BigInt], None),
    ],
)
def test_types_are_wanted_where_drift_would_refuse_those_found(
    found: type[ColumnType], stored: type[ColumnType], wanted: list[type[ColumnType]] | None
) -> None:
    dialect = registry.dialect("postgres")
    told = wanted_types([Column("x", found), Column("new", Text)], [Column("x", stored)], dialect)
    assert dict(told) == ({} if wanted is None else {"x": wanted})
