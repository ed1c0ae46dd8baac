"""SQL over a stream of Arrow batches, in process, on DuckDB: rows in, rows out, memory bounded."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ematix_core.backends.duck.arrow import noting, require_held
from ematix_core.backends.duck.connection import BATCH_ROWS, open_duck, translated
from ematix_core.backends.duck.functions import register
from ematix_core.backends.duck.memory import make_room
from ematix_core.backends.duck.untouched import untouched
from ematix_core.backends.duckdb import DIALECT
from ematix_core.types import to_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from ematix_core.model.function import Function
    from ematix_core.model.table import Column

__all__ = ["DIALECT", "hands_on", "run_sql", "schema_of"]


_ROWS = "the rows on their way to the target"


def hands_on(sql: str, names: Iterable[str]) -> frozenset[str]:
    """Return those of the columns that come out of the query just as its one table has them."""
    with contextlib.closing(open_duck()) as connection:
        return untouched(connection, sql, names)


def run_sql(
    sql: str, rows: pa.RecordBatchReader, name: str, functions: Sequence[Function] = ()
) -> pa.RecordBatchReader:
    """Return the query's result over `rows`, which the query knows under `name`; batches of at most 122,880 rows.

    The query may call the `functions`. Nothing is read before the result is. An error raised by `rows` passes through
    unchanged. Raises what `require_columns` raises.
    """
    import pyarrow as pa

    require_held(rows.schema, _ROWS)
    failures: list[BaseException] = []

    connection = open_duck()
    try:
        register(connection, functions)
        connection.register(name, noting(rows, failures))
        with translated(sql):
            found = connection.sql(sql)
            make_room(connection, len(found.columns))
            reader = found.to_arrow_reader(BATCH_ROWS)
    except BaseException:
        connection.close()  # the error's traceback holds it for as long as the error is kept
        raise

    def results() -> Iterator[pa.RecordBatch]:
        try:
            with translated(sql):
                yield from reader
        except Exception:
            if failures:
                raise failures[0] from None
            raise
        finally:
            reader.close()  # first: what still runs may call a function of the connection
            connection.close()

    return pa.RecordBatchReader.from_batches(reader.schema, results())


def schema_of(sql: str, columns: Sequence[Column], name: str, functions: Sequence[Function] = ()) -> pa.Schema:
    """Return the schema that the query would give over rows of these columns. Raises SqlError as `run_sql` would.

    Raises what `require_columns` raises.
    """
    schema = _schema(columns)
    require_held(schema, _ROWS)
    connection = open_duck()
    try:
        register(connection, functions)
        connection.register(name, schema.empty_table())
        with translated(sql):
            found: pa.Schema = connection.sql(sql).to_arrow_reader(1).schema
            return found
    finally:
        connection.close()


def require_columns(columns: Sequence[Column]) -> None:
    """Raise UnsupportedError for a column that DuckDB cannot take, whatever the query."""
    require_held(_schema(columns), _ROWS)


def _schema(columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([to_field(column.name, column.type) for column in columns])
