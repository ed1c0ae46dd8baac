"""Joins equal a plain-Python model, with disorder, duplicates, idle partitions, late rows, restarts anywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core.streaming.joins.stage import JoinStage
from tests.property.join_model import JoinModel, Row
from tests.property.replacing import replaced
from tests.property.soak import examples

SECOND = 1_000_000
BASE = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * SECOND
PARTITIONS = ["orders/0", "orders/1", "payments/0"]
_key = st.none() | st.sampled_from(["a", "b"])


def _rows(*partitions: str) -> st.SearchStrategy[list[Row]]:
    return st.lists(
        st.builds(
            lambda t, k, v, p: {"t": BASE + t * SECOND // 2, "k": k, "v": v, "p": p},
            st.integers(-20, 80), _key, st.integers(0, 3), st.sampled_from(partitions),
        ),
        max_size=8,
    )  # fmt: skip


# Batches, each with what the clock does before it, and whether the process is replaced after it.
courses = st.lists(
    st.tuples(
        _rows("orders/0", "orders/1"), _rows("payments/0"), st.sampled_from([0.0, 1.0, 40.0]),
        st.sampled_from(["", "log", "all"]),
    ),
    max_size=8,
)  # fmt: skip


def declared(
    how: Any,  # noqa: ANN401 - one of the four words
    before: int,
    after: int,
    lateness: int,
) -> ematix.Join:
    sides = [
        ematix.side(name, source="events", source_query=name, on_time=time)
        for name, time in (("orders", "at"), ("payments", "bt"))
    ]
    return ematix.join(
        *sides, on="k", how=how, before=timedelta(seconds=before), after=timedelta(seconds=after),
        lateness=timedelta(seconds=lateness), max_ahead="36500 days",
    )  # fmt: skip


def table(rows: list[Row], value: str, time: str) -> pa.Table | None:
    if not rows:
        return None
    return pa.table(
        {"k": pa.array([row["k"] for row in rows]), value: [row["v"] for row in rows],
         time: pa.array([row["t"] for row in rows], pa.timestamp("us", "UTC")),
         "_partition": [row["p"] for row in rows]},
    )  # fmt: skip


def plain(results: pa.Table | None) -> list[str]:
    if results is None:
        return []
    assert results.schema.names == ["k", "a", "at", "b", "bt"]
    for name in ("at", "bt"):
        results = results.set_column(results.schema.names.index(name), name, results.column(name).cast(pa.int64()))
    return ordered(results.to_pylist())


def ordered(rows: list[Row]) -> list[str]:
    return sorted(str(list(row.values())) for row in rows)


@pytest.mark.parametrize("how", ["inner", "left", "right", "full"])
@examples("joins", sample=25, full=1_500)
@given(course=courses, bounds=st.sampled_from([(5, 5), (0, 10), (8, 0)]), lateness=st.sampled_from([0, 6]))
def test_joins_equal_the_model(how: str, course: list[Any], bounds: tuple[int, int], lateness: int) -> None:
    join = declared(how, *bounds, lateness)
    model = JoinModel(how, bounds[0] * SECOND, bounds[1] * SECOND, lateness * SECOND)
    clock = [0.0]

    def stage() -> JoinStage:
        return JoinStage(join, lambda: datetime(2026, 1, 2, tzinfo=UTC), now=lambda: clock[0])

    at_work = stage()
    segments: list[bytes] = []
    try:
        for lefts, rights, passes, how_replaced in course:
            clock[0] += passes
            rows = table(lefts, "a", "at"), table(rights, "b", "bt")
            newest: dict[str, int] = {}
            for times, some in zip(at_work.times, rows, strict=True):
                newest |= {} if some is None else times.newest(some)
            taken = at_work.take(rows, newest, PARTITIONS)
            results, late = model.take((lefts, rights), PARTITIONS, clock[0])
            assert plain(taken.results) == ordered(results)
            assert sum(some.num_rows for some in taken.late if some is not None) == late
            assert at_work.watermark == model.watermark
            if how_replaced:
                at_work, segments = replaced(at_work, stage, segments, how_replaced)
                model.last = dict.fromkeys(model.newest, clock[0])
    finally:
        at_work.close()
