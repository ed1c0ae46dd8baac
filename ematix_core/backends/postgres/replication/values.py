"""PostgreSQL's text of values, as its types write themselves, as Arrow columns of the types that a query gives.

A query is asked for forms that are easy to read (see `native`); in a log there are only those of the types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ematix_core.backends.postgres.decoding import decoded
from ematix_core.backends.postgres.native import BPCHAR
from ematix_core.backends.postgres.replication.tuples import bits
from ematix_core.errors import ConversionError

if TYPE_CHECKING:
    from ematix_core.backends.postgres.native import Native
    from ematix_core.types import ColumnType

INET = 869
_INTERVAL = (
    r"^(?:(?P<years>-?\d+) years? ?)?(?:(?P<mons>[+-]?\d+) mons? ?)?(?:(?P<days>[+-]?\d+) days? ?)?"
    r"(?:(?P<sign>[+-])?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)(?:\.(?P<fraction>\d+))?)?$"
)
_MOST_HOURS = (2**63 - 1) // 3_600_000_000_000
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"]+)', re.DOTALL)


def typed(texts: Any, found: Native, column: str, where: str) -> Any:  # noqa: ANN401 - arrays of any type
    """Return the values as the column type of a native type. Raises ConversionError naming the column."""
    try:
        return _typed(texts, found)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise ConversionError(
            f"a value of column {column!r} is no {found.column_type.label()} that Arrow can hold: {error}",
            where=where,
            hint="Change it at the source, or leave the column out by a publication of your own. Arrow has no infinite"
            " dates, none before year 1 or after 9999, and no NaN in decimals.",
        ) from error


def _typed(texts: Any, found: Native) -> Any:  # noqa: ANN401 - arrays of any type
    plain, kind = found.plain, found.column_type
    if kind.kind == "array" and plain.item is not None:
        return _lists(texts, kind.to_arrow(), plain.item)
    if (special := _SPECIAL.get(kind.kind)) is not None:
        return special(texts, kind)
    if plain.oid == BPCHAR:
        return pc.utf8_rtrim(texts, " ")
    return _masked(texts) if plain.oid == INET else decoded(texts, kind)


def _booleans(texts: Any, _: type[ColumnType]) -> Any:  # noqa: ANN401 - an array of strings
    return pc.equal(texts, pa.scalar("t"))


def _uuids(texts: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - an array of strings
    return decoded(pc.binary_join_element_wise("\\x", pc.replace_substring(texts, "-", ""), ""), kind)


def _times(texts: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - an array of strings
    arrow: Any = kind.to_arrow()
    return pc.binary_join_element_wise("1970-01-01 ", texts, "").cast(pa.timestamp(arrow.unit)).cast(arrow)


def _masked(texts: Any) -> Any:  # noqa: ANN401 - an array of strings
    """Return addresses with their masks, as a cast to text shows them; the type itself leaves out one of all bits."""
    bits_of_all = pc.if_else(pc.match_substring(texts, ":"), "/128", "/32")
    return pc.if_else(pc.match_substring(texts, "/"), texts, pc.binary_join_element_wise(texts, bits_of_all, ""))


def _intervals(texts: Any, _: type[ColumnType]) -> Any:  # noqa: ANN401 - an array of strings
    """Return the intervals of `1 year 2 mons -3 days 04:05:06.5`."""
    parts = pc.extract_regex(texts, _INTERVAL)

    def number(name: str) -> Any:  # noqa: ANN401 - a numpy array
        text = pc.struct_field(parts, name)
        text = pc.if_else(pc.equal(text, pa.scalar("")), "0", pc.utf8_ltrim(text, "+"))
        return pc.fill_null(text, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)

    hours = number("hours")
    if len(hours) and int(hours.max()) >= _MOST_HOURS:
        raise OverflowError("more than 292 years in hours, minutes and seconds")
    digits = pc.utf8_rpad(pc.fill_null(pc.struct_field(parts, "fraction"), ""), 9, "0")
    fraction = digits.cast(pa.int64()).to_numpy(zero_copy_only=False)
    nanoseconds = ((hours * 60 + number("minutes")) * 60 + number("seconds")) * 1_000_000_000 + fraction
    negative: Any = pc.equal(pc.fill_null(pc.struct_field(parts, "sign"), ""), pa.scalar("-"))
    made = np.empty(len(texts), np.dtype([("months", "<i4"), ("days", "<i4"), ("ns", "<i8")]))
    made["months"], made["days"] = number("years") * 12 + number("mons"), number("days")
    made["ns"] = np.where(negative.to_numpy(zero_copy_only=False), -nanoseconds, nanoseconds)
    valid = bits(pc.is_valid(texts).to_numpy(zero_copy_only=False))
    return pa.Array.from_buffers(pa.month_day_nano_interval(), len(texts), [valid, pa.py_buffer(made.tobytes())])


def _lists(texts: Any, arrow: Any, item: Native) -> Any:  # noqa: ANN401 - an array of strings
    """Return arrays of one dimension; each item is of the item's own text."""
    lists = [None if text is None else _items(text) for text in texts.to_pylist()]
    flat = pa.array([one for found in lists for one in found or ()], pa.string())
    lengths = np.fromiter((len(found or ()) for found in lists), np.int64, len(lists))
    offsets: Any = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    mask = pa.array([found is None for found in lists], pa.bool_())
    return pa.ListArray.from_arrays(offsets, _typed(flat, item), type=arrow, mask=mask)


def _items(text: str) -> list[str | None]:
    r"""Return the items of `{1,NULL,"a \"b\""}`, with or without bounds before it."""
    body = text.partition("=")[2] if text.startswith("[") else text
    if body.startswith("{{"):
        raise pa.ArrowInvalid("an array of more than one dimension")
    found: list[str | None] = []
    for one in _ITEM.finditer(body[1:-1]):
        quoted, plain = one.groups()
        found.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if plain is None else _unquoted(plain))
    return found


def _unquoted(item: str) -> str | None:
    return None if item == "NULL" else item


_SPECIAL = {"boolean": _booleans, "uuid": _uuids, "interval": _intervals, "time": _times}
