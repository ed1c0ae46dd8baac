"""Where a change stands in its source's log, as text whose order is that of the log.

The pages of the connectors have the fields of `source`: https://debezium.io/documentation/reference/stable/connectors/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core import types
from ematix_core.codecs.arrays import Values, arrow, compute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIELDS: Mapping[str, type[types.ColumnType]] = {
    "ts_ms": types.BigInt, "ts_us": types.BigInt, "lsn": types.BigInt, "file": types.Text, "pos": types.BigInt,
    "row": types.BigInt, "commit_lsn": types.Text, "change_lsn": types.Text, "event_serial_no": types.BigInt,
    "scn": types.Text,
}  # fmt: skip
"""What is read of `source`."""
_DIGITS, _FEW = 20, 10


def order_of(source: Values) -> Values:
    """Return the place of each change; NULL where the source says none."""
    found: list[Values] = [made for make in _KINDS if (made := make(source)) is not None]
    return compute.coalesce(*found) if found else arrow.nulls(len(source), pa.string())


def _fields(source: Values, *names: str) -> list[Values] | None:
    if not pa.types.is_struct(source.type) or any(source.type.get_field_index(name) < 0 for name in names):
        return None
    return [compute.struct_field(source, name) for name in names]


def _padded(numbers: Values, digits: int = _DIGITS) -> Values:
    return compute.utf8_lpad(numbers.cast(pa.string()), digits, "0")


def _joined(*parts: Values) -> Values:
    return compute.binary_join_element_wise(*parts, "/")


def _postgres(source: Values) -> Values | None:
    found = _fields(source, "lsn")
    return None if found is None or not pa.types.is_integer(found[0].type) else _padded(found[0])


def _binlog(source: Values) -> Values | None:
    """Return number of the file, place in it, row of the event: a name counts on where its digits are full."""
    found = _fields(source, "file", "pos", "row")
    if found is None or not pa.types.is_string(found[0].type):
        return None
    file, pos, row = found
    number = compute.struct_field(compute.extract_regex(file, r"\.(?P<number>[0-9]+)$"), "number")
    number = compute.if_else(compute.equal(number, ""), pa.scalar(None, pa.string()), number)
    return _joined(_padded(number, _FEW), _padded(pos), _padded(row, _FEW))


def _sql_server(source: Values) -> Values | None:
    found = _fields(source, "commit_lsn", "change_lsn", "event_serial_no")
    if found is None or not all(pa.types.is_string(one.type) for one in found[:2]):
        return None
    commit, change, serial = found
    return _joined(commit, compute.coalesce(change, ""), _padded(compute.coalesce(serial, 0)))


def _oracle(source: Values) -> Values | None:
    found = _fields(source, "scn")
    return None if found is None or not pa.types.is_string(found[0].type) else _padded(found[0])


_KINDS: tuple[Callable[[Values], Values | None], ...] = (_postgres, _binlog, _sql_server, _oracle)
