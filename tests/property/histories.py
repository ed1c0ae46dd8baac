"""Random histories for the property tests: few keys, few values and few instants, so that rows collide a lot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

Row = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
_FIELDS: list[pa.Field[Any]] = [
    pa.field("k", pa.int64()),
    pa.field("a", pa.int64()),
    pa.field("b", pa.string()),
    pa.field("at", pa.timestamp("us", "UTC")),
]
SCHEMA = pa.schema(_FIELDS)
CHANGES = SCHEMA.append(pa.field("gone", pa.bool_()))
MOST_LOADS = 5

keys = st.integers(1, 4)
numbers = st.none() | st.integers(0, 2)
texts = st.sampled_from([None, "", "x", "X", "é"])
instants = st.integers(0, 9).map(lambda hours: START + timedelta(hours=hours))


def load_time(number: int) -> datetime:
    """Return the time of the n-th load. Some rows are dated before it, some after it, some at that very instant."""
    return START + timedelta(hours=2 * number)


def table(rows: Sequence[Row]) -> pa.Table:
    """Return the rows as Arrow."""
    changes = any("gone" in one for one in rows)
    return pa.Table.from_pylist(list(rows), schema=CHANGES if changes else SCHEMA)


def row(*, key: SearchStrategy[Any] = keys, at: SearchStrategy[Any] = instants) -> SearchStrategy[Row]:
    """Return a strategy for single rows."""
    return st.fixed_dictionaries({"k": key, "a": numbers, "b": texts, "at": at})


def any_rows() -> SearchStrategy[list[Row]]:
    """Rows in which everything may repeat and, now and then, a key or an instant is NULL."""
    rarely_null = st.one_of(*[keys] * 9, st.none())
    return st.lists(row(key=rarely_null, at=st.one_of(*[instants] * 9, st.none())), max_size=6)


def one_row_a_key() -> SearchStrategy[list[Row]]:
    """Rows with distinct keys: what a snapshot of a table looks like."""
    return st.lists(row(), max_size=4, unique_by=lambda r: r["k"])


def one_row_an_event() -> SearchStrategy[list[Row]]:
    """Rows with distinct (key, instant), in any order: what an event log looks like."""
    return st.lists(row(), max_size=7, unique_by=lambda r: (r["k"], r["at"]))


def changes(*, unique_by: tuple[str, ...]) -> SearchStrategy[list[Row]]:
    """Rows of which some say that their key is gone, one at most for each value of the columns."""
    flags = st.sampled_from([False, False, True, True, None])
    one = st.builds(lambda data, gone: data | {"gone": gone}, row(), flags)
    return st.lists(one, min_size=1, max_size=7, unique_by=lambda r: tuple(r[name] for name in unique_by))


def loads(rows: SearchStrategy[list[Row]]) -> SearchStrategy[list[list[Row]]]:
    """Histories: each load is new, or the very rows of an earlier load again, or those with new ones added."""

    @st.composite
    def history(draw: st.DrawFn) -> list[list[Row]]:
        made: list[list[Row]] = []
        for _ in range(draw(st.integers(1, MOST_LOADS))):
            again = draw(st.sampled_from(["new", "new", "new", "again"])) if made else "new"
            made.append(draw(st.sampled_from(made)) if again == "again" else draw(rows))
        return made

    return history()
