"""Versions that the data dates beyond the time of the load: found by the properties, kept as small as they get."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from ematix_core.model.mode import scd2
from tests.property import histories
from tests.property.bench import KINDS, Bench

if TYPE_CHECKING:
    from pathlib import Path

    from tests.property.model import Row

MODE = scd2(keys="k", event_time="at", deletes="close")


def row(key: int, value: int, hour: int) -> Row:
    return {"k": key, "a": value, "b": "x", "at": histories.START + timedelta(hours=hour)}


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench.make(request.param, tmp_path)


def test_key_with_a_version_in_the_future_is_not_reopened_across_it(bench: Bench) -> None:
    target = bench.table(MODE)
    target.load([row(1, 1, 7), row(1, 2, 8), row(2, 1, 0)], histories.load_time(0))
    target.load([row(2, 1, 0)], histories.load_time(1))
    target.load([row(1, 3, 1), row(2, 1, 0)], histories.load_time(2))
    versions = sorted(
        (v["valid_from"], v["valid_to"]) for v in target.rows() if v["k"] == 1 and v["valid_from"] != v["valid_to"]
    )
    assert all(end is not None and end <= start for (_, end), (start, _) in pairwise(versions))


def test_correction_changes_the_version_in_force_and_not_the_one_that_never_was(bench: Bench) -> None:
    target = bench.table(MODE)
    other = row(2, 1, 0)
    target.load([row(1, 1, 7), row(1, 2, 8), other], histories.load_time(0))
    target.load([other], histories.load_time(1))  # closes the version of hour 8 before it begins
    target.load([row(1, 1, 7), other], histories.load_time(2))  # reopens the key at hour 8
    assert target.load([row(1, 3, 8), other], histories.load_time(3)).updated == 1
    of_hour_8 = [(v["a"], v["is_current"]) for v in target.rows() if v["k"] == 1 and v["valid_from"].hour == 8]
    assert sorted(of_hour_8) == [(2, False), (3, True)]
