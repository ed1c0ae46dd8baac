"""What PostgreSQL's types are as column types, and in which form their values travel.

| PostgreSQL | column type | travels out of a query as |
|---|---|---|
| boolean, integers, floats, date, time, timestamp, timestamptz, text, varchar(n) | the same | itself |
| numeric(p,s) up to 76 digits | Numeric[p,s] | itself |
| numeric without a precision, or of more digits | Text | itself: no digit is lost, NaN and Infinity stay |
| uuid, bytea, interval | UUID, Bytes, Interval | the bytes of its binary form, as hex |
| json, jsonb | JSON | itself |
| char(n) | String[n] | `::text`: the blanks that pad it mean nothing |
| oid | BigInt | itself |
| arrays of the above, of one dimension | Array | JSON of texts |
| a domain | what its base type is | as its base type |
| enum, inet, bit, xml, tsvector, ranges, timetz, geometry, hstore, composites... | Text | `::text`, which reads back |
| money, pseudo-types | refused | |

Text of these types goes back into a column of the same type by COPY in CSV, or by a cast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core import types as t
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.types import ColumnType

# Object ids of built-in types never change: src/include/catalog/pg_type.dat
BOOL, BYTEA, CHAR, NAME, INT8, INT2, INT4, TEXT, OID = 16, 17, 18, 19, 20, 21, 23, 25, 26
JSON, XML, FLOAT4, FLOAT8, UNKNOWN, MONEY = 114, 142, 700, 701, 705, 790
BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL = 1042, 1043, 1082, 1083, 1114, 1184, 1186
NUMERIC, UUID, JSONB = 1700, 2950, 3802

_PLAIN: dict[int, type[ColumnType]] = {
    BOOL: t.Boolean, INT2: t.SmallInt, INT4: t.Integer, INT8: t.BigInt, OID: t.BigInt,
    FLOAT4: t.Float, FLOAT8: t.Double, BYTEA: t.Bytes, DATE: t.Date, INTERVAL: t.Interval,
    UUID: t.UUID, JSON: t.JSON, JSONB: t.JSON, TEXT: t.Text, NAME: t.Text, CHAR: t.Text, UNKNOWN: t.Text,
}  # fmt: skip
_TIMES = {TIME: t.Time, TIMESTAMP: t.Timestamp, TIMESTAMPTZ: t.TimestampTZ}
_UNITS = {0: "s", 3: "ms"}
_HEADER = 4  # what a length or precision in a type modifier counts in addition
_MOST_DIGITS = 76


@dataclass(frozen=True)
class Native:
    """A type of the server: its name as SQL writes it, and what is under a domain, an array or an enum.

    `kind` is pg_type.typtype: b(ase), c(omposite), d(omain), e(num), m(ultirange), p(seudo), r(ange).
    """

    oid: int
    typmod: int = -1
    name: str = ""
    kind: str = "b"
    base: Native | None = None
    item: Native | None = None

    @property
    def plain(self) -> Native:
        """The type under all domains."""
        return self.base.plain if self.base is not None else self

    @property
    def column_type(self) -> type[ColumnType]:
        """The column type; see the module's table."""
        return _column_type(self.plain)

    @property
    def as_text(self) -> bool:
        """Whether values travel as text because Arrow has no type for them."""
        return self.column_type is t.Text and self.plain.oid not in {TEXT, VARCHAR, NAME, CHAR, UNKNOWN, NUMERIC}

    def expression(self, column: str) -> str:
        """Return the SQL that gives the column's values in the form in which they travel."""
        plain, kind = self.plain, self.column_type
        if kind.kind == "array":
            return f"to_json({column}::text[])"
        if plain.oid == UUID:
            return f"uuid_send({column})"
        if plain.oid == INTERVAL:
            return f"interval_send({column})"
        if self.as_text or plain.oid == BPCHAR:  # a cast takes off the blanks that char(n) is padded with
            return f"{column}::text"
        return column


def _column_type(found: Native) -> type[ColumnType]:
    if found.oid in _PLAIN:
        return _PLAIN[found.oid]
    if found.oid == NUMERIC:
        return _numeric(found.typmod)
    if found.oid in {VARCHAR, BPCHAR}:
        return t.String[found.typmod - _HEADER] if found.typmod > _HEADER else t.Text
    if found.oid in _TIMES:
        return _TIMES[found.oid][_UNITS.get(found.typmod, "us")]
    if found.item is not None:
        return _array(found.item.plain)
    return t.Text


def _numeric(typmod: int) -> type[ColumnType]:
    if typmod < _HEADER:
        return t.Text
    precision, scale = (typmod - _HEADER) >> 16, (typmod - _HEADER) & 0x7FF
    scale = scale - 0x800 if scale & 0x400 else scale
    # Since PostgreSQL 15 the scale may be negative or more than the precision.
    precision, scale = max(precision - min(scale, 0), scale), max(scale, 0)
    return t.Numeric[precision, scale] if precision <= _MOST_DIGITS else t.Text


def _array(item: Native) -> type[ColumnType]:
    kind = _column_type(item)
    exact = kind.kind not in {"array", "interval"} and item.kind != "p"
    return t.Array[t.Text if kind.kind == "string" else kind] if exact else t.Text


def require_readable(found: Native, column: str) -> None:
    """Raise UnsupportedError for a type whose values mean something only on the server that they are on."""
    plain = found.plain
    if plain.oid == MONEY:
        raise UnsupportedError(
            f"column {column!r} is money, whose meaning depends on the server's lc_monetary",
            hint=f"Cast it in the query: {column}::numeric(19, 2) AS {column}.",
        )
    if plain.kind == "p" and plain.oid != UNKNOWN:
        raise UnsupportedError(
            f"column {column!r} is of the pseudo-type {plain.name}, which no table can hold",
            hint="Pick its fields in the query, or cast it to text.",
        )


def native(oid: int, typmod: int, catalog: Mapping[int, Native]) -> Native:
    """Return the type of a column, given the types that were looked up by `catalog.types`."""
    found = catalog[oid]
    return Native(oid, typmod, found.name, found.kind, found.base, _with_typmod(found.item, typmod))


def _with_typmod(item: Native | None, typmod: int) -> Native | None:
    """Return an array's item type with the array's type modifier, as in `numeric(12, 2)[]`."""
    return None if item is None else Native(item.oid, typmod, item.name, item.kind, item.base, item.item)
