"""A plan: the steps of one load, in order, with the reason for each. Pure data; the engine carries it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.mode import Mode
    from ematix_core.model.table import Column, TableName

STAGING = "_ematix_staging"
"""Name of the staging table; it lives in the session, so it needs no unique name."""


class Count(StrEnum):
    """What the number of rows that a step touched means."""

    INSERTED = "inserted"
    UPDATED = "updated"
    DELETED = "deleted"
    CLOSED = "closed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. `name` is short (`create table`); `why` says why it is there, for `flow plan`."""

    name: str
    why: str
    counts: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Execute(Step):
    """Run one statement. `parameters` names the values that the engine binds: `load_time`."""

    sql: str
    parameters: tuple[str, ...] = ()


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

    `columns` are the rows' columns in order; `create` says that the table is to be made from them first.
    """

    table: TableName
    columns: tuple[Column, ...]
    create: bool = False


@dataclass(frozen=True, kw_only=True)
class Require(Step):
    """`query` must return no rows; otherwise the load fails with `problem`, and the rows are shown as samples."""

    query: str
    problem: Literal["null_key", "duplicate_key", "target_duplicate_key", "empty_source"]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Clear(Step):
    """Remove all rows of `table`: the first half of a replacement. Files: nothing of the old version is kept."""

    table: TableName


@dataclass(frozen=True)
class Change:
    """What a strategy plans from.

    `columns`: the rows' columns, in order, after normalizers. `existing`: the target's columns, None when missing.
    `keys`: the merge keys, empty for append and truncate. `staged`: force staging (checks, watermark ties).
    `key_index`: the target is known to hold at most one row a key (a declared unique key, or a new table).
    """

    target: TableName
    columns: tuple[Column, ...]
    mode: Mode
    existing: tuple[Column, ...] | None = None
    keys: tuple[str, ...] = ()
    staged: bool = False
    unique_keys: bool = False
    ties: str = ""
    """Query over staging that gives the rows not yet in the target; empty: all of them."""


@dataclass(frozen=True)
class Plan:
    """The steps of one load of one target."""

    target: str
    mode: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    """Every inferred choice with its reason, one line each."""
    details: Mapping[str, str] = field(default_factory=dict)

    def hash(self) -> str:
        """Return a short hash of the statements: equal plans have equal hashes."""
        return sha256(repr((self.target, self.mode, self.steps)).encode()).hexdigest()[:12]
