"""Queries on a SQLite file as typed Arrow batches.

ADBC takes a column's type from its first batch, and bends what comes later or fails. So the types are settled first:

1. The query as a temporary view gives the declared type of each plain column.
2. Where that says nothing (expressions, DATE and DATETIME, columns without a type), the storage classes in the first
   100,000 rows decide: integers, doubles, text (as dates and times when the declared type says so and every value
   parses), blobs. Numbers mixed with text are refused. A column without any value has Arrow's type null.
3. The query runs behind one row of constants, of the storage class that each column must have: ADBC settles on those.

A value that does not fit raises ConversionError with its column.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core import types as t
from ematix_core.backends.sqlite import forms
from ematix_core.backends.sqlite.connection import BATCH_ROWS
from ematix_core.backends.sqlite.declared import column_type, has_text_affinity
from ematix_core.errors import ConversionError, SqlError
from ematix_core.sql.parameters import bind, single

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ematix_core.backends.sqlite.connection import Database
    from ematix_core.types import ColumnType

SAMPLE_ROWS = 100_000
_WIDTH_ROWS = 1_000
_BATCH_BYTES = 32 * 1024 * 1024
_CONSTANT = {"integer": "0", "real": "0.0", "text": "''", "blob": "x''", "null": "NULL"}
_ARROW = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}
_ALLOWED = {"integer": ("integer",), "real": ("real", "integer"), "text": ("text",), "blob": ("blob",), "null": ()}
_VIEW = "_ematix_shape"
_QUERY = "_ematix_query"
"""The name of the query within ours; none that a table of the user's has."""
# What a view shows for a column without a type and for an expression: https://www.sqlite.org/pragma.html#pragma_table_info
_SAYS_NOTHING = frozenset({"", "BLOB", "NUM"})
# abs() of the smallest integer fails with "integer overflow": SQLite has no other way to raise from an expression.
_RAISE = "abs(-9223372036854775808 + ({column} IS NULL))"
_AGAIN = re.compile(r"(.+):\d+", re.DOTALL)


@dataclass(frozen=True)
class Output:
    """One column of a query: its name, declared type, column type (None: no value seen) and SQL expression."""

    name: str
    column: str
    declared: str = ""
    type: type[ColumnType] | None = None
    guarded: bool = False

    @property
    def storage(self) -> str:
        """The storage class that its values have."""
        return "null" if self.type is None else forms.storage(self.type)

    @property
    def field(self) -> pa.Field[Any]:
        """The Arrow field that it comes as."""
        return pa.field(self.name, pa.null() if self.type is None else self.type.to_arrow())

    @property
    def expression(self) -> str:
        """The SQL that yields values of its storage class only, or fails."""
        if not self.guarded:
            return self.column
        failing = _RAISE.format(column=self.column)
        fits = f"typeof({self.column}) IN ('{self.storage}', 'null')"
        return f"CASE WHEN {fits} THEN {self.column} ELSE {failing} END"


