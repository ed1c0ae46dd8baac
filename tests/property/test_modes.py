"""Every mode against its model: after each load of a random history, rows and all counts are equal.

A sample runs with the other tests; `EMATIX_SOAK=1` (`make soak`) runs the full number and prints it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from ematix_core.backends.duck import session
from ematix_core.model.mode import append, merge, scd2, truncate
from tests.property import histories, model
from tests.property.bench import KINDS, Bench, in_order
from tests.property.soak import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from hypothesis.strategies import SearchStrategy

    from ematix_core.model.mode import Mode

    Step = Callable[[model.Table, Sequence[model.Row], datetime], tuple[model.Table, model.Counts]]

TTL = timedelta(hours=3)
BY_KEY = {"keys": ("k",), "compare": ("a", "b", "at")}
BY_EVENT = {"keys": ("k",), "compare": ("a", "b"), "event_time": "at"}


def _history(**options: Any) -> Step:  # noqa: ANN401 - the fields of History
    rules = model.History(**options)
    return lambda table, rows, at: model.scd2(table, rows, at, rules)


def _without_time(apply: Callable[..., tuple[model.Table, model.Counts]], **options: Any) -> Step:  # noqa: ANN401 - the mode's own options
    return lambda table, rows, at: apply(table, rows, **options)  # noqa: ARG005 - the mode does not look at the clock


CASES: dict[str, tuple[Mode, Step, SearchStrategy[list[model.Row]]]] = {
    "append": (append(), _without_time(model.append), histories.any_rows()),
    "truncate": (truncate(), _without_time(model.truncate), histories.any_rows()),
    "merge": (merge(keys="k"), _without_time(model.merge, **BY_KEY), histories.any_rows()),
    "merge, some columns compared": (
        merge(keys="k", compare="b"),
        _without_time(model.merge, keys=("k",), compare=("b",)),
        histories.one_row_a_key(),
    ),
    "merge, the latest wins": (
        merge(keys="k", order_by="at"),
        _without_time(model.merge, **BY_KEY, order_by="at"),
        histories.any_rows(),
    ),
    "merge with deletes": (
        merge(keys="k", deletes="delete"),
        _without_time(model.merge, **BY_KEY, delete_missing=True),
        histories.one_row_a_key(),
    ),
    "merge with deletes, empty allowed": (
        merge(keys=["k", "b"], deletes="delete", allow_empty=True, order_by="at"),
        _without_time(
            model.merge, keys=("k", "b"), compare=("a", "at"), order_by="at", delete_missing=True, allow_empty=True
        ),
        histories.any_rows(),
    ),
    "merge of changes": (
        merge(keys="k", deleted_by="gone"),
        _without_time(model.merge, **BY_KEY, deleted_by="gone"),
        histories.changes(unique_by=("k",)),
    ),
    "merge of changes, none older": (
        merge(keys="k", deleted_by="gone", order_by="at"),
        _without_time(model.merge, **BY_KEY, deleted_by="gone", order_by="at"),
        histories.changes(unique_by=("k", "at")),
    ),
    "merge of changes, two keys": (
        merge(keys=["k", "a"], deleted_by="gone", order_by="at"),
        _without_time(model.merge, keys=("k", "a"), compare=("b", "at"), deleted_by="gone", order_by="at"),
        histories.changes(unique_by=("k", "a", "at")),
    ),
    "scd2 of changes by load time": (
        scd2(keys="k", deleted_by="gone", order_by="at"),
        _history(**BY_KEY, deleted_by="gone", order_by="at"),
        histories.changes(unique_by=("k", "at")),
    ),
    "scd2 of changes by event time": (
        scd2(keys="k", event_time="at", deleted_by="gone"),
        _history(**BY_EVENT, deleted_by="gone"),
        histories.changes(unique_by=("k", "at")),
    ),
    "scd2 by load time": (scd2(keys="k"), _history(**BY_KEY), histories.any_rows()),
    "scd2 by load time, the latest wins": (
        scd2(keys="k", order_by="at", compare="a"),
        _history(keys=("k",), compare=("a",), order_by="at"),
        histories.any_rows(),
    ),
    "scd2 by load time with deletes": (
        scd2(keys="k", deletes="close"),
        _history(**BY_KEY, close_missing=True),
        histories.one_row_a_key(),
    ),
    "scd2 by load time with ttl": (
        scd2(keys="k", ttl=TTL),
        _history(**BY_KEY, ttl=TTL),
        histories.one_row_a_key(),
    ),
    "scd2 by event time": (scd2(keys="k", event_time="at"), _history(**BY_EVENT), histories.one_row_an_event()),
    "scd2 by event time, bad rows": (scd2(keys="k", event_time="at"), _history(**BY_EVENT), histories.any_rows()),
    "scd2 by event time with deletes": (
        scd2(keys="k", event_time="at", deletes="close"),
        _history(**BY_EVENT, close_missing=True),
        histories.one_row_an_event(),
    ),
    "scd2 by event time with ttl": (
        scd2(keys="k", event_time="at", ttl=TTL),
        _history(**BY_EVENT, ttl=TTL),
        histories.one_row_an_event(),
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder: Path = tmp_path_factory.mktemp("bench")
    return Bench.make(request.param, folder)


@pytest.mark.parametrize("case", CASES)
def test_mode_does_what_its_model_does(bench: Bench, case: str) -> None:
    mode, step, rows = CASES[case]

    @examples(f"{case} on {bench.target.kind}")
    @given(histories.loads(rows))
    def compare(loads: list[list[model.Row]]) -> None:
        agree(bench, mode, step, loads)

    compare()


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("merge", "scd2"))])
def test_mode_does_the_same_part_by_part(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "rows_at_once", lambda _rows, _columns: 2)
    mode, step, rows = CASES[case]
    bench = Bench.make("duckdb", tmp_path)

    @examples(f"{case} on duckdb, part by part")
    @given(histories.loads(rows))
    def compare(loads: list[list[model.Row]]) -> None:
        agree(bench, mode, step, loads)

    compare()


def test_row_that_splits_history_and_reopens_its_key_is_counted_once(bench: Bench) -> None:
    target = bench.table(scd2(keys="k", event_time="at", deletes="close"))
    one, two = ({"k": key, "a": 1, "b": "x", "at": histories.load_time(0)} for key in (1, 2))
    target.load([one, two], histories.load_time(0))
    target.load([two], histories.load_time(2))
    late = one | {"a": 2, "at": histories.load_time(1)}
    assert target.load([late], histories.load_time(3)) == model.Counts(inserted=2, updated=1, closed=1)


def agree(bench: Bench, mode: Mode, step: Step, loads: list[list[model.Row]]) -> None:
    """Load the history into a new table, and hold every load against the model."""
    table: model.Table = []
    target = bench.table(mode)
    for number, rows in enumerate(loads):
        at = histories.load_time(number)
        expected: tuple[model.Table, model.Counts | str]
        found: model.Counts | str
        try:
            expected = step(table, rows, at)
        except model.Refused as refused:
            expected = table, str(refused)
        try:
            found = target.load(rows, at)
        except model.Refused as refused:
            found = str(refused)
        table = expected[0]
        assert found == expected[1], f"load {number}"
        assert in_order(target.rows()) == in_order(table), f"load {number}"
