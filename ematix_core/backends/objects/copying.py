"""Writing data files: DuckDB's COPY for Parquet, CSV and JSON lines, Arrow's writer for ORC.

Names are new and nobody sees them before a manifest lists them; a new file begins at the target size.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

import pyarrow as pa

from ematix_core.backends.duck.arrow import plain_batches, plain_schema
from ematix_core.backends.duck.connection import BATCH_ROWS, quote, relation
from ematix_core.backends.duck.groups import size_options
from ematix_core.backends.objects.csv_sample import literal
from ematix_core.backends.objects.manifest import DataFile
from ematix_core.backends.objects.records import require_readable
from ematix_core.backends.objects.settings import COMPRESSION_ENDING
from ematix_core.backends.storage.paths import told
from ematix_core.errors import ConversionError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from duckdb import DuckDBPyConnection
    from pyarrow.orc import ORCWriter

    from ematix_core.backends.objects.settings import Settings
    from ematix_core.backends.storage.folder import Folder

_ORC_ROWS = 1_000_000
_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000}


@dataclass(frozen=True)
class Output:
    """Where new files go: a folder of a store, and the settings they are written by."""

    store: Folder
    folder: str
    settings: Settings

    @property
    def place(self) -> str:
        """The folder as a writer opens it."""
        return self.store.location(self.folder)

    def file(self, name: str, rows: int | None) -> DataFile:
        """Return the entry of a written file by its full name."""
        path = self.store.path(name)
        return DataFile(path.removeprefix(f"{self.folder}/"), rows, self.store.stat(path).size)


def copy(
    connection: DuckDBPyConnection, query: str, parameters: Mapping[str, Any], output: Output
) -> tuple[int, list[DataFile]]:
    """Write the rows of a query into new files and return their number and the files.

    `query` has `$name` parameters. Memory is bounded: row groups are written as they fill. The files are on disk
    when this returns.
    """
    output.store.make_folder(output.folder)
    failpoint("objects.file.before")
    with output.store.written(output.folder):
        rows, files = _written(connection, query, parameters, output)
    output.store.sync(f"{output.folder}/{file.path}" for file in files)
    failpoint("objects.file.after")
    return rows, files


def _written(
    connection: DuckDBPyConnection, query: str, parameters: Mapping[str, Any], output: Output
) -> tuple[int, list[DataFile]]:
    if output.settings.format == "orc":
        with contextlib.closing(relation(connection, query, parameters).to_arrow_reader(BATCH_ROWS)) as reader:
            files = _copy_orc(reader, output)
        rows = sum(file.rows or 0 for file in files)
    else:
        rows, files = _copy_by_duckdb(connection, query, parameters, output)
        _require_readable(files, output)
    return rows, files


def _require_readable(files: list[DataFile], output: Output) -> None:
    paths = [f"{output.folder}/{file.path}" for file in files]
    try:
        require_readable(output.settings, [output.store.stat(path) for path in paths])
    except ConversionError:
        output.store.remove(paths)
        raise


def _copy_by_duckdb(
    connection: DuckDBPyConnection, query: str, parameters: Mapping[str, Any], output: Output
) -> tuple[int, list[DataFile]]:
    statement = f"COPY ({query}\n) TO {literal(output.place)} ({', '.join(_copy_options(output.settings))})"
    result = connection.execute(statement, dict(parameters) or None).fetchall()
    if output.settings.format == "parquet":
        files = [output.file(name, int(count)) for name, count, *_ in result]
        return sum(int(count) for _, count, *_ in result), files
    count, names = result[0]
    return int(count), [output.file(name, None) for name in names]


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
        options += ["FORMAT parquet", "RETURN_STATS true", *size_options(size)]
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


def _copy_orc(reader: pa.RecordBatchReader, output: Output) -> list[DataFile]:
    """Write the batches into ORC files of about the same number of rows; one file without rows when there is none."""
    schema = plain_schema(reader.schema)
    most = output.settings.target_file_rows or _ORC_ROWS
    tables = (_readable(pa.Table.from_batches([batch])) for batch in plain_batches(reader, schema))
    files: list[DataFile] = []
    table: pa.Table | None = next(tables, schema.empty_table())
    with told(f"write below {output.folder}"):
        while table is not None:
            name, rows = f"{output.place}/part-{uuid4()}.orc", 0
            with output.store.create(name) as raw, orc_writer(raw, output.settings.compression) as writer:
                while table is not None and (rows == 0 or rows + table.num_rows <= most):
                    writer.write(table)
                    rows += table.num_rows
                    table = next(tables, None)
            files.append(output.file(name, rows))
    return files


def _readable(table: pa.Table) -> pa.Table:
    """Return the table. Raises ConversionError for a time that no reader on Arrow gives back.

    ORC itself holds the years 1 to 9999, but Arrow reads its times as 64 bits of nanoseconds since 1970, whatever they
    were written from, and refuses the file: https://arrow.apache.org/docs/cpp/orc.html#data-types.
    """
    for field, values in zip(table.schema, table.columns, strict=True):
        for times in _times(values.combine_chunks()):
            _require_nanoseconds(field.name, times)
    return table


def _times(values: Any) -> Iterator[Any]:  # noqa: ANN401 - arrays of any type
    """Yield the arrays of times in an array, nested ones too."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        yield values
    elif pa.types.is_struct(kind):
        for part in values.flatten():
            yield from _times(part)
    elif pa.types.is_map(kind):
        yield from _times(values.keys)
        yield from _times(values.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _times(values.flatten())


def _require_nanoseconds(column: str, times: Any) -> None:  # noqa: ANN401 - an array of times
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its stubs know no or_ of two comparisons
    if times.type.unit == "ns":
        return
    counts = times.cast(pa.int64())
    most = (2**63 - 1) // _NANOSECONDS[times.type.unit]
    outside = pc.filter(times, pc.or_(pc.less(counts, -most), pc.greater(counts, most)))
    if (found := next((value for value in outside if value.is_valid), None)) is not None:
        raise ConversionError(
            f"column {column!r} holds {found.cast(pa.string()).as_py()}, but times in ORC files reach from 1677-09-21 "
            "00:12:44 to 2262-04-11 23:47:16",
            hint="Arrow reads them as 64 bits of nanoseconds. Clean the value, or choose format='parquet'.",
        )


def orc_writer(file: BinaryIO, compression: str) -> ORCWriter:
    """Open an ORC file for writing."""
    from pyarrow.orc import ORCWriter

    name: Any = {"": "zstd", "none": "uncompressed"}.get(compression, compression).upper()
    return ORCWriter(file, compression=name)
