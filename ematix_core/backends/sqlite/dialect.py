"""What SQLite can do; readable without its driver."""

from __future__ import annotations

from ematix_core.backends.sqlite.declared import TYPES, SQLiteDialect
from ematix_core.sql.dialect import Dialect, Replace, Upsert

DIALECT: Dialect = SQLiteDialect(
    name="sqlite",
    grammar="sqlite",
    types=TYPES,
    upsert=Upsert.UPDATE_INSERT,  # UPDATE .. FROM: https://www.sqlite.org/lang_update.html#upfrom
    replace=Replace.TRANSACTION,  # https://www.sqlite.org/isolation.html
    transactional_ddl=True,  # https://www.sqlite.org/lang_transaction.html
    schemas=False,
    temporary_staging=True,
    declares_keys=True,
    partial_indexes=True,  # https://www.sqlite.org/partialindex.html
    alter_type=False,  # https://www.sqlite.org/lang_altertable.html
    indexes_keys=True,
    # What merges join gets an index for the time of the statement, which NOT EXISTS does not: 10,000 rows into as many
    # take scd2 7 s without an index, 0.2 s with one. https://www.sqlite.org/optoverview.html#autoindex
    scans_for_keys=frozenset({"scd2"}),
    indexes_staging=True,
    joins_by_index=True,
    one_writer=True,  # https://www.sqlite.org/lockingv3.html
    bulk="ADBC ingest of Arrow batches",
    limits={"numeric_precision": 76},
)
