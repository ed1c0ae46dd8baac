"""Writing data files: DuckDB's COPY for Parquet, CSV and JSON lines, Arrow's writer for ORC. New names, never seen
before a manifest lists them; a new file begins at the target size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ematix_core.backends.duck_connection import BATCH_ROWS, quote, relation
from ematix_core.backends.objects.booleans import plain_batch, plain_schema
from ematix_core.backends.objects.csv_files import literal
from ematix_core.backends.objects.files import told
from ematix_core.backends.objects.manifest import DataFile
from ematix_core.backends.objects.settings import COMPRESSION_ENDING
from ematix_core.errors import UnsupportedError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.objects.files import LocalFiles
    from ematix_core.backends.objects.settings import Settings

_ORC_ROWS = 1_000_000


def copy(
    connection: DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, Any],
    folder: str,
    store: LocalFiles,
    settings: Settings,
) -> tuple[int, list[DataFile]]:
    """Write the rows of a query into new files below `folder` and return their number and the files.

    `query` has `$name` parameters. Memory is bounded: row groups are written as they fill.
    """
    store.make_folder(folder)
    failpoint("objects.file.before")
    if settings.format == "orc":
        rows, files = _copy_orc(connection, query, parameters, folder, store, settings)
    else:
        rows, files = _copy_by_duckdb(connection, query, parameters, folder, store, settings)
    store.sync(f"{folder}/{file.path}" for file in files)
    failpoint("objects.file.after")
    return rows, files


def _copy_by_duckdb(
    connection: DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, Any],
    folder: str,
    store: LocalFiles,
    settings: Settings,
) -> tuple[int, list[DataFile]]:
    place = store.location(folder)
    result = connection.execute(
        f"COPY ({query}\n) TO {literal(place)} ({', '.join(_copy_options(settings))})", dict(parameters) or None
    ).fetchall()
    if settings.format == "parquet":
        paths = [(name, int(count)) for name, count, *_ in result]
        files = [DataFile(_below(name, place), count, Path(name).stat().st_size) for name, count in paths]
        return sum(count for _, count in paths), files
    count, names = result[0]
    return int(count), [DataFile(_below(name, place), None, Path(name).stat().st_size) for name in names]


def _below(name: str, place: str) -> str:
    return Path(name).relative_to(place).as_posix()


def _copy_options(settings: Settings) -> list[str]:
    compression = settings.compression
    options = ["FILENAME_PATTERN 'part-{uuid}'", "APPEND true"]
    if settings.partition_by:
        options.append(f"PARTITION_BY ({', '.join(quote(name) for name in settings.partition_by)})")
    elif settings.target_file_rows:
        groups = max(1, settings.target_file_rows // min(settings.row_group_size, settings.target_file_rows))
        options.append(f"ROW_GROUPS_PER_FILE {groups}")
    else:
        options.append(f"FILE_SIZE_BYTES {literal(str(settings.target_file_size))}")
    if settings.format == "parquet":
        size = min(settings.row_group_size, settings.target_file_rows or settings.row_group_size)
        options += ["FORMAT parquet", "RETURN_STATS true", f"ROW_GROUP_SIZE {size}"]
        return [*options, f"COMPRESSION {_parquet_compression(compression)}"]
    options += ["RETURN_FILES true", f"COMPRESSION {compression or 'none'}"]
    if settings.format == "jsonl":
        return [*options, "FORMAT json", f"FILE_EXTENSION 'jsonl{COMPRESSION_ENDING[compression]}'"]
    header = "true" if settings.header else "false"
    return [
        *options, "FORMAT csv", f"FILE_EXTENSION 'csv{COMPRESSION_ENDING[compression]}'", f"HEADER {header}",
        f"DELIMITER {literal(settings.delimiter or ',')}", f"QUOTE {literal(settings.quote)}",
        f"ESCAPE {literal(settings.escape)}", f"NULLSTR {literal(settings.null[0] if settings.null else '')}",
    ]  # fmt: skip


def _parquet_compression(name: str) -> str:
    return {"": "snappy", "none": "uncompressed", "lz4": "lz4_raw"}.get(name, name)


def _copy_orc(
    connection: DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, Any],
    folder: str,
    store: LocalFiles,
    settings: Settings,
) -> tuple[int, list[DataFile]]:
    from pyarrow import orc

    if settings.partition_by:
        raise UnsupportedError("partition_by does not hold for ORC", hint='Use format="parquet".')
    reader = relation(connection, query, parameters).to_arrow_reader(BATCH_ROWS)
    schema = plain_schema(reader.schema)
    compression = {"": "zstd", "none": "uncompressed"}.get(settings.compression, settings.compression)
    most = settings.target_file_rows or _ORC_ROWS
    files: list[DataFile] = []
    writer, rows, name = None, 0, ""
    with told(f"write below {folder}"):
        while True:
            batch = next(reader, None)
            if writer is not None and (batch is None or rows >= most):
                writer.close()
                files.append(DataFile(name, rows, Path(store.location(f"{folder}/{name}")).stat().st_size))
                writer, rows = None, 0
            if batch is None and files:
                return sum(file.rows or 0 for file in files), files
            if writer is None:
                name = f"part-{uuid4()}.orc"
                writer = orc.ORCWriter(store.location(f"{folder}/{name}"), compression=compression)
            table = schema.empty_table() if batch is None else plain_table(plain_batch(batch, schema))
            writer.write(table)
            rows += table.num_rows


def plain_table(batch: Any) -> Any:  # noqa: ANN401 - a record batch and its table
    """Return a batch as a table."""
    import pyarrow as pa

    return pa.Table.from_batches([batch])
