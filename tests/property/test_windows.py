"""Windows equal a plain-Python model, with disorder, several partitions, idle ones, late rows, restarts anywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ematix_core.model.window import Window, hopping, session, tumbling
from ematix_core.streaming.windows.stage import WindowStage
from tests.property.replacing import replaced
from tests.property.soak import examples
from tests.property.window_model import Row, WindowModel

AGGREGATE = {
    "n": "count", "total": "sum(v)", "least": "min(v)", "mean": "avg(v)", "head": "first(v)", "tail": "last(v)",
    "kinds": "count(distinct v)", "middle": "median(v)",
}  # fmt: skip
SECOND = 1_000_000
BASE = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * SECOND
SCHEMA = pa.table({"k": ["a"], "v": [1], "t": [datetime(2026, 1, 1, tzinfo=UTC)], "_partition": ["0"]}).schema
_rows = st.lists(
    st.builds(
        lambda t, k, v, p: {"t": BASE + t * SECOND // 2, "k": k, "v": v, "p": p},
        st.integers(-40, 120), st.sampled_from(["a", "b"]), st.none() | st.integers(-9, 9), st.sampled_from(["0", "1"]),
    ),
    max_size=12,
)  # fmt: skip
# Batches, each with what the clock does before it, and whether the process is replaced after it.
_course = st.lists(st.tuples(_rows, st.sampled_from([0.0, 1.0, 40.0]), st.sampled_from(["", "log", "all"])), max_size=8)


def _row(seconds: float, partition: str) -> Row:
    return {"t": BASE + int(seconds * SECOND), "k": "a", "v": None, "p": partition}


_CUT_BY_AN_OLDER_ROW = [([_row(5.5, "0"), _row(10, "0"), _row(10, "1")], 0.0, ""), ([_row(2, "0")], 0.0, "log")]
"""The watermark stands at 10 when the last row comes, and the session that then begins at 2 is complete."""


def declared(kind: str, lateness: int, keep: int) -> tuple[Window, WindowModel]:
    common: dict[str, Any] = {"on": "t", "by": "k", "aggregate": AGGREGATE, "max_ahead": "36500 days"}
    if lateness:
        common["lateness"] = timedelta(seconds=lateness)
    model: dict[str, Any] = {"lateness": lateness * SECOND}
    if kind == "session":
        return session("5 seconds", **common), WindowModel("session", 5 * SECOND, **model)
    if kind == "longest":
        window = session("5 seconds", max_length="8 seconds", **common)
        return window, WindowModel("session", 5 * SECOND, longest=8 * SECOND, **model)
    if keep:
        common |= {"late": "reopen", "reopen_for": timedelta(seconds=keep)}
        model["keep"] = keep * SECOND
    if kind == "tumbling":
        return tumbling("10 seconds", **common), WindowModel("tumbling", 10 * SECOND, every=10 * SECOND, **model)
    return (
        hopping("10 seconds", every="4 seconds", **common),
        WindowModel("hopping", 10 * SECOND, every=4 * SECOND, **model),
    )


def table(rows: list[Row]) -> pa.Table:
    return pa.table(
        {"k": [r["k"] for r in rows], "v": [r["v"] for r in rows], "t": [r["t"] for r in rows],
         "_partition": [r["p"] for r in rows]},
        schema=SCHEMA,
    )  # fmt: skip


def plain(results: pa.Table | None) -> list[Row]:
    if results is None:
        return []
    for name in ("window_start", "window_end"):
        at = results.schema.names.index(name)
        results = results.set_column(at, name, results.column(name).cast(pa.int64()))
    return [
        {**row, "total": None if row["total"] is None else int(row["total"])}
        for row in results.select(["k", "window_start", "window_end", *AGGREGATE]).to_pylist()
    ]


def ordered(rows: list[Row]) -> list[str]:
    return sorted(str(sorted(row.items(), key=str)) for row in rows)


@pytest.mark.parametrize("kind", ["tumbling", "hopping", "session", "longest"])
@examples("windows", sample=25, full=1_500)
@given(course=_course, lateness=st.sampled_from([0, 6]), keep=st.sampled_from([0, 12]))
@example(course=_CUT_BY_AN_OLDER_ROW, lateness=0, keep=0)
def test_windows_equal_the_model(kind: str, course: list[Any], lateness: int, keep: int) -> None:
    window, model = declared(kind, lateness, keep)
    clock = [0.0]
    partitions = ["0", "1"]

    def stage() -> WindowStage:
        return WindowStage(window, lambda: datetime(2026, 1, 2, tzinfo=UTC), now=lambda: clock[0])

    at_work = stage()
    segments: list[bytes] = []
    try:
        for batch, passes, how_replaced in course:
            clock[0] += passes
            rows = table(batch)
            assert at_work.times.bad(rows) == {}
            taken = at_work.take(rows, at_work.times.newest(rows), partitions)
            results, late = model.take(batch, partitions, clock[0])
            assert ordered(plain(taken.results)) == ordered(results)
            assert (0 if taken.late is None else taken.late.num_rows) == len(late)
            assert at_work.watermark == model.watermark
            if how_replaced:
                at_work, segments = replaced(at_work, stage, segments, how_replaced)
                model.last = dict.fromkeys(model.newest, clock[0])
    finally:
        at_work.close()
