"""Several connections as one source: each table of a query is read from its own system, and DuckDB joins them.

A system is asked for the columns that the query needs of a table, and for the rows that its conditions leave; see
`sql.federation`. Rows stream into DuckDB where it looks at them once, and are put aside in it (on disk, when they are
many) where it may look at them again. The tables are read at different moments, each in a transaction of its own.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

from ematix_core.backends import registry
from ematix_core.backends.duck.arrow import noting, plain_batches, plain_schema, require_held
from ematix_core.backends.duck.binding import values
from ematix_core.backends.duck.connection import (
    BATCH_ROWS,
    driver,
    open_duck,
    quote,
    relation,
    table_of,
    translated,
)
from ematix_core.backends.duck.functions import register
from ematix_core.backends.duck.memory import make_room
from ematix_core.backends.duck.renaming import as_asked
from ematix_core.backends.duck.types import LIMITS, TYPES
from ematix_core.backends.protocols import Query
from ematix_core.backends.tables import TableSource
from ematix_core.errors import ConversionError, EmatixError, RunError, SqlError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import columns_from
from ematix_core.sql.dialect import Dialect
from ematix_core.sql.federation import NAME, Need, Part, looks_once, needs_of, parts_of, query_of
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from ematix_core.backends.protocols import LocalQuery, Source
    from ematix_core.model.connection import Connection, FederatedConnection
    from ematix_core.model.function import Function

DIALECT = Dialect(name="federated", grammar="duckdb", types=TYPES, modes=frozenset(), limits=LIMITS)
_WHOLE = Need()


def source(connection: Connection) -> FederatedSource:
    """Return what reads from all of the connections."""
    driver()
    return FederatedSource(cast("FederatedConnection", connection))


def target(connection: Connection) -> NoReturn:
    """Raise UnsupportedError: a target is one system."""
    raise UnsupportedError(
        f"connection {connection.name} of kind federated cannot be written",
        hint="Give one of its sources as target_connection=.",
    )


@dataclass(frozen=True)
class _Asked:
    """A query of a job's: its text over tables named after NAME, those tables, and the schema of each."""

    query: Query
    sql: str
    parts: tuple[Part, ...]
    schemas: tuple[pa.Schema, ...]

    @property
    def bound(self) -> str:
        """The text as DuckDB takes it."""
        return bind(self.sql, self.query.parameters, "named_dollar")[0]

    @property
    def values(self) -> dict[str, object]:
        """The values of its parameters."""
        return dict(bind(self.sql, self.query.parameters, "named_dollar")[1])