class TypedQuery:
    """A query with the types of its columns settled. Raises SqlError, ConversionError."""

    def __init__(self, database: Database, sql: str, parameters: Mapping[str, Any]) -> None:
        self.database = database
        self.written = single(sql, "qmark")
        text, values = bind(self.written, parameters, "qmark")
        self.text, self.values = text, forms.parameters(list(values))
        self._view_text, _ = bind(self.written, parameters, "null")
        self.outputs = self._settle()

    def on(self, database: Database) -> TypedQuery:
        """Return the same query, its types settled, for another connection to the same state of the file."""
        twin = copy(self)
        twin.database = database
        return twin

    @property
    def schema(self) -> pa.Schema:
        """The schema of the batches."""
        return pa.schema([output.field for output in self.outputs])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Run the query and yield its rows; the database's stream is closed at the end."""
        constants = ", ".join(_CONSTANT[output.storage] for output in self.outputs)
        expressions = ", ".join(output.expression for output in self.outputs)
        sql = f"{self._with()} SELECT {constants} UNION ALL SELECT {expressions} FROM {_QUERY}"  # noqa: S608 - around the user's own query
        try:
            yield from self._decoded(sql)
        except SqlError as error:
            if "integer overflow" in error.what or "Type mismatch in column" in error.what:
                self._refuse_misfits()
            error.statement, error.position = self.written, None
            raise
        finally:
            self.database.end_streams()

    def _decoded(self, sql: str) -> Iterator[pa.RecordBatch]:
        first, schema = True, self.schema
        with self.database.translated(sql):
            reader = self.database.stream(sql, self.values, batch_rows=self._batch_rows())
            for output, field in zip(self.outputs, reader.schema, strict=True):
                if output.type is not None and field.type != _ARROW[output.storage]:
                    self._refuse_misfits()
            for batch in reader:
                rows = batch.slice(1) if first else batch
                first = False
                if rows.num_rows:
                    arrays = [self._decode(array, o) for array, o in zip(rows.columns, self.outputs, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _decode(self, array: Any, output: Output) -> Any:  # noqa: ANN401 - arrays of any type
        if output.type is None:
            if array.null_count < len(array):
                self._refuse_misfits()
            return pa.nulls(len(array))
        try:
            return forms.decode(array, output.type)
        except pa.ArrowInvalid as error:
            raise _misfit(output, _culprit(array, output.type)) from error

    def _with(self) -> str:
        names = ", ".join(output.column for output in self.outputs)
        return f"WITH {_QUERY}({names}) AS (\n{self.text}\n)"

    def _settle(self) -> tuple[Output, ...]:
        try:
            self.database.rows(f"EXPLAIN {self.text}", self.values)
            self.database.rows(f"CREATE TEMP VIEW {_VIEW} AS {self._view_text}")
        except SqlError as error:
            raise SqlError(error.what, statement=self.written, position=_written_at(error, self.text)) from error
        try:
            found = self.database.rows(f"PRAGMA temp.table_info({_VIEW})")
        finally:
            self.database.rows(f"DROP VIEW temp.{_VIEW}")
        self._require_names([str(row[1]) for row in found])
        self.outputs = tuple(Output(str(row[1]), f"c{i}", str(row[2])) for i, row in enumerate(found))
        return self._typed()

    def _require_names(self, names: Sequence[str]) -> None:
        """Raise SqlError for two columns with one name, the second of which a view of SQLite calls `name:1`."""
        for name in names:
            if (again := _AGAIN.fullmatch(name)) is not None and again[1] in names:
                raise SqlError(
                    f"the query has two columns named {again[1]!r}", statement=self.written,
                    hint="Give one of them another name, with AS.",
                )  # fmt: skip

    def _typed(self) -> tuple[Output, ...]:
        known = {o.column: column_type(o.declared) for o in self.outputs if o.declared.upper() not in _SAYS_NOTHING}
        open_ones = [o for o in self.outputs if known.get(o.column) is None]
        classes = self._classes(open_ones, f"LIMIT {SAMPLE_ROWS}")
        empty = [o for o in open_ones if not classes[o.column]]
        if empty and self._more_rows():
            classes |= self._classes(empty, "")
        return tuple(
            self._sampled(o, classes[o.column]) if o in open_ones else _declared(o, known[o.column])
            for o in self.outputs
        )

    def _more_rows(self) -> bool:
        return bool(self._select(f"1 FROM {_QUERY} LIMIT 1 OFFSET {SAMPLE_ROWS}"))

    def _classes(self, outputs: Sequence[Output], limit: str) -> dict[str, frozenset[str]]:
        """Return the storage classes that occur in each column."""
        if not outputs:
            return {}
        kinds = ("integer", "real", "text", "blob")
        tests = ", ".join(f"max(typeof({o.column}) = '{kind}')" for o in outputs for kind in kinds)
        columns = ", ".join(o.column for o in outputs)
        row = self._select(f"{tests} FROM (SELECT {columns} FROM {_QUERY} {limit})")[0]  # noqa: S608 - our own names
        return {
            o.column: frozenset(kind for j, kind in enumerate(kinds) if row[i * len(kinds) + j])
            for i, o in enumerate(outputs)
        }

    def _sampled(self, output: Output, classes: frozenset[str]) -> Output:
        if classes <= {"integer", "real"} and classes:
            return replace(output, type=t.Double if "real" in classes else t.BigInt)
        if classes == {"blob"}:
            return replace(output, type=t.Bytes, guarded=True)
        if classes == {"text"}:
            return replace(output, type=self._text_type(output), guarded=True)
        if not classes:
            expected = _when_empty(output.declared)
            return replace(output, type=expected, guarded=expected is not None)
        raise ConversionError(
            f"column {output.name!r} holds {' and '.join(sorted(classes))} values",
            where=f"SQLite file {self.database.name}",
            hint=f"Cast it in the query, for example: CAST({output.name} AS TEXT).",
        )

    def _text_type(self, output: Output) -> type[ColumnType]:
        """Return what the text values of a column are: times only when its declared type says so and all parse."""
        candidates = _times(output.declared)
        if not candidates:
            return t.Text
        rows = self._select(f"{output.column} FROM {_QUERY} WHERE {output.column} IS NOT NULL LIMIT {SAMPLE_ROWS}")
        values = pa.array([row[0] for row in rows], pa.string())
        for candidate in candidates:
            try:
                forms.decode(values, candidate)
            except pa.ArrowInvalid:
                continue
            return candidate
        return t.Text

    def _batch_rows(self) -> int:
        """Return how many rows make a batch of bounded size: values of a megabyte come in smaller batches."""
        wide = [o.column for o in self.outputs if o.storage in {"text", "blob"}]
        if not wide:
            return BATCH_ROWS
        lengths = " + ".join(f"coalesce(length({column}), 0)" for column in wide)
        columns = ", ".join(wide)
        first = f"SELECT {columns} FROM {_QUERY} LIMIT {_WIDTH_ROWS}"  # noqa: S608 - our own names
        row = self._select(f"max({lengths}), avg({lengths}) FROM ({first})")[0]
        width = (row[1] or 0) + 8 * len(self.outputs)
        return int(max(1, min(BATCH_ROWS, _BATCH_BYTES // width)))

    def _select(self, rest: str) -> list[tuple[Any, ...]]:
        return self.database.rows(f"{self._with()} SELECT {rest}", self.values)

    def _refuse_misfits(self) -> None:
        """Raise ConversionError with the first value of a storage class that its column does not have."""
        self.database.end_streams()
        for output in self.outputs:
            allowed = ", ".join(f"'{kind}'" for kind in (*_ALLOWED[output.storage], "null"))
            rows = self._select(
                f"{output.column} FROM {_QUERY} WHERE typeof({output.column}) NOT IN ({allowed}) LIMIT 1"
            )
            if rows:
                raise _misfit(output, rows[0][0])


def _declared(output: Output, kind: type[ColumnType] | None) -> Output:
    assert kind is not None  # noqa: S101 - the others are sampled
    storage = forms.storage(kind)
    loose = storage == "blob" or (storage == "text" and not has_text_affinity(output.declared))
    return replace(output, type=kind, guarded=loose)


def _times(declared: str) -> tuple[type[ColumnType], ...]:
    name = declared.upper()
    if "TIMESTAMP" in name or "DATETIME" in name:
        return (t.Timestamp, t.TimestampTZ)
    return (t.Date, t.Timestamp, t.TimestampTZ) if "DATE" in name else ()


def _when_empty(declared: str) -> type[ColumnType] | None:
    """Return what an empty column of a declared type is; None when that says nothing."""
    candidates = _times(declared)
    if not candidates:
        return t.Bytes if declared.upper() == "BLOB" else None
    zoned = "TZ" in declared.upper() or "TIME ZONE" in declared.upper()
    return t.TimestampTZ if zoned else candidates[0]


def _misfit(output: Output, value: Any) -> ConversionError:  # noqa: ANN401 - any value of the file
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."  # noqa: PLR2004 - a line
    kind = output.type.label() if output.type is not None else "without any value in the first rows"
    return ConversionError(
        f"column {output.name!r} ({output.declared or 'no declared type'}) is read as {kind}, and {shown} does not fit",
        hint=f"Cast it in the query, for example: CAST({output.name} AS TEXT).",
    )


def _culprit(array: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - any value of the file
    """Return the first value that does not decode, by halving."""
    while len(array) > 1:
        half = len(array) // 2
        try:
            forms.decode(array.slice(0, half), kind)
            array = array.slice(half)
        except pa.ArrowInvalid:
            array = array.slice(0, half)
    try:
        return array[0].as_py()
    except UnicodeDecodeError:
        return array.cast(pa.binary())[0].as_py()


def _written_at(error: SqlError, sent: str) -> int | None:
    """Return the position in the text as written; it is known when nothing before it was a parameter."""
    prefix = len(error.statement) - len(sent) if error.statement.endswith(sent) else 0
    if error.position is None or "?" in sent:
        return None
    return max(0, error.position - prefix)
