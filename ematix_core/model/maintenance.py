"""Maintenance of a target's table: what is done to it after loads, once they are committed.

A step runs when it is due: `every=` a length of time, or a number of the table's versions. It is no part of the load:
when it fails, the load stands and the run has a warning.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from ematix_core.errors import DeclarationError
from ematix_core.model.duration import parse_duration
from ematix_core.model.options import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Maintenance:
    """A step of maintenance. `every`: how much time, or how many versions of the table, lie between two of them."""

    name: ClassVar[str] = ""
    every: int | timedelta = field(default=_DAY, kw_only=True)

    def due(self, *, at: datetime, last: datetime | None, versions: int) -> bool:
        """Say whether the step is due.

        `last` and `versions`: when it ran last, and the versions since; for a step that never ran, since the table was
        made. An unknown time counts as long ago.
        """
        if isinstance(self.every, timedelta):
            return last is None or at - last >= self.every
        return versions >= self.every

    def label(self) -> str:
        """Return the step as the user would write it, without `every`: `optimize(z_order=['day'])`."""
        given = [one for one in fields(self) if one.name != "every" and getattr(self, one.name) != one.default]
        return f"{self.name}({', '.join(f'{one.name}={_shown(getattr(self, one.name))}' for one in given)})"

    def schedule(self) -> str:
        """Return when it runs, in words: `after each load`, `every 10 versions`, `every 1 day`."""
        if isinstance(self.every, int):
            return "after each load" if self.every == 1 else f"every {self.every} versions"
        return f"every {_length(self.every)}"


@dataclass(frozen=True)
class Optimize(Maintenance):
    """Puts small files together; by `z_order`, all rows in an order that keeps near values in one file."""

    name: ClassVar[str] = "optimize"
    z_order: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vacuum(Maintenance):
    """Removes files that no version has had for the time `retain`; None: for as long as the table itself says."""

    name: ClassVar[str] = "vacuum"
    retain: timedelta | None = None
    unlisted: bool = True


@dataclass(frozen=True)
class Checkpoint(Maintenance):
    """Writes the table's state into one file, from which readers begin."""

    name: ClassVar[str] = "checkpoint"


@dataclass(frozen=True)
class CleanLog(Maintenance):
    """Removes entries of the log that are older than the table keeps them for."""

    name: ClassVar[str] = "clean_log"


def optimize(*, z_order: Sequence[str] | str = (), every: int | str | timedelta = _DAY) -> Optimize:
    """Maintenance: put small files together.

    `z_order`: columns by which all files are written anew, so that near values of them come to lie in one file.
    `every`: a length of time such as "1 day" (default), or a number of versions; 1 is after each load.
    """
    columns = tuple(listed(z_order))
    if not all(isinstance(column, str) and column for column in columns) or len(set(columns)) < len(columns):
        raise DeclarationError(
            f"optimize(z_order={z_order!r}) is no list of column names, each once",
            hint="Write z_order=['day', 'customer_id'].",
        )
    return Optimize(z_order=columns, every=_every(every, "optimize"))


def vacuum(
    *, retain: str | timedelta | None = None, unlisted: bool = True, every: int | str | timedelta = _DAY
) -> Vacuum:
    """Maintenance: remove files that are in no version that is younger than `retain`.

    `retain`: such as "7 days", in whole hours; default what the table says, which is a week unless set. Versions before
    cannot be read any more. `unlisted`: also files that no version ever had, which killed runs leave. `every`: as in
    `optimize`.
    """
    length = None if retain is None else parse_duration(retain, "vacuum(retain)")
    if length is not None and length % _HOUR:
        raise DeclarationError(f"vacuum(retain={retain!r}) is no number of whole hours")
    return Vacuum(retain=length, unlisted=unlisted, every=_every(every, "vacuum"))


def checkpoint(*, every: int | str | timedelta = 100) -> Checkpoint:
    """Maintenance: write the table's state into one file, so that readers need not read the log from its beginning.

    `every`: as in `optimize`; default 100 versions.
    """
    return Checkpoint(every=_every(every, "checkpoint"))


def clean_log(*, every: int | str | timedelta = _DAY) -> CleanLog:
    """Maintenance: remove entries of the log that a checkpoint made needless and that are older than the table says.

    The table's `delta.logRetentionDuration` says so: 30 days unless set. `every`: as in `optimize`.
    """
    return CleanLog(every=_every(every, "clean_log"))


def _every(value: int | str | timedelta, step: str) -> int | timedelta:
    if isinstance(value, bool):
        raise DeclarationError(f"{step}(every={value!r}) is no length of time and no number of versions")
    if isinstance(value, int):
        if value < 1:
            raise DeclarationError(f"{step}(every={value}): the number of versions must be at least 1")
        return value
    return parse_duration(value, f"{step}(every)")


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return repr(_length(value))
    return repr(list(value) if isinstance(value, tuple) else value)


def _length(length: timedelta) -> str:
    """Return a length of time in the largest unit that it is a whole number of, as `parse_duration` reads it."""
    for unit in ("day", "hour", "minute"):
        count, rest = divmod(length, timedelta(**{f"{unit}s": 1}))
        if count and not rest:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{length.total_seconds():g} seconds"
