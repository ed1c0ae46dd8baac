"""DuckDB as ematix uses it, shared by the kinds that run on it: `duckdb`, `memory` and `objects`."""
