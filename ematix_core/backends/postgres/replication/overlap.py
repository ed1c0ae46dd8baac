"""Which changes the snapshot has already.

A snapshot is read in a transaction of its own, later than where the slot's log begins, so the log has changes that it
shows. They are those of the transactions that it sees, by their numbers. The place in the log alone would not tell:
a commit is written there before others see it. https://www.postgresql.org/docs/current/functions-info.html
(pg_current_snapshot)

A snapshot that was interrupted goes on in a later state with the rows behind the last key. Then the row's key decides
in which state it was read; the server compares keys, as it has put them in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.postgres.replication.place import Part

_EPOCH = 1 << 32


def sees(seen: str, xids: Any) -> Any:  # noqa: ANN401 - numpy arrays
    """Say of each transaction, by its number in the log, whether a snapshot `xmin:xmax:in progress` has it.

    Numbers in the log are the last 32 bits of those in the snapshot.
    """
    _, most, running = seen.split(":")
    end = int(most)
    whole = (end & -_EPOCH) | xids
    whole = whole + _EPOCH * ((end - whole) > _EPOCH // 2) - _EPOCH * ((whole - end) > _EPOCH // 2)
    open_then = np.array([int(number) for number in running.split(",") if number], np.int64)
    return (whole < end) & ~np.isin(whole, open_then)


def fresh(parts: Sequence[Part], lsn: Any, xids: Any, part_of: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - numpy arrays
    """Say of each row whether the snapshot has not its change yet.

    `part_of`: tells of some rows, by their numbers, in which part their keys were read.
    """
    keep = np.ones(len(xids), bool)
    close = np.flatnonzero(lsn <= max((part.lsn for part in parts), default=0))
    if not len(close):
        return keep
    seen = np.stack([sees(part.seen, xids[close]) & (lsn[close] <= part.lsn) for part in parts])
    keep[close[seen.all(axis=0)]] = False
    unclear = seen.any(axis=0) & ~seen.all(axis=0)
    if unclear.any():
        rows = close[unclear]
        keep[rows] = ~seen[:, unclear][part_of(rows), np.arange(len(rows))]
    return keep


def parts_of_keys(link: Link, parts: Sequence[Part], types: Mapping[str, str], keys: Sequence[list[str | None]]) -> Any:  # noqa: ANN401 - a numpy array
    """Let the server say in which part each key was read; `keys`: the texts of each key column."""
    row = ", ".join(f"r.k{i}::{kind}" for i, kind in enumerate(types.values()))
    bounds, values = [], list[Any](keys)
    for number, part in enumerate(parts[:-1]):
        bound = []
        for text, kind in zip(part.key or (), types.values(), strict=True):
            values.append(text)
            bound.append(f"${len(values)}::text::{kind}")
        bounds.append(f"WHEN ({row}) <= ({', '.join(bound)}) THEN {number}")
    given = ", ".join(f"${i + 1}::text[]" for i in range(len(keys)))
    names = ", ".join(f"k{i}" for i in range(len(keys)))
    found = link.rows(
        f"SELECT CASE {' '.join(bounds)} ELSE {len(parts) - 1} END"  # noqa: S608 - types' names from the catalog
        f" FROM unnest({given}) WITH ORDINALITY AS r({names}, number) ORDER BY r.number",
        *values,
    )
    return np.array([one[0] for one in found], np.int64)
