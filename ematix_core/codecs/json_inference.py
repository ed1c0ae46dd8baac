"""The columns of JSON messages that nobody declared: as they are found, kept, and widened from batch to batch.

true and false are Boolean; whole numbers of 64 bits BigInt; other numbers Double; texts Text, dates and times too;
objects Struct; lists Array. BigInt widens to Double. Whatever else does not go together becomes Text, in which a value
that is no text is its JSON text. A number that 64 bits do not hold counts as text. A field that was only ever null or
an empty object is Unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core.codecs.json_columns import JsonColumn, parsed_type
from ematix_core.codecs.json_exact import Number, parse
from ematix_core.types import Array, BigInt, Boolean, Double, Struct, Text, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.types import ColumnType

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Found:
    """The types by field, in the order in which the fields were first seen."""

    types: Mapping[str, type[ColumnType]] = field(default_factory=dict)

    def columns(self) -> tuple[JsonColumn, ...]:
        """Return the columns, which take NULL, and other kinds of values where they are Text."""
        return tuple(JsonColumn(name, kind, loose=True) for name, kind in self.types.items())

    def covers(self, table: pa.Table) -> bool:
        """Say whether what the parser read has just the known columns, with the types that they are read as."""
        kinds = {column.name: column.type for column in table.schema}
        return kinds == {name: parsed_type(kind) for name, kind in self.types.items()}


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
    if {one, other} == {BigInt, Double}:
        return Double
    if one.kind == other.kind == "array":
        return Array[widened(one.parameters["item"], other.parameters["item"])]
    if one.kind == other.kind == "struct":
        return Struct[tuple(_merged(dict(one.parameters["fields"]), dict(other.parameters["fields"])).items())]
    return Text


def found_in_table(table: pa.Table) -> Found:
    """Return the columns of what pyarrow's parser inferred."""
    return Found({column.name: _of_arrow(column.type) for column in table.schema})


def _of_arrow(kind: pa.DataType) -> type[ColumnType]:
    if pa.types.is_list(kind):
        return Array[_of_arrow(kind.value_type)]
    if pa.types.is_struct(kind):
        fields = tuple((inner.name, _of_arrow(inner.type)) for inner in kind)
        return Struct[fields] if fields else Unknown
    named = {"bool": Boolean, "int64": BigInt, "double": Double, "null": Unknown}
    return named.get(str(kind), Text)  # a timestamp is a text that looks like one


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
    if digits.lstrip("-").isdigit():
        return BigInt if len(digits) < 25 and _LOWEST <= int(digits) <= _HIGHEST else Text  # noqa: PLR2004 - more digits than 64 bits have
    return Double if math.isfinite(float(digits)) else Text
