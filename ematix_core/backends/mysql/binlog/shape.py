"""The columns of a table as a table map describes them, in the types that a query would give them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ematix_core import types as t
from ematix_core.backends.mysql import forms
from ematix_core.backends.mysql.binlog import values
from ematix_core.backends.mysql.binlog.documents import documents
from ematix_core.backends.mysql.binlog.rows import RowImages, Width
from ematix_core.backends.mysql.columns import meaning
from ematix_core.backends.mysql.reading import misfit
from ematix_core.errors import SourceError, UnsupportedError
from ematix_core.types import to_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.mysql.binlog.events import TableMap
    from ematix_core.backends.mysql.binlog.rows import Row
    from ematix_core.backends.mysql.binlog.values import Cells
    from ematix_core.backends.mysql.columns import Declared
    from ematix_core.types import ColumnType

_INTEGERS = {1: ("tinyint", 1), 2: ("smallint", 2), 9: ("mediumint", 3), 3: ("int", 4), 8: ("bigint", 8)}
_FLOATS = {4: "float", 5: "double"}
_TIMES = {17: "timestamp", 18: "datetime", 19: "time"}
_FIRST_FORM = frozenset({7, 11, 12})
_DECIMAL, _BIT, _YEAR, _DATE, _VARCHAR, _VAR_STRING, _STRING, _BLOB, _JSON = 246, 16, 13, 10, 15, 253, 254, 252, 245
_ENUM, _SET = 0xF7, 0xF8
_NUMERIC = frozenset({1, 2, 3, 4, 5, 8, 9, 246})
_META = {4: 1, 5: 1, 15: 2, 16: 2, 17: 1, 18: 1, 19: 1, 245: 1, 246: 2, 252: 1, 253: 2, 254: 2, 255: 1, 140: 1, 141: 2}
"""Bytes that a type has in a table map to say more."""
_BINARY = "binary"
_OWN = frozenset({"uuid", "inet4", "inet6", "vector"})
"""Types of MariaDB and MySQL that a table map shows as bytes."""


@dataclass(frozen=True)
class Charsets:
    """Character sets by the numbers of their collations, and how many bytes a character has at most."""

    names: Mapping[int, str]
    widths: Mapping[str, int]


@dataclass(frozen=True)
class Column:
    """One column: where its value is in a row, its type, and what reads its bytes."""

    place: int
    name: str
    type: type[ColumnType]
    read: Callable[[Cells], pa.Array[Any]]

    def array(self, cells: Cells) -> pa.Array[Any]:
        """Return the values in the column's type. Raises ConversionError for one that the type does not hold."""
        import pyarrow as pa

        try:
            array = self.read(cells)
            try:
                return forms.decode(array, self.type)  # type: ignore[no-any-return]  # an array of any type
            except pa.ArrowInvalid:
                raise values.MisfitError(str(forms.culprit(array, self.type))) from None
        except values.MisfitError as error:
            raise misfit(self.name, self.type, error.shown) from error


class Shape:
    """How the rows of one form of a table are read. Raises SourceError, UnsupportedError when they cannot be."""

    def __init__(self, table: TableMap, declared: Mapping[str, Declared], charsets: Charsets, where: str) -> None:
        """Take `declared`, the columns that the table has now: they say more of those that are still the same."""
        if len(table.names) != len(table.types):
            raise SourceError(
                "the binary log does not name the columns of the table's rows", where=where,
                hint="SET GLOBAL binlog_row_metadata = FULL (MySQL 8.0.14, MariaDB 10.5 or newer). For what was "
                'written before, begin anew: empty the target and its positions, or seek "latest".',
            )  # fmt: skip
        if not table.key:
            raise UnsupportedError(
                "rows were written while the table had no primary key, by which they could be told apart", where=where,
                hint="Begin anew: empty the target and its positions.",
            )  # fmt: skip
        found = list(_Reader(table, declared, charsets, where))
        self.images = RowImages([width for width, _ in found])
        self.columns = tuple(column for _, column in found if column is not None)
        self.key = table.key
        import pyarrow as pa

        self.schema = pa.schema([to_field(column.name, column.type) for column in self.columns])

    def arrays(self, rows: Sequence[Row]) -> list[pa.Array[Any]]:
        """Return the columns of the rows, at least one. Raises ConversionError."""
        cells = list(zip(*rows, strict=True))
        return [column.array(cells[column.place]) for column in self.columns]


