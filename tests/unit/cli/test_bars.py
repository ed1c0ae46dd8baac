"""Progress bars: what they show, drawn into a file that claims to be a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from ematix_core.cli.bars import Bars
from ematix_core.engine.result import RunResult
from ematix_core.errors import ConnectError

if TYPE_CHECKING:
    import pytest


def _drawn(bars: Bars) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(bars._display)  # noqa: SLF001 - what is on the terminal has no other name
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_bars_show_rows_rate_and_stage_of_each_job() -> None:
    bars = Bars()
    bars.waiting("customers", "waits for warehouse.duckdb")
    bars.started("orders", 1)
    bars.advanced("orders", 1_000_000)
    bars.advanced("orders", 200_000)
    bars.stage("orders", "merge: insert new rows")
    text = _drawn(bars)
    assert "waits for warehouse.duckdb" in text
    assert "1,200,000 rows" in text
    assert "rows/s" in text
    assert "merge: insert new rows" in text


def test_finished_job_shows_the_rows_of_its_result() -> None:
    bars = Bars()
    bars.started("orders", 1)
    bars.finished("orders", RunResult("r1", "orders", "succeeded", 42, 42, 0, 0, 0, 0, 0.5))
    text = _drawn(bars)
    assert "42 rows" in text
    assert "succeeded" in text


def test_failed_attempt_says_when_the_next_comes(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    bars.started("orders", 1)
    bars.failed("orders", ConnectError("no route"), retry_in=2.0)
    assert "failed, next attempt in 2.0 s" in _drawn(bars)
    assert "orders: failed, next attempt in 2.0 s: no route" in capsys.readouterr().err
    bars.started("orders", 2)
    assert "attempt 2" in _drawn(bars)


def test_cancelling_is_said_below_the_bars() -> None:
    bars = Bars()
    bars.started("orders", 1)
    bars.cancelling()
    assert "press Ctrl-C again" in _drawn(bars)
