"""The tables that one session knows: each is opened when it is first asked for, and shown when a statement reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.delta.changes import TableChanges
from ematix_core.backends.delta.log import require_path
from ematix_core.backends.delta.names import table_path
from ematix_core.backends.delta.settings import require_partition
from ematix_core.backends.duck.groups import largest_group
from ematix_core.backends.duck.temporary import is_temporary
from ematix_core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.backends.delta.settings import Settings
    from ematix_core.backends.delta.versions import Versions
    from ematix_core.model.table import TableName

_OWN = "_ematix_"
"""How the names of views and temporary tables begin that are made for a load: no Delta table is looked for."""


class Tables:
    """The tables of a session, in the order in which it came to know them."""

    def __init__(
        self, duck: DuckDBPyConnection, settings: Settings, versions: Versions, reserve: Callable[[int], None]
    ) -> None:
        """`reserve` makes room in memory for the Parquet row groups of a table that is to be read."""
        self._duck = duck
        self._settings = settings
        self._versions = versions
        self._reserve = reserve
        self._known: dict[str, TableChanges] = {}

    def __iter__(self) -> Iterator[TableChanges]:
        return iter(list(self._known.values()))

    def of(self, table: TableName) -> TableChanges:
        """Return what was changed of a table, which need not exist."""
        path = table_path(table)
        if path not in self._known:
            self._begin(path, table, self._versions.newest(path))
        return self._known[path].named(table)

    def look(self, names: Sequence[TableName]) -> None:
        """Have DuckDB know the tables that a statement names, and note that they were read."""
        unknown = not names
        for table in names:
            if not table.name or table.name.startswith(_OWN) or is_temporary(self._duck, table):
                continue
            changes = self._found(table)
            if changes is None:
                unknown = True
                continue
            changes.looked_at = changes.looked_at or changes.base is not None
            self.show(changes)
        for changes in self if unknown else ():  # it may mean one of them, in other letters; DuckDB will say
            self.show(changes)

    def show(self, changes: TableChanges) -> None:
        """Have DuckDB know a table, from now on with all that changes."""
        if changes.exists and not changes.shown:
            if changes.base is not None:
                changes.base.note_files()
                self._reserve(largest_group(self._duck, changes.base.sizes()))
            changes.show()

    def release(self) -> None:
        """Leave what was read to the next session."""
        for path, changes in self._known.items():
            if changes.base is not None:
                self._versions.keep(path, changes.base)

    def _found(self, table: TableName) -> TableChanges | None:
        """Return a table that a statement names, None for a name that is no Delta table, such as the path of a file."""
        try:
            path = table_path(table)
        except SourceError:
            return None
        if path not in self._known and (base := self._versions.newest(path)) is not None:
            self._begin(path, table, base)
        return self._known[path].named(table) if path in self._known else None

    def _begin(self, path: str, table: TableName, base: Snapshot | None) -> None:
        place = self._settings.root.at(path)
        require_path(place)
        if base is not None:
            base.require_writable()
            for column in base.columns:
                if column.name in base.partition_by:
                    require_partition(column, place.shown)
        number, partition_by = len(self._known) + 1, self._settings.partition_by
        self._known[path] = TableChanges(self._duck, table, place, base, number, partition_by)
