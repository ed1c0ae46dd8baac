"""What Delta tables can do; readable without delta-rs."""

from __future__ import annotations

from ematix_core.backends.duck.types import LIMITS
from ematix_core.sql.dialect import Dialect, Replace, Upsert

DIALECT = Dialect(
    name="delta",
    grammar="duckdb",
    # https://github.com/delta-io/delta/blob/master/PROTOCOL.md#primitive-types, as DuckDB writes and reads them. There
    # are no unsigned integers, no times of day, no intervals, and times have microseconds.
    types={
        "boolean": "BOOLEAN",
        "tiny_int": "TINYINT", "small_int": "SMALLINT", "integer": "INTEGER", "big_int": "BIGINT",
        "float": "FLOAT", "double": "DOUBLE", "numeric": "DECIMAL({precision},{scale})",
        "text": "VARCHAR", "string": "VARCHAR", "bytes": "BLOB", "date": "DATE",
        "timestamp": "TIMESTAMP", "timestamp_tz": "TIMESTAMPTZ",
        "array": "{item}[]", "struct": "STRUCT({fields})", "map": "MAP({key}, {value})",
    },
    # delta-rs has a MERGE, but it is a commit of its own: no second statement and no checks could be in it.
    # See docs/decisions/delta.md.
    upsert=Upsert.UPDATE_INSERT,
    replace=Replace.OVERWRITE,  # https://github.com/delta-io/delta/blob/master/PROTOCOL.md#add-file-and-remove-file
    transactional_ddl=True,
    commits_each_table=True,  # https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-table-specification
    declares_keys=False,  # the format has none
    alter_type=True,  # by writing the files anew: no reader need know the feature typeWidening
    # https://delta-io.github.io/delta-rs/usage/optimize/small-file-compaction-with-optimize/
    maintenance=frozenset({"optimize", "vacuum", "checkpoint", "clean_log"}),
    bulk="Parquet files written by DuckDB, committed by delta-rs as one version",
    limits=LIMITS,
)  # fmt: skip
