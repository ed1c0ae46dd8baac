"""Folders as streams: files that are late, that change, that are not complete; and tables of ours by their versions."""

# ruff: noqa: ANN401 - options of any kind
from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ematix_core.backends import registry
from ematix_core.backends.objects import tail as tail_module
from ematix_core.backends.objects.tail import SETTLED, DirectoryTail
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.backends.tailing import PARTITION
from ematix_core.errors import BadRowError, ConfigError, DeclarationError, MissingSourceError, SourceError
from ematix_core.testing.stream import drain, ids

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.backends.stream_protocols import Positions, StreamSource
    from tests.unit.backends.objects.conftest import Lake

ONCE = PollLimits(seconds=0)
NOW = int(time.time())


@pytest.fixture(autouse=True)
def _time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test begin now: it may be long since this file was imported."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", int(time.time()))


EVENTS = "analytics.events"


def drop(lake: Lake, path: str, *numbers: int, age: float = 60) -> Path:
    """Put a complete CSV file there, last changed so many seconds ago."""
    lake.write_text(path, "id\n" + "".join(f"{number}\n" for number in numbers))
    os.utime(lake.root / path, (NOW - age, NOW - age))
    return lake.root / path


def follow(lake: Lake, start: Any = "earliest", name: str = "in/*.csv", **options: Any) -> StreamSource:
    source = registry.stream_source(lake.connection(), StreamQuery(name, options))
    source.seek(start)
    return source


def state(positions: Positions) -> dict[str, Any]:
    place = positions[PARTITION]
    assert isinstance(place, list)
    return dict(place[-1])


def test_files_come_in_the_order_of_their_last_change_then_by_path(lake: Lake) -> None:
    drop(lake, "in/a.csv", 5, age=10)
    drop(lake, "in/c.csv", 1, 2, age=60)
    drop(lake, "in/z.csv", 4, age=30)
    drop(lake, "in/b.csv", 3, age=30)
    (first, *_) = found = list(drain(follow(lake)))
    assert [row for one in found for row in one.rows.column("id").to_pylist()] == [1, 2, 3, 4, 5]
    assert first.rows.column("_file").to_pylist() == ["in/c.csv", "in/c.csv"]
    assert first.rows.column("_offset").to_pylist() == [0, 1]
    assert {at.timestamp() for at in first.rows.column("_event_ts").to_pylist()} == {NOW - 60}  # type: ignore[union-attr]  # there is no NULL


def test_a_late_file_with_an_old_name_and_an_old_time_is_read(lake: Lake) -> None:
    drop(lake, "in/m.csv", 1, age=60)
    source = follow(lake, window="10 minutes")
    assert ids(source) == [1]
    saved = json.loads(json.dumps(source.positions()))
    drop(lake, "in/a.csv", 2, age=500)
    drop(lake, "in/m2.csv", 3, age=60)
    assert ids(follow(lake, saved, window="10 minutes")) == [2, 3]
    assert ids(source) == [2, 3]


def test_a_file_that_is_later_than_the_window_is_an_error_until_it_is_touched(lake: Lake) -> None:
    drop(lake, "in/m.csv", 1, age=60)
    source = follow(lake, window="5 minutes")
    assert ids(source) == [1]
    before = source.positions()
    late = drop(lake, "in/a.csv", 2, age=900)
    for opened in (source, follow(lake, before, window="5 minutes")):
        with pytest.raises(SourceError, match="a file came too late"):
            opened.poll(ONCE)
        assert opened.positions() == before
    os.utime(late, (NOW - 5, NOW - 5))
    assert ids(source) == [2]


def test_a_late_file_is_noticed_though_another_has_gone(lake: Lake) -> None:
    old = drop(lake, "in/m.csv", 1, age=900)
    source = follow(lake, window="5 minutes")
    assert ids(source) == [1]
    old.unlink()
    drop(lake, "in/a.csv", 2, age=900)
    with pytest.raises(SourceError, match="a file came too late"):
        source.poll(ONCE)


