"""Rows of many columns: DuckDB holds whole row groups, which is more than its usual limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ematix_core as ematix
from ematix_core.backends.duck.connection import open_duck
from ematix_core.backends.duck.memory import make_room
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS, GROUP = 160, 122_880


def limit(columns: int, **settings: str) -> str:
    connection = open_duck(**settings)
    make_room(connection, columns)
    return str(connection.execute("SELECT current_setting('memory_limit')").fetchone())


def test_few_columns_leave_the_limit_and_many_raise_it_but_never_lower_it() -> None:
    assert limit(16) == limit(0)
    assert limit(400) != limit(0)
    assert limit(400, memory_limit="15GB") == limit(0, memory_limit="15GB")


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


def test_rows_of_many_columns_from_anywhere_are_inserted(tmp_path: Path) -> None:
    batch = pa.record_batch({f"c{number}": pa.array(range(GROUP), pa.int64()) for number in range(COLUMNS)})
    warehouse = ematix.DuckDBConnection("warehouse", path=str(tmp_path / "w.duckdb"))

    @ematix.job(target="wide", target_connection=warehouse)
    def job() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(batch.schema, iter([batch] * 4))

    with open_store("memory:") as store:
        assert job.run(store=store).inserted == 4 * GROUP
