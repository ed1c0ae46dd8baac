"""Keys of a DuckDB database: the memory limit stays ahead of the index, which has to fit in."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.duck.connection import driver, open_duck
from ematix_core.backends.duck.keys import KeyRoom
from ematix_core.backends.duck.session import DuckSession
from ematix_core.model.table import Column, TableName
from ematix_core.store import open_store
from ematix_core.types import BigInt

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

TIGHT = 80
"""MB; the index of the rows below takes 59 MB, and twice as much when they are committed."""
INSERT = "INSERT INTO things SELECT hash(i) FROM range({}, {}) t(i)"
ROWS = 1_000_000
CHANGED = 2_500_000


def opened(file: Path) -> DuckDBPyConnection:
    made = open_duck(file, memory_limit=f"{TIGHT}MB", threads=2)
    made.execute("CREATE TABLE IF NOT EXISTS things (k UBIGINT PRIMARY KEY)")
    return made


def add(connection: DuckDBPyConnection, first: int, last: int, room: KeyRoom | None) -> None:
    connection.execute("BEGIN")
    try:
        if room is not None:
            room.start(TIGHT)
        connection.execute(INSERT.format(first, last))
        if room is not None:
            room.settle()
        connection.execute("COMMIT")
    finally:
        if room is not None:
            room.stop()


def test_keys_that_do_not_fit_get_room_as_they_come(tmp_path: Path) -> None:
    file = tmp_path / "keys.duckdb"
    with (
        closing(opened(tmp_path / "tight.duckdb")) as tight,
        pytest.raises(driver().Error, match=r"allocate|pin block"),
    ):
        add(tight, 0, ROWS, None)
    with closing(opened(file)) as connection:
        add(connection, 0, ROWS, KeyRoom(connection, TIGHT))
    with closing(opened(file)) as connection:  # a few rows need all of an index that is there
        add(connection, ROWS, ROWS + 100_000, KeyRoom(connection, TIGHT))
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (ROWS + 100_000,)


def limit_after_a_load(database: ematix.DuckDBConnection, key: str) -> tuple[object, object]:
    batch = pa.record_batch({"k": [1, 2]})
    target = registry.target(database)
    with closing(target), target.session() as session:
        assert isinstance(session, DuckSession)
        limit = "SELECT current_setting('memory_limit')"
        before = session.connection.execute(limit).fetchone()
        session.execute(f"CREATE TABLE things (k BIGINT {key})", {})
        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
        session.load(TableName("", "things"), [Column("k", BigInt)], reader)
        return before, session.connection.execute(limit).fetchone()


def test_only_a_table_with_keys_and_a_limit_of_ours_gets_more(tmp_path: Path) -> None:
    for number, (key, options, more) in enumerate(
        [("PRIMARY KEY", {}, True), ("UNIQUE", {}, True), ("", {}, False), ("UNIQUE", {"memory_limit": "300MB"}, False)]
    ):
        database = ematix.DuckDBConnection("base", path=str(tmp_path / f"{number}.duckdb"), options=options)
        before, after = limit_after_a_load(database, key)
        assert (before != after) is more


def test_many_rows_that_have_all_changed_are_merged(tmp_path: Path) -> None:
    database = ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb"))
    versions = [f"SELECT i AS k, i + {version} AS v FROM range({CHANGED}) t(i)" for version in (1, 2)]
    mode = ematix.merge(keys=["k"])
    declare = ematix.job(name="job", target="things", target_connection=database, mode=mode)
    with open_store("memory:") as store:
        first, second = (declare(lambda sql=sql: sql).run(store=store) for sql in versions)
    assert (first.inserted, second.updated) == (CHANGED, CHANGED)
