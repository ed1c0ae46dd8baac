"""Settings of a Delta connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.dialect import DIALECT
from ematix_core.backends.storage.access import access_of, options_of
from ematix_core.backends.storage.places import folder_of
from ematix_core.errors import ConfigError, UnsupportedError, near

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.connection import Connection
    from ematix_core.model.table import Column

_DUCKDB = ("memory_limit", "threads", "temp_directory", "max_temp_directory_size")
_OWN = ("partition_by", "target_file_size", "compression", "row_group_size")
_COMPRESSIONS = ("snappy", "zstd", "gzip", "lz4", "brotli", "none")
# Types whose values can be written into the log as text and read back:
# https://github.com/delta-io/delta/blob/master/PROTOCOL.md#partition-value-serialization
_PARTITION_KINDS = frozenset(
    {"text", "string", "date", "boolean", "tiny_int", "small_int", "integer", "big_int"}
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The connection's options, with their defaults."""

    root: Folder
    """The place of the tables."""
    partition_by: tuple[str, ...] = ()
    target_file_size: int | str = "256MB"
    compression: str = "snappy"
    row_group_size: int = 122_880
    duckdb: Mapping[str, Any] = field(default_factory=dict)
    """`memory_limit`, `threads`, `temp_directory` of the DuckDB that runs the SQL."""

    @property
    def limited(self) -> bool:
        """Say whether the user has set a memory limit, which then stays."""
        return "memory_limit" in self.duckdb


def settings_of(connection: Connection) -> Settings:
    """Return a connection's settings. Raises ConfigError for an unknown option or a value that makes no sense."""
    values = connection.settings()
    where = f"connection {connection.name}"
    root = str(values.pop("path", "") or "")
    if not root:
        raise ConfigError("path is empty", where=where, hint='Set path to a folder, such as path="./lake".')
    access = access_of(root, values, where=where)
    unknown = [name for name in values if name not in {*_OWN, *_DUCKDB}]
    if unknown:
        known = (*_OWN, *_DUCKDB, *options_of(root))
        raise ConfigError(f"unknown option {unknown[0]!r}", where=where, hint=near(unknown[0], known))
    compression = values.get("compression", "snappy")
    if compression not in _COMPRESSIONS:
        raise ConfigError(
            f"Parquet cannot be compressed with {compression!r}", where=where, hint=near(compression, _COMPRESSIONS)
        )
    if "partition_by" in values:
        given = values["partition_by"]
        values["partition_by"] = (given,) if isinstance(given, str) else tuple(given)
    if "row_group_size" in values:
        values["row_group_size"] = _rows(values["row_group_size"], where)
    duckdb = {name: values.pop(name) for name in _DUCKDB if name in values}
    return Settings(root=folder_of(root, access), duckdb=duckdb, **values)


def _rows(value: Any, where: str) -> int:  # noqa: ANN401 - what the user wrote
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ConfigError(f"row_group_size={value!r} is no number of rows", where=where) from None


def check_columns(columns: Sequence[Column], partition_by: Sequence[str]) -> None:
    """Raise UnsupportedError for a column that Delta cannot hold, or by which a table cannot be partitioned."""
    known = {column.name: column for column in columns}
    for column in columns:
        DIALECT.sql_type(column.type, column=column.name)
    for name in partition_by:
        if name not in known:
            raise UnsupportedError(f"partition_by names {name!r}, which is no column", hint=near(name, known))
        require_partition(known[name])
    if partition_by and len(known) == len(partition_by):
        raise UnsupportedError("partition_by names all columns: nothing is left to write into the files")


def require_partition(column: Column, where: str = "") -> None:
    """Raise UnsupportedError for a column whose values cannot name a partition."""
    if column.type.kind not in _PARTITION_KINDS:
        raise UnsupportedError(
            f"a table cannot be partitioned by column {column.name!r} of type {column.type.label()}",
            where=where,
            hint=f"Types of partitions: {', '.join(sorted(_PARTITION_KINDS))}.",
        )
