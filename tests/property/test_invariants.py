"""What holds for every history: watermarks lose and double nothing, and versions never overlap."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.model.mode import append, scd2
from tests.property import histories, model
from tests.property.bench import KINDS, Bench, in_order
from tests.property.soak import examples

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.mode import Scd2

AFTER_ALL = 5
"""The number of the first load that comes after every instant of the histories: nothing is dated in the future."""
HISTORIES: dict[str, Scd2] = {
    "load time": scd2(keys="k"),
    "load time with deletes": scd2(keys="k", deletes="close", allow_empty=True),
    "event time": scd2(keys="k", event_time="at"),
    "event time with deletes": scd2(keys="k", event_time="at", deletes="close", allow_empty=True),
}


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder: Path = tmp_path_factory.mktemp("bench")
    return Bench.make(request.param, folder)


def test_append_from_a_watermark_adds_what_its_model_adds(bench: Bench) -> None:
    @examples(f"append from a watermark on {bench.target.kind}")
    @given(histories.loads(histories.any_rows()))
    def compare(loads: list[list[model.Row]]) -> None:
        table: model.Table = []
        target = bench.table(append(), watermark="at")
        mark: Any = None
        for number, rows in enumerate(loads):
            if mark is None:
                table, counts = model.append(table, rows)
            else:
                table, counts = model.append_since(table, rows, mark=mark, watermark="at")
            assert target.load(rows, histories.load_time(number)) == counts, f"load {number}"
            assert in_order(target.rows()) == in_order(table), f"load {number}"
            mark = max(
                (row["at"] for row in rows if row["at"] is not None and (mark is None or row["at"] > mark)),
                default=mark,
            )

    compare()


def test_growing_source_arrives_whole_through_a_watermark(bench: Bench) -> None:
    """Rows are only ever added, at or above the highest instant: whatever the ties, the copy is the source."""

    @examples(f"growing source on {bench.target.kind}")
    @given(st.lists(st.lists(histories.row(at=st.just(None)), max_size=4), min_size=1, max_size=4), st.data())
    def grow(additions: list[list[model.Row]], data: st.DataObject) -> None:
        source: model.Table = []
        hours = 0
        target = bench.table(append(), watermark="at")
        for number, added in enumerate(additions):
            for row in added:
                hours += data.draw(st.integers(0, 1))
                source.append(row | {"at": histories.load_time(hours)})
            target.load(source, histories.load_time(number))
            assert in_order(target.rows()) == in_order(source)

    grow()


@pytest.mark.parametrize("case", HISTORIES)
def test_versions_never_overlap_and_reloading_changes_nothing(bench: Bench, case: str) -> None:
    mode = HISTORIES[case]
    rows = histories.one_row_an_event() if mode.event_time else histories.one_row_a_key()

    @examples(f"invariants of scd2 by {case} on {bench.target.kind}")
    @given(histories.loads(rows))
    def hold(loads: list[list[model.Row]]) -> None:
        target = bench.table(mode)
        for number, load in enumerate(loads):
            target.load(load, histories.load_time(AFTER_ALL + number))
            _check(target.rows())
        before = target.rows()
        again = target.load(loads[-1], histories.load_time(AFTER_ALL + len(loads)))
        assert in_order(target.rows()) == in_order(before)
        assert again == model.Counts(unchanged=len(loads[-1]))

    hold()


def _check(versions: list[model.Row]) -> None:
    by_key: dict[Any, list[model.Row]] = {}
    for version in versions:
        assert version["is_current"] == (version["valid_to"] is None)
        assert version["valid_to"] is None or version["valid_from"] <= version["valid_to"]
        by_key.setdefault(version["k"], []).append(version)
    for of_key in by_key.values():
        assert Counter(version["is_current"] for version in of_key)[True] <= 1
        lasting = [version for version in of_key if version["valid_from"] != version["valid_to"]]
        for earlier, later in pairwise(sorted(lasting, key=lambda version: version["valid_from"])):
            assert earlier["valid_to"] is not None
            assert earlier["valid_to"] <= later["valid_from"]
