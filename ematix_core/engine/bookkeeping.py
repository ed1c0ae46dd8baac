"""What a load notes in its target, in the transaction of its rows, so that no crash loses or doubles any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ematix_core.backends.protocols import LoadRecord
from ematix_core.errors import RunError, TableMadeError, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ematix_core.backends.protocols import Session, SourceFile


class TableChangedError(RunError, Transient):
    """The table is not as the plan found it."""


class TableFoundError(TableChangedError, TableMadeError):
    """There is a table now, and the plan found none."""


class Bookkeeping(Protocol):
    """The beginning and the end of one load's transaction."""

    def begin(self, session: Session, where: str) -> LoadRecord | None:
        """Make sure that the load may be made. Return its record when it is committed already: then nothing is done.

        Called before the first step. Raises TableChangedError, ConflictError when another one was faster.
        """
        ...

    def record(self, session: Session, watermark: str | None, counts: Mapping[str, int]) -> None:
        """Note the load. Called once, after the last step."""
        ...


@dataclass(frozen=True)
class JobBookkeeping:
    """That of a job's load: it was planned from the record `last`, and is known by the id that its attempts share."""

    scope: str
    load_id: str
    load_time: datetime
    last: LoadRecord | None
    files: Sequence[SourceFile]

    def begin(self, session: Session, where: str) -> LoadRecord | None:
        """See Bookkeeping."""
        if (done := session.find_load(self.scope, self.load_id)) is not None:
            return done
        if session.last_load(self.scope) != self.last:
            raise TableChangedError(
                "another run of this job has loaded the table since this load was planned", where=where,
                hint="Run the job again; with retries= it does so by itself.",
            )  # fmt: skip
        return None

    def record(self, session: Session, watermark: str | None, counts: Mapping[str, int]) -> None:
        """See Bookkeeping."""
        session.record_load(LoadRecord(self.scope, self.load_id, self.load_time, watermark, counts), self.files)
