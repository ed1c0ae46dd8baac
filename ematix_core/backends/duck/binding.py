"""The values that a statement is run with, in a form that DuckDB binds exactly."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.connection import driver

if TYPE_CHECKING:
    from collections.abc import Mapping

_BOUND_AS_THEY_ARE = {bool, int, float, str, bytes, datetime}


def values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in a form that DuckDB binds exactly: Arrow scalars too, nanoseconds included."""
    return {name: _value(value) for name, value in parameters.items()}


def _value(value: Any) -> Any:  # noqa: ANN401 - whatever a job binds
    if value is None or type(value) in _BOUND_AS_THEY_ARE:
        return value
    import pyarrow as pa

    if isinstance(value, datetime) and hasattr(value, "nanosecond"):  # pandas.Timestamp
        value = pa.scalar(value)
    if not isinstance(value, pa.Scalar):
        return value
    if pa.types.is_timestamp(value.type) and value.type.unit == "ns" and value.is_valid:
        zoned = value.type.tz is not None
        text = value.cast(pa.timestamp("ns", "UTC" if zoned else None)).cast(pa.string()).as_py()
        return driver().Value(text, "TIMESTAMPTZ_NS" if zoned else "TIMESTAMP_NS")
    return value.as_py()
