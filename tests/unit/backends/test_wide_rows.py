"""Rows of many columns, and large row groups: DuckDB holds whole ones, which is more than its usual limit."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ematix_core as ematix
from ematix_core.backends.duck.connection import open_duck
from ematix_core.backends.duck.memory import PASSING, WORKING, make_room, room_to_read
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS, GROUP, LARGE_GROUP = 160, 122_880, 1_048_576
TEXTS, ROWS = 30, 400_000
CPUS = os.cpu_count() or 1


def limit(columns: int, group: int = 0, **settings: str) -> str:
    connection = open_duck(**settings)
    make_room(connection, columns, beside=room_to_read(connection, group))
    return str(connection.execute("SELECT current_setting('memory_limit')").fetchone())


def test_few_columns_leave_the_limit_and_many_raise_it_but_never_lower_it() -> None:
    assert limit(16) == limit(0)
    assert limit(400) != limit(0)
    assert limit(400, memory_limit="15GB") == limit(0, memory_limit="15GB")


def test_large_row_groups_raise_the_limit_for_each_thread_and_very_large_ones_leave_fewer_threads() -> None:
    def room(read: int) -> str:
        return limit(0, memory_limit=f"{WORKING + 2 * (read + 16 * 4 * CPUS)}MB")

    assert limit(16, 100_000_000, threads="2") == room(200)
    assert limit(16, 100_000_000, threads="4") == room(400)
    with closing(open_duck(threads="2")) as connection:
        assert room_to_read(connection, 600_000_000 * CPUS) == 600 * CPUS
        assert connection.execute("SELECT current_setting('threads')").fetchone() == (1,)
        assert room_to_read(connection, 0) == 0


def test_rows_that_pass_take_less_beside_large_row_groups_than_what_keeps_them() -> None:
    def beside(least: int) -> object:
        with closing(open_duck()) as connection:
            make_room(connection, 30, least=least, beside=300)
            return connection.execute("SELECT current_setting('memory_limit')").fetchone()

    assert beside(PASSING) != beside(WORKING) == beside(0)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a file of two row groups of 1,048,576 rows, pyarrow's own size, whose values do not compress."""
    folder = tmp_path_factory.mktemp("grouped")
    with closing(open_duck(threads="1", memory_limit="4GB")) as made:
        names = ", ".join(f"hash(r, {number}) AS c{number}" for number in range(16))
        rows = made.sql(f"SELECT {names} FROM range({LARGE_GROUP}) t(r)").to_arrow_table()
    with pq.ParquetWriter(folder / "grouped.parquet", rows.schema, use_dictionary=False) as writer:
        for _ in range(2):
            writer.write_table(rows, row_group_size=LARGE_GROUP)
    yield folder
    (folder / "grouped.parquet").unlink()


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("duckdb", 'SELECT * FROM "grouped.parquet"'),
        ("parquet", 'SELECT * FROM "grouped.parquet"'),
        (
            "sqlite",
            "SELECT (max(COLUMNS(*)) % 2)::int FROM 'grouped.parquet'",
        ),
    ],
)
def test_a_file_of_large_row_groups_arrives(grouped: Path, tmp_path: Path, kind: str, sql: str) -> None:
    files = ematix.ObjectStoreConnection("files", path=str(grouped))
    target: ematix.Connection = {
        "duckdb": ematix.DuckDBConnection("t", path=str(tmp_path / "t.duckdb")),
        "parquet": ematix.ObjectStoreConnection("t", path=str(tmp_path)),
        "sqlite": ematix.SQLiteConnection("t", path=str(tmp_path / "t.sqlite")),
    }[kind]
    job = ematix.job(name="job", target="grouped", source_connection=files, target_connection=target)(lambda: sql)
    with open_store("memory:") as store:
        assert job.run(store=store).inserted == (1 if kind == "sqlite" else 2 * LARGE_GROUP)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a file of two row groups whose values do not compress."""
    folder = tmp_path_factory.mktemp("wide")
    made = open_duck(threads="1", memory_limit="4GB")
    names = ", ".join(f"hash(r, {number}) AS c{number}" for number in range(COLUMNS))
    made.execute(
        f"COPY (SELECT {names} FROM range({2 * GROUP}) t(r)) TO '{folder}/wide.parquet' (ROW_GROUP_SIZE {GROUP})"
    )
    made.close()
    yield folder
    (folder / "wide.parquet").unlink()


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_a_wide_file_arrives(wide: Path, tmp_path: Path, kind: str) -> None:
    files = ematix.ObjectStoreConnection("files", path=str(wide))
    target: ematix.Connection = {
        "duckdb": ematix.DuckDBConnection("t", path=str(tmp_path / "t.duckdb")),
        "parquet": ematix.ObjectStoreConnection("t", path=str(tmp_path)),
    }[kind]

    @ematix.job(target="wide", source_connection=files, target_connection=target)
    def job() -> str:
        return 'SELECT * FROM "wide.parquet"'

    with open_store("memory:") as store:
        assert job.run(store=store).inserted == pq.read_metadata(wide / "wide.parquet").num_rows


@pytest.mark.parametrize("kind", ["duckdb", "delta"])
def test_rows_of_many_columns_from_anywhere_are_inserted(tmp_path: Path, kind: str) -> None:
    batch = pa.record_batch({f"c{number}": pa.array(range(GROUP), pa.int64()) for number in range(COLUMNS)})
    warehouse: ematix.Connection = {
        "duckdb": ematix.DuckDBConnection("t", path=str(tmp_path / "t.duckdb")),
        "delta": ematix.DeltaConnection("t", path=str(tmp_path)),
    }[kind]

    @ematix.job(target="wide", target_connection=warehouse)
    def job() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(batch.schema, iter([batch] * 4))

    with open_store("memory:") as store:
        assert job.run(store=store).inserted == 4 * GROUP


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write files of 30 columns of short texts, by DuckDB, whose pages are as large as a row group, and by pyarrow."""
    folder = tmp_path_factory.mktemp("texts")
    with closing(open_duck(memory_limit="4GB")) as made:
        names = ", ".join(f"'text {number} ' || (r * {number + 1}) AS c{number}" for number in range(TEXTS))
        rows = f"SELECT r AS id, {names} FROM range({ROWS}) t(r)"
        made.execute(f"COPY ({rows}) TO '{folder / 'duckdb.parquet'}'")
        pq.write_table(made.sql(rows).to_arrow_table(), folder / "arrow.parquet")
    yield folder
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("kind", "writer", "sql"),
    [
        ("duckdb", "duckdb", ""),
        ("duckdb", "arrow", ""),
        ("duckdb", "duckdb", "QUALIFY row_number() OVER (PARTITION BY c7 ORDER BY id DESC) = 1"),
        ("objects", "duckdb", ""),
        ("objects", "duckdb", "ORDER BY c7"),
        ("delta", "duckdb", ""),
    ],
)
def test_columns_of_short_texts_arrive(texts: Path, tmp_path: Path, kind: str, writer: str, sql: str) -> None:
    source = ematix.ObjectStoreConnection("drops", path=str(texts))
    kinds = {
        "duckdb": ematix.DuckDBConnection,
        "delta": ematix.DeltaConnection,
        "objects": ematix.ObjectStoreConnection,
    }
    target = kinds[kind]("lake", path=str(tmp_path / "lake"))
    job = ematix.job(name="job", source_connection=source, target="texts", target_connection=target)
    with open_store("memory:") as store:
        assert job(lambda: f'SELECT * FROM "{writer}.parquet" {sql}').run(store=store).inserted == ROWS
