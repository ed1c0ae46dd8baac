"""What files of an object connection can do; readable without DuckDB."""

from __future__ import annotations

from ematix_core.backends.duck.types import LIMITS, TYPES
from ematix_core.sql.dialect import Dialect, Replace, Upsert

DIALECT = Dialect(
    name="objects",
    grammar="duckdb",
    modes=frozenset({"append", "truncate"}),
    # As DuckDB holds them; what each format holds of these is in settings.py. No format keeps intervals exactly.
    types={kind: name for kind, name in TYPES.items() if kind != "interval"},
    upsert=Upsert.NONE,
    replace=Replace.OVERWRITE,
    transactional_ddl=False,
    commits_each_table=True,  # one manifest a table
    declares_keys=False,
    ddl=False,
    bulk="new files written by DuckDB (Parquet, CSV, JSON lines) or Arrow (ORC), committed by one manifest",
    limits=LIMITS,  # DuckDB reads wider decimals as DOUBLE
)
