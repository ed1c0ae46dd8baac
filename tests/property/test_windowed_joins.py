"""Joins with a window behind them equal the models of both, one behind the other, with restarts anywhere."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.streaming.joins.windowed import WindowedJoinStage
from tests.property import test_joins as joins
from tests.property import test_windows as windows
from tests.property.join_model import JoinModel
from tests.property.replacing import replaced
from tests.property.soak import examples
from tests.property.window_model import WindowModel

if TYPE_CHECKING:
    from tests.property.window_model import Row

OF_ORDER = ("head", "tail")
"""Aggregates that go by the order of rows with one time, which that of a join's results is not."""
TIMES = {
    "left": lambda at, bt: bt if at is None else at,
    "right": lambda at, bt: at if bt is None else bt,
    "least": lambda at, bt: min(one for one in (at, bt) if one is not None),
}


@dataclass
class FollowingModel(WindowModel):
    """A window whose watermark follows `join`."""

    join: JoinModel | None = None

    def _advance(self, batch: list[Row], partitions: list[str], now: float) -> None:
        del batch, partitions, now
        join = self.join
        if join is None or join.watermark is None or not all(join.known):
            return
        # What may still come: a pair with a new row, or a row that is told alone when its time of finding is over.
        at = join.watermark - max(join.before, join.after) - self.lateness
        self.watermark = at if self.watermark is None else max(at, self.watermark)


def through_sql(results: pa.Table | None, time: str) -> pa.Table | None:
    """Return the results of the join as the SQL of a stream would make them."""
    if results is None:
        return None
    rows = shaped(results.to_pylist(), time)
    kinds = {"k": pa.string(), "v": pa.int64(), "t": pa.timestamp("us", "UTC")}
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})


def shaped(results: list[Row], time: str) -> list[Row]:
    """Return the same of rows; `v` is NULL for those that found nothing."""
    return [
        {"k": row["k"], "t": TIMES[time](row["at"], row["bt"]), "p": "",
         "v": None if row["a"] is None or row["b"] is None else 10 * row["a"] + row["b"]}
        for row in results
    ]  # fmt: skip


def plain(results: pa.Table | None) -> list[str]:
    """Return the results of the window in an order of their own."""
    if results is None:
        return []
    kept = []
    for row in results.to_pylist():
        bounds = {name: int(row[name].timestamp() * windows.SECOND) for name in ("window_start", "window_end")}
        kept.append({**row, **bounds, "total": None if row["total"] is None else int(row["total"])})
    return windows.ordered(kept)


_declared = st.tuples(
    st.sampled_from(["inner", "left", "right", "full"]), st.sampled_from([(5, 5), (0, 10), (8, 0)]),
    st.sampled_from([0, 6]),
)  # fmt: skip


@pytest.mark.parametrize("kind", ["tumbling", "hopping", "session", "longest"])
@examples("windowed joins", sample=20, full=2_000)
@given(course=joins.courses, declared=_declared, lateness=st.sampled_from([0, 6]), time=st.sampled_from(sorted(TIMES)))
def test_a_window_behind_a_join_equals_the_models(
    kind: str, course: list[Any], declared: tuple[str, tuple[int, int], int], lateness: int, time: str
) -> None:
    how, (before, after), waits = declared
    join = joins.declared(how, before, after, waits)
    model = JoinModel(how, before * joins.SECOND, after * joins.SECOND, waits * joins.SECOND)
    window, alone = windows.declared(kind, lateness, 0)
    window = replace(window, aggregate={name: text for name, text in window.aggregate.items() if name not in OF_ORDER})
    behind = FollowingModel(**{field.name: getattr(alone, field.name) for field in fields(alone)}, join=model)
    clock = [0.0]

    def stage() -> WindowedJoinStage:
        return WindowedJoinStage(join, window, lambda: datetime(2026, 1, 2, tzinfo=UTC), now=lambda: clock[0])

    at_work = stage()
    segments: list[bytes] = []
    try:
        for lefts, rights, passes, how_replaced in course:
            clock[0] += passes
            rows = joins.table(lefts, "a", "at"), joins.table(rights, "b", "bt")
            newest: dict[str, int] = {}
            for times, some in zip(at_work.times, rows, strict=True):
                newest |= {} if some is None else times.newest(some)
            empty = rows == (None, None)
            told = at_work.tick(joins.PARTITIONS) if empty else at_work.take(rows, newest, joins.PARTITIONS).results
            taken = at_work.aggregated(through_sql(told, time))
            results, _ = model.take((lefts, rights), joins.PARTITIONS, clock[0])
            wanted, late = behind.take(shaped(results, time), [], clock[0])
            assert plain(taken.results) == windows.ordered(
                [{name: value for name, value in row.items() if name not in OF_ORDER} for row in wanted]
            )
            assert (late, taken.late is None or taken.late.num_rows == 0) == ([], True)  # what may come is waited for
            assert at_work.window.watermark == behind.watermark
            if how_replaced:
                at_work, segments = replaced(at_work, stage, segments, how_replaced)
                model.last = dict.fromkeys(model.newest, clock[0])
    finally:
        at_work.close()
