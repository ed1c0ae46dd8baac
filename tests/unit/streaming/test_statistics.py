"""Rates of the last minutes by a clock of the test's own; states in the store; pauses learnt from it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.cli.consuming import row
from ematix_core.engine.result import TargetResult
from ematix_core.errors import ConnectError
from ematix_core.store import open_store
from ematix_core.streaming.control import Landed
from ematix_core.streaming.statistics import Meter, Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection

RESULT = TargetResult("clicks", "append", inserted=10)


def landed(records: int = 60, **changed: object) -> Landed:
    given = {
        "records": records, "bytes": 600, "dead": 0, "dropped": 0, "result": RESULT, "seconds": 0.1, "newest": None,
        "positions": {},
    }  # fmt: skip
    return Landed(**{**given, **changed})  # type: ignore[arg-type]  # each with its own type


def test_rates_are_of_the_last_one_and_five_minutes() -> None:
    meter = Meter(started=0.0)
    meter.landed(landed(600), 10.0)
    assert meter.told(20.0)["m1"]["records"] == 30.0
    meter.landed(landed(60), 80.0)
    told = meter.told(100.0)
    assert (told["records"], told["batches"]) == (660, 2)
    assert told["m1"]["records"] == 1.0
    assert told["m5"]["records"] == 6.6
    assert meter.told(500.0)["m5"] == dict.fromkeys(("records", "bytes", "dead", "dropped", "batches"), 0.0)


def test_a_meter_keeps_a_bounded_number_of_moments() -> None:
    meter = Meter(started=0.0)
    for number in range(100_000):
        meter.landed(landed(1), number / 100)
    assert len(meter._recent) <= 302  # noqa: SLF001 - what must stay small
    assert meter.told(999.99)["m1"]["records"] == pytest.approx(100, rel=0.05)
    assert meter.totals["records"] == 100_000


def test_latency_positions_and_errors_are_those_of_the_last_batch() -> None:
    meter = Meter(status="waiting", error="gone")
    meter.landed(landed(positions={"a": 1}, newest=datetime.now(UTC) - timedelta(seconds=5)), time.monotonic())
    meter.landed(landed(positions={"b": 2}), time.monotonic())
    assert meter.latency == pytest.approx(5, abs=2)
    assert (meter.status, meter.error, meter.positions) == ("running", "", {"a": 1, "b": 2})


def test_where_a_consumer_stands_is_kept(files: Connection, store: Connection, tmp_path: Path) -> None:
    stream = ematix.stream("clicks", source=files, source_query="*.json", target=store, target_table="a")
    with open_store(f"sqlite:///{tmp_path}/runs.db") as runs:
        statistics = Statistics(runs, stream)
        statistics.stands("a", 3, {"p:0": 1})
        statistics.stands("a", None, {"p:1": 2})
        told = statistics.meters()["a"]
    assert (told["behind"], told["positions"]) == (3, {"p:0": 1, "p:1": 2})


def test_a_search_is_shown_until_the_next_batch(files: Connection, store: Connection, tmp_path: Path) -> None:
    stream = ematix.stream("clicks", source=files, source_query="*.json", target=store, target_table="a")
    doing = "looking for bad records: 1,200 of 50,000 looked at, 13 bad"
    with open_store(f"sqlite:///{tmp_path}/runs.db") as runs, Statistics(runs, stream) as statistics:
        statistics.searching("a", 1_200, 50_000, 13)
        assert row("clicks", "a", statistics.meters()["a"])[2] == doing
        statistics._report()  # noqa: SLF001 - what its thread does every two seconds
        assert runs.consumers("clicks")[0].stats["doing"] == doing
        statistics.landed("a", landed())
        assert row("clicks", "a", statistics.meters()["a"])[2] == "running"


def test_the_store_has_the_state_of_each_target(files: Connection, store: Connection, tmp_path: Path) -> None:
    stream = ematix.stream(
        "clicks", source=files, source_query="*.json",
        targets=[ematix.target("a", connection=store), ematix.target("b", connection=store)],
    )  # fmt: skip
    with open_store(f"sqlite:///{tmp_path}/runs.db") as runs:
        with Statistics(runs, stream) as statistics:
            statistics.landed("a", landed(5))
            statistics.idle("a", 7)
            statistics.failed("b", "no answer", 1.5)
            statistics._report()  # noqa: SLF001 - what its thread does every two seconds
            assert [(one.target, one.status, one.error) for one in runs.consumers("clicks")] == [
                ("a", "running", ""), ("b", "waiting", "no answer (again in 1.5 s)"),
            ]  # fmt: skip
            assert runs.consumers()[0].stats["behind"] == 7
            runs.pause("clicks")
            statistics._learn()  # noqa: SLF001 - what its thread does every two seconds
            assert statistics.paused
            assert [one["status"] for one in statistics.meters().values()] == ["paused", "waiting"]
            runs.resume("clicks")
            statistics._learn()  # noqa: SLF001 - what its thread does every two seconds
            assert [one["status"] for one in statistics.meters().values()] == ["running", "waiting"]
        assert [one.status for one in runs.consumers("clicks")] == ["stopped", "stopped"]
        with pytest.raises(ConnectError), Statistics(runs, stream):
            raise ConnectError("gone for good")
        assert {(one.status, one.error) for one in runs.consumers("clicks")} == {("failed", "gone for good")}
