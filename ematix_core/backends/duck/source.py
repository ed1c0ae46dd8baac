"""Sources on a DuckDB connection: what the kinds `duckdb` and `memory` have in common."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.arrow import plain_batches, plain_schema
from ematix_core.backends.duck.binding import values
from ematix_core.backends.duck.connection import BATCH_ROWS, quote, table_of, translated
from ematix_core.backends.duck.functions import register, release
from ematix_core.backends.duck.memory import make_room, room_to_run
from ematix_core.backends.duck.types import plain_columns
from ematix_core.backends.tables import TableSource
from ematix_core.errors import MissingSourceError, SqlError, near
from ematix_core.failpoint import failpoint
from ematix_core.model.table import Column, TableName, columns_from
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from ematix_core.backends.protocols import Query
    from ematix_core.model.function import Function


class DuckSource(TableSource):
    """Reads from a database; the subclass says how to open it, and which kind it is."""

    kind = ""

    def __init__(self, connect: Callable[[], DuckDBPyConnection], *, limited: bool = False) -> None:
        self._connect = connect
        self._limited = limited  # by the user: then it stays
        self._connection: DuckDBPyConnection | None = None
        self._functions: tuple[Function, ...] = ()
        self._registered: tuple[str, ...] = ()
        self._reader: pa.RecordBatchReader | None = None

    def take_functions(self, functions: Sequence[Function]) -> None:
        """Let the queries call these functions of the user's."""
        self._functions = tuple(functions)

    @property
    def connection(self) -> DuckDBPyConnection:
        """The connection, opened on first use."""
        if self._connection is None:
            self._connection = self._connect()
            self._registered = register(self._connection, self._functions)
        return self._connection

    def schema(self, query: Query) -> pa.Schema:
        """Return the schema that DuckDB binds; no row is read."""
        sql, _ = statement(query)
        with self._relation(query) as found, translated(sql, query.sql):
            schema = plain_schema(found.limit(0).to_arrow_table().schema)
        columns_from(schema)
        return schema

    def columns(self, query: Query) -> tuple[Column, ...]:
        """Return the columns that DuckDB binds, without Arrow where their types are the usual ones."""
        with self._relation(query) as relation_:
            found = plain_columns(relation_)
        return found if found is not None else columns_from(self.schema(query))

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Stream the rows; nothing but the batch in hand is in memory."""
        import pyarrow as pa

        sql, bound = statement(query)
        with self._relation(query) as found, translated(sql, query.sql):
            if not self._limited:
                least = room_to_run(self.connection, sql, values(dict(bound)))
                make_room(self.connection, len(found.columns), least=least)
            reader = found.to_arrow_reader(BATCH_ROWS)
        self._reader = reader
        schema = plain_schema(reader.schema)
        columns_from(schema)

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                with translated(sql, query.sql):
                    yield from plain_batches(reader, schema)
            finally:
                reader.close()

        failpoint(f"{self.kind}.read.after")
        return pa.RecordBatchReader.from_batches(schema, batches())

    def interrupt(self) -> None:
        """Stop the query, from another thread."""
        if (connection := self._connection) is not None:
            connection.interrupt()

    def check(self) -> str:
        """Return the version of DuckDB."""
        with translated("SELECT version()"):
            row = self.connection.execute("SELECT version()").fetchone()
        return f"DuckDB {row[0] if row else ''}".strip()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            if self._reader is not None:
                self._reader.close()
            release(self._connection, self._registered)
            self._connection.close()
            self._connection = None

    @contextmanager
    def _relation(self, query: Query) -> Iterator[DuckDBPyRelation]:
        sql, bound = statement(query)
        try:
            with translated(sql, query.sql):
                yield table_of(self.connection, sql, values(dict(bound)))
        except SqlError as error:
            missing = re.match(r'Table with name "?(.*?)"? does not exist', error.what)
            if missing is None:
                raise
            tables = self.connection.execute(
                "SELECT CASE schema_name WHEN 'main' THEN '' ELSE schema_name || '.' END || table_name FROM"
                " (FROM duckdb_tables() SELECT schema_name, table_name WHERE NOT internal UNION ALL"
                "  FROM duckdb_views() SELECT schema_name, view_name WHERE NOT internal)"
            ).fetchall()
            known = [name for (name,) in tables if not name.rpartition(".")[2].startswith("_ematix_")]
            raise MissingSourceError(f"there is no table {missing[1]}", hint=near(missing[1], known)) from error


def statement(query: Query) -> tuple[str, Mapping[str, Any]]:
    """Return the query as DuckDB's SQL with `$name` parameters, and their values."""
    if not query.sql:
        table = TableName.parse(query.table)
        return f"SELECT * FROM {quote(table.schema, table.name)}", {}  # noqa: S608 - quoted names
    sql, bound = bind(query.sql, query.parameters, "named_dollar")
    return sql, dict(bound)