def test_files_may_be_removed_after_they_were_read(lake: Lake) -> None:
    files = [drop(lake, f"in/{number}.csv", number, age=900 - number) for number in range(5)]
    source = follow(lake, window="5 minutes")
    assert ids(source) == list(range(5))
    for file in files[:4]:
        file.unlink()
    drop(lake, "in/9.csv", 9)
    assert ids(source) == [9]


def test_positions_do_not_grow_with_the_files(lake: Lake) -> None:
    for number in range(120):
        drop(lake, f"in/{number}.csv", number, age=10_000 - number)
    drop(lake, "in/new.csv", 999, age=10)
    source = follow(lake, window="5 minutes")
    longest = 0
    for polled in drain(source):
        longest = max(longest, len(json.dumps(polled.positions)))
    assert longest < 400
    assert [path for _, path, _ in state(source.positions())["read"]] == ["in/new.csv"]
    assert state(source.positions())["old"] == 120


def test_more_files_than_are_remembered_at_once_all_come(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "_AT_ONCE", 3)
    for number in range(11):
        drop(lake, f"in/{(number * 7) % 11}.csv", number, age=10_000 - number // 4)  # some at one time
    source = follow(lake, window="5 minutes")
    assert sorted(ids(source)) == list(range(11))
    assert state(source.positions())["old"] == 11


def test_what_is_being_written_waits(lake: Lake) -> None:
    for name in ("in/.a.csv", "in/_new-1.csv", "in/b.csv.tmp", "in/c.csv.part", "in/_sub/d.csv"):
        drop(lake, name, 1)
    lake.write_text("in/e.csv", "id\n1\n")  # just now
    source = follow(lake, name="in/**")
    assert ids(source) == []
    os.utime(lake.root / "in/e.csv", (NOW - 60, NOW - 60))
    assert ids(source) == [1]


def test_latest_is_behind_the_files_that_are_complete_and_before_one_that_is_being_written(lake: Lake) -> None:
    drop(lake, "in/a.csv", 1)
    lake.write_text("in/b.csv", "id\n1\n")  # just now
    source = follow(lake, "latest")
    lake.write_text("in/b.csv", "id\n2\n3\n")
    assert source.poll(ONCE) is None
    os.utime(lake.root / "in/b.csv", (NOW - 30, NOW - 30))
    assert ids(source) == [2, 3]


def test_a_file_that_grows_waits_until_it_is_complete(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "SETTLED", 0.3)
    lake.write_text("in/a.csv", "id\n")
    source = follow(lake)
    for number in range(5):
        with (lake.root / "in/a.csv").open("a") as file:
            file.write(f"{number}\n")
        assert source.poll(ONCE) is None
        time.sleep(0.05)
    polled = source.poll(PollLimits(seconds=5))
    assert polled is not None
    assert polled.rows.column("id").to_pylist() == list(range(5))


def test_a_file_from_a_clock_that_is_ahead_is_read_when_it_stays_as_it_is(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "SETTLED", 0.2)
    drop(lake, "in/a.csv", 1, age=-3600)
    source = follow(lake)
    assert source.poll(ONCE) is None
    assert source.poll(PollLimits(seconds=5)) is not None
    assert ids(source) == []
    assert ids(follow(lake, source.positions())) == []


def test_a_file_that_changes_after_it_was_read_is_named(lake: Lake) -> None:
    drop(lake, "in/a.csv", 1)
    source = follow(lake)
    assert ids(source) == [1]
    drop(lake, "in/a.csv", 1, 2, age=30)
    with pytest.raises(SourceError, match=r"in/a.csv was changed after it had been read") as caught:
        source.poll(ONCE)
    assert "on_change=" in caught.value.hint


@pytest.mark.parametrize(("on_change", "found"), [("ignore", []), ("reread", [1, 2])])
def test_a_file_that_changes_may_be_passed_over_or_read_anew(lake: Lake, on_change: str, found: list[int]) -> None:
    drop(lake, "in/a.csv", 1)
    source = follow(lake, on_change=on_change)
    assert ids(source) == [1]
    drop(lake, "in/a.csv", 1, 2, age=30)
    assert ids(source) == found
    assert ids(source) == ids(follow(lake, source.positions(), on_change=on_change)) == []


def test_a_file_that_changes_half_way_is_an_error_whatever_the_option(lake: Lake) -> None:
    path = drop(lake, "in/a.csv", *range(10))
    source = follow(lake, on_change="reread")
    assert source.poll(PollLimits(rows=3, seconds=0)) is not None
    saved = source.positions()
    drop(lake, "in/a.csv", *range(20), age=30)
    with pytest.raises(SourceError, match="was changed after 3 rows"):
        follow(lake, saved, on_change="reread").poll(ONCE)
    path.unlink()
    with pytest.raises(SourceError, match="has gone after 3 rows"):
        follow(lake, saved, on_change="reread").poll(ONCE)


def test_a_file_that_goes_before_it_is_read_is_passed_over(lake: Lake) -> None:
    for number in range(3):
        drop(lake, f"in/{number}.csv", number, age=60 - number)
    source = follow(lake)
    assert source.poll(ONCE) is not None
    (lake.root / "in/1.csv").unlink()
    assert ids(source) == [2]


def test_empty_files_have_no_rows_and_do_not_hold_up_others(lake: Lake) -> None:
    lake.write_text("in/a.csv", "")
    os.utime(lake.root / "in/a.csv", (NOW - 90, NOW - 90))
    drop(lake, "in/b.csv", age=80)
    drop(lake, "in/c.csv", 1)
    assert ids(follow(lake)) == [1]


def test_a_damaged_file_is_named_again_and_again_until_it_is_mended(lake: Lake) -> None:
    drop(lake, "in/a.csv", 1, age=90)
    lake.write_text("in/b.csv", "id,n\n" + "1,2\n" * 30_000 + '2,"x\n')
    os.utime(lake.root / "in/b.csv", (NOW - 60, NOW - 60))
    source = follow(lake)
    assert source.poll(ONCE) is not None
    for _ in range(2):
        with pytest.raises((BadRowError, SourceError), match=r"malformed|in/b.csv"):
            ids(source)
    (lake.root / "in/b.csv").unlink()
    source = follow(lake, start=behind(lake))
    drop(lake, "in/c.csv", 7, age=30)
    assert ids(source) == [7]


def behind(lake: Lake) -> Positions:
    """Return the positions behind the first file."""
    source = follow(lake)
    assert source.poll(ONCE) is not None
    assert source.poll(ONCE) is None
    return source.positions()


def test_a_folder_gives_the_files_of_known_endings(lake: Lake) -> None:
    drop(lake, "in/a.csv", 1, age=90)
    pq.write_table(pa.table({"id": [2]}), lake.root / "in/b.parquet")
    os.utime(lake.root / "in/b.parquet", (NOW - 60, NOW - 60))
    lake.write_text("in/README", "what is here")
    os.utime(lake.root / "in/README", (NOW - 60, NOW - 60))
    assert ids(follow(lake, name="in")) == [1, 2]


def test_hive_folders_become_columns(lake: Lake) -> None:
    drop(lake, "in/day=2026-01-31/a.csv", 1)
    (polled,) = drain(follow(lake, name="in/**/*.csv"))
    assert polled.rows.schema.names == ["id", "day", "_event_ts", "_file", "_offset"]


def test_a_column_with_the_name_of_one_that_is_added_is_refused(lake: Lake) -> None:
    lake.write_text("in/a.csv", "id,_offset\n1,2\n")
    os.utime(lake.root / "in/a.csv", (NOW - 60, NOW - 60))
    with pytest.raises(SourceError, match="'_offset'"):
        follow(lake).poll(ONCE)


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("no/such/*.csv", {}, MissingSourceError, "there is no folder"),
        ("../x/*.csv", {}, SourceError, "no path below the connection"),
        ("in/*.csv", {"on_change": "igonre"}, ConfigError, "unknown on_change"),
        ("in/*.csv", {"window": "1 fortnight"}, DeclarationError, "window='1 fortnight' has an unknown unit"),
        ("in/*.csv", {"on_rewrite": "fail"}, ConfigError, "no option 'on_rewrite'"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    lake: Lake, name: str, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    drop(lake, "in/a.csv", 1)
    with pytest.raises(kind, match=message):
        follow(lake, name=name, **options).poll(ONCE)


def test_a_window_is_never_shorter_than_a_file_takes_to_be_complete(lake: Lake) -> None:
    drop(lake, "in/a.csv", 1, age=60)
    tail = DirectoryTail(lake.connection(), "in", window=0.001, on_change="fail", clock=lambda: NOW * 10**9)
    assert ids(tail) == [1]
    assert state(tail.positions())["before"] == (NOW - SETTLED) * 10**9


def table_ids(lake: Lake, start: Any = "earliest", **options: Any) -> list[int]:
    return [int(one) for one in ids(follow(lake, start, EVENTS, **options))]


def test_a_table_of_ours_gives_what_each_version_added(lake: Lake) -> None:
    lake.load(pa.table({"id": [1, 2]}))
    source = follow(lake, name=EVENTS)
    assert ids(source) == [1, 2]
    lake.load(pa.table({"id": [3]}))
    (polled,) = drain(source)
    assert polled.rows.column("_version").to_pylist() == [2]


def test_a_table_of_ours_has_null_where_a_file_is_older_than_a_column(lake: Lake) -> None:
    lake.load(pa.table({"id": [1]}))
    lake.load(pa.table({"id": [2], "note": ["x"]}))
    found = [row for one in drain(follow(lake, name=EVENTS)) for row in one.rows.to_pylist()]
    assert [(row["id"], row["note"]) for row in found] == [(1, None), (2, "x")]


@pytest.mark.parametrize("form", ["csv", "jsonl", "orc"])
def test_a_table_of_any_format_is_followed(lake: Lake, form: str) -> None:
    lake.load(pa.table({"id": [1]}), form)
    lake.load(pa.table({"id": [2], "note": ["x"]}), form)
    found = [row for one in drain(follow(lake, name=EVENTS)) for row in one.rows.to_pylist()]
    assert [(row["id"], row["note"]) for row in found] == [(1, None), (2, "x")]


@pytest.mark.parametrize(
    ("on_rewrite", "found"), [("fail", None), ("skip_change_commits", [4]), ("ignore_changes", [3, 4])]
)
def test_a_table_of_ours_that_was_replaced(lake: Lake, on_rewrite: str, found: list[int] | None) -> None:
    lake.load(pa.table({"id": [1, 2]}))
    source = follow(lake, name=EVENTS, on_rewrite=on_rewrite)
    assert ids(source) == [1, 2]
    lake.load(pa.table({"id": [3]}), clear=True)
    lake.load(pa.table({"id": [4]}))
    if found is None:
        with pytest.raises(SourceError, match="version 2 changed rows"):
            source.poll(ONCE)
    else:
        assert ids(source) == found


def test_versions_that_expired_are_not_missed_as_long_as_rows_were_only_added(lake: Lake) -> None:
    for number in range(3):
        lake.load(pa.table({"id": [number]}), grace_seconds=0)
    source = follow(lake, name=EVENTS)
    assert sorted(ids(source)) == [0, 1, 2]
    saved = source.positions()
    for number in range(3, 7):
        lake.load(pa.table({"id": [number]}), grace_seconds=0)
    assert table_ids(lake, saved) == [3, 4, 5, 6]
    lake.load(pa.table({"id": [9]}), clear=True, grace_seconds=0)
    lake.load(pa.table({"id": [10]}), grace_seconds=0)
    with pytest.raises(SourceError, match="is no longer told: rows were removed") as caught:
        table_ids(lake, saved)
    assert "grace_seconds" in caught.value.hint


def test_the_versions_of_a_table_of_ours_are_told(lake: Lake) -> None:
    lake.load(pa.table({"id": [1, 2]}))
    lake.load(pa.table({"id": [3]}), clear=True)
    log = registry.version_log(lake.connection(), "analytics/events")
    assert [(one.version, one.added, one.removed, one.rows) for one in log.versions(0, 9)] == [
        (1, 1, 0, 2), (2, 1, 1, 1),
    ]  # fmt: skip
    log.close()
