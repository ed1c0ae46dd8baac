"""Settings of an object connection: its formats, their options, and what they cannot hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ematix_core.backends.storage.access import access_of, options_of
from ematix_core.backends.storage.places import folder_of
from ematix_core.errors import ConfigError, UnsupportedError, near

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ematix_core.backends.storage.access import Access
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.connection import Connection
    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

FORMATS = ("parquet", "csv", "orc", "jsonl")
_BY_ENDING = {
    "parquet": "parquet", "pq": "parquet", "csv": "csv", "tsv": "csv", "orc": "orc",
    "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl",
}  # fmt: skip
_COMPRESSION_BY_ENDING = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}
COMPRESSION_ENDING = {"gzip": ".gz", "zstd": ".zst", "none": "", "": ""}
_COMPRESSIONS = {
    "parquet": ("snappy", "zstd", "gzip", "lz4", "brotli", "none"),
    "orc": ("snappy", "zstd", "zlib", "lz4", "none"),
    "csv": ("none", "gzip", "zstd"),
    "jsonl": ("none", "gzip", "zstd"),
}
# What a format has no form for, or none that comes back as the same values. ORC: what Arrow's writer takes,
# https://arrow.apache.org/docs/cpp/orc.html#data-types. Parquet
# intervals have milliseconds only.
_CANNOT_HOLD = {
    "parquet": frozenset({"interval", "duration"}),
    "csv": frozenset({"interval", "duration", "bytes", "array", "struct", "map"}),
    "jsonl": frozenset({"interval", "duration", "bytes"}),
    "orc": frozenset(
        {"interval", "duration", "time", "uuid", "json", "u_tiny_int", "u_small_int", "u_integer", "u_big_int"}
    ),
}
# DuckDB reads decimals beyond 38 digits as DOUBLE, and numbers of JSON beyond 15 do not survive being one.
_DECIMAL_DIGITS = {"parquet": 38, "csv": 38, "orc": 38, "jsonl": 15}
# Types whose values can be read back from a folder's name (`day=2026-01-31`).
_PARTITION_KINDS = frozenset(
    {"text", "string", "date", "boolean", "tiny_int", "small_int", "integer", "big_int", "uuid"}
)


@dataclass(frozen=True)
class Settings:
    """The connection's options, with their defaults."""

    root: str
    access: Access | None = None
    """How the object store is reached; None for a local folder."""
    format: str = "parquet"
    delimiter: str = ""
    header: bool = True
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    null: tuple[str, ...] = ("",)
    compression: str = ""
    row_group_size: int = 122_880
    sample_size: int = 20_480
    target_file_size: int | str = "256MB"
    target_file_rows: int = 0
    partition_by: tuple[str, ...] = ()
    grace_seconds: float = 3600.0
    lock_wait_seconds: float = 10.0
    duckdb: Mapping[str, Any] = field(default_factory=dict)
    """`memory_limit`, `threads`, `temp_directory` of the DuckDB that runs the SQL."""

    def folder(self) -> Folder:
        """Return the place of the files. Raises MissingDriverError for an object store without its client."""
        return folder_of(self.root, self.access)

    def written_as(self) -> dict[str, Any]:
        """Return what a reader must know of how files of a text format were written."""
        if self.format != "csv":
            return {}
        return {
            "delimiter": self.delimiter or ",", "header": self.header, "quote": self.quote, "escape": self.escape,
            "encoding": "utf-8", "null": list(self.null[:1]),
        }  # fmt: skip


_DUCKDB = ("memory_limit", "threads", "temp_directory", "max_temp_directory_size")
_OWN = (
    "delimiter", "header", "quote", "escape", "encoding", "null", "compression", "row_group_size", "sample_size",
    "target_file_size", "target_file_rows", "partition_by", "grace_seconds", "lock_wait_seconds",
)  # fmt: skip


def settings_of(connection: Connection) -> Settings:
    """Return a connection's settings. Raises ConfigError for an unknown format, option or compression."""
    values = connection.settings()
    where = f"connection {connection.name}"
    root, form = str(values.pop("path", "") or ""), str(values.pop("format", "") or "parquet")
    if not root:
        raise ConfigError("path is empty", where=where, hint='Set path to a folder, such as path="./lake".')
    if form not in FORMATS:
        hint = r'Write format="csv", with the option delimiter="\t".' if form == "tsv" else near(form, FORMATS)
        raise ConfigError(f"unknown format {form!r}", where=where, hint=hint)
    access = access_of(root, values, where=where)
    unknown = [name for name in values if name not in {*_OWN, *_DUCKDB}]
    if unknown:
        known = (*_OWN, *_DUCKDB, *options_of(root))
        raise ConfigError(f"unknown option {unknown[0]!r}", where=where, hint=near(unknown[0], known))
    for name in ("null", "partition_by"):
        if name in values:
            values[name] = (values[name],) if isinstance(values[name], str) else tuple(values[name])
    compression = values.get("compression")
    if compression and compression not in _COMPRESSIONS[form]:
        raise ConfigError(
            f"{form} cannot be compressed with {compression!r}",
            where=where,
            hint=near(compression, _COMPRESSIONS[form]),
        )
    if values.get("target_file_rows") and form not in {"parquet", "orc"}:
        raise ConfigError(f"target_file_rows does not hold for {form}", where=where, hint="Set target_file_size.")
    if values.get("partition_by") and form == "orc":
        raise ConfigError("partition_by does not hold for orc", where=where, hint='Set format="parquet".')
    duckdb = {name: values.pop(name) for name in _DUCKDB if name in values}
    return Settings(root=root, access=access, format=form, duckdb=duckdb, **values)


TYPED = frozenset({"parquet", "orc"})
"""Formats whose files say themselves which types they have."""


def format_of(path: str) -> tuple[str, str]:
    """Return format and compression by the path's ending; an empty format when the ending does not tell."""
    name = path.rpartition("/")[2].lower()
    stem, _, last = name.rpartition(".")
    compression = _COMPRESSION_BY_ENDING.get(last, "") if stem else ""
    ending = stem.rpartition(".")[2] if compression else last
    return (_BY_ENDING.get(ending, "") if "." in name else ""), compression


def check_columns(columns: Iterable[Column], form: str, partition_by: Iterable[str] = ()) -> None:
    """Raise UnsupportedError naming the first column that files of this format cannot hold."""
    columns = tuple(columns)
    known = {column.name: column for column in columns}
    for column in columns:
        _check(column.name, column.type, form)
    for name in partition_by:
        if name not in known:
            raise UnsupportedError(f"partition_by names {name!r}, which is no column", hint=near(name, known))
        if known[name].type.kind not in _PARTITION_KINDS:
            raise UnsupportedError(
                f"partition_by: column {name!r} of type {known[name].type.label()} cannot name a folder"
            )
        if len(known) == len(tuple(partition_by)):
            raise UnsupportedError("partition_by names all columns: nothing is left to write into the files")


def _check(name: str, kind: type[ColumnType], form: str) -> None:
    parameters = kind.parameters
    if kind.kind in _CANNOT_HOLD[form] or (kind.kind == "numeric" and parameters["precision"] > _DECIMAL_DIGITS[form]):
        raise UnsupportedError(
            f"{form} files cannot hold column {name!r} of type {kind.label()}",
            hint="Cast it in the job's query, declare another type for the column, or choose another format.",
        )
    for part in ("item", "key", "value"):
        if part in parameters:
            _check(name, parameters[part], form)
    for _, inner in parameters.get("fields", ()):
        _check(name, inner, form)
