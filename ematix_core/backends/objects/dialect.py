"""What files of an object connection can do; readable without DuckDB."""

from __future__ import annotations

from ematix_core.sql.dialect import Dialect, Replace, Upsert

DIALECT = Dialect(
    name="objects",
    grammar="duckdb",
    modes=frozenset({"append", "truncate"}),
    # https://duckdb.org/docs/current/sql/data_types/overview ; what each format holds of them is in settings.py
    types={
        "boolean": "BOOLEAN", "tiny_int": "TINYINT", "small_int": "SMALLINT", "integer": "INTEGER", "big_int": "BIGINT",
        "u_tiny_int": "UTINYINT", "u_small_int": "USMALLINT", "u_integer": "UINTEGER", "u_big_int": "UBIGINT",
        "float": "FLOAT", "double": "DOUBLE", "numeric": "DECIMAL({precision},{scale})",
        "text": "VARCHAR", "string": "VARCHAR", "bytes": "BLOB", "date": "DATE",
        "time": "TIME", "time[ns]": "TIME_NS",
        "timestamp": "TIMESTAMP", "timestamp[s]": "TIMESTAMP_S", "timestamp[ms]": "TIMESTAMP_MS",
        "timestamp[ns]": "TIMESTAMP_NS",
        "timestamp_tz": "TIMESTAMPTZ", "timestamp_tz[ns]": "TIMESTAMPTZ_NS",
        "uuid": "UUID", "json": "JSON", "array": "{item}[]", "struct": "STRUCT({fields})", "map": "MAP({key}, {value})",
    },
    upsert=Upsert.NONE,
    replace=Replace.OVERWRITE,
    transactional_ddl=False,
    declares_keys=False,
    ddl=False,
    bulk="new files written by DuckDB (Parquet, CSV, JSON lines) or Arrow (ORC), committed by one manifest",
    limits={"numeric_precision": 38},  # DuckDB reads wider decimals as DOUBLE
)  # fmt: skip
