"""Values of every column type, the difficult ones first: what TypeConformance sends through a system and back."""

from __future__ import annotations

import uuid
from datetime import date, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ematix_core import types as t

_US, _NS = 1_000_000, 1_000_000_000
_YEAR_1, _YEAR_9999 = -62_135_596_800, 253_402_300_799
"""Seconds from 1970 to the first second of year 1 and to the last of year 9999."""

Sample = tuple[type[t.ColumnType], list[Any]]


def _integers(bits: int, *, signed: bool) -> list[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return [low, high, 0, 1]


def _instants(per_second: int) -> list[int]:
    """Return years 1 and 9999, 1970 and its neighbours, an odd moment, as counts of the unit."""
    odd = 1_774_751_400 * per_second + per_second // 3
    return [_YEAR_1 * per_second, _YEAR_9999 * per_second + per_second - 1, 0, -1, 1, odd]


def _interval(*parts: int) -> object:
    """Return months, days and nanoseconds; at run time, unlike in the stubs, the class takes one sequence."""
    make: Any = pa.MonthDayNano
    return make(parts)


TEXTS = [
    "", " ", "plain", "NULL", "null", "\\N", "0", "it's", 'say "hi"', "back\\slash", "a,b;c\td", "line\nfeed\r\nend",
    "ünï", "e\u0301", "\u00e9", "日本語", "🙂👩‍👩‍👧‍👦", "\u202eright to left", "\ufeffmark",
    "%s :name ?1 $1 {x}", " spaces ",
    "\x1b[0m", "x" * 10_000,
]  # fmt: skip

SAMPLES: dict[str, Sample] = {
    "boolean": (t.Boolean, [True, False]),
    "tiny_int": (t.TinyInt, _integers(8, signed=True)),
    "small_int": (t.SmallInt, _integers(16, signed=True)),
    "integer": (t.Integer, _integers(32, signed=True)),
    "big_int": (t.BigInt, _integers(64, signed=True)),
    "u_tiny_int": (t.UTinyInt, _integers(8, signed=False)),
    "u_small_int": (t.USmallInt, _integers(16, signed=False)),
    "u_integer": (t.UInteger, _integers(32, signed=False)),
    "u_big_int": (t.UBigInt, _integers(64, signed=False)),
    "float": (t.Float, [0.0, -0.0, 1.5, 3.4028234663852886e38, 1.401298464324817e-45, float("inf"), float("-inf")]),
    "double": (
        t.Double,
        [0.0, -0.0, 0.1, 1e-323, 1.7976931348623157e308, 123456789.12345679, float("inf"), float("-inf")],
    ),
    "numeric[38, 0]": (t.Numeric[38, 0], [Decimal("9" * 38), Decimal("-" + "9" * 38), Decimal(0), Decimal(10)]),
    "numeric[38, 38]": (t.Numeric[38, 38], [Decimal("0." + "9" * 38), Decimal("-0." + "0" * 37 + "1")]),
    "numeric[38, 9]": (t.Numeric[38, 9], [Decimal("9" * 29 + "." + "9" * 9), Decimal("0.100000000")]),
    "numeric[12, 2]": (t.Numeric[12, 2], [Decimal("9999999999.99"), Decimal("-0.01"), Decimal("0.10")]),
    "numeric[5, 2]": (t.Numeric[5, 2], [Decimal("999.99"), Decimal("-999.99"), Decimal("0.00")]),
    "numeric[76, 10]": (t.Numeric[76, 10], [Decimal("9" * 66 + "." + "9" * 10), Decimal("-0.0000000001")]),
    "text": (t.Text, TEXTS),
    "string": (t.String[20], ["", "a" * 20, "é" * 20, "🙂"]),
    "bytes": (t.Bytes, [b"", b"\x00", b"\x00\xff\xfe'\"\\", bytes(range(256)), b"text", b"\\x41"]),
    "date": (t.Date, [date(1, 1, 1), date(9999, 12, 31), date(1969, 12, 31), date(2000, 2, 29)]),
    "time": (t.Time, [time(0), time(23, 59, 59, 999_999), time(12, 30, 0, 1)]),
    "time[s]": (t.Time["s"], [time(0), time(23, 59, 59)]),
    "time[ms]": (t.Time["ms"], [time(0), time(23, 59, 59, 999_000)]),
    "time[ns]": (t.Time["ns"], [0, 86_399_999_999_999, 1]),
    "timestamp": (t.Timestamp, _instants(_US)),
    "timestamp[s]": (t.Timestamp["s"], _instants(1)),
    "timestamp[ms]": (t.Timestamp["ms"], _instants(1_000)),
    "timestamp[ns]": (t.Timestamp["ns"], [0, -1, 1, 1_774_751_400_123_456_789, -9_000_000_000_000_000_001]),
    "timestamp_tz": (t.TimestampTZ, _instants(_US)),
    "timestamp_tz[s]": (t.TimestampTZ["s"], _instants(1)),
    "timestamp_tz[ms]": (t.TimestampTZ["ms"], _instants(1_000)),
    "timestamp_tz[ns]": (t.TimestampTZ["ns"], [0, -1, 1, 1_774_751_400_123_456_789, -9_000_000_000_000_000_001]),
    "interval": (t.Interval, [_interval(14, -3, 1_000), _interval(0, 0, 0)]),
    "duration": (t.Duration, [0, 1, -1, 86_400_000_000 * 400]),
    "duration[ns]": (t.Duration["ns"], [0, 1, -1, _NS]),
    "uuid": (t.UUID, [uuid.UUID(int=0).bytes, uuid.UUID(int=2**128 - 1).bytes]),
    "json": (t.JSON, ["{}", "null", '{"a": [1, 2.50, "é", null]}', '"text"', " [1] "]),
    "array of text": (t.Array[t.Text], [[], ["a", None, ""], ["it's", '"', "{x}"]]),
    "array of big_int": (t.Array[t.BigInt], [[], [1, None, -(2**63)]]),
    "array of arrays": (t.Array[t.Array[t.Integer]], [[], [[1], None, []]]),
    "struct": (
        t.Struct[("city", t.Text), ("zip code", t.Integer)],
        [{"city": "Köln", "zip code": 50667}, {"city": None, "zip code": None}],
    ),
    "map": (t.Map[t.Text, t.BigInt], [[], [("a", 1), ("b", None)]]),
}


def column(name: str) -> pa.Array[Any]:
    """Return the values of a sample as Arrow, with NULL first, in the middle and last."""
    kind, values = SAMPLES[name]
    half = len(values) // 2
    spread = [None, *values[:half], None, *values[half:], None]
    arrow = kind.to_arrow()
    if isinstance(arrow, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(arrow, pa.array(spread, arrow.storage_type))
    return pa.array(spread, arrow)
