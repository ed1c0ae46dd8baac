"""Maintenance of Delta tables: what each step does, when it is due, and that no row is lost beside other writers."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from ematix_core.backends.delta.log import opened, translated
from ematix_core.backends.delta.maintenance import _carry_out
from ematix_core.backends.delta.settings import settings_of
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.engine import run_job
from ematix_core.engine.maintenance import maintain_job
from ematix_core.errors import ConflictError, UnsupportedError
from ematix_core.model.connection import DuckDBConnection
from ematix_core.model.job import job
from ematix_core.model.maintenance import Optimize, checkpoint, clean_log, optimize, vacuum
from ematix_core.model.mode import merge
from ematix_core.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.backends.delta.conftest import Lake

LONG_AGO = time.time() - 100 * 86_400


def table(**columns: Any) -> pa.Table:  # noqa: ANN401 - values of any kind
    return pa.table(columns)


def _age(folder: Path) -> None:
    """Have every file below look as old as if it had been written long ago."""
    for path in folder.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def _maintained(result: Any) -> dict[str, dict[str, int]]:  # noqa: ANN401 - a RunResult
    return dict(result.targets[0].maintained)


def test_files_are_put_together_once_every_so_many_versions(lake: Lake) -> None:
    how: dict[str, Any] = {"maintenance": [optimize(every=3)]}
    results = [lake.load(table(k=[n]), **how) for n in range(7)]
    done = {"optimize()": {"files_removed": 3, "files_added": 1}}
    # Versions: 0, 1, 2 + 3 by optimize, 4, 5, 6 + 7 by optimize, 8.
    assert [_maintained(result) for result in results] == [{}, {}, done, {}, {}, done | {"optimize()": {
        "files_removed": 4, "files_added": 1}}, {}]  # fmt: skip
    assert [row["k"] for row in lake.rows()] == list(range(7))
    assert all(not result.targets[0].warnings for result in results)


def test_a_step_with_a_length_of_time_waits_from_the_making_of_the_table_and_from_its_last_time(lake: Lake) -> None:
    begin = datetime.now(UTC)
    one = lake.job(table(k=[1]), maintenance=optimize(every="1 day"))
    found = []
    for hours in (0, 23, 25, 30, 50):
        clock = partial(lambda at: at, begin + timedelta(hours=hours))
        found.append(bool(_maintained(run_job(one, store=lake.store, settings=lake.settings, clock=clock))))
    assert found == [False, False, True, False, True]


def test_z_order_lays_near_values_into_one_place(lake: Lake) -> None:
    rows = table(a=[(n * 7919) % 1000 for n in range(1000)], b=["x"] * 1000)
    lake.load(rows, options={"row_group_size": 100})
    lake.load(rows, options={"row_group_size": 100}, maintenance=optimize(z_order="a", every=1))
    values = [row["a"] for row in lake.read("SELECT a FROM orders")]
    assert len(values) == 2000
    assert values[:100] == sorted(values[:100])
    assert max(values[:100]) < 100


def test_vacuum_removes_old_files_and_those_that_a_killed_run_left_and_no_others(lake: Lake) -> None:
    options = {"partition_by": ["p"]}
    odd = ["a b", "x=y", "ä/ö", "'", None]
    lake.load(table(k=list(range(5)), p=odd, v=["old"] * 5), options=options, mode=merge(keys="k"))
    lake.load(table(k=list(range(5)), p=odd, v=["new"] * 5), options=options, mode=merge(keys="k"))
    before = lake.rows()
    lake.table().alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 days"})
    (lake.at() / "part-left-behind.parquet").write_bytes(b"PAR1")
    _age(lake.at())
    one = lake.job(table(k=[9], p=["z"], v=["new"]), options=options, mode=merge(keys="k"), maintenance=vacuum(every=1))
    result = run_job(one, store=lake.store, settings=lake.settings)
    assert _maintained(result)["vacuum()"]["files_removed"] == 6  # the five of before, and the one left behind
    assert not (lake.at() / "part-left-behind.parquet").exists()
    assert [row for row in lake.rows() if row["k"] != 9] == before
    assert lake.read("SELECT count(*) AS n FROM orders") == [{"n": 6}]
    assert lake.load(table(k=[9], p=["z"], v=["new"]), options=options, mode=merge(keys="k")).unchanged == 1


def test_files_that_a_reader_may_still_need_stay(lake: Lake) -> None:
    lake.load(table(k=[1], v=["a"]), mode=merge(keys="k"))
    result = lake.load(table(k=[1], v=["b"]), mode=merge(keys="k"), maintenance=vacuum(every=1))
    assert _maintained(result) == {"vacuum()": {"files_removed": 0}}
    assert lake.read('SELECT v FROM "orders@v0"') == [{"v": "a"}]


def test_the_bookkeeping_outlives_a_checkpoint_and_the_cleaning_of_the_log(lake: Lake) -> None:
    how: dict[str, Any] = {"watermark": "k"}
    lake.load(table(k=[1, 2]), **how)
    lake.table().alter.set_table_properties({"delta.logRetentionDuration": "interval 0 days"})
    lake.load(table(k=[2, 3]), **how)
    _age(lake.at() / "_delta_log")
    one = lake.job(table(k=[3, 4]), maintenance=[checkpoint(every=1), clean_log(every=1)], **how)
    result = run_job(one, store=lake.store, settings=lake.settings)
    assert _maintained(result)["checkpoint()"] == {"checkpoints": 1}
    assert _maintained(result)["clean_log()"]["log_entries_removed"] >= 1
    assert not (lake.at() / "_delta_log" / f"{0:020}.json").exists()
    assert lake.load(table(k=[4, 5]), **how).inserted == 1
    assert [row["k"] for row in lake.rows()] == [1, 2, 3, 4, 5]


def test_a_step_that_fails_is_a_warning_and_the_others_run(lake: Lake) -> None:
    lake.load(table(k=[1]))
    steps = [vacuum(retain="200 hours", every=1), checkpoint(every=1)]
    one = lake.job(table(k=[2]), maintenance=steps)
    lake.table().alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 1209600000 milliseconds"})
    result = run_job(one, store=lake.store, settings=lake.settings)
    assert result.status == "succeeded"
    (warning,) = result.targets[0].warnings
    assert "maintenance of orders, after its load was committed: vacuum(retain='200 hours')" in warning
    assert _maintained(result) == {"checkpoint()": {"checkpoints": 1}}
    (run, _) = lake.store.runs(limit=None)
    assert run.status == "succeeded"
    assert warning in lake.store.run(run.run_id).targets[0]["warnings"]


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ([optimize(z_order="nope")], "z_order names 'nope', which is no column of the table"),
        ([optimize(z_order="p")], "z_order names 'p', by which the table is partitioned"),
        ([vacuum(retain="1 hour")], "the table keeps removed files longer than 1:00:00"),
    ],
)
@pytest.mark.parametrize("exists", [False, True])
def test_what_the_table_cannot_be_given_is_refused_when_the_job_is_planned(
    lake: Lake, steps: list[Any], what: str, exists: bool
) -> None:
    options = {"partition_by": ["p"]}
    rows = table(k=[1], p=["a"])
    if exists:
        lake.load(rows, options=options)
    with pytest.raises(UnsupportedError, match=what.replace("(", r"\(")):
        lake.plan(rows, options=options, maintenance=steps)


def test_a_kind_without_maintenance_refuses_it_by_name(tmp_path: Path) -> None:
    warehouse = DuckDBConnection("warehouse", path=str(tmp_path / "w.duckdb"))
    made = job(name="orders", target="orders", target_connection=warehouse, maintenance=vacuum())(lambda: table(k=[1]))
    with pytest.raises(UnsupportedError, match=r"duckdb has no maintenance step 'vacuum'"):
        made.plan()


def test_the_plan_says_what_will_be_done_and_when(lake: Lake) -> None:
    plan = lake.plan(table(k=[1]), maintenance=[optimize(z_order=["k"], every="36 hours"), checkpoint(every=1)])
    assert "after the commit, every 36 hours: optimize(z_order=['k'])" in str(plan)
    assert "after the commit, after each load: checkpoint()" in str(plan)


def test_an_optimize_gives_way_to_a_writer_that_changed_its_files_and_passes_one_that_added_some(lake: Lake) -> None:
    settings = settings_of(lake.connection())
    for n in range(3):
        lake.load(table(k=[n], v=["a"]), mode=merge(keys="k"))
    stale = opened(LocalFolder(lake.at()))
    lake.load(table(k=[1], v=["b"]), mode=merge(keys="k"))
    with pytest.raises(ConflictError), translated(LocalFolder(lake.at())):
        _carry_out(stale, Optimize(), settings)
    changed = [{"k": 0, "v": "a"}, {"k": 1, "v": "b"}, {"k": 2, "v": "a"}]
    assert lake.rows() == changed
    stale = opened(LocalFolder(lake.at()))
    lake.load(table(k=[3], v=["c"]), name="other")
    assert _carry_out(stale, Optimize(), settings)["files_removed"] == 3
    assert lake.rows() == [*changed, {"k": 3, "v": "c"}]


def test_rows_survive_maintenance_beside_writers(lake: Lake) -> None:
    lake.load(table(k=[-1], v=[0]), mode=merge(keys="k"))

    def write(first: int) -> None:
        with open_store("memory:") as store:
            for n in range(6):
                rows = table(k=[first + n, -1], v=[first + n, first + n])
                run_job(
                    lake.job(rows, name=f"writer{first}", mode=merge(keys="k"), retries=30), store=store,
                    settings=lake.settings,
                )  # fmt: skip

    steps = lake.job(table(k=[0], v=[0]), maintenance=[optimize(), vacuum(), checkpoint()])
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, first) for first in (100,)]
        rounds = 0
        while not all(writer.done() for writer in writers) or rounds < 2:
            rounds += 1
            for step in maintain_job(steps):
                assert not step.error or "other writers were first" in step.error
        for writer in writers:
            writer.result()
    assert {row["k"] for row in lake.rows()} == {-1, *range(100, 106)}
    assert next(row["v"] for row in lake.rows() if row["k"] == -1) == 105


def test_a_dry_run_changes_nothing(lake: Lake) -> None:
    steps = [optimize(), vacuum(), checkpoint(), clean_log()]
    for n in range(3):
        lake.load(table(k=[n]))
    before = {path: path.stat().st_mtime_ns for path in lake.at().rglob("*")}
    found = maintain_job(lake.job(table(k=[0]), maintenance=steps), dry_run=True)
    assert [(one.step, one.counts) for one in found] == [
        ("optimize()", {"files_to_rewrite": 3}), ("vacuum()", {"files_to_remove": 0}),
        ("checkpoint()", {"checkpoints": 1}), ("clean_log()", {"log_entries": 3}),
    ]  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in lake.at().rglob("*")} == before


def test_tables_of_other_writers_are_maintained_with_all_that_is_in_them(lake: Lake) -> None:
    rows = table(k=[1, 2, None], tags=[["a"], [], None], at=[{"x": 1, "y": None}, None, {"x": None, "y": "z"}])
    for _ in range(3):
        write_deltalake(str(lake.at()), rows, mode="append")
    before = lake.rows()
    found = maintain_job(lake.job(rows, maintenance=[optimize(), optimize(z_order="k")]))
    assert [one.counts for one in found] == [
        {"files_removed": 3, "files_added": 1}, {"files_removed": 1, "files_added": 1},
    ]  # fmt: skip
    assert lake.rows() == before
    assert len(DeltaTable(str(lake.at())).file_uris()) == 1
    assert sorted(map(repr, lake.read("SELECT * FROM orders"))) == sorted(map(repr, before))
