"""StoreConformance: what every control database does with runs; SharedStoreConformance: with several processes too."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.errors import AlreadyRunningError, StoreError
from ematix_core.store import LogLine, Status, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ematix_core.store import RunStore, SchedulerStore

    Start = Callable[..., subprocess.Popen[str]]

COUNTS = {"rows_read": 5, "inserted": 1, "updated": 2, "unchanged": 2, "deleted": 0, "closed": 0}


class StoreFixtures:
    """How a suite reaches its store. `url` is a store's URL, or a static method that makes one for a folder.

    A store that has to be taken away again overrides the fixture `store_url` instead.
    """

    url: Any

    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str | Iterator[str]:
        """Return, or yield, the URL of an empty store."""
        made: Any = type(self).url
        found: str = made(tmp_path) if callable(made) else made
        return found

    @pytest.fixture
    def store(self, store_url: str) -> Iterator[SchedulerStore]:
        """Yield the store under test."""
        with open_store(store_url) as store:
            yield store


class StoreConformance(StoreFixtures):
    """The run store's protocol, for jobs."""

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

    def test_long_texts_of_any_script_come_back_whole(self, store: RunStore) -> None:
        text = "Zürich 東京 🚲 'quoted' \\ % :name\n" * 40_000  # more than MySQL's TEXT of 64 KiB, and than 1 MiB
        run = store.begin("Bestellungen 🚲", trigger="zurück")
        store.log([LogLine(run.run_id, run.started_at, "INFO", text)])
        targets = [{"target": "größe", "warnings": [text], "rows": 2**53}]
        done = store.finish(run.run_id, Status.FAILED, seconds=0, error=text, targets=targets)
        assert (done.error, done.job, done.trigger) == (text, "Bestellungen 🚲", "zurück")
        assert done.targets == tuple(targets)
        assert [line.message for line in store.logs(run.run_id)] == [text]
        assert [attempt.error for attempt in store.attempts(run.run_id)] == [text]

    def test_what_no_database_takes_in_a_text_is_written_out(self, store: RunStore) -> None:
        run = store.begin("orders")
        store.log([LogLine(run.run_id, run.started_at, "INFO", "a\0b\ud800c")])
        done = store.finish(run.run_id, Status.FAILED, seconds=0, error="\0", targets=[{"w": "\0\ud800"}])
        assert [line.message for line in store.logs(run.run_id)] == ["a\\x00b\\ud800c"]
        assert (done.error, done.targets) == ("\\x00", ({"w": "\\x00\\ud800"},))

    def test_jobs_whose_names_differ_in_case_or_accents_are_two(self, store: RunStore) -> None:
        names = ["orders", "Orders", "órders"]
        for name in names:
            store.begin(name)
        assert {name: run.job for name in names if (run := store.latest(name))} == {name: name for name in names}

    def test_times_are_of_this_machine_and_exact(self, store: RunStore) -> None:
        before = datetime.now(UTC)
        run = store.begin("orders")
        assert before <= run.started_at <= datetime.now(UTC)
        assert run.started_at.utcoffset() == timedelta(0)
        at = datetime(2026, 10, 25, 0, 30, 0, 123457, tzinfo=UTC)  # an hour that occurs twice in Berlin
        store.log([LogLine(run.run_id, at, "INFO", "x")])
        assert store.logs(run.run_id)[0].at == at
        store.heartbeat(run.run_id)
        assert run.heartbeat_at < store.run(run.run_id).heartbeat_at <= datetime.now(UTC)

    def test_log_lines_keep_their_order(self, store: RunStore) -> None:
        run = store.begin("orders")
        lines = [LogLine(run.run_id, run.started_at, "INFO", f"line {number}") for number in range(1000)]
        store.log(lines[:900])
        store.log(lines[900:])
        assert store.logs(run.run_id) == lines


_PROGRAM = "from ematix_core.store import *\nimport sys\nstore = open_store(sys.argv[1])\n"
_BEGIN = "print(store.begin('orders').run_id, flush=True)\nsys.stdin.read()\n"
_RACE = """
print('ready', flush=True)
sys.stdin.readline()
try:
    print(store.begin('orders').attempts, flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
sys.stdin.read()
"""
# Each process that has the job open makes a file that only one can make.
_LOOP = """
import os, time
from ematix_core.errors import AlreadyRunningError
end, done = time.monotonic() + 60, 0
while done < 10 and time.monotonic() < end:
    try:
        run = store.begin('orders')
    except AlreadyRunningError:
        continue
    os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
    os.remove(sys.argv[2])
    store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
    done += 1
print(done, flush=True)
"""
_PROCESSES = 4


class SharedFixtures(StoreFixtures):
    """How a suite reaches a store that several processes share."""

    @pytest.fixture
    def start(self, store_url: str, tmp_path: Path) -> Iterator[Start]:
        """Yield what starts Python code in another process, with `store` open there; it ends with the test."""
        processes = []

        def start_code(code: str, *arguments: object) -> subprocess.Popen[str]:
            values = [store_url, str(tmp_path / "open"), *map(str, arguments)]
            command = [sys.executable, "-c", _PROGRAM + code, *values]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own code
            processes.append(process)
            return process

        yield start_code
        for process in processes:
            process.kill()
            process.communicate()


class SharedStoreConformance(SharedFixtures, StoreConformance):
    """A store that several processes share: one of them runs a job at a time, a dead one's run is continued."""

    def test_many_processes_open_a_new_store_together(self, store_url: str, start: Start) -> None:
        processes = [start(f"store.begin('job{number}')") for number in range(_PROCESSES)]
        assert [process.wait() for process in processes] == [0] * _PROCESSES
        with open_store(store_url) as store:
            assert len(store.runs()) == _PROCESSES

    @pytest.mark.parametrize("after_crash", [False, True])
    def test_of_many_processes_at_one_instant_one_wins(
        self, store: RunStore, start: Start, *, after_crash: bool
    ) -> None:
        if after_crash:
            start("store.begin('orders')").wait()
        processes = [start(_RACE) for _ in range(_PROCESSES)]
        assert [line(process) for process in processes] == ["ready"] * _PROCESSES
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = sorted(line(process) for process in processes)
        assert answers[0] == ("2" if after_crash else "1")
        assert all(answer.startswith("AlreadyRunningError job orders is already") for answer in answers[1:]), answers
        assert len(store.runs()) == 1

    def test_processes_that_want_one_job_again_and_again_have_it_in_turn(self, store: RunStore, start: Start) -> None:
        done = [line(process) for process in [start(_LOOP) for _ in range(3)]]
        assert done == ["10"] * 3
        assert [run.attempts for run in store.runs(job="orders")] == [1] * 30

    def test_a_killed_run_is_continued_and_a_live_one_is_not_touched(self, store: RunStore, start: Start) -> None:
        process = start(_BEGIN)
        run_id = line(process)
        with pytest.raises(AlreadyRunningError, match=f"run {run_id}, process {process.pid}"):
            store.begin("orders")
        with pytest.raises(StoreError, match="not open in this process"):
            store.finish(run_id, Status.FAILED, seconds=0)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert store.run(run_id).status is Status.INTERRUPTED
        again = store.begin("orders")
        assert (again.run_id, again.load_id, again.attempts) == (run_id, run_id, 2)
        store.finish(run_id, Status.SUCCEEDED, seconds=0)
        assert [attempt.status for attempt in store.attempts(run_id)] == [Status.INTERRUPTED, Status.SUCCEEDED]


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
