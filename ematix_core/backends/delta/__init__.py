"""Delta Lake tables in a folder (`delta`): read with SQL, written in every mode, by delta-rs and DuckDB.

- `log`: a version of a table as its transaction log tells it, and what of the format is refused.
- `scan`: the files of a version as a query.
- `source`: reading.
- `commits`, `table_log`: what each version added, for streams.
- `changes`, `tables`, `session`, `target`: what a load changes, shown by DuckDB until it is committed.
- `versions`: what one session has read, for the next.
- `writing`, `commit`, `bookkeeping`: new data files, the one commit that makes them the table, and the record of loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.delta.dialect import DIALECT

# Here and not inside the functions: loading the submodule `source` sets the attribute `source` of this package, which
# would so replace the function below. None of the two loads a driver.
from ematix_core.backends.delta.log import driver
from ematix_core.backends.delta.source import DeltaSource
from ematix_core.backends.delta.target import DeltaTarget
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source, Target
    from ematix_core.backends.stream_protocols import StreamQuery, StreamSource, VersionLog
    from ematix_core.model.connection import Connection

__all__ = ["DIALECT", "source", "stream_source", "target", "version_log"]


def source(connection: Connection) -> Source:
    """Return what reads from the connection."""
    driver()
    return DeltaSource(connection)


def target(connection: Connection) -> Target:
    """Return what writes to the connection."""
    driver()
    return DeltaTarget(connection)


def stream_source(connection: Connection, query: StreamQuery) -> StreamSource:
    """Return what follows a table by its versions.

    Options: `on_rewrite`, see `version_tail`; `change_data_feed=True` is refused for now.
    """
    from ematix_core.backends.delta.table_log import DeltaTableLog
    from ematix_core.backends.tailing import options_of
    from ematix_core.backends.version_tail import VersionTail

    driver()
    where = f"stream {query.name} of connection {connection.name}"
    options = options_of(query, {"on_rewrite": "fail", "change_data_feed": False}, where)
    if options["change_data_feed"]:
        raise UnsupportedError(
            "the change data feed of a Delta table is not read yet", where=where,
            hint="Leave change_data_feed away: then a stream gives the rows that each version has added.",
        )  # fmt: skip
    return VersionTail(DeltaTableLog(connection, query.name), options["on_rewrite"])


def version_log(connection: Connection, table: str) -> VersionLog:
    """Return what tells the versions of a table."""
    from ematix_core.backends.delta.table_log import DeltaTableLog
    from ematix_core.backends.version_tail import LogVersions

    driver()
    return LogVersions(DeltaTableLog(connection, table))
