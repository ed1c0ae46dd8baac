"""Writing: tables as folders of files below the connection."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.backends.objects.dialect import DIALECT
from ematix_core.backends.objects.settings import check_columns, settings_of
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ematix_core.backends.objects.session import ObjectSession
    from ematix_core.model.connection import Connection
    from ematix_core.model.table import Column


class ObjectTarget:
    """Writes tables below one connection; one writer a table at a time."""

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        self.settings = settings_of(connection)
        self.store = self.settings.folder()
        self._session: ObjectSession | None = None

    def check_columns(self, columns: Sequence[Column]) -> None:
        """Raise UnsupportedError naming the first column that files of the connection's format cannot hold."""
        check_columns(columns, self.settings.format, self.settings.partition_by)

    @contextmanager
    def session(self) -> Iterator[ObjectSession]:
        """Open a transaction: new files become visible together by one manifest, or are removed."""
        self._session = session = self._opened(read_only=False)
        failpoint("objects.begin.after")
        try:
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise
        finally:
            self._session = None
            session.close()

    @contextmanager
    def inspect(self) -> Iterator[ObjectSession]:
        """Open a session that locks, writes and creates nothing."""
        session = self._opened(read_only=True)
        try:
            yield session
        finally:
            session.close()

    def interrupt(self) -> None:
        """Stop the running statement or load."""
        session = self._session
        if session is not None:
            if session.feed is not None:
                session.feed.stopped = True
            session.duck.interrupt()

    def exclusive(self) -> Path | None:
        """Return None: a lock a table, held while it is written, keeps writers apart."""
        return None

    def close(self) -> None:
        """Do nothing: a session has released what it held."""

    def _opened(self, *, read_only: bool) -> ObjectSession:
        # Not at the top: it takes Arrow, which a job that only reads files into DuckDB does without.
        from ematix_core.backends.objects.session import ObjectSession

        return ObjectSession(self.store, self.settings, read_only=read_only)
