"""Backfills with the real engine: every slice once, whatever fails, is stopped or is started again."""

from __future__ import annotations

import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.config.settings import Settings
from ematix_core.engine import run_job
from ematix_core.engine.progress import Silent
from ematix_core.model.slices import Slice, slices
from ematix_core.scheduler.backfill import BackfillResult, backfill, room, survey
from ematix_core.store import Status, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ematix_core.engine.progress import Progress
    from ematix_core.scheduler.backfill import SliceOutcome
    from ematix_core.store import RunStore

START = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = slices("day", "2026-01-01", "2026-01-08")
IN_SLICE = "SELECT n, made_at FROM events WHERE made_at >= :slice_start AND made_at < :slice_end"
WAREHOUSE = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")


class Seen:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.began_: list[str] = []
        self.ended_: list[SliceOutcome] = []

    def began(self, part: Slice) -> Progress:
        self.began_.append(part.name)
        return Silent()

    def ended(self, outcome: SliceOutcome) -> None:
        self.ended_.append(outcome)


@pytest.fixture
def store() -> Iterator[RunStore]:
    with open_store("memory:") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: RunStore) -> None:
    """Make a warehouse with four events on each day of a week."""
    monkeypatch.chdir(tmp_path)

    @ematix.job(target="events", target_connection=WAREHOUSE)
    def events() -> pa.Table:
        times = [START + timedelta(hours=6 * n) for n in range(28)]
        return pa.table({"n": range(28), "made_at": pa.array(times, pa.timestamp("us", "UTC"))})

    run_job(events, store=store)


def declared(name: str, body: Callable[..., Any], **options: Any) -> ematix.Job:  # noqa: ANN401 - what @job takes
    made: ematix.Job = ematix.job(
        name=name, source_connection=WAREHOUSE, target=f"{name}_copy", target_connection=WAREHOUSE, **options
    )(body)
    return made


def loaded(name: str) -> list[int]:
    with duckdb.connect("warehouse.duckdb") as database:
        return [n for (n,) in database.execute(f'SELECT n FROM "{name}_copy" ORDER BY n').fetchall()]


def fill(
    store: RunStore, work: ematix.Workflow | ematix.Job, *, again: bool = False, watcher: Seen | None = None,
    at_once: tuple[int, int] = (1, 4),
) -> BackfillResult:  # fmt: skip
    parts = survey(WEEK, store.slices(work.name), again=again)
    jobs = work.jobs if isinstance(work, ematix.Workflow) else (work,)
    return backfill(
        work, ematix.Project.of(*jobs), parts, store=store, settings=Settings.load(), watcher=watcher or Seen(),
        at_once=at_once, again=again,
    )  # fmt: skip


def statuses(result: BackfillResult) -> list[str]:
    return [one.status for one in result.slices]


def test_each_slice_is_a_run_with_its_limits(store: RunStore) -> None:
    watcher = Seen()
    result = fill(store, declared("copy", lambda: IN_SLICE), watcher=watcher)
    assert statuses(result) == ["succeeded"] * 7
    assert loaded("copy") == [*range(28)]
    assert [one.counts["inserted"] for one in result.slices] == [4] * 7
    assert watcher.began_ == [one.slice.name for one in watcher.ended_] == [one.name for one in WEEK]
    record = store.workflow_runs(workflow="copy")[-1]
    assert (record.slice, record.trigger, record.unit) == ("2026-01-01", "backfill", False)
    assert record.parameters == {
        "slice_start": "2026-01-01T00:00:00+00:00", "slice_end": "2026-01-02T00:00:00+00:00",
    }  # fmt: skip
    assert store.slices("copy") == {one.name: Status.SUCCEEDED for one in WEEK}


def test_the_same_once_more_runs_nothing(store: RunStore) -> None:
    copy = declared("copy", lambda: IN_SLICE)
    fill(store, copy)
    assert statuses(fill(store, copy)) == ["skipped"] * 7
    assert loaded("copy") == [*range(28)]


def test_again_runs_everything_again(store: RunStore) -> None:
    copy = declared("copy", lambda: IN_SLICE)
    fill(store, copy)
    assert statuses(fill(store, copy, again=True)) == ["succeeded"] * 7
    assert len(loaded("copy")) == 56


