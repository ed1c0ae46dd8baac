"""TargetConformance: what every target's session does, and that a transaction is one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.backends.protocols import LoadRecord, SourceFile
from ematix_core.errors import EmatixError, MissingSourceError, SqlError
from ematix_core.model.mode import scd2
from ematix_core.model.table import Column, TableName
from ematix_core.sql.ddl import Wanted, create_staging, create_table
from ematix_core.testing.reach import Conformance, Reached
from ematix_core.types import BigInt, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ematix_core.backends.protocols import Session

COLUMNS = (Column("id", BigInt, nullable=False), Column("name", Text))
_FIELDS: list[pa.Field[Any]] = [
    pa.field("id", pa.int64(), nullable=False),
    pa.field("name", pa.string()),
]
SCHEMA = pa.schema(_FIELDS)
ROWS = ((1, "one"), (2, None), (3, ""))
STAGING = TableName("", "_ematix_staging")


def batches(rows: Sequence[tuple[int, str | None]] = ROWS) -> pa.RecordBatchReader:
    """Return the rows, one a batch."""
    table = pa.Table.from_pylist([{"id": number, "name": name} for number, name in rows], schema=SCHEMA)
    return pa.RecordBatchReader.from_batches(SCHEMA, table.to_batches(max_chunksize=1))


def create(session: Session, system: Reached, table: TableName, *, keys: tuple[str, ...] = ()) -> None:
    """Create the table where tables are created; files begin with their first load."""
    if system.dialect.ddl:
        session.execute(create_table(Wanted(table, COLUMNS, primary_key=keys), system.dialect), {})


def fill(system: Reached, table: str, rows: Sequence[tuple[int, str | None]] = ROWS) -> None:
    """Make the table with these rows, in a transaction of its own."""
    target, name = system.target(), TableName("", table)
    try:
        with target.session() as session:
            create(session, system, name)
            assert session.load(name, COLUMNS, batches(rows)) == len(rows)
    finally:
        target.close()


def found(system: Reached, table: str) -> list[tuple[int, str | None]]:
    """Return the table's rows in order; none when there is no such table."""
    try:
        rows = system.read(table).to_pylist()
    except (MissingSourceError, EmatixError):
        return []
    return sorted((row["id"], row["name"]) for row in rows)


def snapshot(folder: Path) -> set[str]:
    """Return the names of all files below the folder."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def record(scope: str = "job:t", load_id: str = "load-1", hours: int = 0) -> LoadRecord:
    """Return a load's bookkeeping."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    return LoadRecord(scope, load_id, at, '{"type": "int", "value": 7}', {"inserted": 3, "rows_read": 3})


