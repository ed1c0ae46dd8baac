"""SQL over tables that are given with each query, on a DuckDB connection that stays open: for windows and joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.duck.arrow import plain_table, require_held
from ematix_core.backends.duck.connection import open_duck, relation, translated
from ematix_core.backends.duck.functions import register
from ematix_core.query.batches import DECLARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ematix_core.model.function import Function

_MEMORY = "1GB"
"""What DuckDB may take before it spills to disk."""


class TableSql:
    """Runs queries, with functions of the user's. For one thread at a time. Raises what `register` raises."""

    def __init__(self, functions: Sequence[Function] = ()) -> None:
        self._connection = open_duck(memory_limit=_MEMORY, preserve_insertion_order=False)
        try:
            register(self._connection, functions)
        except BaseException:
            self._connection.close()
            raise

    def run(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Return the result of a query over the tables. Raises what DuckDB raises, translated."""
        for name, table in tables.items():
            require_held(table.schema, "the batch that the query reads", DECLARE)
            self._connection.register(name, table)
        try:
            with translated(sql):
                return plain_table(relation(self._connection, sql, {}).to_arrow_table())
        finally:
            for name in tables:
                self._connection.unregister(name)

    def interrupt(self) -> None:
        """Stop what runs, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()
