"""A stream's SQL over each micro-batch, with tables to look things up in, and its functions over the whole batch."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from ematix_core.backends import registry
from ematix_core.backends.duck.connection import quote
from ematix_core.backends.protocols import Query
from ematix_core.errors import EmatixError, SqlError
from ematix_core.query.batches import BatchSql
from ematix_core.sql.carried import carrying
from ematix_core.sql.trying import failing, tracing
from ematix_core.streaming.enriching import enriched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ematix_core.engine.environment import Environment
    from ematix_core.model.stream import Lookup, Stream

SOURCE = "source"
"""The name under which the SQL knows the micro-batch."""
_NUMBER = "_ematix_row"
"""The column by which the SQL tells of which row of the micro-batch it speaks."""
_NEWEST = "SELECT epoch_us(max(TRY_CAST({} AS TIMESTAMPTZ))) FROM source"
_log = logging.getLogger(__name__)


class Shaping:
    """Runs the SQL, then what enriches the rows; without either, rows stay what they are."""

    def __init__(self, env: Environment, stream: Stream, carried: str = "") -> None:
        """`carried`: a column that goes through the SQL, where it can, without being asked for."""
        self._env = env
        self._lookups, self._enrich = stream.lookups, stream.enrich
        self._due: dict[str, float] = {}
        self._read_at: dict[str, int] = {}  # microseconds, of when the reading began
        self._newest = {
            one.name: BatchSql(_NEWEST.format(quote(one.as_of)), SOURCE)
            for one in stream.lookups if one.as_of and stream.transform_sql
        }  # fmt: skip
        self._sql = BatchSql(stream.transform_sql, SOURCE, stream.functions) if stream.transform_sql else None
        # What enriches gets what the SQL says, and no column beside.
        more = carrying(stream.transform_sql, SOURCE, carried) if carried and self._sql and not stream.enrich else None
        self._carrying = BatchSql(more, SOURCE, stream.functions) if more is not None else None

    def shaped(self, rows: pa.Table) -> pa.Table:
        """Return what becomes of the rows. Raises SqlError, ConversionError, FunctionError, ResultError."""
        return enriched(rows if self._sql is None else self._through(self._sql, rows), self._enrich)

    def suspects(self, rows: pa.Table) -> list[int]:
        """Return the numbers of rows with which the SQL seems to fail, when it has failed with all; none: unknown."""
        query = failing(self._sql.sql, SOURCE, _NUMBER) if self._sql is not None else None
        if self._sql is None or query is None:
            return []
        try:
            return sorted(_numbers(self._sql.ask(query, _numbered(rows)).column(0)))
        except EmatixError:
            return []  # it can be said of some queries only

    def traced(self, rows: pa.Table) -> tuple[pa.Table, Sequence[int]] | None:
        """Return what becomes of the rows, and of which row each is; None where they do not stand each by itself."""
        if self._enrich:
            return None
        if self._sql is None:
            return rows, range(rows.num_rows)
        query = tracing(self._sql.sql, SOURCE, _NUMBER)
        try:
            found = None if query is None else self._sql.ask(query, _numbered(rows))
        except EmatixError:
            return None
        if found is None or found.schema.names.count(_NUMBER) != 1:
            return None
        return found.drop_columns([_NUMBER]), _numbers(found.column(_NUMBER))

    def interrupt(self) -> None:
        """Stop what runs, from another thread."""
        for sql in (self._sql, self._carrying, *self._newest.values()):
            if sql is not None:
                sql.interrupt()

    def close(self) -> None:
        """Release everything."""
        for sql in (self._sql, self._carrying, *self._newest.values()):
            if sql is not None:
                sql.close()

    def _through(self, sql: BatchSql, rows: pa.Table) -> pa.Table:
        if self._carrying is None:
            return self._run(sql, rows)
        try:
            return self._run(self._carrying, rows)
        except SqlError:
            self._due = {}
            found = self._run(sql, rows)
            self._carrying.close()
            self._carrying = None  # what the user wrote runs, and with the column it does not
            return found

    def _run(self, sql: BatchSql, rows: pa.Table) -> pa.Table:
        for lookup in self._lookups:
            self._refresh(lookup, sql, rows)
        return sql.run(rows)

    def _refresh(self, lookup: Lookup, sql: BatchSql, rows: pa.Table) -> None:
        due = self._due.get(lookup.name)
        older = self._older(lookup, rows)
        if due is not None and time.monotonic() < due and not older:
            return
        began = int(self._env.clock().timestamp() * 1_000_000)
        try:
            sql.keep(lookup.name, _read(self._env, lookup))
            self._read_at[lookup.name] = began
        except EmatixError as error:
            if due is None or older:
                raise error.at(f"lookup {lookup.name}") from error.__cause__
            _log.warning("lookup %s could not be read again, its last rows serve on: %s", lookup.name, error)
        self._due[lookup.name] = time.monotonic() + (float("inf") if lookup.refresh is None else lookup.refresh)

    def _older(self, lookup: Lookup, rows: pa.Table) -> bool:
        """Say whether some of the rows are newer than what was read."""
        if not lookup.as_of or not rows.num_rows:
            return False
        newest = self._newest[lookup.name].run(rows).column(0)[0].as_py()
        return newest is not None and newest > self._read_at.get(lookup.name, newest)


def _numbered(rows: pa.Table) -> pa.Table:
    import pyarrow as pa

    return rows.append_column(_NUMBER, pa.array(range(rows.num_rows), pa.int64()))


def _numbers(column: pa.ChunkedArray[Any]) -> list[int]:
    return cast("list[int]", column.to_pylist())


def _read(env: Environment, lookup: Lookup) -> pa.Table:
    source = registry.source(env.connection(lookup.connection))
    try:
        return source.read(Query(sql=lookup.query)).read_all()
    finally:
        source.close()
