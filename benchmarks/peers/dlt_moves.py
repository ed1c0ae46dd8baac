"""dlt's side of the moves, run in the peers' environment: `python dlt_moves.py MOVE SOURCE TARGET`.

Each move is written as dlt's documentation recommends for speed: Arrow tables from the source, the parquet loader.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt  # type: ignore[import-not-found]  # only in the peers' environment
import duckdb
from dlt.sources.filesystem import filesystem, read_csv_duckdb, read_parquet  # type: ignore[import-not-found]  # the peers' environment
from dlt.sources.sql_database import sql_table  # type: ignore[import-not-found]  # the peers' environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

CHUNK = 100_000
"""Rows of a batch: larger ones are no faster here."""


def _sqlite(source: str, backend: str, **options: Any) -> Any:  # noqa: ANN401 - dlt's own types are not installed here
    connectorx = {"conn": f"sqlite://{source}"} if backend == "connectorx" else None
    return sql_table(
        f"sqlite:///{source}", "lineitem", backend=backend, chunk_size=CHUNK, backend_kwargs=connectorx, **options
    )


def _files(source: str, reader: Any) -> Any:  # noqa: ANN401 - see _sqlite
    path = Path(source)
    return filesystem(path.parent.as_uri(), file_glob=path.name) | reader.with_name("lineitem")


@dlt.resource(name="lineitem")  # type: ignore[untyped-decorator]  # see above
def _duckdb(source: str) -> Iterator[pa.RecordBatch]:
    with duckdb.connect(source, read_only=True) as connection:
        yield from connection.sql("FROM lineitem").to_arrow_reader(CHUNK)


def _rows(move: str, source: str) -> Any:  # noqa: ANN401 - see _sqlite
    kind, _, backend = move.partition(":")
    match kind:
        case "sqlite_to_duckdb":
            return _sqlite(source, backend)
        case "sqlite_to_duckdb_watermark":
            return _sqlite(source, backend, incremental=dlt.sources.incremental("l_orderkey"))
        case "parquet_to_duckdb":
            return _files(source, read_parquet(chunksize=CHUNK, use_pyarrow=True))
        case "csv_to_parquet":
            return _files(source, read_csv_duckdb(chunk_size=CHUNK, use_pyarrow=True))
        case "duckdb_to_sqlite":
            return _duckdb(source)
    sys.exit(f"unknown move {move}")


def _destination(move: str, target: str) -> Any:  # noqa: ANN401 - see _sqlite
    if "_to_duckdb" in move:
        return dlt.destinations.duckdb(target)
    if "_to_sqlite" in move:
        return dlt.destinations.sqlalchemy(f"sqlite:///{target}")
    return dlt.destinations.filesystem(Path(target).as_uri())


def main() -> None:
    """Run one move."""
    move, source, target = sys.argv[1:]
    pipeline = dlt.pipeline("moves", destination=_destination(move, target), dataset_name="main")
    pipeline.run(_rows(move, source), loader_file_format="parquet", write_disposition="append")


if __name__ == "__main__":
    main()
