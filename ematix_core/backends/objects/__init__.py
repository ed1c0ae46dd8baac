"""Files in a folder (`objects`): Parquet, CSV, ORC and JSON lines, read with SQL and written as tables.

- `listing`, `relations`, `csv_files`, `guards`, `jsonl_files`: what a name in FROM means, and how its files become a
  query.
- `manifest`: what a written table consists of, and what readers see while it changes.
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
    from ematix_core.model.connection import Connection

__all__ = ["DIALECT", "source", "target"]


def source(connection: Connection) -> Source:
    """Return what reads from the connection."""
    return ObjectSource(connection)


def target(connection: Connection) -> Target:
    """Return what writes to the connection."""
    return ObjectTarget(connection)
