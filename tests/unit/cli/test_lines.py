"""Progress as lines: what is said, to whom, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.cli import lines
from ematix_core.cli.lines import Lines
from ematix_core.engine.result import RunResult
from ematix_core.errors import ConnectError

if TYPE_CHECKING:
    import pytest

RESULT = RunResult("r1", "orders", "succeeded", 1_000, 10, 0, 990, 0, 0, 0.5)


def _play(watch: Lines) -> None:
    watch.started("orders", 1)
    watch.waiting("orders", "waits for warehouse.duckdb (job customers)")
    watch.failed("orders", ConnectError("no route"), retry_in=2.0)
    watch.started("orders", 2)
    watch.stage("orders", "merge: insert new rows")
    watch.advanced("orders", 1_000)
    watch.finished("orders", RESULT)
    watch.skipped("report", "orders failed")


def test_quiet_lines_tell_only_what_explains_a_silence(capsys: pytest.CaptureFixture[str]) -> None:
    _play(Lines(verbose=False))
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == [
        "orders: waits for warehouse.duckdb (job customers)",
        "orders: failed, next attempt in 2.0 s: no route",
        "report: skipped: orders failed",
    ]


def test_verbose_lines_tell_every_step(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_EVERY", 0.0)
    _play(Lines(verbose=True))
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "orders: started"
    assert err[3:5] == ["orders: started, attempt 2", "orders: merge: insert new rows"]
    assert err[5].startswith("orders: 1,000 rows read, ")
    assert err[6] == "orders: succeeded, 1,000 rows read, 10 inserted, 990 unchanged in 0.50 s"


def test_last_error_of_a_job_is_kept() -> None:
    watch = Lines(verbose=False)
    error = ConnectError("no route")
    watch.failed("orders", error, retry_in=None)
    assert watch.errors == {"orders": error}
