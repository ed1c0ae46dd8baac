"""UPDATE and DELETE on tables of files: the whole table is written anew, as one version, or not at all."""

# ruff: noqa: PT012 - a session is a block that raises
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ematix_core.backends.objects.manifest import History
from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.protocols import Query
from ematix_core.errors import ConflictError, MissingSourceError, SqlError, UnsupportedError
from ematix_core.model.table import Column, TableName, columns_from
from ematix_core.types import BigInt, Text

from .conftest import EVENTS
from .test_target import FORMATS, rows

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any

NAME = '"analytics"."events"'


def version(lake: Lake) -> int:
    newest = History(lake.target().store, "analytics/events").newest()
    assert newest is not None
    return newest.version


@pytest.mark.parametrize("form", FORMATS)
def test_rows_keep_every_value_that_a_statement_does_not_change(lake: Lake, form: str) -> None:
    """All types that the format holds, with NULLs; columns, their types and what may be NULL stay as they were."""
    table = pa.table({"id": pa.array([1, 2], pa.int64()), **FORMATS[form][0]})
    columns = (Column("id", BigInt, nullable=False), *columns_from(table.schema)[1:])
    with lake.target(form).session() as session:
        session.load(EVENTS, columns, table.to_reader())
    before = ObjectSource(lake.connection(form)).read(Query(table="analytics/events")).read_all()
    with lake.target(form).session() as session:
        assert session.execute(f"UPDATE {NAME} SET id = id + :more WHERE id > 1", {"more": 10}) == 1
    after = ObjectSource(lake.connection(form)).read(Query(table="analytics/events")).read_all()
    assert after["id"].to_pylist() == [1, 12]
    assert after.schema == before.schema
    assert after.drop_columns("id").equals(before.drop_columns("id"))
    with lake.target(form).inspect() as session:
        assert session.columns(EVENTS) == columns


def test_each_statement_sees_what_the_ones_before_it_did(lake: Lake) -> None:
    lake.load(rows(1, 2, 3))
    with lake.target().session() as session:
        assert session.execute(f"DELETE FROM {NAME} AS e WHERE e.id = 1", {}) == 1
        assert session.execute(f"UPDATE {NAME} AS e SET id = 9 WHERE e.id < 3", {}) == 1
        assert session.columns(EVENTS) == columns_from(rows().schema)
        assert session.query(f"SELECT id FROM {NAME} ORDER BY id", {})["id"].to_pylist() == [3, 9]
        assert session.load(EVENTS, columns_from(rows().schema), rows(4).to_reader()) == 1
        assert session.insert(EVENTS, ["id"], f"SELECT id + 1 FROM {NAME} WHERE id = 9", {}) == 1
        every = f"SELECT * FROM {NAME}"
        assert session.execute(f"UPDATE {NAME} SET id = -id WHERE id IN ({every}) AND events.id = 3", {}) == 1
    assert lake.events() == [-3, 4, 9, 10]
    assert pq.read_table(lake.root / "analytics/events").num_rows == 4
    assert version(lake) == 2


def test_another_tables_rows_may_say_what_changes(lake: Lake) -> None:
    lake.load(rows(1, 2, 3))
    other = TableName("", "gone")
    with lake.target().session() as session:
        session.load(other, columns_from(rows().schema), rows(2, 3).to_reader())
    with lake.target().session() as session:
        assert session.execute(f"DELETE FROM {NAME} WHERE id IN (SELECT id FROM gone)", {}) == 2
        assert session.execute(f"UPDATE {NAME} AS e SET id = g.id FROM gone AS g WHERE g.id = e.id + 1", {}) == 1
    assert lake.events() == [2]


