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


def _database(source: str, backend: str) -> Any:  # noqa: ANN401 - see _sqlite
    connectorx = {"conn": source, "return_type": "arrow_stream"} if backend == "connectorx" else None
    return sql_table(_sqlalchemy(source), "lineitem", backend=backend, chunk_size=CHUNK, backend_kwargs=connectorx)


def _sqlalchemy(address: str) -> str:
    """Return the URL with the driver that SQLAlchemy is to use."""
    return address.replace("postgresql://", "postgresql+psycopg2://").replace("mysql://", "mysql+pymysql://")


def _with_password(address: str) -> str:
    """Return the URL with a password, which dlt asks for even where the server does not."""
    user, _, rest = address.removeprefix("postgresql://").partition("@")
    return address if ":" in user else f"postgresql://{user}:unused@{rest}"


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
        case (
            "postgres_to_postgres"
            | "postgres_to_duckdb"
            | "postgres_to_parquet"
            | "postgres_to_delta"
            | "mysql_to_postgres"
            | "mysql_to_duckdb"
        ):
            return _database(source, backend)
        case "parquet_to_duckdb" | "parquet_to_postgres" | "parquet_to_mysql" | "parquet_to_delta":
            return _files(source, read_parquet(chunksize=CHUNK, use_pyarrow=True))
        case "csv_to_parquet" | "csv_to_delta":
            return _files(source, read_csv_duckdb(chunk_size=CHUNK, use_pyarrow=True))
        case "duckdb_to_sqlite":
            return _duckdb(source)
    sys.exit(f"unknown move {move}")


def _destination(move: str, target: str) -> Any:  # noqa: ANN401 - see _sqlite
    if "_to_duckdb" in move:
        return dlt.destinations.duckdb(target)
    if "_to_postgres" in move:
        return dlt.destinations.postgres(_with_password(target))
    if "_to_mysql" in move:
        return dlt.destinations.sqlalchemy(_sqlalchemy(target))
    if "_to_sqlite" in move:
        return dlt.destinations.sqlalchemy(f"sqlite:///{target}")
    folder = Path(target).parents[1] if "_to_delta" in move else Path(target)
    return dlt.destinations.filesystem(folder.as_uri())


def _dataset(move: str, target: str) -> str:
    """Return the schema of the table: MySQL has databases in its place."""
    if "_to_mysql" in move:
        return target.rpartition("/")[2]
    if "_to_delta" in move:
        return Path(target).parent.name
    return "target" if "_to_postgres" in move else "main"


def main() -> None:
    """Run one move."""
    move, source, target = sys.argv[1:]
    pipeline = dlt.pipeline("moves", destination=_destination(move, target), dataset_name=_dataset(move, target))
    table_format = "delta" if "_to_delta" in move else None
    pipeline.run(
        _rows(move, source), loader_file_format="parquet", write_disposition="append", table_format=table_format
    )


if __name__ == "__main__":
    main()
