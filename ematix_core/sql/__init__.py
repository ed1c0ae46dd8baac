"""SQL text: dialect records, statement builders, DDL planning. The one home of sqlglot."""
