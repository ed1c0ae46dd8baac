"""Backfills on servers: slices side by side into one table, recorded in a store on the same server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.config.settings import Settings
from ematix_core.engine import run_job
from ematix_core.engine.progress import Silent
from ematix_core.model.slices import slices
from ematix_core.scheduler.backfill import backfill, survey
from ematix_core.store import Status, open_store
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import RunResult
    from ematix_core.model.slices import Slice
    from ematix_core.scheduler.backfill import SliceOutcome

DAYS, PER_DAY = 20, 50


class Nobody:
    """A watcher that looks away."""

    def began(self, _part: Slice) -> Progress:
        return Silent()

    def ended(self, outcome: SliceOutcome) -> None: ...


@pytest.mark.parametrize("server", ["postgres", "mysql", "mariadb"])
@pytest.mark.parametrize("mode", ["append", "merge"])
def test_slices_side_by_side_load_every_row_once(
    server: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with database(server) as url:
        execute(url, "CREATE TABLE events (n int PRIMARY KEY, made_at timestamp NOT NULL)")
        rows = (
            f"({day * PER_DAY + n}, '2026-01-{day + 1:02} {n % 24:02}:00:00')"
            for day in range(DAYS)
            for n in range(PER_DAY)
        )
        execute(url, f"INSERT INTO events VALUES {', '.join(rows)}")
        kind = ematix.PostgresConnection if server == "postgres" else ematix.MySQLConnection
        warehouse = kind("warehouse", url=url)

        @ematix.job(
            source_connection=warehouse, target="copies", target_connection=warehouse, watermark="made_at",
            mode=ematix.merge(keys=["n"]) if mode == "merge" else mode,
        )  # fmt: skip
        def copies() -> str:
            return "SELECT n, made_at FROM events"

        days = slices("day", "2026-01-01", f"2026-01-{DAYS + 1}")
        with open_store(url) as store:
            result = backfill(
                copies, ematix.Project.of(copies), survey(days, {}), store=store, settings=Settings.load(),
                watcher=Nobody(), at_once=(4, 1),
            )  # fmt: skip
            assert [one.status for one in result.slices] == ["succeeded"] * DAYS, [one.error for one in result.left]
            assert [one.counts["inserted"] for one in result.slices] == [PER_DAY] * DAYS
            assert store.slices("copies") == {one.name: Status.SUCCEEDED for one in days}
            assert loaded(warehouse).rows_read == DAYS * PER_DAY


def loaded(warehouse: ematix.Connection) -> RunResult:
    """Read what the slices have loaded, into a database in memory; two rows of one key are an error there."""
    memory = ematix.MemoryConnection("memory")

    @ematix.job(source_connection=warehouse, target="check", target_connection=memory, mode=ematix.merge(keys=["n"]))
    def check() -> str:
        return "SELECT n FROM copies"

    with open_store("memory:") as store:
        return run_job(check, store=store)
