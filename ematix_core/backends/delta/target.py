"""Writing: Delta tables below the connection."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.backends.delta.bookkeeping import Books
from ematix_core.backends.delta.dialect import DIALECT
from ematix_core.backends.delta.maintenance import check, maintain
from ematix_core.backends.delta.settings import check_columns, settings_of
from ematix_core.backends.delta.versions import Versions
from ematix_core.backends.tables import TableTarget
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ematix_core.backends.delta.session import DeltaSession
    from ematix_core.model.connection import Connection
    from ematix_core.model.maintenance import Maintenance
    from ematix_core.model.table import Column, TableName


class DeltaTarget(TableTarget):
    """Writes tables below one connection; any number of writers, of which the later gives way."""

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        self._settings = settings_of(connection)
        self._session: DeltaSession | None = None
        self._versions = Versions(self._settings.root)
        self._books = Books(self._settings.root)

    def check_columns(self, columns: Sequence[Column]) -> None:
        """Raise UnsupportedError for a column that Delta cannot hold, or by which a table cannot be partitioned."""
        check_columns(columns, self._settings.partition_by)

    @contextmanager
    def session(self) -> Iterator[DeltaSession]:
        """Open a transaction: what was changed of a table becomes visible by one commit, or is removed."""
        with self._opened(read_only=False) as session:
            failpoint("delta.begin.after")
            try:
                yield session
                session.commit()
            except BaseException:
                session.take_back()
                raise

    @contextmanager
    def inspect(self) -> Iterator[DeltaSession]:
        """Open a session that writes and creates nothing."""
        with self._opened(read_only=True) as session:
            yield session

    def check_maintenance(self, table: TableName, steps: Sequence[Maintenance]) -> None:
        """Raise UnsupportedError for a step that the table, such as it is, cannot be given."""
        check(self._settings, table, steps)

    def maintain(
        self, table: TableName, step: Maintenance, at: datetime, *, only_due: bool, dry_run: bool
    ) -> Mapping[str, int] | None:
        """Carry out a step by delta-rs; see `MaintainingTarget`."""
        return maintain(self._settings, table, step, at, only_due=only_due, dry_run=dry_run)

    def close(self) -> None:
        """Forget what was read of the tables."""
        self._versions.forget()

    @contextmanager
    def _opened(self, *, read_only: bool) -> Iterator[DeltaSession]:
        # Not at the top: it takes Arrow, which reading a plan does without.
        from ematix_core.backends.delta.session import DeltaSession

        self._session = session = DeltaSession(self._settings, self._versions, self._books, read_only=read_only)
        try:
            yield session
        finally:
            self._session = None
            session.release()
            session.connection.close()
