"""Malformed lines of files that a stream follows: with `on_error` they are left out, and kept as dead letters."""

from __future__ import annotations

import bz2
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.errors import BadRowError, UnsupportedError
from ematix_core.streaming.dead_letters import find_letters, list_letters
from ematix_core.streaming.replay import replay_letters
from tests.unit.streaming.rows import drop, ids, rows

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream

CSV = "id,price\n1,5\n2,6,surplus\n3\n4,8\n"
JSON = '{"id": 1, "price": 5}\n{"id": 2, "price"\n[3]\n{"id": 4, "price": 8}\n'
IN_CSV = [
    (b"2,6,surplus", "line 3: Expected Number of Columns: 2 Found: 3"),
    (b"3", "line 4: column 'price': Expected Number of Columns: 2 Found: 1"),
]
IN_JSON = [(b'{"id": 2, "price"', "line 2: malformed JSON"), (b"[3]", "line 3: the line is no JSON object")]
ONLY_BAD = "id,price\n2,6,surplus\n"


def into(target: Connection, source: Connection, **options: Any) -> Stream:  # noqa: ANN401 - those of `stream`
    return ematix.stream(
        "clicks", source=source, target=target, target_table="clicks",
        **{"source_query": "*.*", "on_error": "dead_letter", **options},
    )  # fmt: skip


def letters(stream: Stream) -> list[tuple[str, bytes, str]]:
    """Return the file, text and error of each, told apart by their ids."""
    found = [find_letters(stream, one["letter_id"]) for one in list_letters(stream).letters]
    return sorted((one["partition_name"], one["record_value"], one["error"]) for (one,) in found)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.bz2", "a.jsonl", "a.jsonl.bz2"])
def test_they_become_letters_with_their_text_beside_the_rest(
    name: str, files: Connection, store: Connection, tmp_path: Path
) -> None:
    text, bad = (CSV, IN_CSV) if "csv" in name else (JSON, IN_JSON)
    content = bz2.compress(text.encode()) if name.endswith("bz2") else text
    stream = into(store, files)
    drop(tmp_path, name, content)
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead, done.dropped, done.records) == (2, 2, 0, 4)
    assert ids(store) == [1, 4]
    assert letters(stream) == sorted((name, text, error) for text, error in bad)
    assert stream.consume(until_idle=True).targets[0].records == 0
    with pytest.raises(UnsupportedError, match="letters of a source of rows"):
        replay_letters(stream)


def test_each_is_kept_once_however_the_file_is_cut_into_batches_and_files_follow(
    files: Connection, store: Connection, tmp_path: Path
) -> None:
    many = "".join(f"{number},5\n" for number in range(10, 40_010))
    drop(tmp_path, "a.csv", f"{CSV}{many}7,dear\n", age=90)  # beyond the sample that the types are found by
    drop(tmp_path, "b.csv", "id,price\n5,1\n6\n", age=80)
    drop(tmp_path, "c.csv", CSV.replace("2,6", "9,6"), age=70)
    stream = into(store, files, batch_rows=15_000, transform_sql="SELECT id FROM source")
    one = stream.consume(until_idle=True, once=True).targets[0]
    assert one.inserted == 15_000
    assert not letters(stream)
    stream.consume(until_idle=True)
    assert len(ids(store)) == 40_000 + 2 + 1 + 2
    assert [(where, text) for where, text, _ in letters(stream)] == [
        ("a.csv", b"2,6,surplus"), ("a.csv", b"3"), ("a.csv", b"7,dear"), ("b.csv", b"6"),
        ("c.csv", b"3"), ("c.csv", b"9,6,surplus"),
    ]  # fmt: skip


def test_drop_counts_them_and_fail_stops(files: Connection, store: Connection, tmp_path: Path) -> None:
    drop(tmp_path, "a.csv", CSV)
    with pytest.raises(BadRowError, match="malformed line"):
        into(store, files, on_error="fail").consume(until_idle=True)
    done = into(store, files, on_error="drop").consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead, done.dropped) == (2, 0, 2)
    assert ids(store) == [1, 4]


@pytest.mark.parametrize("lake", [False, True])
def test_a_file_of_nothing_else_is_read_like_any_other(
    lake: bool, files: Connection, store: Connection, tmp_path: Path
) -> None:
    target = ematix.DeltaConnection("lake", path=str(tmp_path / "lake")) if lake else store
    (tmp_path / "lake").mkdir()
    stream = into(target, files)
    drop(tmp_path, "a.csv", ONLY_BAD, age=90)
    stream.consume(until_idle=True)
    drop(tmp_path, "b.csv", "id,price\n5,1\n", age=80)
    done = stream.consume(until_idle=True).targets[0]
    assert done.inserted == 1
    assert ids(target) == [5]
    assert [text for _, text, _ in letters(stream)] == [b"2,6,surplus"]


@pytest.mark.parametrize("only_bad_first", [True, False])
def test_windows_leave_them_out(only_bad_first: bool, files: Connection, store: Connection, tmp_path: Path) -> None:
    drop(tmp_path, "a.csv", "id,seen\nx\n", age=90 if only_bad_first else 70)
    drop(tmp_path, "b.csv", "id,seen\n1,2026-11-01 00:00:01\n1,2026-11-01 00:00:02\ny\n1,2026-11-01 00:09:00\n", age=80)
    window = ematix.tumbling("1 minute", on="seen", by="id", aggregate={"n": "count"})
    sql = "SELECT id, CAST(seen AS TIMESTAMPTZ) AS seen FROM source"
    stream = into(store, files, transform_sql=sql, window=window, batch_rows=2, checkpoint=0.001)
    stream.consume(until_idle=True)
    assert [row["n"] for row in rows(store)] == [2]
    assert [text for _, text, _ in letters(stream)] == [b"x", b"y"]


def test_both_sides_of_a_join_leave_them_out(files: Connection, store: Connection, tmp_path: Path) -> None:
    for name in ("left", "right"):
        drop(tmp_path, f"{name}1.csv", "id,seen\nx\n", age=90)
        drop(tmp_path, f"{name}2.csv", f"id,seen\n1,2026-11-01T00:00:01Z\n{name}\n", age=80)
    sides = [
        ematix.side(
            name, source=files, source_query=f"{name}*.csv", on_time=f"{name}_at",
            transform_sql=f"SELECT id, seen AS {name}_at FROM source",
        )
        for name in ("left", "right")
    ]  # fmt: skip
    join = ematix.join(*sides, on="id", within="10 minutes")
    stream = ematix.stream(
        "clicks", source=join, target=store, target_table="clicks", checkpoint=0.001, on_error="dead_letter"
    )
    stream.consume(until_idle=True)
    assert ids(store) == [1]
    assert sorted(text for _, text, _ in letters(stream)) == [b"left", b"right", b"x", b"x"]
