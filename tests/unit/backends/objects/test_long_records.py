"""Rows of many megabytes in text files: read back, or refused before anything is committed."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.backends.objects.records import USUAL, has_longer_line
from ematix_core.backends.objects.text_files import LONGEST
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.errors import BadRowError, ConversionError

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any

MB = 1_000_000


def table(*texts: str) -> pa.Table:
    return pa.table({"id": range(len(texts)), "text": list(texts)})


def back(lake: Lake, form: str) -> list[str | None]:
    rows = lake.read("SELECT id, text FROM analytics.events ORDER BY id", form)
    found: list[str | None] = rows.column("text").to_pylist()
    return found


@pytest.mark.parametrize(("most", "longer"), [(70_009, True), (70_010, False), (3, True), (200_000, False)])
def test_longest_line_is_found_at_the_cost_of_a_look(lake: Lake, most: int, longer: bool) -> None:
    lake.write_text("a.csv", "ab\n" * 30_000 + "x" * 70_010 + "\n" + "ab\n" * 30_000)
    assert has_longer_line(LocalFolder(str(lake.root)).stat("a.csv"), most) is longer


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("size", [1_999_000, 2_000_100, 17 * MB, 60 * MB])
def test_long_value_among_ordinary_rows_is_read_back(lake: Lake, form: str, size: int) -> None:
    sent = ["short"] * 2_000 + ["ü" * (size // 2)] + ["short"] * 2_000
    lake.load(table(*sent), form, target_file_size="1GB")
    assert back(lake, form) == sent


@pytest.mark.parametrize("value", ['"' * (1 * MB), '"' * (20 * MB), "a,b" * (5 * MB), "line\n" * 390_000])
def test_quoted_value_is_read_back(lake: Lake, value: str) -> None:
    lake.load(table("short", value, "short"), "csv")
    assert back(lake, "csv") == ["short", value, "short"]


def test_lines_with_breaks_are_long_in_json(lake: Lake) -> None:
    value = "line\n" * (4 * MB)
    lake.load(table("short", value, "short"), "jsonl")
    assert back(lake, "jsonl") == ["short", value, "short"]


@pytest.mark.parametrize(
    ("value", "form", "compression", "message"),
    [
        ("line\n" * 400_001, "csv", "none", "column 'text' makes a row too long for CSV"),
        ('"' * (34 * MB), "csv", "none", "column 'text' makes a row too long for CSV"),
        ("a" * 2_000_001, "csv", "gzip", "column 'text' makes a row too long for CSV"),
        ("a" * LONGEST, "jsonl", "none", "a row is too long for JSON lines"),
        ("a" * (USUAL["jsonl"] + 1), "jsonl", "zstd", "a row is too long for JSON lines"),
    ],
)
def test_what_could_not_be_read_back_is_refused(
    lake: Lake, value: str, form: str, compression: str, message: str
) -> None:
    lake.load(table("before"), form, compression=compression)
    with pytest.raises(ConversionError, match=message):
        lake.load(table("short", value), form, compression=compression)
    assert back(lake, form) == ["before"]
    assert len(lake.stored()) == 1


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_longest_value_of_compressed_files_is_read_back(lake: Lake, compression: str) -> None:
    for form, size in (("csv", 1_990_000), ("jsonl", USUAL["jsonl"] - 1_000)):
        lake.load(table("short", "a" * size), form, clear=True, compression=compression)
        assert back(lake, form) == ["short", "a" * size]


def test_files_of_others_with_long_values_are_read(lake: Lake) -> None:
    value = "x" * (20 * MB)
    lake.write_text("a.csv", f"id,text\n1,short\n2,{value}\n3,short\n")
    lake.write_text("a.jsonl", f'{{"id": 1, "text": "short"}}\n{{"id": 2, "text": "{value}"}}\n')
    assert lake.read('SELECT text FROM "a.csv" ORDER BY id').column("text").to_pylist() == ["short", value, "short"]
    assert lake.read('SELECT text FROM "a.jsonl" ORDER BY id').column("text").to_pylist() == ["short", value]


def test_malformed_lines_among_long_ones_are_set_aside(lake: Lake) -> None:
    value = "x" * (20 * MB)
    lake.write_text("a.csv", f"id,text\n1,short\n2,{value}\n3,a,b\n4,short\n")
    lake.write_text("a.jsonl", f'{{"id": 1, "text": "{value}"}}\nno json\n{{"id": 2, "text": "b"}}\n')
    rows, bad = lake.quarantine('SELECT id FROM "a.csv" ORDER BY id')
    assert (rows.column("id").to_pylist(), [row["line"] for row in bad]) == ([1, 2, 4], [4])
    rows, bad = lake.quarantine('SELECT id FROM "a.jsonl" ORDER BY id')
    assert (rows.column("id").to_pylist(), [row["line"] for row in bad]) == ([1, 2], [2])
    with pytest.raises(BadRowError, match="line 4"):
        lake.read('SELECT id, text FROM "a.csv"')


def test_values_beyond_128_kb_do_not_stop_the_search_for_bad_lines(lake: Lake) -> None:
    lines = [f"{number},{'x' * 200_000}\n" for number in range(3)]
    (lake.root / "a.csv.gz").write_bytes(gzip.compress(("n,text\n" + "".join(lines) + "1.5,x\n").encode()))
    rows, bad = lake.quarantine("SELECT n FROM read_all ORDER BY n".replace("read_all", '"a.csv.gz"'))
    assert rows.num_rows + len(bad) == 4
