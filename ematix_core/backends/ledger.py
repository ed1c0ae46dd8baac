"""The bookkeeping of loads inside a SQL target: two tables, written in the same transaction as the rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ematix_core.backends.protocols import LoadRecord, SourceFile
from ematix_core.failpoint import failpoint
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.backends.protocols import Session

    Rows = Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]

LOADS = TableName("", "_ematix_loads")
FILES = TableName("", "_ematix_files")

# Text and 64-bit integers are the same in every system; a time as fixed-width ISO text sorts like the time.
CREATE = (
    f"""CREATE TABLE IF NOT EXISTS {LOADS} (
    scope {{text}} NOT NULL, load_id {{text}} NOT NULL, loaded_at {{text}} NOT NULL, watermark {{text}},
    counts {{text}} NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS {FILES} (
    scope {{text}} NOT NULL, load_id {{text}} NOT NULL, path {{text}} NOT NULL, size BIGINT NOT NULL,
    modified BIGINT NOT NULL)""",
)
_COLUMNS = "scope, load_id, loaded_at, watermark, counts"
_FILES_A_STATEMENT = 500


class SqlLedger:
    """Reads and writes the bookkeeping through a session. Tables that are not there mean that there were no loads.

    Rows are inserted, unless a record `replaces` those of its scope; the last one has the latest `loaded_at`.
    """

    def __init__(self, session: Session, *, text: str = "VARCHAR", rows: Rows | None = None) -> None:
        """`rows` reads by itself what the session's `query` would return as Arrow, which takes long to import."""
        self.session = session
        self.text = text
        self._rows = rows or (lambda statement, parameters: session.query(statement, parameters).to_pylist())

    def last_load(self, scope: str) -> LoadRecord | None:
        """Return the latest load of the scope, or None."""
        return self._one("scope = :scope ORDER BY loaded_at DESC LIMIT 1", {"scope": scope})

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """Return the load with this id, or None."""
        return self._one("scope = :scope AND load_id = :load_id", {"scope": scope, "load_id": load_id})

    def loaded_files(self, scope: str) -> frozenset[SourceFile]:
        """Return the files that earlier loads of the scope have brought in."""
        if self.session.columns(FILES) is None:
            return frozenset()
        found = self._rows(f"SELECT path, size, modified FROM {FILES} WHERE scope = :scope", {"scope": scope})  # noqa: S608 - our own table name
        return frozenset(SourceFile(row["path"], row["size"], row["modified"]) for row in found)

    def create(self) -> None:
        """Make the two tables unless they are there."""
        for table, statement in zip((LOADS, FILES), CREATE, strict=True):
            if self.session.columns(table) is None:
                self.session.execute(statement.format(text=self.text), {})

    def record_load(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        """Insert the load and its files, making the tables the first time."""
        self.create()
        if record.replaces:
            self.session.execute(f"DELETE FROM {LOADS} WHERE scope = :scope", {"scope": record.scope})  # noqa: S608 - our own table name
        values = {
            "scope": record.scope,
            "load_id": record.load_id,
            "loaded_at": record.loaded_at.astimezone(UTC).isoformat(sep=" ", timespec="microseconds"),
            "watermark": record.watermark,
            "counts": json.dumps(dict(record.counts), sort_keys=True),
        }
        self.session.execute(
            f"INSERT INTO {LOADS} ({_COLUMNS}) VALUES (:scope, :load_id, :loaded_at, :watermark, :counts)",  # noqa: S608 - our own names
            values,
        )
        for start in range(0, len(files), _FILES_A_STATEMENT):
            self._insert_files(record, files[start : start + _FILES_A_STATEMENT])

    def _insert_files(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        values: dict[str, Any] = {"scope": record.scope, "load_id": record.load_id}
        rows = []
        for i, file in enumerate(files):
            rows.append(f"(:scope, :load_id, :path{i}, :size{i}, :modified{i})")
            values |= {f"path{i}": file.path, f"size{i}": file.size, f"modified{i}": file.modified}
        self.session.execute(
            f"INSERT INTO {FILES} (scope, load_id, path, size, modified) VALUES {', '.join(rows)}",  # noqa: S608 - our own names, bound values
            values,
        )

    def _one(self, where: str, parameters: dict[str, str]) -> LoadRecord | None:
        if self.session.columns(LOADS) is None:
            return None
        found = self._rows(f"SELECT {_COLUMNS} FROM {LOADS} WHERE {where}", parameters)  # noqa: S608 - our own names, bound values
        if not found:
            return None
        row = found[0]
        loaded_at = datetime.fromisoformat(row["loaded_at"])
        return LoadRecord(row["scope"], row["load_id"], loaded_at, row["watermark"], json.loads(row["counts"]))


class LedgerSession:
    """The bookkeeping of a Session, by its ledger. Failpoints: `<kind>.record.before`, `.after`."""

    kind: str
    _ledger: SqlLedger

    def last_load(self, scope: str) -> LoadRecord | None:
        """See SqlLedger."""
        return self._ledger.last_load(scope)

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """See SqlLedger."""
        return self._ledger.find_load(scope, load_id)

    def loaded_files(self, scope: str) -> frozenset[SourceFile]:
        """See SqlLedger."""
        return self._ledger.loaded_files(scope)

    def record_load(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        """See SqlLedger."""
        failpoint(f"{self.kind}.record.before")
        self._ledger.record_load(record, files)
        failpoint(f"{self.kind}.record.after")
