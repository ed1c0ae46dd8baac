"""Texts of a hundred kilobytes and more pass through every backend on DuckDB, which holds many of them at a time."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.duck import memory
from ematix_core.backends.duck.large_values import LARGE, on_their_way, to_files, to_read, to_table
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROWS, LONGEST = 1_600, 100_000


@pytest.fixture(scope="module")
def docs() -> pa.Table:
    """160 MB: more than a file of DuckDB gets for rows that pass."""
    texts = [f"{number:010}" * (LONGEST // 10) for number in range(ROWS)]
    return pa.table({"id": pa.array(range(ROWS)), "v": pa.array(texts)})


def test_they_are_loaded_into_duckdb_copied_merged_and_read(tmp_path: Path, docs: pa.Table) -> None:
    base = ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb"))
    other = ematix.DuckDBConnection("other", path=str(tmp_path / "other.duckdb"))
    declare = partial(ematix.job, name="job", source_connection=base)
    jobs = [
        declare(target="docs", target_connection=base)(lambda: docs.to_reader(50)),
        declare(target="copy", target_connection=base)(lambda: "SELECT * FROM docs"),
        declare(target="latest", target_connection=base, mode=ematix.merge(keys=["id"]))(lambda: "SELECT * FROM docs"),
        declare(target="docs", target_connection=other)(lambda: "SELECT * FROM latest"),
    ]
    with open_store("memory:") as store:
        for job in jobs:
            assert job.run(store=store).inserted == ROWS
    for file in tmp_path.glob("*.duckdb"):
        file.unlink()


@pytest.mark.parametrize(
    "kind",
    [
        lambda path: ematix.ObjectStoreConnection("files", path=path, format="parquet"),
        lambda path: ematix.ObjectStoreConnection("files", path=path, format="csv"),
        lambda path: ematix.ObjectStoreConnection("files", path=path, format="jsonl"),
        lambda path: ematix.DeltaConnection("files", path=path),
    ],
    ids=["parquet", "csv", "jsonl", "delta"],
)
def test_they_pass_through_files(tmp_path: Path, docs: pa.Table, kind: Callable[[str], ematix.Connection]) -> None:
    files = kind(str(tmp_path / "lake"))
    base = ematix.SQLiteConnection("base", path=str(tmp_path / "base.sqlite"))
    declare = partial(ematix.job, name="job", target="docs", source_connection=files)
    (tmp_path / "lake").mkdir()
    with open_store("memory:") as store:
        assert declare(target_connection=files)(docs.to_reader).run(store=store).inserted == ROWS
        back = declare(target_connection=base)(lambda: "SELECT id, length(v) AS size FROM docs").run(store=store)
    assert back.inserted == ROWS


def test_as_many_as_are_there_are_compared_and_changed(tmp_path: Path) -> None:
    base = ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb"))
    assert merged(base, 220) == [(220, 0, 0), (0, 0, 220), (0, 220, 0)]


def test_delta_gets_room_to_change_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(memory, "raise_limit", lambda _, wanted: asked.append(wanted))
    assert merged(ematix.DeltaConnection("lake", path=str(tmp_path)), 40) == [(40, 0, 0), (0, 0, 40), (0, 40, 0)]
    assert max(asked) == memory.WORKING + 160


def test_several_statements_at_once_run_once(tmp_path: Path) -> None:
    target = registry.target(ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb")))
    with target.session() as session:
        session.execute("CREATE TABLE a AS SELECT 0 AS n; CREATE TABLE b AS SELECT 0 AS m", {})
        session.execute("UPDATE a SET n = n + 1; UPDATE b SET m = m + 1", {})  # looked at for large values before
        assert session.query("SELECT n, m FROM a, b", {}).to_pylist() == [{"n": 1, "m": 1}]
    target.close()


def merged(target: ematix.Connection, rows: int) -> list[tuple[int, int, int]]:
    """Merge texts of 1 MB: new ones, the same, and changed ones. Return what was inserted, updated and unchanged."""
    text, ends = "".join(f"{number:010}" for number in range(100_000)), iter(["", "", "!"])

    def docs() -> Iterator[pa.RecordBatch]:
        end = next(ends)
        for number in range(rows):
            yield pa.record_batch([pa.array([number]), pa.array([f"{text}{end}"])], names=["id", "v"])

    job = ematix.job(name="job", target="docs", target_connection=target, mode=ematix.merge(keys=["id"]))(docs)
    counts = []
    with open_store("memory:") as store:
        for _ in range(3):
            done = job.run(store=store)
            counts.append((done.inserted, done.updated, done.unchanged))
    return counts


def test_a_load_without_large_values_keeps_the_small_limit() -> None:
    told: list[int] = []
    texts, nested = pa.array(["a", None, "x" * LARGE]), pa.array([["y" * 2 * LARGE]] * 3)
    rows = pa.record_batch([texts, nested], names=["v", "n"])
    reader = pa.RecordBatchReader.from_batches(rows.schema, [rows, rows])
    assert on_their_way(reader, told.append, to_table).read_all().num_rows == 6
    assert told == []
    rows = rows.set_column(0, "v", pa.array([b"a", None, b"x" * 10_000_000]))
    reader = pa.RecordBatchReader.from_batches(rows.schema, [rows, rows])
    assert on_their_way(reader, told.append, to_table).read_all().num_rows == 6
    assert told == [20, 40]


def test_rows_with_large_values_come_in_small_batches() -> None:
    table = on_their_way(rows_of([100_000] * 1_000), lambda _: None, to_table).read_all()
    assert [len(chunk) for chunk in table["v"].chunks] == [160] * 6 + [40]


def test_no_more_is_asked_for_than_all_values_take_and_what_is_held_of_them() -> None:
    assert (to_read(100_000, 9_000_000), to_table(100_000, 9_000_000), to_files(100_000, 9_000_000)) == (18, 18, 36)
    threads = os.cpu_count() or 1
    assert to_read(125_000, 10**15) == threads * 512
    assert to_table(125_000, 10**15) == threads * 30_720
    assert to_files(1_000_000, 10**15) == threads * 260


def rows_of(lengths: list[int]) -> pa.RecordBatchReader:
    rows = pa.record_batch([pa.array(["x" * length for length in lengths])], names=["v"])
    return pa.RecordBatchReader.from_batches(rows.schema, [rows])
