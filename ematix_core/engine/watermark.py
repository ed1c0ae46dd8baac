"""Watermarks: the high-water mark of an incremental job, as kept in its target.

A mark is JSON text, `{"type": "timestamp[us, tz=UTC]", "value": "2026-01-31T12:00:00+00:00"}`, so that it comes back
with its exact type. Times are kept to the microsecond, rounded down: reading is from `>=` the mark, and rows at or
above it that are in the target already are dropped, so a mark that is a little low loses and doubles nothing.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ematix_core.errors import DeclarationError, RunError

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.types import ColumnType

FILE_COLUMN = "_file"
"""As a watermark it means: read files that were not loaded before."""

_FIRST_INSTANT = datetime(1, 1, 1, tzinfo=UTC)
_LOWEST: dict[str, Any] = {
    "timestamp": _FIRST_INSTANT.replace(tzinfo=None), "timestamp_tz": _FIRST_INSTANT, "date": _FIRST_INSTANT.date(),
    "time": time(0), "text": "", "string": "", "float": float("-inf"), "double": float("-inf"), "uuid": "",
}  # fmt: skip
_INTEGER_BITS = {"tiny_int": 7, "small_int": 15, "integer": 31, "big_int": 63}
_TEMPORAL = {"timestamp": datetime.fromisoformat, "date": date.fromisoformat, "time": time.fromisoformat}


def encode(value: Any) -> str:  # noqa: ANN401 - a Python value of any orderable type
    """Return the JSON text of a mark."""
    match value:
        case bool() | None:
            raise RunError(f"a watermark cannot be {value!r}", hint="Choose a column that grows: a time or a number.")
        case int() | float() | str():
            return json.dumps({"type": type(value).__name__, "value": value})
        case datetime():
            return json.dumps({"type": "timestamp", "value": value.isoformat()})
        case date() | time():
            return json.dumps({"type": type(value).__name__, "value": value.isoformat()})
        case Decimal():
            return json.dumps({"type": "decimal", "value": str(value)})
    raise RunError(
        f"a column of type {type(value).__name__} cannot be a watermark",
        hint="Choose a column that grows: a time, a number or a text.",
    )


def decode(text: str | None) -> Any:  # noqa: ANN401 - see encode
    """Return the mark as a Python value; None when there is none."""
    if text is None:
        return None
    mark = json.loads(text)
    kind, value = mark["type"], mark["value"]
    if kind in _TEMPORAL:
        return _TEMPORAL[kind](value)
    return {"int": int, "float": float, "str": str, "decimal": Decimal}[kind](value)


def lowest(kind: type[ColumnType], column: str) -> Any:  # noqa: ANN401 - see encode
    """Return what `:watermark` is bound to before the first load: the type's lowest value."""
    if kind.kind in _INTEGER_BITS:
        return -(2 ** _INTEGER_BITS[kind.kind])
    if kind.kind.startswith("u_"):
        return 0
    if kind.kind == "numeric":
        digits = kind.parameters["precision"] - kind.parameters["scale"]
        return -(Decimal(10) ** digits) + 1
    if kind.kind not in _LOWEST:
        raise DeclarationError(
            f"column {column!r} of type {kind.label()} cannot be a watermark",
            hint="Choose a column that grows: a time, a number or a text.",
        )
    return _LOWEST[kind.kind]


class HighWater:
    """The highest value of one column over the batches that pass."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.highest: Any = None
        self.nulls = 0

    def see(self, batch: pa.RecordBatch) -> None:
        """Take a batch into account."""
        import pyarrow.compute as pc

        values = batch.column(self.column)
        self.nulls += values.null_count
        self.note(to_python(pc.max(values)))

    def note(self, value: Any) -> None:  # noqa: ANN401 - see encode
        """Take a single value into account."""
        if value is not None and (self.highest is None or value > self.highest):
            self.highest = value


def to_python(scalar: pa.Scalar[Any]) -> Any:  # noqa: ANN401 - see encode
    """Return an Arrow scalar as a Python value; nanoseconds are rounded down to microseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = scalar.type
    if not scalar.is_valid:
        return None
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pc.cast(scalar, pa.timestamp("us", kind.tz), safe=False).as_py()
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pc.cast(scalar, pa.time64("us"), safe=False).as_py()
    return scalar.as_py()
