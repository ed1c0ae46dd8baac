"""Streams of files: where reading begins, what errors do, several targets, lookups, restarts, stop and pause."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.errors import ConnectError, ConversionError, DeclarationError, EmatixError, UnsupportedError
from ematix_core.model.retry import Retry
from ematix_core.streaming import supervision
from ematix_core.streaming.control import Control, Unobserved
from ematix_core.streaming.dead_letters import list_letters
from ematix_core.streaming.landing import Landing
from ematix_core.streaming.shaping import Shaping
from tests.unit.streaming.rows import ids, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core.backends.stream_protocols import StreamSource
    from ematix_core.engine.result import TargetResult
    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.control import Landed
    from ematix_core.streaming.landing import Parcel
    from tests.unit.streaming.conftest import Arrive

NUMBERS = "SELECT id, CAST(price AS INTEGER) AS price FROM source"


def into(target: Connection, source: Connection, **options: Any) -> Stream:  # noqa: ANN401 - those of `stream`
    return ematix.stream(
        "clicks", source=source, source_query="*.json", target=target, target_table="clicks",
        **{"transform_sql": NUMBERS, **options},
    )  # fmt: skip


def one(number: int, price: str = "5") -> dict[str, Any]:
    return {"id": number, "price": price}


class Hook(Unobserved):
    """Calls a function after each micro-batch."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def landed(self, target: str, done: Landed) -> None:  # noqa: ARG002 - an observer
        self._call()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_each_row_is_loaded_once_and_columns_of_the_source_stay_out(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    stream = into(store, files, transform_sql="")
    arrive(one(1), one(2))
    assert stream.consume(until_idle=True).targets[0].inserted == 2
    arrive(one(3))
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert rows(store) == [one(1), one(2), one(3)]


def test_start_rewinds_and_goes_to_the_end(files: Connection, store: Connection, arrive: Arrive) -> None:
    stream = into(store, files)
    arrive(one(1))
    stream.consume(until_idle=True)
    arrive(one(2))
    stream.consume(until_idle=True, start="latest")
    assert ids(store) == [1]
    stream.consume(until_idle=True, start="earliest")
    assert ids(store) == [1, 1, 2]
    assert stream.consume(until_idle=True).targets[0].records == 0


def test_it_ends_where_it_is_told_and_loads_nothing_behind(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    stream = into(store, files)
    arrive(one(1), one(2))
    there = stream.consume(until_idle=True).targets[0].positions
    arrive(one(3))
    assert stream.consume(start="earliest", end=there).targets[0].inserted == 2
    assert ids(store) == [1, 1, 2, 2]
    assert stream.consume(end=there).targets[0].records == 0
    assert stream.consume(end="latest").targets[0].inserted == 1
    assert stream.consume(end="earliest").targets[0].records == 0


def test_a_column_with_two_types_in_a_batch_is_named(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive({"id": 1, "price": 5})
    arrive({"id": 2, "price": {"euros": 5}})
    with pytest.raises(ConversionError, match=r"price(.|\n)*int64(.|\n)*struct"):
        into(store, files, transform_sql="").consume(until_idle=True)


def test_merge_keeps_the_last_row_of_a_key_in_a_batch(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1, "1"), one(2, "2"), one(1, "3"))
    into(store, files, mode=ematix.merge(keys=["id"])).consume(until_idle=True)
    assert rows(store) == [{"id": 1, "price": 3}, {"id": 2, "price": 2}]


def test_fail_loads_nothing_of_the_batch(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1))
    into(store, files).consume(until_idle=True)
    arrive(one(2), one(3, "much"))
    with pytest.raises(EmatixError, match=r"much(.|\n)*") as caught:
        into(store, files).consume(until_idle=True)
    assert "stream clicks" in str(caught.value)
    assert ids(store) == [1]


def test_drop_loads_the_rest(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1), one(2, "much"), one(3))
    done = into(store, files, on_error="drop").consume(until_idle=True).targets[0]
    assert (done.inserted, done.dropped, done.dead) == (2, 1, 0)
    assert ids(store) == [1, 3]


