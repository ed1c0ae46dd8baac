"""The log of a Delta table as a `TableLog`: what each version added, and the rows of its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.commits import Actions, commits, path_of, read_commit
from ematix_core.backends.delta.log import DataFile, entry_path, opened
from ematix_core.backends.delta.names import find
from ematix_core.backends.delta.scan import Layout, Piece, scan
from ematix_core.backends.delta.settings import settings_of
from ematix_core.backends.duck.arrow import plain_batches, plain_schema
from ematix_core.backends.duck.connection import BATCH_ROWS, open_duck, relation, translated
from ematix_core.backends.duck.groups import largest_group
from ematix_core.backends.duck.memory import make_room, room_to_read
from ematix_core.backends.version_tail import AddedFile, Commit
from ematix_core.errors import MissingSourceError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.model.connection import Connection

_SNAPSHOT = "snapshot"
"""The token of a beginning: the next version is to be read whole, not only what it added."""


class DeltaTableLog:
    """Implements `TableLog`. A token is the table's id, which a table that is made anew does not have.

    Rows come with the columns of the newest version: NULL in files that are older than a column.
    """

    def __init__(self, connection: Connection, table: str) -> None:
        self.shown = f"Delta table {table} of connection {connection.name}"
        self._settings = settings_of(connection)
        self._name = table
        self._opened: Snapshot | None = None
        self._ids: set[str] = set()
        self._duck: DuckDBPyConnection | None = None

    def after(self, version: int, token: str) -> Commit | None:
        if token == _SNAPSHOT:
            return self._whole(version + 1)
        self._require_same_table(version, token)
        actions = read_commit(self._table().place, version + 1)
        if actions is None:
            if version >= 0 and self._table().place.read(entry_path(version)) is not None:
                return None  # the log ends here; to list it takes the longer the more versions there are
            known = commits(self._table().place)
            self._require_reachable(version, known)
            if version + 1 not in known:
                return None
            actions = read_commit(self._table().place, version + 1)
            if actions is None:
                raise self._cleaned(version + 1, known)
        if actions.table_id:
            self._ids.add(actions.table_id)
        if actions.new_schema:
            self._opened = None
        return self._as_commit(actions, actions.table_id or token)

    def bounds(self) -> tuple[int, int]:
        known = self._known()
        return known[0], known[-1]

    def earliest(self) -> tuple[int, str]:
        self._forget()
        first = self._known()[0]
        if first == 0:
            return -1, self._id()
        return first - 1, _SNAPSHOT

    def latest(self) -> tuple[int, str]:
        self._forget()
        return self._table().version, self._id()

    def since(self, moment: datetime) -> tuple[int, str]:
        self._forget()
        known = self._known()
        for version in reversed(known):
            actions = read_commit(self._table().place, version)
            if actions is not None and actions.committed_at < moment:
                return version, self._id()
        if known[0] == 0:
            return -1, self._id()
        raise SourceError(
            f"the log no longer tells what was new at {moment}: it begins with version {known[0]}", where=self.shown,
            hint='Seek a later time, or "earliest" for the table as it was then and all that came later.',
        )  # fmt: skip

    def read(self, file: AddedFile) -> Iterator[pa.RecordBatch]:
        table = self._table()
        if not table.place.is_file(file.path):
            raise MissingSourceError(
                f"the file {file.path} of a version that is still to be read has been vacuumed", where=self.shown,
                hint='Keep files for longer than streams may stand still (vacuum\'s retention); now load what is '
                'missing by a job, then seek "latest".',
            )  # fmt: skip
        piece = Piece(0, DataFile(file.path, file.size, file.rows, file.partition))
        body = scan(Layout(table.place, table.columns, table.partition_by), [piece])
        duck = self._connection()
        if not self._settings.limited:
            group = largest_group(duck, [(table.place.location(file.path), file.size)])
            make_room(duck, len(table.columns), beside=room_to_read(duck, group))
        with translated(body):
            reader = relation(duck, body, {}).to_arrow_reader(BATCH_ROWS)
            try:
                yield from plain_batches(reader, plain_schema(reader.schema))
            finally:
                reader.close()

    def close(self) -> None:
        if self._duck is not None:
            self._duck.close()
            self._duck = None

    def _connection(self) -> DuckDBPyConnection:
        if self._duck is None:
            self._duck = open_duck(**self._settings.duckdb)
            self._settings.root.mount(self._duck)
        return self._duck

    def _table(self) -> Snapshot:
        """Return the newest version, as it was when the table was opened or last changed its columns."""
        if self._opened is None:
            found = find(self._settings.root, self._name)
            if "@" in self._name and found.at:
                raise SourceError(
                    f"{self._name!r} names one version, which has nothing new", where=self.shown,
                    hint="Name the table alone, and seek the version or time to begin with.",
                )  # fmt: skip
            self._opened = found
            self._ids.add(str(found.raw.metadata().id))
        return self._opened

    def _forget(self) -> None:
        """Forget what was known of the table: it may have been made anew."""
        self._opened = None
        self._ids.clear()

    def _id(self) -> str:
        return str(self._table().raw.metadata().id)

    def _known(self) -> list[int]:
        known = commits(self._table().place)
        if not known:
            raise MissingSourceError("the table's log has no commits", where=self.shown)
        return known

    def _require_same_table(self, version: int, token: str) -> None:
        """Raise SourceError when the token is of a table that was here before; a commit may set another id."""
        newest = self._id()
        if not token or token in self._ids:
            return
        for later in commits(self._table().place):
            actions = read_commit(self._table().place, later) if later > version else None
            if actions is not None and actions.table_id == newest:
                self._ids.add(token)
                return
        raise self._anew()

    def _require_reachable(self, version: int, known: list[int]) -> None:
        if not known or known[-1] < version:
            raise self._anew()
        if version + 1 < known[0]:
            raise self._cleaned(version + 1, known)

    def _anew(self) -> SourceError:
        return SourceError(
            "the table has been made anew: it is not the one that these positions are of", where=self.shown,
            hint='Seek "earliest" to read the new table from its beginning.',
        )  # fmt: skip

    def _cleaned(self, version: int, known: list[int]) -> SourceError:
        return SourceError(
            f"the log no longer tells what version {version} added: it begins with version {known[0]}",
            where=self.shown,
            hint="Keep it for longer than streams may stand still (delta.logRetentionDuration); now load what is "
            'missing by a job, then seek "latest"; or seek "earliest" for the table as it was when the log begins, and '
            "all that came later.",
        )

    def _whole(self, version: int) -> Commit:
        """Return all files of a version as if it had added them."""
        snapshot = opened(self._table().place, f"v{version}")
        files = [
            AddedFile(f.path, f.size, tuple(None if v is None else _text(v) for v in f.partition), f.rows)
            for f in sorted(snapshot.files(), key=lambda file: file.path)
        ]
        actions = read_commit(snapshot.place, version)
        if actions is None:
            raise self._cleaned(version, self._known())
        return Commit(version, actions.committed_at, str(snapshot.raw.metadata().id), tuple(files))

    def _as_commit(self, actions: Actions, token: str) -> Commit:
        partition_by = self._table().partition_by if actions.added else ()
        files = tuple(
            AddedFile(
                path_of(added, self.shown), added["size"],
                tuple((added.get("partitionValues") or {}).get(name) for name in partition_by), _rows(added),
            )
            for added in actions.added
        )  # fmt: skip
        return Commit(actions.version, actions.committed_at, token, files, actions.removed, actions.operation)


def _text(value: Any) -> str:  # noqa: ANN401 - a partition's value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rows(added: dict[str, Any]) -> int | None:
    try:
        return int(json.loads(added["stats"])["numRecords"])
    except (KeyError, TypeError, ValueError):  # statistics are optional
        return None
