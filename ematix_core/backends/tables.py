"""What the sources and targets of databases answer alike: tables are no files, and the server lets many in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from ematix_core.backends.protocols import Query, SourceFile
    from ematix_core.errors import EmatixError
    from ematix_core.model.table import Column


class TableSource:
    """The part of a Source in which tables have nothing to say; a subclass overrides what its system does otherwise."""

    def explain(self, error: EmatixError) -> EmatixError:
        """Return the error: the statement says all."""
        return error

    def files(self, query: Query) -> Sequence[SourceFile] | None:
        """Return None: tables are no files."""
        del query
        return None

    def rejected(self) -> pa.Table | None:
        """Return None: a database has no malformed lines."""
        return None

    def exclusive(self) -> Path | None:
        """Return None: any number of processes may read."""
        return None


class Stoppable(Protocol):
    """A session that another thread can stop."""

    def stop(self) -> None:
        """Have what runs raise, and roll back."""
        ...


class TableTarget:
    """The part of a Target that most databases share. A subclass sets `_session` while one is open, and None after."""

    _session: Stoppable | None

    def check_columns(self, columns: Sequence[Column]) -> None:
        """Do nothing: the Dialect says all."""

    def interrupt(self) -> None:
        """Stop the running session."""
        if (session := self._session) is not None:
            session.stop()

    def exclusive(self) -> Path | None:
        """Return None: any number of processes may write."""
        return None

    def close(self) -> None:
        """Nothing is kept open between sessions."""
