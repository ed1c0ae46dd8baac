"""What a column's declared type means in a SQLite file.

SQLite has five storage classes and no types; the *declared* type of a column only gives it an affinity
(https://www.sqlite.org/datatype3.html#determination_of_column_affinity). So our own names carry the meaning and choose
the affinity: a name with TEXT in it keeps text as it is, one with INT makes integers.

| column type | declared as | kept as |
|---|---|---|
| Numeric up to 15 digits | `DECIMAL(p,s)` | a number: SQLite keeps 15 digits exactly, sums and sorts |
| Numeric beyond | `DECIMAL_TEXT(p,s)` | text with all its digits: equal values are equal, the order is that of text |
| Date, Time, Timestamp, TimestampTZ | `DATE_TEXT`, `TIMESTAMP_TEXT(6)`, ... | ISO text in UTC: it sorts like time |
| UUID, JSON | `UUID_TEXT`, `JSON_TEXT` | text |
| Boolean | `BOOLEAN` | 0 and 1 |

Tables that other programs made are read by their declared types too: INTEGER is 64 bits, REAL 64 bits, VARCHAR(n) and
TEXT are text, DECIMAL(p,s) up to 15 digits is exact, beyond it is what SQLite itself keeps: a double. DATE, DATETIME,
TIMESTAMP and columns without a type can hold anything: `reading` looks at the values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from ematix_core import types as t
from ematix_core.sql.dialect import Dialect

if TYPE_CHECKING:
    from ematix_core.types import ColumnType

EXACT_DIGITS = 15
"""SQLite keeps a decimal as a double, which gives back 15 digits: https://www.sqlite.org/floatingpoint.html"""

TYPES = {
    "boolean": "BOOLEAN",
    "tiny_int": "TINYINT", "small_int": "SMALLINT", "integer": "INT4", "big_int": "BIGINT",
    "u_tiny_int": "TINYINT UNSIGNED", "u_small_int": "SMALLINT UNSIGNED", "u_integer": "INT4 UNSIGNED",
    "float": "FLOAT4", "double": "DOUBLE", "numeric": "DECIMAL({precision},{scale})",
    "text": "TEXT", "string": "VARCHAR({length})", "bytes": "BLOB", "uuid": "UUID_TEXT", "json": "JSON_TEXT",
    "date": "DATE_TEXT",
    "time[s]": "TIME_TEXT(0)", "time[ms]": "TIME_TEXT(3)", "time": "TIME_TEXT(6)", "time[ns]": "TIME_TEXT(9)",
    "timestamp[s]": "TIMESTAMP_TEXT(0)", "timestamp[ms]": "TIMESTAMP_TEXT(3)", "timestamp": "TIMESTAMP_TEXT(6)",
    "timestamp[ns]": "TIMESTAMP_TEXT(9)",
    "timestamp_tz[s]": "TIMESTAMPTZ_TEXT(0)", "timestamp_tz[ms]": "TIMESTAMPTZ_TEXT(3)",
    "timestamp_tz": "TIMESTAMPTZ_TEXT(6)", "timestamp_tz[ns]": "TIMESTAMPTZ_TEXT(9)",
}  # fmt: skip
"""No unsigned 64-bit integers (SQLite's are signed), no intervals, durations, arrays, structs and maps."""

_PLAIN: dict[str, type[ColumnType]] = {
    "BOOLEAN": t.Boolean, "BOOL": t.Boolean, "TINYINT": t.TinyInt, "SMALLINT": t.SmallInt, "INT4": t.Integer,
    "TINYINT UNSIGNED": t.UTinyInt, "SMALLINT UNSIGNED": t.USmallInt, "INT4 UNSIGNED": t.UInteger,
    "FLOAT4": t.Float, "UUID_TEXT": t.UUID, "JSON_TEXT": t.JSON, "DATE_TEXT": t.Date, "BLOB": t.Bytes,
}  # fmt: skip
_UNITS = {"0": "s", "3": "ms", "6": "us", "9": "ns"}
_TIMES: dict[str, Any] = {"TIME_TEXT": t.Time, "TIMESTAMP_TEXT": t.Timestamp, "TIMESTAMPTZ_TEXT": t.TimestampTZ}
_DECLARED = re.compile(r"\s*([^(]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*")


class SQLiteDialect(Dialect):
    """A Dialect that declares short decimals as numbers and long ones as text."""

    def sql_type(self, kind: type[ColumnType], *, column: str) -> str:
        """Return the declared type; see the module's docstring."""
        declared = super().sql_type(kind, column=column)
        wide = kind.kind == "numeric" and kind.parameters["precision"] > EXACT_DIGITS
        return declared.replace("DECIMAL(", "DECIMAL_TEXT(") if wide else declared


def column_type(declared: str) -> type[ColumnType] | None:
    """Return the column type that a declared type stands for, or None when only the values can tell."""
    found = _DECLARED.fullmatch(declared.upper())
    name, first, second = found.groups() if found else (declared.upper(), None, None)
    if name in _PLAIN and first is None:
        return _PLAIN[name]
    if name in _TIMES and first in _UNITS:
        return cast("type[ColumnType]", _TIMES[name][_UNITS[first]])
    if name in {"DECIMAL_TEXT", "DECIMAL", "NUMERIC"} and first is not None:
        return _decimal(int(first), int(second or 0), exact=name == "DECIMAL_TEXT")
    if name == "VARCHAR" and first not in {None, "0"}:
        return t.String[int(cast("str", first))]
    return _by_affinity(name)


def _decimal(precision: int, scale: int, *, exact: bool) -> type[ColumnType]:
    if not (0 < precision <= 76 and scale <= precision) or (precision > EXACT_DIGITS and not exact):  # noqa: PLR2004 - Arrow's limit of decimal256
        return t.Double
    return t.Numeric[precision, scale]


def _by_affinity(name: str) -> type[ColumnType] | None:
    """Apply SQLite's own rules, in their order: https://www.sqlite.org/datatype3.html#determination_of_column_affinity."""
    if "INT" in name:
        return t.BigInt
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return t.Text
    if "BLOB" in name:
        return t.Bytes
    if any(part in name for part in ("REAL", "FLOA", "DOUB")):
        return t.Double
    return t.Double if name in {"DECIMAL", "NUMERIC"} else None


def has_text_affinity(declared: str) -> bool:
    """Say whether SQLite turns numbers into text when they are stored in such a column."""
    name = declared.upper()
    return "INT" not in name and any(part in name for part in ("CHAR", "CLOB", "TEXT"))
