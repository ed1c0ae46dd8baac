"""The columns of JSON messages that nobody declared: as they are found, kept, and widened from batch to batch.

true and false are Boolean; whole numbers of 64 bits BigInt; other numbers Double; texts Text, dates and times too;
objects Struct; lists Array. BigInt widens to Double as long as no whole number is beyond 53 bits, in whose place a
double would hold another one. Whatever else does not go together becomes Text, in which a value that is no text is its
JSON text. A number that 64 bits do not hold counts as text. A field that was only ever null or an empty object is
Unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core.codecs.arrays import Values, compute
from ematix_core.codecs.json_columns import EXACT_DOUBLES, JsonColumn, beyond_doubles
from ematix_core.codecs.json_exact import Number, parse
from ematix_core.types import Array, BigInt, Boolean, Double, Numeric, Struct, Text, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.types import ColumnType

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_WIDE: type[ColumnType] = Numeric[19, 0]
"""Stands for BigInt in what was found when there are numbers beyond `EXACT_DOUBLES`; the column is BigInt."""
_LONG_NUMBER = r"[:,\[\s]-?[0-9]{16,}\s*[,}\]]"
"""A whole number that may be beyond `EXACT_DOUBLES`, in JSON; a text can look the same."""


@dataclass(frozen=True)
class Found:
    """The types by field, in the order in which the fields were first seen."""

    types: Mapping[str, type[ColumnType]] = field(default_factory=dict)

    def columns(self) -> tuple[JsonColumn, ...]:
        """Return the columns, which take NULL, and other kinds of values where they are Text."""
        return tuple(JsonColumn(name, _read_as(kind), loose=True) for name, kind in self.types.items())


def _read_as(kind: type[ColumnType]) -> type[ColumnType]:
    if kind.kind == "array":
        return Array[_read_as(kind.parameters["item"])]
    if kind.kind == "struct":
        return Struct[tuple((name, _read_as(inner)) for name, inner in kind.parameters["fields"])]
    return BigInt if kind is _WIDE else kind


def merged(one: Found, other: Found) -> Found:
    """Return the columns of both, each wide enough for both."""
    return Found(_merged(one.types, other.types))


def _merged(one: Mapping[str, type[ColumnType]], other: Mapping[str, type[ColumnType]]) -> dict[str, type[ColumnType]]:
    both = dict(one)
    for name, kind in other.items():
        both[name] = widened(both[name], kind) if name in both else kind
    return both


def widened(one: type[ColumnType], other: type[ColumnType]) -> type[ColumnType]:
    """Return the type that holds the values of both."""
    if one is other or other is Unknown:
        return one
    if one is Unknown:
        return other
    if {one, other} in ({BigInt, Double}, {BigInt, _WIDE}):
        return other if one is BigInt else one
    if one.kind == other.kind == "array":
        return Array[widened(one.parameters["item"], other.parameters["item"])]
    if one.kind == other.kind == "struct":
        return Struct[tuple(_merged(dict(one.parameters["fields"]), dict(other.parameters["fields"])).items())]
    return Text


def found_in_table(table: pa.Table, messages: Values) -> Found:
    """Return the columns of what pyarrow's parser made of the messages.

    It takes whole numbers for doubles beside a fraction, and where 64 bits do not hold them. So where a double is as
    large as those that would be bent, the messages with a number that is long enough are read exactly.
    """
    arrays: dict[str, Values] = {name: table.column(name).combine_chunks() for name in table.schema.names}
    found = Found({name: _of_array(array) for name, array in arrays.items()})
    if not any(map(_may_be_bent, arrays.values())):
        return found
    long = messages.filter(compute.match_substring_regex(messages, _LONG_NUMBER))
    return merged(found, found_in_messages(long.to_pylist()))


def _of_array(array: Values) -> type[ColumnType]:
    kind = array.type
    if pa.types.is_list(kind):
        return Array[_of_array(array.flatten())]
    if pa.types.is_struct(kind):
        fields = tuple((inner.name, _of_array(values)) for inner, values in zip(kind, array.flatten(), strict=True))
        return Struct[fields] if fields else Unknown
    if pa.types.is_int64(kind):
        return _WIDE if beyond_doubles(array) else BigInt
    named = {"bool": Boolean, "double": Double, "null": Unknown}
    return named.get(str(kind), Text)  # a timestamp is a text that looks like one


def _may_be_bent(array: Values) -> bool:
    if pa.types.is_list(array.type):
        return _may_be_bent(array.flatten())
    if pa.types.is_struct(array.type):
        return any(map(_may_be_bent, array.flatten()))
    return pa.types.is_float64(array.type) and beyond_doubles(array)


def found_in_messages(messages: Sequence[bytes]) -> Found:
    """Return the columns of the messages that can be read."""
    found: dict[str, type[ColumnType]] = {}
    for message in messages:
        try:
            record = parse(message)
        except ValueError:
            continue
        found = _merged(found, {name: _of_value(value) for name, value in record.items()})
    return Found(found)


def _of_value(value: object) -> type[ColumnType]:
    if value is None:
        return Unknown
    if isinstance(value, bool):
        return Boolean
    if isinstance(value, Number):
        return _of_digits(value)
    if isinstance(value, list):
        item: type[ColumnType] = Unknown
        for one in value:
            item = widened(item, _of_value(one))
        return Array[item]
    if isinstance(value, dict):
        fields = tuple((name, _of_value(inner)) for name, inner in value.items())
        return Struct[fields] if fields else Unknown
    return Text


def _of_digits(digits: str) -> type[ColumnType]:
    if not digits.lstrip("-").isdigit():
        return Double if math.isfinite(float(digits)) else Text
    if len(digits) >= 25 or not _LOWEST <= int(digits) <= _HIGHEST:  # noqa: PLR2004 - more digits than 64 bits have
        return Text
    return BigInt if abs(int(digits)) <= EXACT_DOUBLES else _WIDE
