"""Queries as typed Arrow batches.

connectorx reads fast, and bends or refuses what its own types do not hold: decimals beyond (38, 10) lose digits, JSON
is written anew, BIT comes as bytes. So the server is asked first for the query's columns, without running it, and where
connectorx would not be exact the query is wrapped in casts to what it reads exactly. Nothing is wrapped otherwise.

Dates with a zero in them (`0000-00-00`, `2024-00-10`) and times of a day or more have no Arrow value: ConversionError
names the column. TINYINT(1) is Boolean, and any value but 0 and 1 is refused the same way.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.backends.mysql import forms
from ematix_core.backends.mysql.columns import declared, of_field
from ematix_core.backends.mysql.connection import Database, kill, settings
from ematix_core.backends.mysql.errors import translate
from ematix_core.backends.mysql.literals import bound, literal
from ematix_core.errors import ConversionError, EmatixError, MissingDriverError, SqlError
from ematix_core.sql.parameters import single
from ematix_core.types import to_field

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from ematix_core.backends.mysql.wire import Field
    from ematix_core.types import ColumnType

BATCH_ROWS = 65_536
_BATCH_BYTES = 64 * 1024 * 1024
_JSON_CODE, _BIT_CODE = 245, 16
_NATIVE_DIGITS, _NATIVE_SCALE = 28, 10
"""What connectorx's decimals hold without loss: 96 bits, ten places."""
_SERVER_ERROR = re.compile(r"ERROR (\d+) \(\w+\): (.*?)(?: \}|$)", re.DOTALL)


@dataclass(frozen=True)
class Output:
    """One column of a query: its field, its column type (None: always NULL) and the SQL that reads it exactly."""

    field: Field
    type: type[ColumnType] | None
    bulk: str
    small: str

    @property
    def arrow(self) -> pa.Field[Any]:
        """The Arrow field that it comes as."""
        return pa.field(self.field.name, pa.null()) if self.type is None else to_field(self.field.name, self.type)