class TargetConformance(Conformance):
    """The session protocol, for any target."""

    def test_loaded_rows_are_there_after_the_commit(self, system: Reached, table: str) -> None:
        fill(system, table)
        assert found(system, table) == sorted(ROWS)

    def test_second_load_adds_to_the_first(self, system: Reached, table: str) -> None:
        fill(system, table)
        target = system.target()
        with target.session() as session:
            session.load(TableName("", table), COLUMNS, batches([(4, "four")]))
        target.close()
        assert found(system, table) == [*sorted(ROWS), (4, "four")]

    def test_load_of_no_batches_is_a_load_of_no_rows(self, system: Reached, table: str) -> None:
        fill(system, table, [])
        assert found(system, table) == []

    def test_columns_are_those_that_were_made(self, system: Reached, table: str) -> None:
        fill(system, table)
        target = system.target()
        with target.inspect() as session:
            columns = session.columns(TableName("", table))
            assert columns is not None
            assert [(c.name, c.type.kind) for c in columns] == [("id", "big_int"), ("name", "text")]
        target.close()

    def test_columns_are_none_for_a_missing_table(self, system: Reached, table: str) -> None:
        target = system.target()
        with target.session() as session:
            assert session.columns(TableName("", table)) is None
            create(session, system, TableName("", table))  # the look has not harmed the transaction
        target.close()

    def test_insert_adds_the_rows_of_a_query_by_position(self, system: Reached, table: str) -> None:
        fill(system, table)
        target, name = system.target(), TableName("", table)
        with target.session() as session:
            session.execute(create_staging(Wanted(STAGING, COLUMNS), system.dialect), {})
            session.load(STAGING, COLUMNS, batches([(10, "ten"), (11, "eleven"), (12, None)]))
            query = system.sql('SELECT "id", "name" FROM "_ematix_staging" WHERE "id" > :least')
            assert session.insert(name, ("id", "name"), query, {"least": 10}) == 2
        target.close()
        assert found(system, table) == [*sorted(ROWS), (11, "eleven"), (12, None)]

    def test_staging_is_gone_in_the_next_session(self, system: Reached, table: str) -> None:
        fill(system, table)
        for _ in range(2):
            target = system.target()
            with target.session() as session:
                session.execute(create_staging(Wanted(STAGING, COLUMNS), system.dialect), {})
                session.load(STAGING, COLUMNS, batches())
                counted = system.sql('SELECT count(*) AS n FROM "_ematix_staging"')
                assert session.query(counted, {}).to_pylist() == [{"n": 3}]
                session.execute(system.sql('DROP TABLE "_ematix_staging"'), {})
            target.close()

    def test_clear_removes_all_rows_and_counts_them(self, system: Reached, table: str) -> None:
        fill(system, table)
        target = system.target()
        with target.session() as session:
            assert session.clear(TableName("", table)) in {0, len(ROWS)}
            session.load(TableName("", table), COLUMNS, batches([(9, "nine")]))
        target.close()
        assert found(system, table) == [(9, "nine")]

    def test_execute_counts_changed_rows_and_binds_values(self, system: Reached, table: str) -> None:
        if not system.dialect.ddl:
            return  # files are changed as a whole
        fill(system, table)
        target = system.target()
        with target.session() as session:
            update = system.sql(f'UPDATE "{table}" SET "name" = :name WHERE "id" >= :least')
            assert session.execute(update, {"name": "it's :least", "least": 2}) == 2
            assert session.execute(update, {"name": "x", "least": 99}) == 0
        target.close()
        assert found(system, table) == [(1, "one"), (2, "it's :least"), (3, "it's :least")]

    def test_query_sees_what_the_session_did(self, system: Reached, table: str) -> None:
        fill(system, table)
        target = system.target()
        with target.session() as session:
            session.load(TableName("", table), COLUMNS, batches([(4, "four")]))
            query = system.sql(f'SELECT "name" FROM "{table}" WHERE "id" = :wanted')
            assert session.query(query, {"wanted": 4}).to_pylist() == [{"name": "four"}]
        target.close()

    def test_refused_statement_carries_its_text(self, system: Reached) -> None:
        target = system.target()
        statement = system.sql('SELECT "nothing" FROM "no_such_table"')
        with pytest.raises((SqlError, MissingSourceError)) as caught, target.session() as session:
            session.query(statement, {})
        target.close()
        assert "no_such_table" in str(caught.value)

    def test_unique_keys_are_those_that_the_system_keeps(self, system: Reached, table: str) -> None:
        if not (system.dialect.declares_keys and system.dialect.ddl):
            return
        target, name = system.target(), TableName("", table)
        with target.session() as session:
            create(session, system, name, keys=("id",))
        with target.inspect() as session:
            assert ("id",) in session.unique_keys(name)
        target.close()

    def test_current_rows_of_a_history_have_unique_keys_where_the_system_sees_to_it(
        self, system: Reached, table: str
    ) -> None:
        if "scd2" not in system.dialect.modes:
            return
        system.load(table, pa.table({"id": [1], "name": ["a"]}), mode=scd2(keys="id"))
        target = system.target()
        with target.inspect() as session:
            assert session.unique_keys(TableName("", table)) == ()
            found = session.unique_keys(TableName("", table), where="is_current")
            assert found == ((("id",),) if system.dialect.partial_indexes else ())
        target.close()


