"""Many small files: read in the usual memory; compressed CSV with the types that the same files have uncompressed."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lake
else:
    Lake = Any


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


def put_everywhere(lake: Lake, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        lake.write_text(f"plain/f{number:03}.csv", text)
        pack(lake.root / f"packed/f{number:03}.csv.gz", text)


@pytest.mark.parametrize("options", [{}, {"memory_limit": "100MB"}])
def test_many_compressed_files_are_read_in_little_memory(lake: Lake, options: dict[str, Any]) -> None:
    for number in range(300):
        pack(lake.root / f"d/f{number}.csv.gz", f"id,v\n{number},x\n")
    rows = lake.read("SELECT sum(id) AS total, count(*) AS n FROM d", options=options)
    assert rows.to_pylist() == [{"total": sum(range(300)), "n": 300}]


def test_malformed_lines_of_many_compressed_files_are_set_aside(lake: Lake) -> None:
    for number in range(50):
        pack(lake.root / f"d/f{number:02}.csv.gz", f"id,v\n{number},x\n" + ("1,2,3\n" if number == 40 else ""))
    rows, bad = lake.quarantine("SELECT id FROM d")
    assert rows.num_rows == 50
    assert [(row["file"], row["line"]) for row in bad] == [("d/f40.csv.gz", 3)]


@pytest.mark.parametrize(
    ("first", "last"),
    [("1", "1.5"), ("", "7"), ("2026-01-01", "2026-01-01 10:00:00"), ("true", "x"), ("5", ""), ("", "")],
)
def test_types_do_not_depend_on_compression(lake: Lake, first: str, last: str) -> None:
    put_everywhere(lake, [f"a,b\nx,{first if number < 20 else last}\n" for number in range(40)])
    plain = lake.read("SELECT * FROM plain ORDER BY ALL")
    packed = lake.read("SELECT * FROM packed ORDER BY ALL")
    assert packed.schema == plain.schema
    assert packed.to_pylist() == plain.to_pylist()


def test_text_that_only_one_of_many_files_has_makes_the_column_text(lake: Lake) -> None:
    put_everywhere(
        lake, [f"a,b\nx,{'text' if number == 25 else '' if number % 2 else number}\n" for number in range(40)]
    )
    assert lake.read("SELECT b FROM packed WHERE b = '12' OR b = 'text'").num_rows == 2
    assert lake.read("SELECT * FROM packed").schema == lake.read("SELECT * FROM plain").schema


def test_large_and_small_compressed_files_are_read_together(lake: Lake) -> None:
    lines = "".join(f"{number},{number / 7}\n" for number in range(60_000))
    for number in range(20):
        pack(lake.root / f"d/f{number}.csv.gz", "id,v\n" + (lines if number % 2 else "1,1.5\n"))
    rows = lake.read("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM d")
    assert rows.to_pylist() == [{"n": 600_010, "ids": 60_000}]


def test_one_file_with_a_long_record_does_not_hold_up_many_compressed_ones(lake: Lake) -> None:
    lake.write_text("d/long.csv", f"id,v\n0,{'x' * 3_000_000}\n")
    for number in range(1, 40):
        pack(lake.root / f"d/f{number}.csv.gz", f"id,v\n{number},x\n")
    assert lake.read("SELECT sum(id) AS total FROM d").to_pylist() == [{"total": sum(range(40))}]


@pytest.mark.parametrize("line", ['{"id": 1}', '{"id": 1, "v": "x"}', '{"v": {"a": [1]}}'])
def test_many_files_of_json_lines_are_read_in_little_memory(lake: Lake, line: str) -> None:
    for number in range(300):
        lake.write_text(f"d/k={number % 3}/f{number}.jsonl", f"{line}\n")
    assert lake.read("SELECT * FROM d").num_rows == 300
