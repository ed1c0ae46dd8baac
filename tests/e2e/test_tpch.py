"""TPC-H's 22 queries as jobs, over Parquet and over Delta: the answers are those of another engine.

That engine is DataFusion, which comes with delta-rs; it reads the Delta tables that our jobs wrote. How long queries
take is for `python -m benchmarks.tpch` to say.
"""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, QueryBuilder

import ematix_core as ematix
from ematix_core.config.settings import Settings
from ematix_core.engine import run_job
from ematix_core.store import open_store
from tests.architecture.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.engine.result import RunResult
    from ematix_core.store import RunStore

QUERIES = sorted((ROOT / "benchmarks" / "tpch" / "queries").glob("q*.sql"))
SCALE = "0.01"
LOADS = 2
"""So many loads make the larger Delta tables, and so many files the larger ones of Parquet."""
LARGE = ("lineitem", "orders")
SMALL = ("customer", "nation", "part", "partsupp", "region", "supplier")


@dataclass(frozen=True)
class Place:
    """The tables in both forms, and what runs jobs on them."""

    folder: Path
    store: RunStore
    settings: Settings

    @property
    def parquet(self) -> ematix.Connection:
        return ematix.ObjectStoreConnection("parquet", path=str(self.folder / "parquet"), format="parquet")

    @property
    def delta(self) -> ematix.Connection:
        return ematix.DeltaConnection("delta", path=str(self.folder / "delta"))

    def run(
        self, sql: str, target: str, source: ematix.Connection, into: ematix.Connection, mode: str = "truncate"
    ) -> RunResult:
        job = ematix.job(name=target, source_connection=source, target=target, target_connection=into, mode=mode)
        return run_job(job(lambda: sql), store=self.store, settings=self.settings)

    def reference(self, sql: str) -> pa.Table:
        engine = QueryBuilder()
        for table in (*LARGE, *SMALL):
            engine = engine.register(table, DeltaTable(str(self.folder / "delta" / table)))
        return pa.table(engine.execute(sql).read_all())

    def answer(self, kind: str, name: str) -> pa.Table:
        """Return what the job has written, as others read it."""
        path = self.folder / kind / "answers" / name
        if kind == "delta":
            return pa.table(
                QueryBuilder().register("found", DeltaTable(str(path))).execute("SELECT * FROM found").read_all()
            )
        return ds.dataset(path, format="parquet").to_table()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tpch")
    generator = [str(Path(sys.executable).with_name("tpchgen-cli")), "parquet", "-s", SCALE]
    for tables, parts in ((LARGE, LOADS), (SMALL, 1)):
        options = [f"--output-dir={folder / 'parquet'}", f"--tables={','.join(tables)}", f"--parts={parts}"]
        command = [*generator, *options]
        subprocess.run(command, check=True, capture_output=True)
    with open_store("memory:") as store:
        place = Place(folder, store, Settings.load())
        for table in (*LARGE, *SMALL):
            for file in sorted((folder / "parquet" / table).iterdir()):
                sql = f'SELECT * FROM "{table}/{file.name}"'
                assert place.run(sql, table, place.parquet, place.delta, mode="append").inserted > 0
        yield place


def test_queries_are_all_there_and_tables_have_several_files(place: Place) -> None:
    assert [query.stem for query in QUERIES] == [f"q{number:02}" for number in range(1, 23)]
    for table in LARGE:
        assert len(DeltaTable(str(place.folder / "delta" / table)).file_uris()) == LOADS
        assert len(list((place.folder / "parquet" / table).iterdir())) == LOADS


@pytest.mark.parametrize("kind", ["parquet", "delta"])
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.stem)
def test_answers_are_those_of_another_engine(place: Place, query: Path, kind: str) -> None:
    connection = getattr(place, kind)
    sql = query.read_text(encoding="utf-8")
    expected = place.reference(sql)
    result = place.run(sql, f"answers.{query.stem}", connection, connection)
    found = place.answer(kind, query.stem)
    assert found.column_names == expected.column_names
    assert result.inserted == found.num_rows == expected.num_rows > 0
    for ours, theirs in zip(_sorted(found), _sorted(expected), strict=True):
        assert all(map(_same, ours, theirs)), (ours, theirs)


def _sorted(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return the rows in the order of their texts and rounded numbers: a table has none of its own."""
    rows = [tuple(row.values()) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: [f"{value:.2f}" if _is_number(value) else str(value) for value in row])


def _same(ours: Any, theirs: Any) -> bool:  # noqa: ANN401 - values of any type
    """Compare; a mean has six digits behind the point in the one engine and is binary in the other."""
    if _is_number(ours) and _is_number(theirs):
        exact = not isinstance(ours, float) and not isinstance(theirs, float)
        return bool(ours == theirs) if exact else math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-6)
    return bool(ours == theirs)


def _is_number(value: Any) -> bool:  # noqa: ANN401 - see _same
    return isinstance(value, int | float | Decimal)