class FederatedSource(TableSource):
    """Reads one query over tables of several connections."""

    dialect = DIALECT

    def __init__(self, connection: FederatedConnection) -> None:
        self._connections = {one.name: one for one in connection.sources if not isinstance(one, str)}
        self._open = ExitStack()
        self._sources: dict[str, Source] = {}
        self._duck: DuckDBPyConnection | None = None
        self._functions: tuple[Function, ...] = ()
        self._asked: _Asked | None = None

    @property
    def parts(self) -> tuple[Source, ...]:
        """A source for each connection, in order: those that have a file which admits one process name it."""
        return tuple(self._source(name) for name in self._connections)

    def take_functions(self, functions: Sequence[Function]) -> None:
        """Let the queries call these functions of the user's."""
        self._functions = tuple(functions)

    def schema(self, query: Query) -> pa.Schema:
        """Return the columns that DuckDB binds over tables of the systems' schemas; no row is read."""
        asked = self._ask(query)
        with self._told(asked):
            reader = self._over(asked, asked.schemas).to_arrow_reader(1)
        return plain_schema(reader.schema)

    def asks(self, query: Query) -> tuple[tuple[str, str], ...]:
        """Return for each table of the query the connection's name and what it is asked."""
        asked = self._ask(query)
        return tuple(
            (part.source, query_of(part, need, self._source(part.source).dialect))
            for part, need in zip(asked.parts, self._needs(asked), strict=True)
        )

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Read the tables that are put aside, and start the query over them and the others."""
        import pyarrow as pa

        asked = self._ask(query)
        failures: list[BaseException] = []
        aside = not looks_once(asked.sql)
        for number, need in enumerate(self._needs(asked)):
            name = NAME.format(number)
            self._connection.unregister(name)
            with self._told(asked, failures):
                self._bring(name, noting(self._rows(asked, number, need), failures), aside=aside)
            failpoint("federated.read.after")
        with self._told(asked, failures):
            found = relation(self._connection, asked.bound, values(asked.values))
            make_room(self._connection, len(found.columns))
            reader = found.to_arrow_reader(BATCH_ROWS)
        self._open.callback(reader.close)
        schema = plain_schema(reader.schema)
        columns_from(schema)

        def batches() -> Iterator[pa.RecordBatch]:
            with self._told(asked, failures):
                yield from plain_batches(reader, schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return None: no session of a target reads several systems."""
        del query, target
        return None

    def check(self) -> str:
        """Return what each of the systems says."""
        return "; ".join(f"{name}: {self._checked(name)}" for name in self._connections)

    def interrupt(self) -> None:
        """Stop the query, from another thread."""
        if (duck := self._duck) is not None:
            duck.interrupt()

    def close(self) -> None:
        """Close everything, the reader of the result first."""
        self._open.close()
        self._sources = {}
        self._duck = None
        self._asked = None

    @property
    def _connection(self) -> DuckDBPyConnection:
        if self._duck is None:
            self._duck = open_duck()
            self._open.callback(self._duck.close)
            register(self._duck, self._functions)
        return self._duck

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            self._sources[name] = self._opened(name)
        return self._sources[name]

    def _opened(self, name: str) -> Source:
        opened = registry.source(self._connections[name])
        self._open.callback(opened.close)
        return opened

    def _checked(self, name: str) -> str:
        try:
            return self._source(name).check()
        except EmatixError as error:
            raise error.at(f"source {name}") from error.__cause__

    def _ask(self, query: Query) -> _Asked:
        if self._asked is not None and self._asked.query == query:
            return self._asked
        if query.table or query.on_bad_rows != "fail":
            raise UnsupportedError(
                "a federated source is read by SQL, and fails at the first malformed line",
                hint="Return a query from the job's function; for source_table= and on_bad_rows= read one connection.",
            )
        sql, parts = parts_of(query.sql, tuple(self._connections))
        schemas = tuple(self._schema(part) for part in parts)
        self._asked = _Asked(query, sql, parts, schemas)
        return self._asked

    def _schema(self, part: Part) -> pa.Schema:
        source = self._source(part.source)
        try:
            found = source.schema(Query(sql=query_of(part, _WHOLE, source.dialect)))
            require_held(found, f"table {part.table}", "Read a view of the table, in that system, that casts it")
        except EmatixError as error:
            raise error.at(f"connection {part.source}") from error.__cause__
        return found

    def _rows(self, asked: _Asked, number: int, need: Need) -> pa.RecordBatchReader:
        """Start the reading of a table, by a source of its own: one reads one thing at a time."""
        part = asked.parts[number]
        source = self._opened(part.source)
        try:
            query = Query(sql=query_of(part, need, source.dialect), parameters=asked.query.parameters)
            if need.where:
                try:
                    source.schema(query)
                except (SqlError, ConversionError):  # a type that takes other constants, such as an enum
                    query = Query(sql=query_of(part, Need(need.columns), source.dialect))
            return source.read(query)
        except EmatixError as error:
            raise error.at(f"connection {part.source}") from error.__cause__

    def _bring(self, name: str, rows: pa.RecordBatchReader, *, aside: bool) -> None:
        """Give the query its table: as a stream, or put `aside`."""
        if not aside:
            self._connection.register(name, _Once(rows, name))
            return
        self._connection.register("_ematix_rows", rows)
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS FROM _ematix_rows")
        self._connection.unregister("_ematix_rows")

    def _over(self, asked: _Asked, schemas: Sequence[pa.Schema]) -> DuckDBPyRelation:
        """Return the query over empty tables."""
        for number, schema in enumerate(schemas):
            self._connection.register(NAME.format(number), schema.empty_table())
        return table_of(self._connection, asked.bound, values(asked.values))

    def _needs(self, asked: _Asked) -> Sequence[Need]:
        """Return what the query needs of each table: all, should DuckDB not find there what it looks for."""
        needs = needs_of(asked.sql, [columns_from(schema) for schema in asked.schemas], asked.values)
        with self._told(asked):
            whole = self._over(asked, asked.schemas)
            gives = (whole.columns, whole.types)
        try:
            chosen = self._over(
                asked, [_chosen(schema, need) for schema, need in zip(asked.schemas, needs, strict=True)]
            )
        except EmatixError:
            return [_WHOLE] * len(needs)
        return needs if (chosen.columns, chosen.types) == gives else [_WHOLE] * len(needs)

    @contextmanager
    def _told(self, asked: _Asked, failures: Sequence[BaseException] = ()) -> Iterator[None]:
        """Raise what a system raised while DuckDB read from it; DuckDB's own errors as ours, about the user's text."""
        try:
            with translated(asked.bound):
                yield
        except Exception as error:
            if failures:
                raise failures[0] from None
            if isinstance(error, SqlError):
                as_asked(error, asked.bound, asked.query.sql)
            raise


class _Once:
    """Rows that are read when DuckDB scans them, once: a second scan would find none, and say nothing."""

    def __init__(self, rows: pa.RecordBatchReader, name: str) -> None:
        self.schema = rows.schema
        self._rows: pa.RecordBatchReader | None = rows
        self._name = name

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        rows, self._rows = self._rows, None
        if rows is None:
            raise RunError(f"DuckDB reads {self._name} a second time, which is not foreseen: please report this")
        capsule: object = rows.__arrow_c_stream__(requested_schema)  # type: ignore[no-untyped-call]  # pyarrow's stubs
        return capsule


def _chosen(schema: pa.Schema, need: Need) -> pa.Schema:
    import pyarrow as pa

    return schema if need.columns is None else pa.schema([schema.field(name) for name in need.columns])
