"""Joins of two folders of files: what lands, what is refused, what is kept between two consumers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.backends.stream_protocols import PollLimits
from ematix_core.config.settings import Settings
from ematix_core.engine.environment import Environment
from ematix_core.errors import BadRowError, ConfigError, ConversionError, RunError, UnsupportedError
from ematix_core.streaming.dead_letters import find_letters, list_letters
from ematix_core.streaming.opening import open_source
from ematix_core.streaming.pairing import SidePolled
from ematix_core.streaming.replay import replay_letters
from ematix_core.streaming.state.inspection import state_of

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.pairing import PairedSource

START = "2026-01-01T10:"
SQL = {
    "orders": "SELECT id, item, CAST(moment AS TIMESTAMPTZ) AS ordered_at FROM source",
    "payments": "SELECT id, amount, CAST(moment AS TIMESTAMPTZ) AS paid_at FROM source",
}
TIMES = {"orders": "ordered_at", "payments": "paid_at"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in SQL:
        (tmp_path / "in" / name).mkdir(parents=True)


def arrive(name: str, *records: dict[str, Any]) -> None:
    """Write a file of one side; its name is newer than those before it."""
    folder = Path("in") / name
    number = len(list(folder.iterdir()))
    half = folder / f"_{number}"
    half.write_text("".join(f"{json.dumps(one)}\n" for one in records))
    os.utime(half, (time.time() - 600 + number,) * 2)
    half.rename(folder / f"{number}.json")


def order(number: int | None, minute: int, **more: int) -> dict[str, Any]:
    return {"id": number, "item": f"item {number}", "moment": f"{START}{minute:02}:00Z", **more}


def payment(number: int | None, minute: int, amount: int = 5) -> dict[str, Any]:
    return {"id": number, "amount": amount, "moment": f"{START}{minute:02}:00Z"}


def joined(store: Connection, how: Any = "inner", *, sides: dict[str, Any] | None = None, **options: Any) -> Stream:  # noqa: ANN401 - those of `join`
    files = ematix.ObjectStoreConnection("files", path="in")
    left, right = (
        ematix.side(
            name, source=files, source_query=f"{name}/*.json",
            **{"on_time": TIMES[name], "transform_sql": SQL[name], **(sides or {}).get(name, {})},
        )
        for name in SQL
    )  # fmt: skip
    given = {name: options.pop(name) for name in ("on_error", "transform_sql", "mode", "window") if name in options}
    join = ematix.join(left, right, **{"on": "id", "how": how, "within": "10 minutes", **options})
    return ematix.stream("paid", source=join, target=store, target_table="paid", checkpoint=0.001, **given)


def rows_of(store: Connection) -> list[dict[str, Any]]:
    source = registry.source(store)
    try:
        return source.read(Query(table="paid")).read_all().to_pylist()
    finally:
        source.close()


def found(store: Connection) -> list[tuple[Any, Any, Any]]:
    return sorted(((row["id"], row["item"], row["amount"]) for row in rows_of(store)), key=str)


def test_a_join_goes_on_with_what_waited_when_the_last_consumer_ended(store: Connection) -> None:
    arrive("orders", order(1, 0), order(2, 1))
    arrive("payments", payment(1, 3))
    stream = joined(store)
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    arrive("payments", payment(2, 4), payment(2, 5, 6), payment(3, 5))
    assert stream.consume(until_idle=True).targets[0].inserted == 2
    assert found(store) == [(1, "item 1", 5), (2, "item 2", 5), (2, "item 2", 6)]
    assert stream.consume(until_idle=True).targets[0].records == 0


def test_what_found_nothing_is_told_once_when_the_watermark_has_passed_its_time(store: Connection) -> None:
    arrive("orders", order(1, 0), order(None, 0), order(2, 1))
    arrive("payments", payment(2, 3), payment(9, 2), payment(None, 0))
    stream = joined(store, "full")
    stream.consume(until_idle=True)
    assert found(store) == [(2, "item 2", 5)]
    arrive("orders", order(3, 40))
    arrive("payments", payment(3, 41))
    for _ in range(2):
        stream.consume(until_idle=True)
    assert found(store) == sorted(
        [(1, "item 1", None), (2, "item 2", 5), (3, "item 3", 5), (9, None, 5), (None, None, 5),
         (None, "item None", None)],
        key=str,
    )  # fmt: skip


def test_the_sql_of_the_stream_is_over_the_pairs(store: Connection) -> None:
    arrive("orders", order(1, 0))
    arrive("payments", payment(1, 3))
    stream = joined(store, transform_sql="SELECT id, upper(item) AS item, amount * 2 AS amount FROM source")
    stream.consume(until_idle=True)
    assert found(store) == [(1, "ITEM 1", 10)]


def test_a_name_that_both_sides_have_is_refused_with_what_to_write(store: Connection) -> None:
    arrive("orders", order(1, 0, amount=1))
    arrive("payments", payment(1, 3))
    sql = SQL["orders"].replace("item,", "item, amount,")
    with pytest.raises(ConversionError, match=r"both sides of the join have a column 'amount'") as caught:
        joined(store, sides={"orders": {"transform_sql": sql}}).consume(until_idle=True)
    assert "SELECT * RENAME (amount AS payments_amount) FROM source" in str(caught.value)


def test_a_key_that_a_side_has_not_is_named(store: Connection) -> None:
    arrive("orders", order(1, 0))
    arrive("payments", payment(1, 3))
    with pytest.raises(ConversionError, match="side payments has no column 'order_id'"):
        joined(store, on=[("id", "order_id")]).consume(until_idle=True)


def test_late_rows_are_dropped_or_kept_as_letters(store: Connection) -> None:
    arrive("orders", order(1, 30))
    arrive("payments", payment(1, 30))
    stream = joined(store, late="dead_letter", on_error="dead_letter")
    stream.consume(until_idle=True)
    arrive("orders", order(2, 1))
    assert stream.consume(until_idle=True).targets[0].dead == 1
    [letter] = list_letters(stream).letters
    assert letter["error"] == "it came after those that it could belong to were let go"
    with pytest.raises(UnsupportedError, match="a letter that is replayed would be a row of the target"):
        replay_letters(stream)


def test_a_row_without_a_time_is_a_letter_and_the_rest_is_joined(store: Connection) -> None:
    arrive("orders", order(1, 0), {**order(2, 0), "moment": None})
    arrive("payments", payment(1, 3), payment(2, 3))
    stream = joined(store, on_error="dead_letter")
    assert stream.consume(until_idle=True).targets[0].dead == 1
    assert found(store) == [(1, "item 1", 5)]


def test_a_pair_that_the_sql_makes_nothing_of_is_a_letter_and_the_rest_is_loaded(store: Connection) -> None:
    arrive("orders", *(order(number, 0) for number in range(5)))
    arrive("payments", *(payment(number, 3) for number in range(5)))
    divided = "SELECT id, item, CAST(CASE WHEN id = 3 THEN 'none' ELSE amount END AS BIGINT) AS amount FROM source"
    stream = joined(store, transform_sql=divided, on_error="dead_letter")
    assert stream.consume(until_idle=True).targets[0].dead == 1
    assert [row[0] for row in found(store)] == [0, 1, 2, 4]
    [one] = list_letters(stream).letters
    [letter] = find_letters(stream, one["letter_id"])
    assert json.loads(letter["record_value"])["id"] == 3
    assert "'none'" in letter["error"]
    with pytest.raises(ConversionError, match="'none'"):
        joined(store, transform_sql=divided).consume(until_idle=True, start="earliest")


def test_more_rows_than_may_wait_are_an_error(store: Connection) -> None:
    arrive("orders", *(order(number, 0) for number in range(5)))
    arrive("payments", payment(99, 0))
    with pytest.raises(RunError, match="5 rows of orders and 1 of payments wait for others, and max_rows=4"):
        joined(store, max_rows=4).consume(until_idle=True)


def test_the_state_can_be_looked_at_and_is_refused_to_another_join(store: Connection) -> None:
    arrive("orders", order(1, 0), order(2, 1))
    arrive("payments", payment(1, 3))
    stream = joined(store)
    stream.consume(until_idle=True)
    state = state_of(stream, stream.targets[0])
    assert (state.rows, state.groups) == (3, 0)
    assert state.watermark is not None
    assert state.watermark.isoformat() == "2026-01-01T10:01:00+00:00"
    with pytest.raises(Exception, match="the state is of another declaration: it had after='600 s' and now '60 s'"):
        joined(store, within="1 minute").consume(until_idle=True)


def test_the_plan_tells_both_sources_the_join_and_the_columns(store: Connection) -> None:
    stream = joined(store, "left")
    assert "no record is there yet" in str(stream.plan())
    arrive("orders", order(1, 0))
    arrive("payments", payment(2, 3))
    plan = stream.plan()
    assert plan.source == "orders/*.json of files (objects) and payments/*.json of files (objects)"
    assert plan.columns == ("id", "item", "ordered_at", "amount", "paid_at")
    assert "join: orders left join payments on id" in str(plan)


def test_a_join_can_begin_anew_at_positions_of_each_side(store: Connection) -> None:
    arrive("orders", order(1, 0))
    arrive("payments", payment(1, 3))
    stream = joined(store)
    positions = stream.consume(until_idle=True).targets[0].positions
    assert {name.partition("/")[0] for name in positions} == {"orders", "payments"}
    assert stream.consume(until_idle=True, start="earliest").targets[0].inserted == 1
    with pytest.raises(Exception, match="position 'parcels/x' is of neither side"):
        stream.consume(until_idle=True, start={"parcels/x": 1})


def test_the_side_that_is_behind_is_polled_first(store: Connection) -> None:
    for minute in range(3):
        arrive("orders", order(minute, minute))
        arrive("payments", payment(minute, minute))
    source = cast("PairedSource", open_source(Environment(settings=Settings.load()), joined(store)))
    limits = PollLimits(rows=1, seconds=1)
    sides = []
    try:
        for source.first in (1, 1, 0, 1, 1, None, None):
            polled = source.poll(limits)
            sides.append(polled.side if isinstance(polled, SidePolled) else None)
    finally:
        source.close()
    assert sides == [1, 1, 0, 1, 0, 0, None]


def test_rows_of_one_side_wait_as_long_as_the_other_one_has_none(store: Connection) -> None:
    arrive("orders", order(1, 0), order(2, 50))
    stream = joined(store, "left")
    stream.consume(until_idle=True)
    arrive("payments", payment(1, 2), payment(7, 49))
    arrive("orders", order(3, 55))
    stream.consume(until_idle=True)
    assert found(store) == [(1, "item 1", 5)]


def per_ten_minutes(on: str = "ordered_at", **options: Any) -> ematix.Window:  # noqa: ANN401 - those of `tumbling`
    return ematix.tumbling("10 minutes", on=on, aggregate={"n": "count", "paid": "count(amount)"}, **options)


def told(store: Connection) -> list[tuple[int, int, int]]:
    """Return of each window the minute that it begins, its rows, and how many of them were paid."""
    rows = rows_of(store)
    return sorted((int(str(row["window_start"])[14:16]), row["n"], row["paid"]) for row in rows)


def test_a_window_behind_a_join_waits_for_rows_that_the_join_holds_back(store: Connection) -> None:
    arrive("orders", order(1, 1), order(2, 2), order(3, 14))
    arrive("payments", payment(1, 3), payment(3, 20))
    stream = joined(store, "left", window=per_ten_minutes())
    assert stream.consume(until_idle=True).targets[0].inserted == 0  # order 2 may still be paid
    arrive("orders", order(4, 22))
    arrive("payments", payment(3, 19), payment(4, 21))
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert told(store) == [(0, 2, 1)]
    assert stream.consume(until_idle=True).targets[0].records == 0
    arrive("orders", order(5, 50))
    arrive("payments", payment(5, 50))
    stream.consume(until_idle=True)
    assert told(store) == [(0, 2, 1), (10, 2, 2), (20, 1, 1)]


def test_results_of_a_join_without_a_time_for_the_window_are_letters(store: Connection) -> None:
    arrive("orders", order(1, 1), order(2, 2), order(3, 2))
    arrive("payments", payment(1, 3))
    stream = joined(store, "left", window=per_ten_minutes("paid_at"), on_error="dead_letter")
    stream.consume(until_idle=True)
    arrive("orders", order(4, 40))
    arrive("payments", payment(4, 40))
    assert stream.consume(until_idle=True).targets[0].dead == 2
    assert told(store) == [(0, 1, 1)]
    letters = [find_letters(stream, one["letter_id"])[0] for one in list_letters(stream).letters]
    assert {one["error"] for one in letters} == {"column 'paid_at' is NULL"}
    assert sorted(json.loads(one["record_value"])["id"] for one in letters) == [2, 3]
    with pytest.raises(BadRowError, match="column 'paid_at' is NULL"):
        joined(store, "left", window=per_ten_minutes("paid_at")).consume(until_idle=True, start="earliest")


def test_results_with_times_of_their_own_may_be_late_for_the_window(store: Connection) -> None:
    early = "SELECT amount, ordered_at - INTERVAL 2 hours * (id % 2) AS ordered_at FROM source"
    window = per_ten_minutes(late="dead_letter")
    stream = joined(store, transform_sql=early, window=window, on_error="dead_letter")
    arrive("orders", order(2, 30))
    arrive("payments", payment(2, 30))
    stream.consume(until_idle=True)
    arrive("orders", order(1, 31))
    arrive("payments", payment(1, 31))
    assert stream.consume(until_idle=True).targets[0].dead == 1
    assert [one["error"] for one in list_letters(stream).letters] == ["it came after its window was told"]


def test_early_results_are_told_of_what_was_joined_so_far(store: Connection) -> None:
    arrive("orders", order(1, 1))
    arrive("payments", payment(1, 3))
    stream = joined(store, window=per_ten_minutes(early="1 millisecond"), mode="merge")
    stream.consume(until_idle=True)
    assert told(store) == [(0, 1, 1)]


def test_the_state_of_both_is_one_and_is_refused_to_another_declaration(store: Connection) -> None:
    arrive("orders", order(1, 0), order(2, 31))
    arrive("payments", payment(1, 3), payment(2, 31))
    stream = joined(store, window=per_ten_minutes())
    stream.consume(until_idle=True)
    state = state_of(stream, stream.targets[0])
    assert (state.rows, state.groups) == (2, 1)
    assert state.watermark is not None
    assert state.watermark.isoformat() == "2026-01-01T10:21:00+00:00"  # ten minutes behind that of the join
    assert {str(at)[11:16] for at in state.newest.values()} == {"10:31"}
    message = r"it had window\.aggregate=.* and now .*"
    with pytest.raises(ConfigError, match=message):
        joined(store, window=ematix.tumbling("10 minutes", on="ordered_at", aggregate={"n": "count"})).consume()
    with pytest.raises(ConfigError, match=r"window\.window='tumbling' and now None"):
        joined(store).consume()


def test_the_plan_of_a_join_with_a_window_tells_the_columns_of_its_results(store: Connection) -> None:
    arrive("orders", order(1, 0))
    arrive("payments", payment(1, 3))
    plan = joined(store, window=per_ten_minutes()).plan()
    assert plan.columns == ("window_start", "window_end", "n", "paid")
    assert "window: tumbling 600 s on ordered_at" in str(plan)
