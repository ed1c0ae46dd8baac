"""Approximate aggregates are as near as they say, and the same however the rows are cut into micro-batches."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.model.window import tumbling
from ematix_core.streaming.windows.stage import WindowStage
from tests.property.soak import examples

AGGREGATE = {"d": "approx_count_distinct(v)", "low": "approx_quantile(v, 0.1)", "high": "approx_quantile(v, 0.95)"}
START, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def results(values: list[float | None], cuts: list[int]) -> list[dict[str, Any]]:
    """Return the results of two groups, of rows that are cut into micro-batches at these numbers."""
    window = tumbling("1 hour", on="t", by="k", aggregate=AGGREGATE)
    stage = WindowStage(window, lambda: NOW)
    rows = pa.table({
        "k": ["even" if number % 2 else "odd" for number in range(len(values))],
        "v": pa.array(values, pa.float64()), "t": pa.array([START] * len(values), pa.timestamp("us", "UTC")),
    })  # fmt: skip
    last = pa.table({
        "k": ["last"], "v": pa.array([1.0]), "t": pa.array([START + timedelta(hours=2)], pa.timestamp("us", "UTC")),
    })  # fmt: skip
    try:
        for first, behind in zip([0, *cuts], [*cuts, len(values)], strict=True):
            part = rows.slice(first, behind - first)
            stage.take(part, stage.times.newest(part), [""])
        found = stage.take(last, stage.times.newest(last), [""]).results
    finally:
        stage.close()
    return [] if found is None else found.sort_by("k").to_pylist()


@examples("sketches", sample=15, full=500)
@given(
    values=st.lists(st.none() | st.sampled_from([0.0, -3.5, 7.0, 1e6]) | st.floats(-1e9, 1e9), min_size=2, max_size=60),
    cut=st.integers(0, 60),
)
def test_results_are_the_same_however_rows_are_cut(values: list[float | None], cut: int) -> None:
    whole = results(values, [])
    assert results(values, [min(cut, len(values))]) == whole
    for row, mine in zip(whole, (values[1::2], values[0::2]), strict=True):
        there = sorted(one + 0.0 for one in mine if one is not None)
        assert row["d"] == len({str(one) for one in there})
        for name, share in (("low", 0.1), ("high", 0.95)):
            if not there:
                assert row[name] is None
                continue
            wanted = there[int(share * (len(there) - 1))]
            assert abs(row[name] - wanted) <= max(abs(wanted) * 0.0101, 1e-8)


def test_large_numbers_of_distinct_values_are_near() -> None:
    chance = random.Random(5)  # noqa: S311 - values of a test
    for number in (1_000, 20_000, 200_000):
        values: list[float | None] = [float(chance.randrange(number * 10)) for _ in range(number)]
        for row, mine in zip(results(values, [number // 2]), (values[1::2], values[0::2]), strict=True):
            assert abs(row["d"] / len(set(mine)) - 1) < 0.06