class TypedQuery:
    """A query with the types of its columns settled. Raises SqlError, UnsupportedError."""

    def __init__(self, database: Database, sql: str, parameters: Mapping[str, Any]) -> None:
        self.database = database
        self.written = single(sql, "literal")
        self.text = bound(self.written, parameters)
        try:
            fields = database.describe(self.text)
        except SqlError as error:
            raise as_written(error, self.text, self.written) from error.__cause__
        _require_names(fields, self.written)
        tables = {(field.schema, field.table) for field in fields if field.table}
        known = declared(database, sorted(tables))
        self._tables = tables
        self.outputs = tuple(_output(f, known.get((f.schema, f.table, f.column))) for f in fields)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the batches."""
        return pa.schema([output.arrow for output in self.outputs])

    def batches(self) -> Generator[pa.RecordBatch]:
        """Run the query on a connection of its own and yield its rows. Raises SourceError and its like half-way."""
        url = None if self.database.requires_tls() else self.database.address.reader_url()
        if url is None:
            yield from self.here()
            return
        batches = self._fast(self._wrapped([output.bulk for output in self.outputs]), url)
        with closing(batches):
            for batch in batches:
                arrays = [self._decode(array, o) for array, o in zip(batch.columns, self.outputs, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def here(self) -> Generator[pa.RecordBatch]:
        """Run the query on the session's own connection, in its transaction, and yield its rows; slower."""
        sql = self._wrapped([output.small for output in self.outputs])
        with self.database.translated(sql):
            for rows in self.database.stream(sql, self._batch_rows()):
                yield self._batch(rows)

    def all(self, order: Sequence[str] = ()) -> pa.Table:
        """Run the query on the session's own connection and return its rows, which are few.

        `order`: the columns of the query's own ORDER BY, which a cast around it would not keep.
        """
        rows = self.database.rows(self._wrapped([output.small for output in self.outputs], order))
        return pa.Table.from_batches([self._batch(rows)], self.schema)

    def _wrapped(self, expressions: Sequence[str], order: Sequence[str] = ()) -> str:
        names = [quote(output.field.name) for output in self.outputs]
        if list(expressions) == names:
            return self.text
        selected = ", ".join(
            name if name == expression else f"{expression} AS {name}"
            for name, expression in zip(names, expressions, strict=True)
        )
        ordered = f" ORDER BY {', '.join(f'q.{quote(name)}' for name in order)}" if order else ""
        return f"SELECT {selected} FROM (\n{self.text}\n) AS q{ordered}"  # noqa: S608 - around the user's own query

    def _fast(self, sql: str, url: str) -> Generator[pa.RecordBatch]:
        """Stream through connectorx; its connection holds a lock, by whose name it is found to be stopped."""
        name = f"ematix_read_{uuid.uuid4().hex}"
        address = self.database.address
        prepare = [
            "SET NAMES utf8mb4", settings(address, self.database.server, strict=False), f"DO GET_LOCK('{name}', 0)",
        ]  # fmt: skip
        exhausted = False
        try:
            reader = driver().read_sql(
                url, sql, return_type="arrow_stream", batch_size=self._batch_rows(), pre_execution_query=prepare
            )
            yield from reader
            exhausted = True
        except (EmatixError, GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A panic of connectorx's Rust is no Exception: https://pyo3.rs/main/doc/pyo3/panic/struct.PanicException
            exhausted = True
            raise self._explained(error, sql) from error
        finally:
            if not exhausted:
                self._stop(name)

    def _stop(self, lock: str) -> None:
        """End the connection that holds the lock; by another one, since the session's own may be closed by now."""
        with suppress(EmatixError):  # a server that cannot be reached has ended the query, too
            other = Database(replace(self.database.address, database=""))
            with closing(other):
                holder = other.rows(f"SELECT IS_USED_LOCK('{lock}')")[0][0]
            if holder is not None:
                kill(self.database.address, int(holder), query=False)

    def _batch(self, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
        """Return rows of text (bytes for binary columns) as a batch of the outputs' types."""
        columns = zip(*rows, strict=True) if rows else [()] * len(self.outputs)
        arrays = []
        for values, output in zip(columns, self.outputs, strict=True):
            binary = any(isinstance(value, bytes) for value in values)
            array: Any = pa.array(values, pa.large_binary() if binary else pa.large_string())
            arrays.append(self._decode(array, output))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _decode(self, array: Any, output: Output) -> Any:  # noqa: ANN401 - arrays of any type
        try:
            return forms.decode(array, output.type)
        except pa.ArrowInvalid as error:
            assert output.type is not None  # noqa: S101 - NULLs always decode
            raise misfit(output.field.name, output.type, forms.culprit(array, output.type)) from error

    def _batch_rows(self) -> int:
        """Return how many rows make a batch of bounded size, by what the server knows of its tables."""
        pairs = ", ".join(f"({literal(schema, '')}, {literal(table, '')})" for schema, table in self._tables)
        if not pairs:
            return BATCH_ROWS
        width = self.database.rows(
            "SELECT SUM(AVG_ROW_LENGTH) FROM information_schema.TABLES "  # noqa: S608 - hexadecimal literals
            f"WHERE (TABLE_SCHEMA, TABLE_NAME) IN ({pairs})"
        )[0][0]
        return max(1, min(BATCH_ROWS, _BATCH_BYTES // max(1, int(width or 1))))

    def _explained(self, error: BaseException, sql: str) -> EmatixError:
        """Return what a failure of connectorx means."""
        text = str(error)
        if found := _SERVER_ERROR.search(text):
            known = translate(int(found[1]), found[2], sql, self.database.address)
            return as_written(known, sql, self.written) if isinstance(known, SqlError) else known
        if "onvert" in text and (bad := self._first_misfit()) is not None:
            return bad
        if any(word in text for word in ("IO error", "IoError", "CodecError", "DriverError")):
            return translate(2013, _short(text), sql, self.database.address)
        return SqlError(_short(text), statement=self.written)

    def _first_misfit(self) -> EmatixError | None:
        """Return the error for the first value that no Arrow type holds, asked for column by column."""
        for output in self.outputs:
            name = quote(output.field.name)
            condition = _HAS_NO_ARROW.get(output.type.kind if output.type else "")
            if condition is None:
                continue
            rows = self.database.rows(
                f"SELECT CAST({name} AS CHAR) FROM (\n{self.text}\n) AS q WHERE {condition.format(name)} LIMIT 1"  # noqa: S608 - around the user's own query
            )
            if rows:
                return misfit(output.field.name, output.type, rows[0][0])
        return None


_ZERO = "MONTH({0}) = 0 OR DAYOFMONTH({0}) = 0 OR DAYOFMONTH({0}) > IFNULL(DAYOFMONTH(LAST_DAY({0})), 0)"
_HAS_NO_ARROW = {
    "date": _ZERO, "timestamp": _ZERO, "timestamp_tz": _ZERO, "time": "{0} < 0 OR {0} >= CAST('24:00:00' AS TIME)",
}  # fmt: skip


def driver() -> Any:  # noqa: ANN401 - the module of connectorx
    """Return connectorx. Raises MissingDriverError when it is not installed."""
    try:
        import connectorx
    except ImportError as error:
        raise MissingDriverError("mysql", "connectorx", "mysql") from error
    return connectorx


def quote(name: str) -> str:
    """Return a quoted identifier."""
    return "`" + name.replace("`", "``") + "`"


def as_written(error: SqlError, sent: str, written: str) -> SqlError:
    """Return the error for the text that the user wrote: positions before the first parameter are the same."""
    if error.statement == sent and sent != written:
        same = next((i for i, (a, b) in enumerate(zip(sent, written, strict=False)) if a != b), len(written))
        error.statement = written
        error.position = error.position if error.position is not None and error.position <= same else None
    return error


def _output(field: Field, column: Any) -> Output:  # noqa: ANN401 - Declared or None
    kind, name = of_field(field, column), quote(field.name)
    bulk = small = name
    if kind is None:
        bulk = small = "CAST(NULL AS CHAR)"
    elif kind.kind == "uuid":
        # Text that is no UUID becomes no bytes at all, and then does not decode.
        bulk = small = f"COALESCE(UNHEX(REPLACE({name}, '-', '')), IF({name} IS NULL, NULL, _binary''))"
    elif field.code == _BIT_CODE:
        bulk = small = f"{name} + 0"
    elif field.code == _JSON_CODE or (kind.kind == "numeric" and not _native(kind)):
        bulk = f"CAST({name} AS CHAR)"
    elif kind.kind == "float":
        small = f"{name} + 0E0"  # the text protocol prints six digits of a FLOAT
    return Output(field, kind, bulk, small)


def _native(kind: type[ColumnType]) -> bool:
    return bool(kind.parameters["precision"] <= _NATIVE_DIGITS and kind.parameters["scale"] <= _NATIVE_SCALE)


def _require_names(fields: Sequence[Field], sql: str) -> None:
    twice = [name for name, times in Counter(field.name for field in fields).items() if times > 1]
    if twice:
        raise SqlError(f"two columns of the query are named {twice[0]!r}: give one of them an alias", statement=sql)


def misfit(name: str, type_: type[ColumnType] | None, value: Any) -> ConversionError:  # noqa: ANN401 - any value
    """Return the error for a value that its column's type does not hold."""
    kind = type_.label() if type_ else "NULL"
    hints = {
        "boolean": f"For other numbers than 0 and 1: CAST({name} AS SIGNED) AS {name}.",
        "time": f"For a span of time: TIME_TO_SEC({name}) AS {name}, or CAST({name} AS CHAR) AS {name}.",
    }
    dates = f"Turn it into NULL: NULLIF({name}, '0000-00-00') AS {name}, or read it as it is: CAST({name} AS CHAR)."
    hint = hints.get(type_.kind if type_ else "", dates)
    return ConversionError(f"column {name!r} is read as {kind}, and {_short(repr(value))} does not fit", hint=hint)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."  # noqa: PLR2004 - two lines
