"""SQL over one batch after the other, on one DuckDB connection that stays open: what a stream's SQL runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.duck.arrow import plain_table, require_held
from ematix_core.backends.duck.connection import open_duck, quote, relation, translated
from ematix_core.backends.duck.functions import register
from ematix_core.backends.duck.memory import make_room
from ematix_core.errors import ConversionError, SqlError
from ematix_core.query.whole import WholeCalls

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ematix_core.model.function import Function


DECLARE = "Declare it in the schema= of the stream"


class BatchSql:
    """One query, run over batches that it knows under a name, with functions of the user's. For one thread at a time.

    Raises what `register` raises.
    """

    def __init__(self, sql: str, name: str, functions: Sequence[Function] = ()) -> None:
        self.sql = sql
        self._name = name
        self._connection = open_duck()
        try:
            register(self._connection, functions)
        except BaseException:
            self._connection.close()
            raise
        self._functions = tuple(functions)
        self._over: pa.Schema | None = None  # the schema that the calls below are for
        self._whole: WholeCalls | None = None
        self._columns = 0  # of the widest result so far, for which there is room

    def keep(self, name: str, rows: pa.Table) -> None:
        """Give the query a table to join, instead of the one that had this name before."""
        require_held(rows.schema, "the rows of the lookup")
        self._connection.register("_ematix_rows", rows)
        with translated(name):
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS FROM _ematix_rows")
        self._connection.unregister("_ematix_rows")

    def run(self, rows: pa.Table) -> pa.Table:
        """Return the query's result over the rows. Raises SqlError and ConversionError, and those of the functions."""
        if self._functions and self._over != rows.schema:
            gives = self._run(self.sql, rows.slice(0, 0)).schema
            self._whole = WholeCalls.of(self.sql, self._name, rows.schema, gives, self._functions)
            self._over = rows.schema
        if self._whole is None:
            return self._run(self.sql, rows)
        try:
            made = self._run(self._whole.sql, rows) if self._whole.sql else None
        except (SqlError, ConversionError):
            return self._run(self.sql, rows)  # which may know better, or says it of the query as it was written
        return self._whole.finished(rows, made)

    def ask(self, sql: str, rows: pa.Table) -> pa.Table:
        """Return the result of another query over the rows, and over what is kept. Raises SqlError, ConversionError."""
        return self._run(sql, rows)

    def _run(self, sql: str, rows: pa.Table) -> pa.Table:
        require_held(rows.schema, "the batch that the SQL reads", DECLARE)
        self._connection.register(self._name, rows)
        try:
            found = relation(self._connection, sql, {})
            if len(found.columns) > self._columns:
                self._columns = len(found.columns)
                make_room(self._connection, self._columns)
            with translated(sql):
                return plain_table(found.to_arrow_table())
        finally:
            self._connection.unregister(self._name)

    def interrupt(self) -> None:
        """Stop a running query, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()
