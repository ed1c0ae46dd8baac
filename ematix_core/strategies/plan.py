"""A plan: the steps of one load, in order, with the reason for each. Pure data; the engine carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ematix_core.model.mode import Mode
    from ematix_core.model.table import Column, TableName

STAGING = "_ematix_staging"
"""Name of the staging table; it lives in the session, so it needs no unique name."""

LOAD_TIME, TTL_LIMIT, SINCE = "load_time", "ttl_limit", "since"
"""Parameters that the engine binds: the time of the load, that time less the ttl, the last watermark."""
PART_BEGIN, PART_END = "part_begin", "part_end"
"""Parameters of a step that takes the rows of a work table part by part: numbers of rows, the second one excluded."""


class Count(StrEnum):
    """What the number of rows that a step touched means."""

    INSERTED = "inserted"
    UPDATED = "updated"
    DELETED = "deleted"
    CLOSED = "closed"
    STAGED = "staged"  # rows that take part
    APPLIED = "applied"  # of those, the ones that made a difference; without it: inserted and updated


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. `name` is short (`create table`); `why` says why it is there, for `flow plan`.

    `counts`: what the number of rows that it touched is added to. `parts_of`: the work table whose rows it takes part
    by part; it is carried out for each part, with PART_BEGIN and PART_END.
    """

    name: str
    why: str
    counts: Count | None = None
    parts_of: TableName | None = None


@dataclass(frozen=True, kw_only=True)
class Execute(Step):
    """Run one statement. `parameters` names the values that the engine binds."""

    sql: str
    parameters: tuple[str, ...] = ()
    applies: bool = False
    """Each row that it touched is the work of one staged row, which so made a difference."""


@dataclass(frozen=True, kw_only=True)
class Insert(Step):
    """Add the result of `query` to `table`, by position: INSERT..SELECT, or new files from it."""

    table: TableName
    columns: tuple[str, ...]
    query: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fill(Step):
    """Bring the source's rows into `table` (the staging table, or the target itself), by the fastest way there is.

    `columns` are the rows' columns in order; `create` says that the table is to be made from them first, and `keys`
    that it will be searched by them.
    """

    table: TableName
    columns: tuple[Column, ...]
    create: bool = False
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Make(Step):
    """Make `table` of what `query` says of the source's rows, which it reads as `SOURCE`: CREATE TABLE AS.

    Where the target's session reads the source by itself. `columns` are the rows' columns in order; `temporary` says
    that the table lives in the session.
    """

    table: TableName
    columns: tuple[Column, ...]
    query: str
    parameters: tuple[str, ...] = ()
    temporary: bool = False


@dataclass(frozen=True, kw_only=True)
class Require(Step):
    """`query` must return no rows; otherwise the load fails with `problem`, and the rows are shown as samples."""

    query: str
    problem: Literal["null_key", "duplicate_key", "target_duplicate_key", "empty_source", "null_event_time"]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unique(Require):
    """`sql` makes a unique index, which later steps use too; when it cannot be made, `query` finds the samples.

    `repeats`: makes an index in its place when there are none, as rows that are equal may repeat.
    """

    sql: str
    repeats: str = ""


@dataclass(frozen=True, kw_only=True)
class Tally(Step):
    """`query` gives one number, which is the count."""

    query: str


@dataclass(frozen=True, kw_only=True)
class Clear(Step):
    """Remove all rows of `table`: the first half of a replacement. Files: nothing of the old version is kept."""

    table: TableName


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a strategy plans from.

    `target`: the table as the system names it. `columns`: the columns to load, in the rows' order; for scd2 the last
    is the row hash. `keys`, `compare`: resolved, empty for append and truncate. `new`: the table is made by this
    load, so it is empty. `staged`: rows must pass through staging (data checks, a query that reads the target).
    `unique_keys`: the system keeps the target's keys unique by itself. `since`: the watermark column, when an earlier
    load left a mark, so that rows at the mark may be in the target already. `sets_aside`: checks may take rows out of
    staging; their keys still count as present. `hashed`: the row hash as SQL over a staged row `s`, where the system
    makes it itself of the versions that it opens; it then does not arrive with the rows. `made`: all columns of the
    new table, when it is made of the rows at once. `inside`: the system makes tables of rows that its session reads.
    `passing`: columns that arrive and are not stored, by name.
    """

    target: TableName
    columns: tuple[Column, ...]
    mode: Mode
    keys: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    new: bool = False
    staged: bool = False
    unique_keys: bool = False
    since: str = ""
    sets_aside: bool = False
    hashed: str = ""
    made: tuple[Column, ...] = ()
    inside: bool = False
    passing: frozenset[str] = frozenset()

    @property
    def arriving(self) -> tuple[Column, ...]:
        """The columns that the rows arrive with."""
        return self.columns[:-1] if self.hashed else self.columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that are stored, in order."""
        return tuple(column.name for column in self.columns if column.name not in self.passing)


@dataclass(frozen=True)
class Plan:
    """The steps of one load of one target."""

    target: str
    mode: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    """Every inferred choice with its reason, one line each."""
    warnings: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    """Those of the table that the load writes, with the types that they have there."""

    def hash(self) -> str:
        """Return a short hash of the statements: equal plans have equal hashes."""
        return sha256(repr((self.target, self.mode, self.steps)).encode()).hexdigest()[:12]
