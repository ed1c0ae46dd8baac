"""Values of Avro without their logical types, as Python reads and writes them, and the columns that hold them."""

from __future__ import annotations

import uuid
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.codecs.arrays import Values
    from ematix_core.types import ColumnType

_NARROW = 32
_EXACT = Context(prec=100)
_TIMES = frozenset({"date", "time", "timestamp", "timestamp_tz"})


def loader(kind: type[ColumnType]) -> Callable[[Any], Any] | None:
    """Return what makes of a value one that Arrow takes for the type; None when it takes it as it is."""
    match kind.kind:
        case "numeric":
            scale = kind.parameters["scale"]
            return lambda value: Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, _EXACT)
        case "uuid":
            return lambda value: uuid.UUID(value).bytes
        case "array":
            return _of_lists(loader(kind.parameters["item"]))
        case "map":
            inner = loader(kind.parameters["value"]) or _same
            return lambda value: [(key, None if one is None else inner(one)) for key, one in value.items()]
        case "struct":
            fields = [(name, loader(of) or _same) for name, of in kind.parameters["fields"]]
            return lambda value: {name: None if value[name] is None else load(value[name]) for name, load in fields}
    return None


def dumper(kind: type[ColumnType]) -> Callable[[Any], Any]:
    """Return what makes of a value of `raw` one that Avro's writer takes."""
    match kind.kind:
        case "numeric":
            return lambda value: _bytes_of(int(value.scaleb(kind.parameters["scale"], _EXACT)))
        case "uuid":
            return str
        case "array":
            item = dumper(kind.parameters["item"])
            return lambda value: [None if one is None else item(one) for one in value]
        case "map":
            inner = dumper(kind.parameters["value"])
            return lambda value: {key: None if one is None else inner(one) for key, one in value}
        case "struct":
            fields = [(name, dumper(of)) for name, of in kind.parameters["fields"]]
            return lambda value: {name: None if value[name] is None else dump(value[name]) for name, dump in fields}
    return _same


def _bytes_of(number: int) -> bytes:
    """Return the fewest bytes that hold the number and its sign."""
    return number.to_bytes(max(number, ~number).bit_length() // 8 + 1, "big", signed=True)


def raw(values: Values, kind: type[ColumnType]) -> list[Any]:
    """Return the values as Python's, dates and times as the numbers that Avro has for them."""
    found: list[Any] = values.cast(_raw_type(kind, values.type)).to_pylist()
    dump = dumper(kind)
    return found if dump is _same else [None if one is None else dump(one) for one in found]


def _raw_type(kind: type[ColumnType], arrow: pa.DataType) -> pa.DataType:
    if kind.kind in _TIMES:
        return pa.int32() if arrow.bit_width == _NARROW else pa.int64()
    match kind.kind:
        case "array":
            return pa.list_(_raw_type(kind.parameters["item"], kind.parameters["item"].to_arrow()))
        case "map":
            return pa.map_(pa.string(), _raw_type(kind.parameters["value"], kind.parameters["value"].to_arrow()))
        case "struct":
            return pa.struct([(name, _raw_type(of, of.to_arrow())) for name, of in kind.parameters["fields"]])
    return arrow


def _same(value: Any) -> Any:  # noqa: ANN401 - any value
    return value


def _of_lists(inner: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if inner is None:
        return None
    return lambda value: [None if one is None else inner(one) for one in value]
