"""What an existing column would do to a value without a word: pad it, cut it, or take it for another one.

The server warns of most values that do not fit, and a warning of a load is an error of ours. These it does not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from ematix_core.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.mysql.columns import Declared

pc: Any = pyarrow.compute  # the overloads of its stubs know no array of a type that is found out at run time

_FIRST_YEAR, _LAST_YEAR = 1901, 2155


def guard(batch: pa.RecordBatch, facts: Sequence[Declared], done: int) -> None:
    """Raise ConversionError naming column and row (`done` rows came before) for a value that would be bent."""
    for array, fact in zip(batch.columns, facts, strict=True):
        if not fact.nullable and array.null_count:
            _refuse(fact, pc.is_null(array), array, done, "it is NOT NULL")
        check = _CHECKS.get(fact.data_type)
        if check is not None:
            check(array, fact, done)


def _char(array: Any, fact: Declared, done: int) -> None:  # noqa: ANN401 - an array of any type
    if pa.types.is_string(array.type):
        _refuse(fact, pc.ends_with(array, " "), array, done, "CHAR loses the spaces at the end")


def _binary(array: Any, fact: Declared, done: int) -> None:  # noqa: ANN401 - see _char
    if pa.types.is_binary(array.type):
        length = int(fact.column_type.partition("(")[2].rstrip(")") or 1)
        short = pc.not_equal(pc.binary_length(array), length)
        _refuse(fact, short, array, done, f"BINARY({length}) would fill it up with zeros")


def _enum(array: Any, fact: Declared, done: int) -> None:  # noqa: ANN401 - see _char
    # '2' would be taken for the second member, and 'A' for 'a': https://dev.mysql.com/doc/refman/8.0/en/enum.html
    if pa.types.is_string(array.type):
        other = pc.invert(pc.is_in(array, pa.array(fact.members, pa.string())))
        _refuse(fact, pc.and_(other, pc.is_valid(array)), array, done, "it is none of the column's members")


def _set(array: Any, fact: Declared, done: int) -> None:  # noqa: ANN401 - see _char
    if not pa.types.is_string(array.type):
        return
    order = {member: number for number, member in enumerate(fact.members)}
    for value in pc.unique(array).to_pylist():
        if value:
            numbers = [order.get(part, -1) for part in value.split(",")]
            if -1 in numbers or numbers != sorted(set(numbers)):
                _refuse(fact, pc.equal(array, value), array, done, "it is no list of the members in their order")


def _year(array: Any, fact: Declared, done: int) -> None:  # noqa: ANN401 - see _char
    if pa.types.is_integer(array.type):
        inside = pc.and_(pc.greater_equal(array, _FIRST_YEAR), pc.less_equal(array, _LAST_YEAR))
        _refuse(fact, pc.invert(inside), array, done, f"YEAR holds {_FIRST_YEAR} to {_LAST_YEAR}")


_CHECKS = {"char": _char, "binary": _binary, "enum": _enum, "set": _set, "year": _year}


def _refuse(fact: Declared, bad: Any, array: Any, done: int, why: str) -> None:  # noqa: ANN401 - see _char
    if not pc.any(bad).as_py():
        return
    row = pc.index(bad, True).as_py()
    raise ConversionError(
        f"column {fact.name!r} ({fact.column_type}) cannot hold {array[row].as_py()!r} at row {done + row + 1}: {why}",
        hint="Mend the value in the job's query, or give the column a type that holds it.",
    )
