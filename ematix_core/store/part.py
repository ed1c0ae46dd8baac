"""What the parts of the store are made of: the database, the clock, and how transactions are done and done again."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError

from ematix_core.errors import AlreadyRunningError, StoreError, UnknownRunError
from ematix_core.failpoint import failpoint
from ematix_core.store import rows
from ematix_core.store.servers import is_deadlock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from ematix_core.store.database import Database
    from ematix_core.store.records import Run, WorkflowRun

_TURNS = 10
"""Each turn lost means that another process won meanwhile; nobody loses this often."""
_LISTED = 5

_Result = TypeVar("_Result")
_Record = TypeVar("_Record", bound="Run | WorkflowRun")


class LostTurnError(AlreadyRunningError):
    """Another process changed the record between our look at it and our update."""


def utc_now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


def new_id(now: datetime) -> str:
    """Return an id that sorts by time and that no other process comes up with: `20261123T225501-1a2b3c4d`."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class StorePart:
    """A part of the store; all parts of one store are one object. `mask` redacts every text before it is written."""

    def __init__(self, database: Database, mask: Callable[[str], str], now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._redact = mask
        self._now = now

    def _mask(self, text: str) -> str:
        return rows.storable(self._redact(text))

    def _write(
        self,
        point: str | None,
        work: Callable[[sa.Connection], _Result],
        *,
        otherwise: Callable[[sa.Connection], _Result] | None = None,
        quick: bool = False,
    ) -> _Result:
        """Do the work in a transaction, between the failpoints of `point`; again when the server undid it.

        `otherwise` is done instead of it when something was there already (IntegrityError) or another process was
        faster (LostTurnError), until that does not happen any more. `quick`: see Database.transaction.
        """
        if point:
            failpoint(f"{point}.before")
        with self._database.errors():
            result = self._in_turns(work, otherwise, quick=quick)
        if point:
            failpoint(f"{point}.after")
        return result

    def _in_turns(
        self,
        work: Callable[[sa.Connection], _Result],
        otherwise: Callable[[sa.Connection], _Result] | None,
        *,
        quick: bool,
    ) -> _Result:
        for turn in range(1, _TURNS + 1):
            undone = True
            try:
                with self._database.transaction(quick=quick) as connection:
                    result = work(connection)
                    undone = False  # from here on a lost connection leaves open whether it was
            except (DBAPIError, LostTurnError) as error:
                if turn == _TURNS or not _may_try_again(error, otherwise=otherwise is not None, undone=undone):
                    raise
                work = otherwise or work
            else:
                return result
        raise AssertionError  # the last turn returns or raises

    def _read(self, statement: sa.Executable, values: dict[str, Any] | None = None) -> Sequence[sa.Row[Any]]:
        return self._look(lambda connection: connection.execute(statement, values).all())

    def _look(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Return what the work reads, on a connection that is not for writing."""
        with self._database.errors():
            try:
                return self._look_once(work)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return self._look_once(work)

    def _look_once(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        with self._database.reader.connect() as connection:
            return work(connection)

    def _one(
        self, noun: str, column: sa.Column[Any], beginning: str, find: Callable[[sa.Select[Any]], list[_Record]]
    ) -> _Record:
        """Return the record whose id is this, or begins so. Raises UnknownRunError for none, StoreError for several."""
        statement = column.table.select()
        like = statement.where(column.startswith(beginning, autoescape=True)).order_by(column.desc()).limit(_LISTED)
        found = find(statement.where(column == beginning)) or find(like)
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnknownRunError(
                f"there is no {noun} {beginning!r}", where=self._database.where, hint="List them: flow runs"
            )
        ids = ", ".join(str(getattr(record, column.name)) for record in found)
        raise StoreError(f"several {noun}s begin with {beginning!r}: {ids}", hint="Give more of the id.")


def _may_try_again(error: DBAPIError | LostTurnError, *, otherwise: bool, undone: bool) -> bool:
    """Say whether another turn makes sense: something was there already, the server undid it, or a connection was dead.

    Servers and firewalls close connections that were idle. To ask before each transaction whether this one still lives
    would cost as much as a statement.
    """
    if isinstance(error, IntegrityError | LostTurnError):
        return otherwise
    return undone and (error.connection_invalidated or is_deadlock(error))