@pytest.mark.parametrize("options", [{"format": "csv"}, {"format": "jsonl"}, {"options": {"partition_by": ["id"]}}])
def test_a_target_that_cannot_keep_dead_letters_is_refused_before_the_first_of_them(
    options: dict[str, Any], files: Connection, arrive: Arrive, tmp_path: Path
) -> None:
    arrive({"id": 1, "price": 2})
    lake = ematix.ObjectStoreConnection("lake", path=str(tmp_path / "out"), **options)
    stream = into(lake, files, on_error="dead_letter")
    message = "the dead letters of clicks cannot be kept in clicks_dead_letters: "
    with pytest.raises(UnsupportedError, match=message):
        stream.plan()
    with pytest.raises(UnsupportedError, match=message):
        stream.consume(until_idle=True)
    assert not list((tmp_path / "out").rglob("*.*"))


def test_dead_letter_keeps_the_row_beside_the_rest(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1), one(2, "much"), one(3))
    stream = into(store, files, on_error="dead_letter", dead_letter="bad")
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dropped, done.dead) == (2, 0, 1)
    (letter,) = list_letters(stream).letters
    assert (letter["letter_id"], letter["partition_name"], letter["attempt"]) == ("clicks/1.json/1", "1.json", 1)
    assert "much" in letter["error"]
    assert stream.consume(until_idle=True).targets[0].records == 0


def test_a_format_is_refused_where_there_are_rows(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1))
    with pytest.raises(DeclarationError, match=r"the source gives rows, which have no format"):
        into(store, files, format="json").consume(until_idle=True)


def test_a_target_that_cannot_go_on_stops_the_others_and_they_keep_what_they_have(
    files: Connection, store: Connection, arrive: Arrive, tmp_path: Path
) -> None:
    lake = ematix.DeltaConnection("lake", path=str(tmp_path / "lake"))
    arrive(one(1), one(2))
    stream = ematix.stream(
        "clicks", source=files, source_query="*.json", transform_sql="SELECT id FROM source",
        targets=[
            ematix.target("clicks", connection=store),
            ematix.target("clicks", connection=lake, mode=ematix.merge(keys=["nope"])),
        ],
    )  # fmt: skip
    with pytest.raises(EmatixError, match="nope"):
        stream.consume()
    good = ematix.stream(
        "clicks", source=files, source_query="*.json", transform_sql="SELECT id FROM source",
        targets=[ematix.target("clicks", connection=store), ematix.target("clicks", connection=lake)],
    )  # fmt: skip
    good.consume(until_idle=True)
    assert ids(store) == ids(lake) == [1, 2]


