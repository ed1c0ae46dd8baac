"""What the load modes mean, in plain Python: written from the documentation, without a look at the SQL.

A table is a list of rows, a row a dict. Each function takes the table before a load and the rows of the load, and
returns the table after it with the counts of the load. It raises Refused where the documentation promises an error.
Versions of scd2 are rows, too, with `valid_from`, `valid_to`, `is_current` and, with a ttl, `last_seen`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

Row = dict[str, Any]
Table = list[Row]


class Refused(Exception):  # noqa: N818 - the word of the documentation: such a load is refused, not broken
    """The load must fail and change nothing; the argument is the problem, as in a plan's Require step."""


@dataclass(frozen=True)
class Counts:
    """The counts of one load, as a RunResult has them."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    closed: int = 0


@dataclass(frozen=True, kw_only=True)
class History:
    """The options of scd2. `event_time` empty: versions are dated by the load; `deleted_by` empty: no row is gone."""

    keys: tuple[str, ...]
    compare: tuple[str, ...]
    event_time: str = ""
    order_by: str = ""
    close_missing: bool = False
    deleted_by: str = ""
    allow_empty: bool = False
    ttl: timedelta | None = None


def append(table: Table, rows: Sequence[Row]) -> tuple[Table, Counts]:
    """Add every row."""
    return [*table, *rows], Counts(inserted=len(rows))


def append_since(table: Table, rows: Sequence[Row], *, mark: Any, watermark: str) -> tuple[Table, Counts]:  # noqa: ANN401 - any value that a watermark column holds
    """Add the rows at or above `mark` that are not in yet; equal rows which came twice stay twice."""
    there = Counter(_frozen(row) for row in table if row[watermark] is not None and row[watermark] >= mark)
    fresh = []
    brought = [row for row in rows if row[watermark] is not None and row[watermark] >= mark]
    for row in brought:
        if there[_frozen(row)] > 0:
            there[_frozen(row)] -= 1
        else:
            fresh.append(row)
    return [*table, *fresh], Counts(inserted=len(fresh), unchanged=len(brought) - len(fresh))


def truncate(table: Table, rows: Sequence[Row]) -> tuple[Table, Counts]:
    """Replace all rows."""
    return list(rows), Counts(inserted=len(rows), deleted=len(table))


def merge(
    table: Table, rows: Sequence[Row], *, keys: Sequence[str], compare: Sequence[str], order_by: str = "",
    delete_missing: bool = False, allow_empty: bool = False, deleted_by: str = "",
) -> tuple[Table, Counts]:  # fmt: skip
    """Insert or update by key, or delete; a row counts as updated only when a compared column really differs."""
    staged = one_a_key(rows, keys, order_by)
    if delete_missing and not staged and not allow_empty:
        raise Refused("empty_source")
    new, inserted, updated, removed = {_key(row, keys): row for row in table}, 0, 0, 0
    for key, row in staged.items():
        old = new.get(key)
        if old is not None and _older(row, old, order_by):
            continue
        if deleted_by and row[deleted_by]:
            removed += new.pop(key, None) is not None
        elif old is None:
            inserted += 1
            new[key] = _without(row, deleted_by)
        elif any(old[column] != row[column] for column in compare):
            updated += 1
            new[key] = _without(row, deleted_by)
    gone = [key for key in new if key not in staged] if delete_missing else []
    for key in gone:
        del new[key]
    unchanged = len(staged) - inserted - updated - removed
    return list(new.values()), Counts(inserted, updated, unchanged, len(gone) + removed)


def _older(row: Row, old: Row, order_by: str) -> bool:
    """Say whether the row is older than the table's; NULL is older than everything but NULL."""
    if not order_by or old[order_by] is None:
        return False
    return row[order_by] is None or bool(row[order_by] < old[order_by])


def _without(row: Row, column: str) -> Row:
    return {name: value for name, value in row.items() if name != column}


