"""Streams with a window, from a folder of files into DuckDB: results are told once, whatever comes and goes."""

from __future__ import annotations

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import (
    BadRowError,
    ConfigError,
    ConnectError,
    ConversionError,
    DeclarationError,
    MissingSourceError,
    RunError,
    UnsupportedError,
)
from ematix_core.streaming import consume_stream
from ematix_core.streaming.control import Control
from ematix_core.streaming.opening import require_shared
from ematix_core.streaming.replay import replay_letters
from ematix_core.streaming.state.inspection import state_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core.model.stream import Stream
    from ematix_core.streaming.result import StreamResult

SQL = "SELECT who, price, CAST(seen AS TIMESTAMPTZ) AS seen FROM source"
COUNTS: dict[str, Any] = {"on": "seen", "by": "who", "aggregate": {"n": "count", "total": "sum(price)"}}


class Shop:
    """A folder that files are dropped into, a stream of it, and what it has led to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = 0
        (folder / "in").mkdir()
        self.files = ematix.ObjectStoreConnection("files", path=str(folder / "in"))
        self.warehouse = ematix.DuckDBConnection("warehouse", path=str(folder / "warehouse.duckdb"))
        self.state = ematix.ObjectStoreConnection("state", path=str(folder / "state"))

    def drop(self, *rows: tuple[str | None, ...]) -> None:
        """Add a file with a row for each `(who, minute:second)`; None for the time is NULL."""
        self._files += 1
        lines = [
            json.dumps({"who": who, "price": 2, "seen": at and (at if "T" in at else f"2026-01-01T00:{at}Z")})
            for who, at in rows
        ]
        half = self.folder / "in" / f"_{self._files:03}"
        half.write_text("\n".join(lines) + "\n")
        os.utime(half, (time.time() - 600 + self._files,) * 2)  # one that has just changed is not read at once
        half.rename(half.with_name(f"{self._files:03}.jsonl"))

    def stream(self, window: ematix.Window, **options: Any) -> Stream:  # noqa: ANN401 - those of stream
        """Declare the stream."""
        given: dict[str, Any] = {"mode": "append", "transform_sql": SQL, **options}
        return ematix.stream(
            "clicks", source=self.files, source_query="*.jsonl", target=self.warehouse, target_table="counts",
            window=window, state=self.state, **given,
        )  # fmt: skip

    def consume(self, window: ematix.Window | None = None, **options: Any) -> StreamResult:  # noqa: ANN401 - those of stream
        """Consume all that is there."""
        start = options.pop("start_at", None)
        return self.stream(window or minute(), **options).consume(until_idle=True, start=start)

    def rows(self, table: str = "counts", *columns: str) -> list[tuple[Any, ...]]:
        """Return rows of the target in order: by default who, when the window begins (minute, second), and how many."""
        with closing(registry.source(self.warehouse)) as source:
            try:
                found = source.read(Query(table=table)).read_all().to_pylist()
            except (ConnectError, MissingSourceError):
                return []
        if columns:
            return sorted(tuple(row[name] for name in columns) for row in found)
        return sorted((row["who"], f"{row['window_start']:%M:%S}", row["n"]) for row in found)


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def minute(**options: Any) -> ematix.Window:  # noqa: ANN401 - those of tumbling
    return ematix.tumbling("1 minute", **{**COUNTS, **options})


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("EMATIX_CLOCK", "2026-01-02T00:00:00Z")
    return Shop(tmp_path)


def test_a_window_that_is_open_when_the_consumer_ends_is_told_once_by_a_later_one(shop: Shop) -> None:
    shop.drop(("ann", "00:01"), ("bob", "00:59"))
    assert shop.consume().targets[0].inserted == 0
    shop.drop(("ann", "00:30"), ("ann", "01:10"))
    shop.consume()
    assert shop.rows() == [("ann", "00:00", 2), ("bob", "00:00", 1)]
    shop.drop(("ann", "02:00"))
    shop.consume()
    shop.consume()
    assert shop.rows() == [("ann", "00:00", 2), ("ann", "01:00", 1), ("bob", "00:00", 1)]


def test_late_rows_are_dropped_and_counted(shop: Shop) -> None:
    shop.drop(("ann", "00:01"), ("ann", "01:10"))
    shop.consume()
    shop.drop(("ann", "00:02"), ("ann", "01:20"))
    found = shop.consume().targets[0]
    assert (found.records, found.dropped) == (2, 1)
    assert shop.rows() == [("ann", "00:00", 1)]


def test_late_rows_can_be_dead_letters(shop: Shop) -> None:
    late: dict[str, Any] = {"window": minute(late="dead_letter"), "on_error": "dead_letter"}
    shop.drop(("ann", "00:01"), ("ann", "01:10"))
    shop.consume(**late)
    shop.drop(("ann", "00:02"))
    assert shop.consume(**late).targets[0].dead == 1
    ((value, error),) = shop.rows("counts_dead_letters", "record_value", "error")
    assert json.loads(value)["seen"].startswith("2026-01-01 00:00:02")
    assert error == "it came after its window was told"


def test_late_rows_open_a_window_again_for_a_while(shop: Shop) -> None:
    window = minute(late="reopen", reopen_for="1 minute")
    shop.drop(("ann", "00:01"), ("ann", "01:10"))
    shop.consume(window, mode="merge")
    assert shop.rows() == [("ann", "00:00", 1)]
    shop.drop(("ann", "00:02"), ("ann", "01:20"))
    assert shop.consume(window, mode="merge").targets[0].updated == 1
    assert shop.rows() == [("ann", "00:00", 2)]
    shop.drop(("ann", "02:10"))
    shop.consume(window, mode="merge")
    shop.drop(("ann", "00:03"))
    assert shop.consume(window, mode="merge").targets[0].dropped == 1
    assert shop.rows() == [("ann", "00:00", 2), ("ann", "01:00", 2)]


def test_early_results_become_the_final_ones(shop: Shop) -> None:
    window = minute(early=1e-6)
    shop.drop(("ann", "00:01"))
    shop.consume(window, mode="merge")
    assert shop.rows() == [("ann", "00:00", 1)]
    shop.drop(("ann", "00:02"), ("ann", "01:10"))
    shop.consume(window, mode="merge")
    assert shop.rows() == [("ann", "00:00", 2), ("ann", "01:00", 1)]


@pytest.mark.parametrize(
    ("at", "says"),
    [(None, "column 'seen' is NULL"), ("2027-01-01T00:00:00Z", r"more than max_ahead \(86400 s\) after now")],
)
def test_a_time_that_cannot_be_stops_nothing_but_its_row(shop: Shop, at: str | None, says: str) -> None:
    shop.drop(("ann", "00:01"), ("bob", at))
    with pytest.raises(BadRowError, match=says):
        shop.consume()
    assert shop.consume(on_error="dead_letter").targets[0].dead == 1
    ((error,),) = shop.rows("counts_dead_letters", "error")
    assert re.search(says, error)
    shop.drop(("ann", "00:59"), ("ann", "01:00"))
    shop.consume(on_error="dead_letter")
    assert shop.rows() == [("ann", "00:00", 2)]


def test_a_column_that_is_not_there_or_is_no_time_is_named(shop: Shop) -> None:
    shop.drop(("ann", "00:01"))
    with pytest.raises(ConversionError, match="no column 'sen', which the window has in on=") as caught:
        shop.consume(minute(on="sen"))
    assert "seen" in str(caught.value)
    with pytest.raises(
        ConversionError, match=r"'seen' is (large_)?string, and the window goes by a timestamp"
    ) as caught:
        shop.consume(transform_sql="SELECT who, price, CAST(seen AS VARCHAR) AS seen FROM source")
    assert "CAST(seen AS TIMESTAMPTZ)" in str(caught.value)


def test_what_reads_again_from_elsewhere_begins_with_no_state(shop: Shop) -> None:
    shop.drop(("ann", "00:01"), ("ann", "01:10"))
    shop.consume(mode="merge")
    shop.consume(mode="merge", start_at="earliest")
    shop.drop(("ann", "02:10"))
    shop.consume(mode="merge")
    assert shop.rows() == [("ann", "00:00", 1), ("ann", "01:00", 1)]


def test_more_open_groups_than_may_be_are_an_error(shop: Shop) -> None:
    shop.drop(("ann", "00:01"), ("bob", "00:02"), ("eve", "00:03"))
    with pytest.raises(RunError, match=r"(?s)3 results are open, and max_groups=2.*fewer values for by="):
        shop.consume(minute(max_groups=2))


def test_the_state_of_another_window_is_refused_with_the_way_out(shop: Shop) -> None:
    shop.drop(("ann", "00:01"))
    shop.consume()
    shop.drop(("ann", "00:02"))
    with pytest.raises(ConfigError, match="size='60 s' and now '120 s'") as caught:
        shop.consume(ematix.tumbling("2 minutes", **COUNTS))
    assert "flow streams state clicks --reset" in str(caught.value)
    shop.consume(minute(lateness="5 seconds"))


def test_a_state_that_is_gone_is_named(shop: Shop) -> None:
    shop.drop(("ann", "00:01"))
    shop.consume()
    for file in (shop.folder / "state").rglob("0*"):
        file.unlink()
    with pytest.raises(ConfigError, match="is not there"):
        shop.consume()


def test_a_consumer_at_work_begins_again_when_its_state_is_reset(shop: Shop) -> None:
    control = Control()
    stream = shop.stream(minute(), checkpoint=0.01, batch_seconds=0.05)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(consume_stream, stream, control=control)
        try:
            shop.drop(("ann", "00:01"))
            until(lambda: state_of(stream, stream.targets[0]).groups == 1)
            assert state_of(stream, stream.targets[0], reset=True).groups == 0
            shop.drop(("ann", "00:02"), ("bob", "00:03"), ("bob", "01:00"))
            until(lambda: running.done() or len(shop.rows()) == 2)
        finally:
            control.stop()
        assert running.result().targets[0].restarts == 1
    assert shop.rows() == [("ann", "00:00", 1), ("bob", "00:00", 1)]


def test_an_aggregate_that_is_none_is_refused_where_it_is_declared(shop: Shop) -> None:
    with pytest.raises(DeclarationError, match=r"(?s)column n: 'suum\(price\)' is no aggregate.*'sum'"):
        shop.stream(minute(aggregate={"n": "suum(price)"}))


def test_sessions_end_with_the_gap(shop: Shop) -> None:
    window = ematix.session("10 seconds", **COUNTS)
    shop.drop(("ann", "00:01"), ("ann", "00:09"), ("ann", "00:30"), ("bob", "00:05"), ("bob", "02:00"))
    shop.consume(window)
    assert shop.rows() == [("ann", "00:01", 2), ("ann", "00:30", 1), ("bob", "00:05", 1)]


def test_a_plan_tells_window_results_and_delivery(shop: Shop) -> None:
    shop.drop(("ann", "00:01"))
    plan = shop.stream(minute(), mode="merge").plan()
    assert plan.window == "tumbling 60 s on seen by who: n=count, total=sum(price)"
    assert plan.columns == ("who", "window_start", "window_end", "n", "total")
    assert "state of open windows" in plan.targets[0].why
    assert plan.to_dict()["window"] == plan.window
    assert shop.rows() == []


def test_what_windows_cannot_do_is_refused(shop: Shop) -> None:
    from ematix_core.engine.environment import Environment

    stream = shop.stream(minute())
    with pytest.raises(UnsupportedError, match="Send the mended message to the source again"):
        replay_letters(stream)
    with pytest.raises(UnsupportedError, match="one consumer keeps the windows"):
        require_shared(Environment(), stream)


def test_aggregates_are_what_they_say(shop: Shop) -> None:
    aggregate = {
        "first": "first(price)", "mean": "avg(price)", "kinds": "count(distinct price)",
        "near": "approx_count_distinct(price)", "half": "median(price)", "most": "max(seen)",
    }  # fmt: skip
    shop.drop(("ann", "00:01"), ("ann", "00:02"), ("ann", "01:10"))
    shop.consume(minute(aggregate=aggregate))
    assert shop.rows("counts", *aggregate) == [(2, 2.0, 1, 1, 2.0, datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC))]


def test_a_time_that_a_function_makes_is_looked_at_row_by_row(shop: Shop) -> None:
    def timed(rows: pa.Table) -> pa.Table:
        return rows.append_column("made", rows.column("seen").cast(pa.timestamp("us", "UTC")))

    window = minute(on="made")
    shop.drop(("ann", "00:01"), ("bob", None), ("ann", "01:00"))
    with pytest.raises(BadRowError, match="column 'made' is NULL"):
        shop.consume(window, transform_sql="", enrich=timed)
    assert shop.consume(window, transform_sql="", enrich=timed, on_error="drop").targets[0].dropped == 1
    assert shop.rows() == [("ann", "00:00", 1)]
