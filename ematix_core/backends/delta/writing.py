"""New data files: written by DuckDB, unseen by anybody until a commit names them."""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.log import DataFile
from ematix_core.backends.delta.scan import Layout, literal, sql_type
from ematix_core.backends.duck.connection import quote, translated
from ematix_core.backends.duck.groups import size_options
from ematix_core.errors import ConversionError, SqlError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.delta.settings import Settings
    from ematix_core.model.table import Column

_MISSING = "ematix: NULL in column "
_INTEGERS = frozenset({"tiny_int", "small_int", "integer", "big_int"})
_LONGEST_TEXT = 32
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00)?")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class NewFile:
    """A written file, and its statistics and partition as the log has them."""

    file: DataFile
    stats: str
    partition_values: Mapping[str, str | None]


def write(
    duck: DuckDBPyConnection, query: str, parameters: Mapping[str, Any], layout: Layout, settings: Settings
) -> tuple[int, list[NewFile]]:
    """Write the rows of a query, whose columns have the names of the layout's, and return their number and the files.

    The files are on disk when this returns. Raises ConversionError for NULL in a column that has none.
    """
    layout.place.make_folder("")
    failpoint("delta.file.before")
    selected = ", ".join(_checked(column) for column in layout.columns)
    to = literal(layout.place.location(""))
    copy = f"COPY (SELECT {selected} FROM ({query}\n)) TO {to} ({', '.join(_options(layout, settings))})"
    try:
        with layout.place.written(), translated(copy, query):
            written = duck.execute(copy, dict(parameters) or None).fetchall()
    except SqlError as error:
        raise _missing(error) from error
    files = [_new(layout, entry) for entry in written if entry[1]]
    _require_partitions(layout, files)
    layout.place.remove((layout.place.path(entry[0]) for entry in written if not entry[1]), emptied=True)
    layout.place.sync(new.file.path for new in files)
    failpoint("delta.file.after")
    return sum(int(entry[1]) for entry in written), files


def _checked(column: Column) -> str:
    name = quote(column.name)
    value = f"CAST({name} AS {sql_type(column)})"
    if not column.nullable:
        value = f"CASE WHEN {name} IS NULL THEN error({literal(_MISSING + repr(column.name))}) ELSE {value} END"
    return f"{value} AS {name}"


def _missing(error: SqlError) -> SqlError | ConversionError:
    _, found, column = error.what.partition(_MISSING)
    if not found:
        return error
    return ConversionError(
        f"column {column} of the Delta table takes no NULL, and the rows have one",
        hint="Filter or default the rows in the query.",
    )


def _options(layout: Layout, settings: Settings) -> list[str]:
    compression = {"none": "uncompressed", "lz4": "lz4_raw"}.get(settings.compression, settings.compression)
    options = [
        "FORMAT parquet", "RETURN_STATS true", "APPEND true", "FILENAME_PATTERN 'part-{uuid}'",
        *size_options(settings.row_group_size), f"COMPRESSION {compression}",
    ]  # fmt: skip
    if layout.partition_by:
        return [*options, f"PARTITION_BY ({', '.join(map(quote, layout.partition_by))})"]
    return [*options, f"FILE_SIZE_BYTES {literal(str(settings.target_file_size))}"]


def _new(layout: Layout, entry: Sequence[Any]) -> NewFile:
    name, rows, size, _, stats, keys, *_ = entry
    path = layout.place.path(name)
    partition = tuple((keys or {}).get(column) for column in layout.partition_by)
    file = DataFile(path, int(size), int(rows), partition)
    values = dict(zip(layout.partition_by, partition, strict=True))
    return NewFile(file, json.dumps(_stats(layout, int(rows), stats)), values)


def _require_partitions(layout: Layout, files: Iterable[NewFile]) -> None:
    """Raise ConversionError for an empty text among the partitions' values: the log has no form that is not NULL."""
    files = list(files)
    for new in files:
        for column, value in zip(layout.partition_by, new.file.partition, strict=True):
            if value in {"", _NULL_PARTITION}:
                layout.place.remove((each.file.path for each in files), emptied=True)
                raise ConversionError(
                    f"column {column!r}, by which the table is partitioned, holds the text {value!r}, which Delta "
                    "tables keep as NULL there",
                    hint="Replace it in the query, or do not partition by the column.",
                )


def _stats(layout: Layout, rows: int, found: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return what lets readers leave out files; values only where their form in the log is beyond doubt.

    https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
    """
    stats: dict[str, Any] = {"numRecords": rows, "minValues": {}, "maxValues": {}, "nullCount": {}}
    for column in layout.columns:
        of = found.get(quote(column.name), {})
        if "null_count" in of and column.type.kind != "struct":  # a struct has counts of its fields, not one of its own
            stats["nullCount"][column.name] = int(of["null_count"])
        if of.get("min_is_exact") != "true" or of.get("max_is_exact") != "true":
            continue
        low, high = (_stored(column.type.kind, of[end]) for end in ("min", "max"))
        if low is not None and high is not None:
            stats["minValues"][column.name], stats["maxValues"][column.name] = low, high
    return stats


def _stored(kind: str, value: str) -> int | str | None:
    if kind in _INTEGERS:
        return int(value)
    if kind == "date":
        return value if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None
    if kind in {"timestamp", "timestamp_tz"}:
        found = _MOMENT.fullmatch(value)
        return f"{found[1]}T{found[2]}{'Z' if kind == 'timestamp_tz' else ''}" if found else None
    if kind in {"text", "string"}:
        return value if len(value) <= _LONGEST_TEXT and value.isascii() and value.isprintable() else None
    return None
