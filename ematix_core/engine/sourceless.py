"""The source of a job that reads nothing: its function makes the rows, and its target cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ematix_core.backends.tables import TableSource

if TYPE_CHECKING:
    from ematix_core.backends.protocols import LocalQuery, Query
    from ematix_core.errors import UnsupportedError
    from ematix_core.model.connection import Connection
    from ematix_core.sql.dialect import Dialect


class Sourceless(TableSource):
    """Raises what the target's system said when it was to be read, as soon as something is read."""

    def __init__(self, dialect: Dialect, refusal: UnsupportedError) -> None:
        self.dialect = dialect
        self._refusal = refusal

    def schema(self, query: Query) -> NoReturn:
        """Raise the refusal."""
        del query
        raise self._refusal

    def read(self, query: Query) -> NoReturn:
        """Raise the refusal."""
        del query
        raise self._refusal

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return None."""
        del query, target
        return None

    def check(self) -> NoReturn:
        """Raise the refusal."""
        raise self._refusal

    def close(self) -> None:
        """Release nothing."""