def test_a_slice_that_fails_stops_no_other_and_is_what_the_next_call_runs(store: RunStore) -> None:
    broken = {"2026-01-03T00:00:00+00:00"}

    def body(run: Any) -> str:  # noqa: ANN401 - a RunContext
        if run.parameters["slice_start"] in broken:
            raise ValueError("no data for the third")
        return IN_SLICE

    copy = declared("copy", body)
    result = fill(store, copy)
    assert statuses(result) == ["succeeded"] * 2 + ["failed"] + ["succeeded"] * 4
    assert [one.slice.name for one in result.left] == ["2026-01-03"]
    assert "no data for the third" in result.left[0].error
    broken.clear()
    assert statuses(fill(store, copy)) == ["skipped"] * 2 + ["succeeded"] + ["skipped"] * 4
    assert loaded("copy") == [*range(28)]


def test_what_succeeded_in_a_failed_slice_is_not_loaded_twice(store: RunStore) -> None:
    broken = True
    first = declared("first", lambda: IN_SLICE)

    def body() -> str:
        if broken:
            raise ValueError("not yet")
        return IN_SLICE

    second = declared("second", body, depends_on=[first])
    both = ematix.workflow("both", jobs=[first, second], schedule="0 2 * * *")
    assert statuses(fill(store, both)) == ["failed"] * 7
    assert statuses(fill(store, both)) == ["failed"] * 7
    broken = False
    assert statuses(fill(store, both)) == ["succeeded"] * 7
    assert loaded("first") == loaded("second") == [*range(28)]
    assert statuses(fill(store, both, again=True)) == ["succeeded"] * 7
    assert len(loaded("first")) == 56


def test_slices_run_side_by_side_up_to_the_limit(store: RunStore) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def body() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.1)
        with lock:
            running -= 1

    def table() -> pa.Table:
        body()
        return pa.table({"n": [1]})

    memory = ematix.MemoryConnection("memory")
    job = ematix.job(name="busy", target="busy", target_connection=memory)(table)
    result = fill(store, job, at_once=(3, 1))
    assert statuses(result) == ["succeeded"] * 7, [one.error for one in result.left]
    assert 1 < most <= 3


@pytest.mark.parametrize("hosted", [False, True], ids=["", "a runtime of Rust lets system calls go on"])
def test_ctrl_c_rolls_the_running_slice_back_and_the_next_call_goes_on(store: RunStore, *, hosted: bool) -> None:
    calls: list[str] = []

    def body(run: Any) -> Iterator[pa.RecordBatch]:  # noqa: ANN401 - a RunContext
        calls.append(run.parameters["slice_start"])
        day = len(store.slices("slow")) - 1
        for number in range(4):
            yield pa.record_batch({"n": [4 * day + number]})
            if len(calls) == 3 and number == 0:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                time.sleep(2)

    signal.siginterrupt(signal.SIGINT, not hosted)
    slow = declared("slow", body)
    result = fill(store, slow)
    signal.siginterrupt(signal.SIGINT, True)  # noqa: FBT003 - takes no keywords
    assert result.interrupted
    assert statuses(result) == ["succeeded"] * 2 + ["cancelled"] * 5
    assert [one.error for one in result.slices[3:]] == ["not started"] * 4
    assert loaded("slow") == [*range(8)]
    assert statuses(fill(store, slow)) == ["skipped"] * 2 + ["succeeded"] * 5
    assert loaded("slow") == [*range(28)]


def test_a_slice_that_another_process_runs_is_left_to_it(store: RunStore) -> None:
    copy = declared("copy", lambda: IN_SLICE)
    store.begin_workflow("copy", slice="2026-01-02", trigger="backfill")
    result = fill(store, copy)
    assert statuses(result) == ["succeeded", "running", *["succeeded"] * 5]
    assert [one.slice.name for one in result.left] == ["2026-01-02"]


@pytest.mark.parametrize(
    ("parallel", "pools", "expected"),
    [
        (4, {}, (4, 4)),
        (4, {"other": 1}, (4, 4)),
        (4, {"warehouse": 8}, (4, 2)),
        (4, {"warehouse": 3}, (3, 1)),
        (1, {"warehouse": 3}, (1, 3)),
        (4, {"warehouse": 3, "reports": 1}, (1, 1)),
    ],
)
def test_a_pool_has_no_more_jobs_than_its_limit(
    parallel: int, pools: dict[str, int], expected: tuple[int, int]
) -> None:
    first = declared("first", lambda: IN_SLICE)
    second = declared("second", lambda: IN_SLICE, pool="reports")
    both = ematix.workflow("both", jobs=[first, second], schedule="0 2 * * *", pool="warehouse")
    assert room(both, parallel, pools) == expected
