"""Jobs of one pool that run in one process: as many at a time as the settings say."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import ematix_core as ematix
from ematix_core.config.settings import Settings
from ematix_core.engine.dag import run_workflow
from ematix_core.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ematix_core import Job


class Watch:
    """How many jobs ran at one time at most, and their order. The first `together` of them wait for each other."""

    def __init__(self, together: int = 1) -> None:
        self.most, self.order = 0, ""
        self._now = 0
        self._together = together
        self._changed = threading.Condition()

    def job(self, name: str, pool: str = "", priority: int = 0) -> Job:
        connection = ematix.MemoryConnection(f"memory_{name}")

        @ematix.job(name=name, target=name, target_connection=connection, pool=pool, priority=priority)
        def body() -> str:
            with self._changed:
                self._now += 1
                self.most, self.order = max(self.most, self._now), self.order + name
                self._changed.notify_all()
                self._changed.wait_for(lambda: self.most >= self._together, timeout=10)
            time.sleep(0.2)  # whoever may start now has started
            with self._changed:
                self._now -= 1
            return "SELECT 1 AS number"

        return body


def limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (folder / "ematix.toml").write_text("[pools]\nwarehouse = 1\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return Settings.load()


def test_a_workflow_gives_its_pool_to_jobs_that_name_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    jobs = [watch.job("a"), watch.job("b"), watch.job("c", "warehouse", priority=5)]
    work = ematix.workflow("nightly", jobs=jobs, schedule="0 2 * * *", pool="warehouse")
    with open_store("memory:") as store:
        assert run_workflow(work, store=store, settings=limited(tmp_path, monkeypatch)).status == "succeeded"
    assert (watch.most, watch.order) == (1, "cab")


def test_other_jobs_do_not_wait_for_a_full_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(together=3)
    jobs = [watch.job("a", "warehouse"), watch.job("b", "warehouse"), watch.job("c", "lake"), watch.job("d")]
    with open_store("memory:") as store:
        assert run_workflow(jobs, store=store, settings=limited(tmp_path, monkeypatch)).status == "succeeded"
    assert watch.most == 3
    assert watch.order.index("b") == 3