def test_a_table_may_lose_all_rows_and_keeps_its_columns(lake: Lake) -> None:
    columns = (Column("id", BigInt), Column("note", Text))
    lake.load(pa.table({"id": [1, 2], "note": ["a", None]}))
    with lake.target().session() as session:
        assert session.execute(f"DELETE FROM {NAME}", {}) == 2
    assert lake.events() == []
    with lake.target().inspect() as session:
        assert session.columns(EVENTS) == columns
    lake.load(pa.table({"id": [3], "note": ["c"]}))
    assert lake.events() == [3]


def test_clearing_counts_what_is_left_after_a_deletion(lake: Lake) -> None:
    lake.load(rows(1, 2, 3))
    with lake.target().session() as session:
        session.execute(f"DELETE FROM {NAME} WHERE id = 1", {})
        assert session.clear(EVENTS) == 2
        session.load(EVENTS, columns_from(rows().schema), rows(8).to_reader())
    assert lake.events() == [8]


def test_a_change_of_no_row_writes_nothing(lake: Lake) -> None:
    lake.load(rows(1, 2))
    stored = lake.stored()
    with lake.target().session() as session:
        assert session.execute(f"UPDATE {NAME} SET id = 0 WHERE id > 7", {}) == 0
        assert session.execute(f"DELETE FROM {NAME} WHERE id > 7", {}) == 0
        assert session.query(f"SELECT count(*) AS n FROM {NAME}", {})["n"].to_pylist() == [2]
    assert (version(lake), lake.stored()) == (1, stored)
    with lake.target().session() as session:
        session.execute(f"DELETE FROM {NAME} WHERE id > 7", {})
        session.load(EVENTS, columns_from(rows().schema), rows(3).to_reader())
    assert (version(lake), lake.events()) == (2, [1, 2, 3])
    assert set(stored) < set(lake.stored())


def test_readers_see_the_old_version_until_the_commit(lake: Lake) -> None:
    lake.load(rows(1, 2))
    with lake.target().session() as session:
        session.execute(f"DELETE FROM {NAME} WHERE id = 1", {})
        assert lake.events() == [1, 2]
        assert pq.read_table(lake.root / "analytics/events").num_rows == 2
    assert lake.events() == [2]
    assert pq.read_table(lake.root / "analytics/events").num_rows == 1
    assert len(lake.stored()) == 2  # the old file, in its grace period
    with lake.target(grace_seconds=0).session() as session:
        session.execute(f"UPDATE {NAME} SET id = 3", {})
    assert len(lake.stored()) == 1


def test_a_change_is_refused_when_another_writer_committed_meanwhile(lake: Lake) -> None:
    """Without the lock, as in an object store: neither loses the other's rows."""
    lake.load(rows(1, 2))
    target = lake.target()
    with pytest.raises(ConflictError, match="another writer has committed version 2"), target.session() as session:
        session.execute(f"DELETE FROM {NAME} WHERE id = 1", {})
        newest = History(target.store, "analytics/events").newest()
        assert newest is not None
        rival = lake.root / ".ematix/analytics/events/_manifest-000000002.json"
        rival.write_bytes((lake.root / ".ematix/analytics/events/_manifest-000000001.json").read_bytes())
    assert lake.events() == [1, 2]
    assert len(lake.stored()) == 1


def test_an_error_takes_the_change_back(lake: Lake) -> None:
    lake.load(rows(1, 2))
    with pytest.raises(SqlError, match="nonsense"), lake.target().session() as session:
        session.execute(f"DELETE FROM {NAME} WHERE id = 1", {})
        session.execute(f"UPDATE {NAME} SET nonsense = 1", {})
    assert (version(lake), lake.events()) == (1, [1, 2])


def test_what_is_no_table_and_a_session_that_only_looks_are_told(lake: Lake) -> None:
    with pytest.raises(MissingSourceError, match="there is no table"), lake.target().session() as one:
        one.execute(f"DELETE FROM {NAME}", {})
    lake.load(rows(1))
    with pytest.raises(UnsupportedError, match="only looks at"), lake.target().inspect() as one:
        one.execute(f"DELETE FROM {NAME}", {})