class TransactionConformance(Conformance):
    """All or nothing: rows, tables and bookkeeping become visible together, or not at all."""

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt], ids=lambda e: e.__name__)
    def test_any_exception_rolls_everything_back(self, system: Reached, table: str, error: type[BaseException]) -> None:
        fill(system, table)
        target, name, other = system.target(), TableName("", table), TableName("", f"{table}_other")

        def fail() -> None:
            with target.session() as session:
                session.clear(name)
                session.load(name, COLUMNS, batches([(9, "nine")]))
                create(session, system, other)
                session.load(other, COLUMNS, batches())
                session.record_load(record(), ())
                raise error

        with pytest.raises(error):
            fail()
        with target.inspect() as session:
            assert session.last_load("job:t") is None
            if system.dialect.transactional_ddl:
                assert session.columns(other) is None
        target.close()
        assert found(system, table) == sorted(ROWS)

    def test_error_of_the_reader_passes_through_unchanged(self, system: Reached, table: str) -> None:
        fill(system, table)
        ours = EmatixError("the source broke")

        def broken() -> Iterator[pa.RecordBatch]:
            yield from batches()
            raise ours

        target = system.target()
        reader = pa.RecordBatchReader.from_batches(SCHEMA, broken())
        with pytest.raises(EmatixError) as caught, target.session() as session:
            session.load(TableName("", table), COLUMNS, reader)
        target.close()
        assert caught.value is ours
        assert found(system, table) == sorted(ROWS)

    def test_interrupt_from_another_thread_ends_the_load_and_rolls_back(self, system: Reached, table: str) -> None:
        fill(system, table)
        target = system.target()
        begun = threading.Event()

        def endless() -> Iterator[pa.RecordBatch]:
            number = 100
            while number < 1_000_000:
                number += 1
                begun.set()
                yield from batches([(number, "x")])

        def stop() -> None:
            begun.wait(30)
            target.interrupt()

        thread = threading.Thread(target=stop)
        thread.start()
        reader = pa.RecordBatchReader.from_batches(SCHEMA, endless())
        with pytest.raises(EmatixError), target.session() as session:
            session.load(TableName("", table), COLUMNS, reader)
        thread.join()
        target.close()
        assert found(system, table) == sorted(ROWS)

    def test_inspect_creates_nothing(self, system: Reached, table: str) -> None:
        before = snapshot(system.folder)
        target = system.target()
        with target.inspect() as session:
            assert session.columns(TableName("", table)) is None
            assert session.last_load("job:t") is None
            assert session.find_load("job:t", "load-1") is None
            assert session.loaded_files("job:t") == frozenset()
        target.close()
        assert snapshot(system.folder) == before


class LedgerConformance(Conformance):
    """The bookkeeping of loads, kept in the target with the rows."""

    def test_recorded_load_is_found_by_scope_and_id(self, system: Reached, table: str) -> None:
        self._record(system, table, record())
        target = system.target()
        with target.inspect() as session:
            assert session.last_load("job:t") == record()
            assert session.find_load("job:t", "load-1") == record()
            assert session.find_load("job:t", "load-2") is None
            assert session.find_load("job:other", "load-1") is None
            assert session.last_load("job:other") is None
        target.close()

    def test_last_load_is_the_latest_one(self, system: Reached, table: str) -> None:
        for hours in (0, 2, 5):
            self._record(system, table, record(load_id=f"load-{hours}", hours=hours))
        target = system.target()
        with target.inspect() as session:
            assert session.last_load("job:t") == record(load_id="load-5", hours=5)
            assert session.find_load("job:t", "load-0") == record(load_id="load-0")
        target.close()

    def test_loaded_files_add_up_by_scope(self, system: Reached, table: str) -> None:
        one, two = SourceFile("a/1.csv", 10, 1_700_000_000_123_456_789), SourceFile("it's ü.csv", 0, 2)
        self._record(system, table, record(), one)
        self._record(system, table, record(load_id="load-2", hours=1), two)
        self._record(system, table, record("job:other", "load-3", hours=2), SourceFile("c", 1, 1))
        target = system.target()
        with target.inspect() as session:
            assert session.loaded_files("job:t") == frozenset({one, two})
        target.close()

    @staticmethod
    def _record(system: Reached, table: str, load: LoadRecord, *files: SourceFile) -> None:
        target, name = system.target(), TableName("", table)
        with target.session() as session:
            if session.columns(name) is None:
                create(session, system, name)
            session.load(name, COLUMNS, batches())
            session.record_load(load, files)
        target.close()