class _Reader:
    """Goes through the columns of a table map; those of text, numbers and lists are described by their order."""

    def __init__(self, table: TableMap, declared: Mapping[str, Declared], charsets: Charsets, where: str) -> None:
        self._table, self._declared, self._charsets, self._where = table, declared, charsets, where
        self._at = self._number = self._text = 0
        self._enums, self._sets, self._lists = iter(table.enums), iter(table.sets), 0
        default, *pairs = table.default_collation or (0,)
        self._default, self._others = default, dict(zip(pairs[::2], pairs[1::2], strict=True))

    def __iter__(self) -> Iterator[tuple[Width, Column | None]]:
        for place, code in enumerate(self._table.types):
            name = self._table.names[place].decode()
            meta = self._table.meta[self._at : self._at + _META.get(code, 0)]
            self._at += len(meta)
            width, base, numbers, unsigned, read = self._column(name, code, meta)
            known = self._declared.get(name)
            if known is not None and known.data_type in _OWN:
                raise self._unsupported(name, known.column_type)
            if known is not None and "INVISIBLE" in known.extra:
                yield width, None
                continue
            kind = _agreed(known, base, numbers, unsigned=unsigned) if known is not None else None
            kind = kind or meaning(base, numbers, unsigned=unsigned)
            if kind is None:
                raise self._unsupported(name, base)
            yield width, Column(place, name, kind, _uuids if kind is t.UUID else read)

    def _column(self, name: str, code: int, meta: bytes) -> tuple[Width, str, list[int], bool, Any]:
        unsigned = self._unsigned() if code in _NUMERIC else False
        if code in _INTEGERS:
            base, width = _INTEGERS[code]
            reading = partial(values.integers, width=width, signed=not unsigned)
            return Width(width), base, [width * 4], unsigned, reading
        if code in _FLOATS:
            return Width(meta[0]), _FLOATS[code], [], unsigned, partial(values.floats, width=meta[0])
        if code == _DECIMAL:
            precision, scale = meta
            reading = partial(values.decimals, precision=precision, scale=scale)
            return Width(values.decimal_width(precision, scale)), "decimal", [precision, scale], unsigned, reading
        if code == _BIT:
            width = meta[1] + (meta[0] > 0)
            return Width(width), "bit", [meta[0] + 8 * meta[1]], False, partial(values.bits, width=width)
        if code == _YEAR:
            return Width(1), "year", [], False, values.years
        return self._time(name, code, meta)

    def _time(self, name: str, code: int, meta: bytes) -> tuple[Width, str, list[int], bool, Any]:
        if code == _DATE:
            return Width(3), "date", [], False, values.dates
        if code in _TIMES:
            base, digits = _TIMES[code], meta[0]
            size, reading = {
                "timestamp": (4, values.instants), "datetime": (5, values.datetimes), "time": (3, values.times),
            }[base]  # fmt: skip
            return Width(size + (digits + 1) // 2), base, [digits], False, partial(reading, digits=digits)
        if code in _FIRST_FORM:
            raise UnsupportedError(
                f"column {name!r} keeps times in the form of MySQL 5.5", where=self._where,
                hint=f"ALTER TABLE {self._table.table} FORCE, with mysql56_temporal_format=ON on MariaDB.",
            )  # fmt: skip
        return self._bytes(name, code, meta)

    def _bytes(self, name: str, code: int, meta: bytes) -> tuple[Width, str, list[int], bool, Any]:
        if code == _JSON:
            return Width(prefix=meta[0]), "json", [], False, documents
        if code == _STRING and meta[0] in {_ENUM, _SET}:
            return self._listed(meta)
        if code in {_VARCHAR, _VAR_STRING}:
            longest, base = int.from_bytes(meta, "little"), "varchar"
        elif code == _STRING:
            longest, base = ((meta[0] & 0x30) ^ 0x30) << 4 | meta[1], "char"
        elif code == _BLOB:
            longest, base = 0, "text"
        else:
            raise self._unsupported(name, "geometry" if code == 255 else f"of the kind {code}")  # noqa: PLR2004 - its number
        charset = self._charset()
        width = Width(prefix=meta[0] if code == _BLOB else 1 if longest < 256 else 2)  # noqa: PLR2004 - what a byte holds
        if charset == _BINARY:
            reading = partial(values.binaries, padded=longest if code == _STRING else 0)
            return width, {"text": "blob", "char": "binary", "varchar": "varbinary"}[base], [longest], False, reading
        self._require_known(charset, name)
        characters = longest // self._charsets.widths.get(charset, 1)
        return width, base, [characters], False, partial(values.texts, charset=charset)

    def _listed(self, meta: bytes) -> tuple[Width, str, list[int], bool, Any]:
        collations, place = self._table.listed_collations, self._lists
        self._lists += 1
        number = collations[min(place, len(collations) - 1)] if collations else self._default
        charset = self._charsets.names.get(number, "utf8mb4")
        is_enum = meta[0] == _ENUM
        names = [values.text(one, charset) for one in next(self._enums if is_enum else self._sets)]
        reading = partial(values.members if is_enum else values.sets, names=names)
        return Width(meta[1]), "enum" if is_enum else "set", [], False, reading

    def _charset(self) -> str:
        place = self._text
        self._text += 1
        listed = self._table.collations
        number = listed[place] if listed is not None else self._others.get(place, self._default)
        return self._charsets.names.get(number, f"of the collation {number}")

    def _unsigned(self) -> bool:
        place = self._number
        self._number += 1
        told = self._table.unsigned or b""
        return place // 8 < len(told) and bool(told[place // 8] >> (7 - place % 8) & 1)

    def _require_known(self, charset: str, name: str) -> None:
        if not values.charset_known(charset):
            raise UnsupportedError(
                f"column {name!r} has the character set {charset}, whose text cannot be read from the binary log",
                where=self._where,
                hint=f"ALTER TABLE {self._table.table} CONVERT TO CHARACTER SET utf8mb4, or read the table by a job.",
            )

    def _unsupported(self, name: str, shown: str) -> UnsupportedError:
        return UnsupportedError(
            f"column {name!r} is {shown}, which cannot be read from the binary log", where=self._where,
            hint="Give it another type, or read the table by a job.",
        )  # fmt: skip


_BASES = {
    "char": {"char"}, "varchar": {"varchar"}, "text": {"tinytext", "text", "mediumtext", "longtext", "json"},
    "binary": {"binary"}, "varbinary": {"varbinary"}, "blob": {"tinyblob", "blob", "mediumblob", "longblob"},
}  # fmt: skip
_WITH_NUMBERS = frozenset({"decimal", "bit", "timestamp", "datetime", "time"})


def _agreed(known: Declared, base: str, numbers: Sequence[int], *, unsigned: bool) -> type[ColumnType] | None:
    """Return the type of the column as it is declared now, if that is what the rows are of, too.

    It says more than rows do: which TINYINT is BOOLEAN, which text is JSON or a UUID, which DATETIME is in UTC.
    """
    if known.data_type not in _BASES.get(base, {base}) or ("unsigned" in known.column_type) != unsigned:
        return None
    now = known.type
    if base in _WITH_NUMBERS:
        was = meaning(base, numbers, unsigned=unsigned, comment=known.comment)
        return now if was is now else None
    return now


def _uuids(cells: Cells) -> pa.Array[Any]:
    """Read UUIDs that a table keeps as text; what is none becomes no bytes, and does not decode."""
    import pyarrow as pa

    found: list[bytes | None] = []
    for cell in cells:
        try:
            found.append(None if cell is None else bytes.fromhex(cell.decode("ascii").replace("-", "")))
        except ValueError:
            raise values.MisfitError(repr(cell)) from None
    return pa.array(found, pa.binary())
