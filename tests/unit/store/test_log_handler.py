"""The log records of a run reach the store, and only those."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ematix_core.store import RunStore, recording
from ematix_core.store.log_handler import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("test.store")
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(logging.NOTSET)
    assert not logger.handlers


def messages(store: RunStore, run_id: str) -> list[str]:
    return [line.message for line in store.logs(run_id)]


def test_records_inside_the_block_are_kept_with_level_and_traceback(store: RunStore, logger: logging.Logger) -> None:
    run = store.begin("orders")
    logger.info("before")
    with recording(store, run.run_id, logger):
        logger.info("read %d rows", 7)
        try:
            int("x")
        except ValueError:
            logging.getLogger("test.store.child").exception("failed")
    logger.info("after")
    first, second = store.logs(run.run_id)
    assert (first.level, first.message) == ("INFO", "read 7 rows")
    assert second.level == "ERROR"
    assert second.message.startswith("failed\nTraceback")


@pytest.mark.parametrize("where", ["file", "memory"])
def test_parallel_runs_do_not_mix(store: RunStore, logger: logging.Logger, where: str) -> None:
    from ematix_core.store import open_store

    store = store if where == "file" else open_store("memory:")
    barrier = threading.Barrier(4)

    def work(job: str) -> str:
        run = store.begin(job)
        with recording(store, run.run_id, logger):
            barrier.wait()
            for number in range(BATCH + 20):
                logger.info("%s %d", job, number)
        return run.run_id

    jobs = ["a", "b", "c", "d"]
    with ThreadPoolExecutor(4) as pool:
        runs = dict(zip(jobs, pool.map(work, jobs), strict=True))
    for job, run_id in runs.items():
        assert messages(store, run_id) == [f"{job} {number}" for number in range(BATCH + 20)]


def test_lines_are_written_in_batches(store: RunStore, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ematix_core.store.log_handler.SECONDS", 3600)
    run = store.begin("orders")
    with recording(store, run.run_id, logger):
        for _ in range(BATCH - 1):
            logger.info("x")
        assert messages(store, run.run_id) == []
        logger.info("x")
        assert len(messages(store, run.run_id)) == BATCH


def test_the_stores_own_libraries_are_not_recorded(store: RunStore) -> None:
    run = store.begin("orders")
    root = logging.getLogger()
    with recording(store, run.run_id, root):
        logging.getLogger("sqlalchemy.engine").warning("statement")
        root.warning("kept")
    assert messages(store, run.run_id) == ["kept"]


def test_a_store_that_fails_does_not_stop_the_job(
    store: RunStore, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    with recording(store, "no such run", logger) as handler:
        for _ in range(BATCH):
            logger.info("x")
    assert "StoreError" in capsys.readouterr().err
    assert handler not in logger.handlers