def test_a_lookup_is_read_again_when_it_is_due_and_serves_on_while_it_cannot_be(
    files: Connection, store: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    people = ematix.DuckDBConnection("people", path=str(tmp_path / "people.duckdb"))
    clock = [0.0]
    monkeypatch.setattr("ematix_core.streaming.shaping.time", SimpleNamespace(monotonic=lambda: clock[0]))
    from ematix_core.config.settings import Settings
    from ematix_core.engine.environment import Environment

    def name(value: str) -> None:
        import duckdb

        with duckdb.connect(str(tmp_path / "people.duckdb")) as connection:
            connection.execute("CREATE OR REPLACE TABLE people AS SELECT 1 AS id, ? AS name", [value])

    stream = into(
        store, files, transform_sql="SELECT id, name FROM source JOIN people USING (id)",
        lookups=ematix.lookup("people", connection=people, query="SELECT * FROM people", refresh="1 minute"),
    )  # fmt: skip
    shaping = Shaping(Environment(project=None, settings=Settings.load()), stream)
    batch = pa.table({"id": [1]})
    name("Ann")
    assert shaping.shaped(batch).column("name").to_pylist() == ["Ann"]
    name("Bo")
    clock[0] = 59.0
    assert shaping.shaped(batch).column("name").to_pylist() == ["Ann"]
    clock[0] = 61.0
    assert shaping.shaped(batch).column("name").to_pylist() == ["Bo"]
    (tmp_path / "people.duckdb").unlink()
    clock[0] = 200.0
    assert shaping.shaped(batch).column("name").to_pylist() == ["Bo"]
    shaping.close()
    first = Shaping(Environment(project=None, settings=Settings.load()), stream)
    with pytest.raises(EmatixError, match="lookup people"):
        first.shaped(batch)
    first.close()


def test_a_failure_that_may_pass_begins_again_from_the_noted_positions(
    files: Connection, store: Connection, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(one(1), one(2))
    whole = Landing.land
    failures = [ConnectError("the server is restarting"), ConnectError("the server is restarting")]

    def land(self: Landing, parcel: Parcel, source: StreamSource) -> TargetResult:
        done = whole(self, parcel, source)
        if failures:
            raise failures.pop()  # the rows are committed, and the answer is lost
        return done

    monkeypatch.setattr(Landing, "land", land)
    done = into(store, files, batch_rows=1).consume(until_idle=True).targets[0]
    assert done.restarts == 2
    assert ids(store) == [1, 2]


def test_what_is_to_come_to_an_end_does_not_begin_again_for_ever(
    files: Connection, store: Connection, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(one(1))
    tried = []

    def land(_self: Landing, _parcel: Parcel, _source: StreamSource) -> TargetResult:
        tried.append(1)
        raise ConnectError("the server is gone")

    monkeypatch.setattr(Landing, "land", land)
    monkeypatch.setattr(supervision, "RESTARTS", Retry(delay=0.01, backoff="fixed"))
    with pytest.raises(ConnectError, match="the server is gone"):
        into(store, files).consume(until_idle=True)
    assert len(tried) == 11


def test_a_stop_ends_after_the_batch(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1), one(2), one(3))
    control = Control()
    done = into(store, files, batch_rows=1).consume(control=control, observer=Hook(control.stop))
    assert done.targets[0].batches == 1
    assert ids(store) == [1]


def test_while_it_is_paused_nothing_is_loaded(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1))
    asked, paused, loaded = [0], [True], [0]

    def is_paused() -> bool:
        asked[0] += 1
        return paused[0]

    def count() -> None:
        loaded[0] += 1

    control = Control(is_paused)
    thread = threading.Thread(target=into(store, files).consume, kwargs={"control": control, "observer": Hook(count)})
    thread.start()
    try:
        eventually(lambda: asked[0] >= 2)
        assert loaded == [0]
        paused[0] = False
        eventually(lambda: loaded[0] == 1)
    finally:
        control.stop()
        thread.join(30)
    assert not thread.is_alive()
    assert ids(store) == [1]


def test_a_consumer_that_cannot_open_releases_what_it_has(
    files: Connection, store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(Landing, "let_go", lambda _self: closed.append("target"))
    monkeypatch.setattr(Shaping, "close", lambda _self: closed.append("sql"))
    with pytest.raises(DeclarationError, match="no format"):
        into(store, files, format="json").consume(until_idle=True)
    assert closed == ["sql", "target"]


def test_plan_says_how_rows_are_read_shaped_and_loaded(files: Connection, store: Connection, arrive: Arrive) -> None:
    stream = into(store, files)
    assert "no record is there yet" in str(stream.plan())
    arrive(one(1))
    plan = stream.plan()
    assert (plan.columns, plan.targets[0].delivery) == (("id", "price"), "effectively once")
    assert "writes clicks (append): effectively once" in str(plan)
    assert plan.to_dict()["targets"][0]["steps"]


def test_plan_shows_the_warnings_of_its_targets(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(one(1))
    into(store, files).consume(until_idle=True)
    sql = "SELECT id, CAST(price AS INTEGER) AS price, 1 AS more FROM source"
    plan = into(store, files, transform_sql=sql, on_drift="warn").plan()
    assert "    - warning: clicks: new column 'more' is not loaded" in str(plan)
    assert "'more'" in plan.to_dict()["targets"][0]["warnings"][0]


def test_plan_tells_that_histories_without_event_time_have_one_version_a_batch(
    files: Connection, store: Connection
) -> None:
    note = "scd2 into clicks without event_time= keeps one version of a key from each micro-batch"
    assert note in str(into(store, files, mode=ematix.scd2(keys="id")).plan())
    assert note not in str(into(store, files, mode=ematix.scd2(keys="id", event_time="at")).plan())
    assert note not in str(into(store, files, mode=ematix.merge(keys="id")).plan())


def test_plan_is_made_in_spite_of_bad_rows_where_the_stream_goes_on(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(one(1, "much"), one(2))
    assert into(store, files, on_error="drop").plan().columns == ("id", "price")
    with pytest.raises(EmatixError, match="much"):
        into(store, files).plan()
    with pytest.raises(EmatixError, match="nope"):
        into(store, files, on_error="drop", transform_sql="SELECT nope FROM source").plan()