def one_a_key(rows: Sequence[Row], keys: Sequence[str], order_by: str) -> dict[Any, Row]:
    """Return the row of each key that takes part: the only one, or the latest by `order_by`."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        if any(row[key] is None for key in keys):
            raise Refused("null_key")
        groups.setdefault(_key(row, keys), []).append(row)
    chosen = {}
    for key, group in groups.items():
        candidates = group
        if order_by:
            known = [row[order_by] for row in group if row[order_by] is not None]
            highest = max(known) if known else None
            candidates = []
            for row in group:  # of equal rows one is enough to know them all
                if row[order_by] == highest and row not in candidates:
                    candidates.append(row)
        if len(candidates) > 1:
            raise Refused("duplicate_key")
        chosen[key] = candidates[0]
    return chosen


def scd2(table: Table, rows: Sequence[Row], at: datetime, options: History) -> tuple[Table, Counts]:
    """Keep history. `at` is the time of the load."""
    versions = [dict(version) for version in table]
    if options.event_time:
        counts = _by_event_time(versions, rows, at, options)
    else:
        counts = _by_load_time(versions, rows, at, options)
    return versions, counts


def _by_load_time(versions: Table, rows: Sequence[Row], at: datetime, options: History) -> Counts:
    staged = one_a_key(rows, options.keys, options.order_by)
    if options.close_missing and not staged and not options.allow_empty:
        raise Refused("empty_source")
    opened = closed = ended = 0
    for key, row in staged.items():
        current = _current(versions, key, options.keys)
        if current is not None and _older(row, current, options.order_by):
            continue
        if options.deleted_by and row[options.deleted_by]:
            if current is not None:
                _close(current, at)
                ended += 1
            continue
        if current is not None and any(current[c] != row[c] for c in options.compare):
            _close(current, at)
            closed += 1
        if current is None or not current["is_current"]:
            versions.append(_open(_without(row, options.deleted_by), at, at, options))
            opened += 1
    closed += _close_missing_and_old(versions, set(staged), at, options)
    return Counts(inserted=opened, unchanged=len(staged) - opened - ended, closed=closed + ended)


def _by_event_time(versions: Table, rows: Sequence[Row], at: datetime, options: History) -> Counts:
    events = _distinct_events(rows, options)
    if options.close_missing and not events and not options.allow_empty:
        raise Refused("empty_source")
    before = len(versions)
    inserted = updated = deleted = closed = 0
    applied: set[Any] = set()
    staged: dict[Any, Table] = {}
    for row in events:
        staged.setdefault(_key(row, options.keys), []).append(row)
    for key, news in staged.items():
        if not any(_changes_something(versions, row, options) for row in news):
            continue
        first = min(row[options.event_time] for row in news)
        stored = [v for v in versions if _key(v, options.keys) == key and _lasted(v) and _reaches(v, first)]
        wanted, fresh = timeline(stored, news, options)
        applied |= {(key, time) for time in fresh}
        applied |= {(key, row[options.event_time]) for row in news if _ends(row, stored, wanted, options)}
        written = _write(versions, stored, wanted, at, options)
        inserted, updated = inserted + written.inserted, updated + written.updated
        deleted, closed = deleted + written.deleted, closed + written.closed
    assert len(versions) == before + inserted - deleted
    if options.close_missing or options.ttl:
        for key, news in staged.items():
            if _current(versions, key, options.keys) is None:
                latest = max(news, key=lambda row: row[options.event_time])
                ends = [v["valid_to"] for v in versions if _key(v, options.keys) == key]
                versions.append(_open(latest, max([at, *ends]), at, options))  # after a version dated in the future
                inserted += 1
                applied.add((key, latest[options.event_time]))
    closed += _close_missing_and_old(versions, set(staged), at, options)
    return Counts(inserted, updated, len(rows) - len(applied), deleted, closed)


def _write(versions: Table, stored: Table, wanted: dict[datetime, Row], at: datetime, options: History) -> Counts:
    """Bring one key's versions to those that are wanted; what stays as it is counts as nothing."""
    inserted = updated = deleted = closed = 0
    for version in stored:
        new = wanted.pop(version["valid_from"], None)
        if new is None:
            versions.remove(version)
            deleted += 1
            continue
        closed += version["valid_to"] is None and new["valid_to"] is not None
        reopened_or_split = version["valid_to"] is not None and version["valid_to"] != new["valid_to"]
        updated += reopened_or_split or any(version[c] != new[c] for c in options.compare)
        version.update(new)
    for since, new in wanted.items():
        key = _key(new, options.keys)
        never = [v for v in versions if _key(v, options.keys) == key and v["valid_from"] == since]
        if never:  # closed before it began: the new version takes its place
            never[0].update(new)
            updated += 1
        else:
            versions.append(new | ({"last_seen": at} if options.ttl else {}))
            inserted += 1
    return Counts(inserted, updated, deleted=deleted, closed=closed)


