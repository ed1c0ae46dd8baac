"""Reading: a job's SQL on DuckDB, where a name in FROM is a Delta table below the connection."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.backends.delta.change_feed import Changes
from ematix_core.backends.delta.dialect import DIALECT
from ematix_core.backends.delta.log import driver
from ematix_core.backends.delta.names import look_up, tables
from ematix_core.backends.delta.scan import Layout, Piece, scan
from ematix_core.backends.delta.settings import settings_of
from ematix_core.backends.duck.binding import values
from ematix_core.backends.duck.connection import driver as duckdb
from ematix_core.backends.duck.connection import open_duck, quote, table_of, translated
from ematix_core.backends.duck.groups import largest_group
from ematix_core.backends.duck.memory import make_room, room_to_read
from ematix_core.backends.duck.names import table_names
from ematix_core.backends.duck.renaming import as_asked, renamed, views
from ematix_core.backends.duck.source import DuckSource
from ematix_core.backends.protocols import LocalQuery
from ematix_core.errors import ConnectError
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.backends.duck.names import TableReference
    from ematix_core.backends.protocols import Query
    from ematix_core.errors import EmatixError
    from ematix_core.model.connection import Connection
    from ematix_core.sql.dialect import Dialect

_LOCAL_TARGETS = frozenset({"delta", "duckdb", "memory", "objects"})
"""Kinds whose sessions are a DuckDB that can read the files by itself."""


class DeltaSource(DuckSource):
    """Reads tables below one connection, each as it is when the query is looked at."""

    dialect: Dialect = DIALECT
    kind = "delta"

    def __init__(self, connection: Connection) -> None:
        self._settings = settings_of(connection)
        self._name = connection.name
        super().__init__(self._duck, limited=self._settings.limited)
        self._asked = ("", "")
        self._shown: set[TableReference] = set()
        self._tables: dict[TableReference, Snapshot | Changes] = {}

    def _duck(self) -> DuckDBPyConnection:
        duck = open_duck(**self._settings.duckdb)
        self._settings.root.mount(duck)
        return duck

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query with views of the tables' files, which make it run in the DuckDB of the target's session."""
        if target.kind not in _LOCAL_TARGETS:
            return None
        written = query.sql or f"SELECT * FROM {quote(query.table)}"  # noqa: S608 - a quoted name
        names = views(self._names(query))
        sql = renamed(self.connection, written, query.parameters, names)
        if sql is None:
            return None
        tables = {view: self._table(*name) for name, view in names.items()}
        setup = [f"CREATE OR REPLACE TEMP VIEW {quote(view)} AS {_body(table)}" for view, table in tables.items()]
        group = max((largest_group(self.connection, table.sizes()) for table in tables.values()), default=0)
        self._asked = (sql, query.sql)
        places = () if self._settings.root.local else (self._settings.root,)
        return LocalQuery(sql, tuple(setup), dict(query.parameters), group=group, places=places)

    def explain(self, error: EmatixError) -> EmatixError:
        """Return the error of a session that ran `local_query` with the query as it was asked."""
        return as_asked(error, *self._asked)

    def check(self) -> str:
        """Say what is there."""
        root = self._settings.root
        if not root.is_folder(""):
            raise ConnectError(f"there is no folder {root.shown}", hint=f"Run: mkdir -p {root.shown}")
        versions = f"deltalake {driver().__version__} and DuckDB {duckdb().__version__}"
        return f"folder {root.shown}, {len(tables(root))} Delta tables, read with {versions}"

    @contextmanager
    def _relation(self, query: Query) -> Iterator[DuckDBPyRelation]:
        written = query.sql or f"SELECT * FROM {quote(query.table)}"  # noqa: S608 - a quoted name
        sql, bound = bind(written, query.parameters, "named_dollar")
        for schema, name in self._names(query):
            self._show(schema, name)
        with translated(sql, query.sql):
            yield table_of(self.connection, sql, values(dict(bound)))

    def _names(self, query: Query) -> tuple[TableReference, ...]:
        if not query.sql:
            return (("", query.table),)
        sql, _ = bind(query.sql, query.parameters, "named_dollar")
        with translated(sql, query.sql):
            return table_names(self.connection, sql)

    def _table(self, schema: str, name: str) -> Snapshot | Changes:
        """Return the table. One attempt sees one version of it, whenever it looks."""
        if (schema, name) not in self._tables:
            found = look_up(self._settings.root, name, "" if schema == self._name else schema)
            if not isinstance(found, Changes):
                found.note_files()
            self._tables[schema, name] = found
        return self._tables[schema, name]

    def _show(self, schema: str, name: str) -> None:
        """Make a view of the table's files."""
        if (schema, name) in self._shown:
            return
        table = self._table(schema, name)
        if not self._settings.limited and (group := largest_group(self.connection, table.sizes())):
            make_room(self.connection, 0, beside=room_to_read(self.connection, group))
        body = _body(table)
        with translated(body):
            if schema:
                self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
            self.connection.execute(f"CREATE OR REPLACE VIEW {quote(schema, name)} AS {body}")
        self._shown.add((schema, name))

    def close(self) -> None:
        """Close DuckDB."""
        super().close()
        self._shown.clear()
        self._tables.clear()


def _body(table: Snapshot | Changes) -> str:
    if isinstance(table, Changes):
        return table.query()
    pieces = [Piece(number, file) for number, file in enumerate(table.files())]
    return scan(Layout(table.place, table.columns, table.partition_by), pieces)
