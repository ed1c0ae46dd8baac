"""One side of the contest: `python side.py WAY KIND FOLDER OUT` runs the 22 queries once and prints their seconds.

WAY is `job` (a job into a DuckDB file) or `read` (a source into Arrow) for ours, `table` or `arrow` for plain DuckDB,
which does the same. KIND is `parquet` or `delta`: where in FOLDER the tables are. The answers go to OUT/answers.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

QUERIES = sorted((Path(__file__).parent / "queries").glob("q*.sql"))
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


class Ours:
    """A user's jobs and sources."""

    def __init__(self, kind: str, folder: Path, out: Path) -> None:
        import ematix_core as ematix

        make = ematix.DeltaConnection if kind == "delta" else ematix.ObjectStoreConnection
        self.source = make(name="source", path=str(folder / kind))
        self.target = ematix.DuckDBConnection(name="target", path=str(out / "out.duckdb"))

    def job(self, name: str, sql: str) -> None:
        """Run a job into the DuckDB file."""
        import ematix_core as ematix

        target = f"answers.{name}"
        made = ematix.job(
            name=name, source_connection=self.source, target=target, target_connection=self.target, mode="truncate"
        )
        made(lambda: sql).run()

    def read(self, name: str, sql: str) -> pa.Table:
        """Read the answer into Arrow."""
        from ematix_core.backends import registry
        from ematix_core.backends.protocols import Query

        del name
        source = registry.source(self.source)
        found = source.read(Query(sql=sql)).read_all()
        source.close()
        return found


class Plain:
    """DuckDB alone, over views of the same files; as with a job, a connection for each query."""

    def __init__(self, kind: str, folder: Path, out: Path) -> None:
        self.files = {name: f"{folder / kind / name}/*.parquet" for name in TABLES}
        self.target = str(out / "out.duckdb")

    def table(self, name: str, sql: str) -> None:
        """Make a table of the DuckDB file."""
        with duckdb.connect(self.target) as connection:
            self._show(connection)
            connection.execute("CREATE SCHEMA IF NOT EXISTS answers")
            connection.execute(f"CREATE OR REPLACE TABLE answers.{name} AS {sql}")

    def arrow(self, name: str, sql: str) -> pa.Table:
        """Read the answer into Arrow."""
        del name
        with duckdb.connect() as connection:
            self._show(connection)
            found: pa.Table = connection.sql(sql).to_arrow_table()
            return found

    def _show(self, connection: duckdb.DuckDBPyConnection) -> None:
        for name, files in self.files.items():
            connection.execute(f"CREATE TEMP VIEW {name} AS FROM read_parquet('{files}')")


def main() -> None:
    """Run the queries, each timed for itself."""
    way, kind, folder, out = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    side = (Ours if way in {"job", "read"} else Plain)(kind, folder, out)
    run: Callable[[str, str], pa.Table | None] = getattr(side, way)
    run("first", "SELECT count(*) AS n FROM nation")  # pays for imports and for the database, and does not count
    seconds, answers = {}, {}
    for query in QUERIES:
        sql = query.read_text(encoding="utf-8")
        started = time.perf_counter()
        found = run(query.stem, sql)
        seconds[query.stem] = time.perf_counter() - started
        if found is not None:
            answers[query.stem] = _rows(found)
    if not answers:
        with duckdb.connect(str(out / "out.duckdb"), read_only=True) as connection:
            answers = {q.stem: _rows(connection.sql(f"FROM answers.{q.stem}").to_arrow_table()) for q in QUERIES}
    (out / "answers.json").write_text(json.dumps(answers, default=str), encoding="utf-8")
    print(json.dumps(seconds))


def _rows(table: pa.Table) -> list[list[Any]]:
    return [list(row.values()) for row in table.to_pylist()]


if __name__ == "__main__":
    main()
