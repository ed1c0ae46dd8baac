"""Memory for the keys of a DuckDB database: an index has to fit in, and how much it takes shows only as it grows.

Figures: docs/decisions/memory-limit.md.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ematix_core.backends.duck.memory import WORKING, raise_limit

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_KEPT = """
SELECT (SELECT count(*) FROM duckdb_constraints() WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE'))
     + (SELECT count(*) FROM duckdb_indexes())
"""
_INDEXES = "SELECT coalesce(sum(memory_usage_bytes), 0) FROM duckdb_memory() WHERE tag = 'ART_INDEX'"
_LOOK_SECONDS = 0.02
_AHEAD = 192
"""MB. An index comes from the file by 1.3 GB/s: what may come between two looks, also on a busy machine."""
_STEP = 64
"""MB by which the limit is raised at least, so that it is not set again at every look."""


class KeyRoom:
    """Keeps the memory limit ahead of the indexes, by looking at them from a thread while statements run.

    What a key takes depends on its values more than on its type: 8 to 60 bytes for a BIGINT.
    """

    def __init__(self, connection: DuckDBPyConnection, working: int = WORKING) -> None:
        """`working`: MB that statements take besides the keys."""
        self._connection = connection
        self._beside: DuckDBPyConnection | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._has = 0
        self._working = working

    def start(self, working: int) -> None:
        """Begin to look, if the database keeps any keys; `working`: MB that the next statement takes besides them."""
        self._working = max(self._working, working)
        if self._thread is not None:
            return
        ((kept,),) = self._connection.execute(_KEPT).fetchall()
        if not kept:
            return
        self._beside = self._connection.cursor()
        self._ahead(self._beside)
        self._thread = threading.Thread(target=self._look, args=[self._beside], name="ematix-keys", daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Make room for the commit, in which the keys of new rows are in memory twice: as new ones, and among all."""
        if self._beside is not None:
            self._end()
            self._ahead(self._beside, times=2)

    def stop(self) -> None:
        """End the looking."""
        self._end()
        if self._beside is not None:
            self._beside.close()
            self._beside = None

    def _end(self) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None
            self._over = threading.Event()

    def _look(self, beside: DuckDBPyConnection) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._ahead(beside)

    def _ahead(self, beside: DuckDBPyConnection, times: int = 1) -> None:
        ((found,),) = beside.execute(_INDEXES).fetchall()
        wanted = self._working + times * int(found) // 1_000_000 + _AHEAD
        if wanted > self._has:
            self._has = wanted + _STEP
            raise_limit(beside, self._has)