def timeline(stored: Table, news: Sequence[Row], options: History) -> tuple[dict[datetime, Row], set[datetime]]:
    """Return one key's versions by their begin: stored ones, their ends and the new rows, in the order of their time.

    The set are the begins of those that a new row begins.
    """
    fresh: set[datetime] = set()
    at: dict[datetime, Row | None] = {}  # None: closed from here on
    for version in stored:
        if version["valid_to"] is not None:
            at.setdefault(version["valid_to"], None)
    for version in stored:
        at[version["valid_from"]] = {k: v for k, v in version.items() if k != "last_seen"}
    for row in news:
        time = row[options.event_time]
        there = at.get(time)
        if options.deleted_by and row[options.deleted_by]:
            at[time] = None
        elif there is None or any(there[column] != row[column] for column in options.compare):
            at[time] = _without(row, options.deleted_by)
            fresh.add(time)
    telling: list[tuple[datetime, Row | None]] = []
    for time, event in sorted(at.items(), key=lambda item: item[0]):
        last = telling[-1][1] if telling else None
        if event is not None and last is not None and all(event[c] == last[c] for c in options.compare):
            continue
        telling.append((time, event))
    ends: list[datetime | None] = [*[time for time, _ in telling[1:]], None]
    versions = {
        time: event | {"valid_from": time, "valid_to": end, "is_current": end is None}
        for (time, event), end in zip(telling, ends, strict=True)
        if event is not None
    }
    return versions, fresh & set(versions)


def _ends(row: Row, stored: Table, wanted: dict[datetime, Row], options: History) -> bool:
    """Say whether a row that is gone takes the place of a version, or ends one that had not ended then before."""
    time = row[options.event_time]
    if not (options.deleted_by and row[options.deleted_by]):
        return False
    if any(version["valid_from"] == time for version in stored):
        return True
    ended = any(version["valid_to"] == time for version in wanted.values())
    return ended and not any(version["valid_to"] == time for version in stored)


def _distinct_events(rows: Sequence[Row], options: History) -> Table:
    distinct: Table = []
    for row in rows:
        if any(row[key] is None for key in options.keys):
            raise Refused("null_key")
        if row not in distinct:
            distinct.append(row)
    if any(row[options.event_time] is None for row in distinct):
        raise Refused("null_event_time")
    instants = Counter((_key(row, options.keys), row[options.event_time]) for row in distinct)
    if any(times > 1 for times in instants.values()):
        raise Refused("duplicate_key")
    return distinct


def _changes_something(versions: Table, row: Row, options: History) -> bool:
    gone = bool(options.deleted_by and row[options.deleted_by])
    for version in versions:
        if _key(version, options.keys) != _key(row, options.keys):
            continue
        begun = version["valid_from"] <= row[options.event_time]
        if begun and (version["valid_to"] is None or row[options.event_time] < version["valid_to"]):
            return gone or any(version[column] != row[column] for column in options.compare)
    return not gone


def _close_missing_and_old(versions: Table, staged: set[Any], at: datetime, options: History) -> int:
    closed = 0
    for version in versions:
        if not version["is_current"]:
            continue
        here = _key(version, options.keys) in staged
        if options.ttl and here:
            version["last_seen"] = at
        if (options.close_missing and not here) or (options.ttl and version["last_seen"] < at - options.ttl):
            _close(version, at)
            closed += 1
    return closed


def _open(row: Row, since: datetime, at: datetime, options: History) -> Row:
    seen = {"last_seen": at} if options.ttl else {}
    return row | {"valid_from": since, "valid_to": None, "is_current": True} | seen


def _close(version: Row, at: datetime) -> None:
    """End a version now; one that is dated in the future was never in force and ends where it begins."""
    version["valid_to"] = max(at, version["valid_from"])
    version["is_current"] = False


def _lasted(version: Row) -> bool:
    return version["valid_to"] is None or bool(version["valid_from"] < version["valid_to"])


def _reaches(version: Row, time: datetime) -> bool:
    """Say whether the version ends at that time or later: what ended before stays as it is."""
    return version["valid_to"] is None or bool(version["valid_to"] >= time)


def _current(versions: Table, key: Any, keys: Sequence[str]) -> Row | None:  # noqa: ANN401 - a tuple of key values
    return next((v for v in versions if v["is_current"] and _key(v, keys) == key), None)


def _key(row: Row, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[key] for key in keys)


def _frozen(row: Row) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(row.items(), key=lambda item: item[0]))
