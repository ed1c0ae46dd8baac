"""StoreConformance: what every control database does with runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.errors import AlreadyRunningError, StoreError
from ematix_core.store import Status, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.store import RunStore

COUNTS = {"rows_read": 5, "inserted": 1, "updated": 2, "unchanged": 2, "deleted": 0, "closed": 0}


class StoreConformance:
    """The run store's protocol. `url` is a store's URL, or a static method that makes one for a folder."""

    url: Any

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RunStore]:
        """Yield the store under test."""
        made = type(self).url
        with open_store(made(tmp_path) if callable(made) else made) as store:
            yield store

    def test_finished_run_has_its_counts(self, store: RunStore) -> None:
        run = store.begin("orders")
        assert (run.status, run.attempts) == (Status.RUNNING, 1)
        done = store.finish(run.run_id, Status.SUCCEEDED, seconds=1.5, counts=COUNTS, plan_hash="abc")
        assert done == store.run(run.run_id) == store.latest("orders")
        assert {name: getattr(done, name) for name in COUNTS} == COUNTS
        assert (done.status, done.seconds, done.plan_hash) == (Status.SUCCEEDED, 1.5, "abc")
        assert done.finished_at is not None

    def test_job_runs_once_at_a_time(self, store: RunStore) -> None:
        run = store.begin("orders")
        with pytest.raises(AlreadyRunningError, match="orders"):
            store.begin("orders")
        store.begin("customers")
        store.finish(run.run_id, Status.FAILED, seconds=0, error="no")
        assert store.begin("orders").load_id != run.load_id

    def test_failed_attempt_stays_within_its_run(self, store: RunStore) -> None:
        run = store.begin("orders")
        again = store.attempt_failed(run.run_id, "the network was away")
        assert (again.run_id, again.load_id, again.attempts) == (run.run_id, run.load_id, 2)
        store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
        assert [a.status for a in store.attempts(run.run_id)] == [Status.FAILED, Status.SUCCEEDED]

    def test_finished_run_cannot_be_finished_again(self, store: RunStore) -> None:
        run = store.begin("orders")
        store.finish(run.run_id, Status.SUCCEEDED, seconds=0, counts=COUNTS)
        with pytest.raises(StoreError):
            store.finish(run.run_id, Status.FAILED, seconds=0)
        assert store.run(run.run_id).status is Status.SUCCEEDED

    def test_runs_are_listed_the_latest_first(self, store: RunStore) -> None:
        ids = []
        for job in ("a", "b", "a"):
            run = store.begin(job)
            store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
            ids.append(run.run_id)
        assert [run.run_id for run in store.runs()] == ids[::-1]
        assert [run.run_id for run in store.runs(job="a", limit=1)] == [ids[2]]
        assert store.runs(status=Status.FAILED) == []

    def test_run_is_found_by_the_beginning_of_its_id(self, store: RunStore) -> None:
        run = store.begin("orders")
        assert store.run(run.run_id[:-1]) == run
        with pytest.raises(StoreError):
            store.run("no such run")

    def test_runs_of_a_workflow_belong_together(self, store: RunStore) -> None:
        workflow = store.begin_workflow("nightly")
        run = store.begin("orders", workflow_run_id=workflow.workflow_run_id)
        store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
        skipped = store.skip("late", "orders failed", workflow_run_id=workflow.workflow_run_id)
        assert skipped.status is Status.SKIPPED
        assert store.finish_workflow(workflow.workflow_run_id, Status.SUCCEEDED).status is Status.SUCCEEDED
        members = store.runs(workflow_run_id=workflow.workflow_run_id)
        assert {member.job for member in members} == {"orders", "late"}
        assert [w.workflow for w in store.workflow_runs(workflow="nightly")] == ["nightly"]
