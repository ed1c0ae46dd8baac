"""SQLite database files, through ADBC. `declared` says what the declared types of columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.sqlite.declared import TYPES, SQLiteDialect
from ematix_core.sql.dialect import Dialect, Replace, Upsert

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source, Target
    from ematix_core.model.connection import Connection

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
    one_writer=True,  # https://www.sqlite.org/lockingv3.html
    bulk="ADBC ingest of Arrow batches",
    limits={"numeric_precision": 76},
)


def source(connection: Connection) -> Source:
    """Return what reads from the database file."""
    from ematix_core.backends.sqlite.roles import SQLiteSource

    return SQLiteSource(connection)


def target(connection: Connection) -> Target:
    """Return what writes to the database file."""
    from ematix_core.backends.sqlite.roles import SQLiteTarget

    return SQLiteTarget(connection)
