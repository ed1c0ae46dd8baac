"""Files in a folder (`objects`): Parquet, CSV, ORC and JSON lines, read with SQL and written as tables.

- `listing`, `relations`, `csv_files`, `guards`, `jsonl_files`: what a name in FROM means, and how its files become a
  query.
- `manifest`: what a written table consists of, and what readers see while it changes.
- `tail`, `arrivals`, `table_log`: files that come, and versions of a table, as a stream.
- `source`, `target`, `session`: the roles of `ematix_core.backends.protocols`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.objects.dialect import DIALECT

# Here and not inside the functions: loading the submodule `source` sets the attribute `source` of this package, which
# would so replace the function below. None of the two loads a driver.
from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.objects.target import ObjectTarget

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source, Target
    from ematix_core.backends.stream_protocols import StreamQuery, StreamSource, VersionLog
    from ematix_core.model.connection import Connection

__all__ = ["DIALECT", "source", "stream_source", "target", "version_log"]


def source(connection: Connection) -> Source:
    """Return what reads from the connection."""
    return ObjectSource(connection)


def target(connection: Connection) -> Target:
    """Return what writes to the connection."""
    return ObjectTarget(connection)


def stream_source(connection: Connection, query: StreamQuery) -> StreamSource:
    """Return what follows a folder or glob, or a table of ours by its versions.

    Options: `window` (how late a file may be, "1 hour"), `on_change` ("fail", "ignore", "reread"); of a table
    `on_rewrite`, see `version_tail`.
    """
    from ematix_core.backends.objects.following import follow

    return follow(connection, query)


def version_log(connection: Connection, table: str) -> VersionLog:
    """Return what tells the versions of a table of ours."""
    from ematix_core.backends.objects.table_log import ManifestLog
    from ematix_core.backends.version_tail import LogVersions

    return LogVersions(ManifestLog(connection, table))
