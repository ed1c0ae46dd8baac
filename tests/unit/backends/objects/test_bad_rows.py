"""Malformed lines: exact line numbers, and quarantine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.errors import BadRowError, SourceError

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any

GOOD = 30_000
"""More rows than are sampled."""


def failing(lake: Lake, name: str) -> str:
    with pytest.raises(BadRowError) as caught:
        lake.read(f'SELECT * FROM "{name}"')
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x,b,2026-01-01", "column 'id'"),
        ("1.7,b,2026-01-01", "column 'id'"),
        ("1,b,2026-01-01 10:00:00", "column 'day'"),
        ("1,b", "Expected Number of Columns: 3 Found: 2"),
        ("1,b,2026-01-01,9", "Found: 4"),
        ('1,"b,2026-01-01', "unterminated"),
    ],
)
def test_a_csv_line_that_does_not_fit_is_named_never_bent(lake: Lake, line: str, told: str) -> None:
    lake.write_text("a.csv", "id,name,day\n" + "1,n,2026-01-01\n" * GOOD + line + "\n")
    message = failing(lake, "a.csv")
    assert f"a.csv, line {GOOD + 2}" in message
    assert told in message
    assert line in message


@pytest.mark.parametrize(
    ("usual", "form"),
    [
        ("2026-01-01 10:00:00", "csv"), ("2026-01-01T10:00:00.5", "csv"), ("10:00:00", "csv"),
        ("2026-01-01T10:00:00", "jsonl"), ("10:00:00", "jsonl"),
    ],
)  # fmt: skip
def test_an_offset_is_never_cut(lake: Lake, usual: str, form: str) -> None:
    lines = [*[usual] * GOOD, f"{usual}+02"]
    if form == "jsonl":
        lake.write_text("a.jsonl", "".join(f'{{"at": "{line}"}}\n' for line in lines))
    else:
        lake.write_text("a.csv", "\n".join(["at", *lines]) + "\n")
    assert f"a.{form}, line {GOOD + (2 if form == 'csv' else 1)}" in failing(lake, f"a.{form}")


@pytest.mark.parametrize("text", ["{}\n", "{}\n{}\n", "[1]\n", "5\n"])
def test_json_lines_without_a_field_are_named(lake: Lake, text: str) -> None:
    lake.write_text("a.jsonl", text)
    assert "no line is a JSON object with a field (a.jsonl, line 1)" in failing(lake, "a.jsonl")


@pytest.mark.parametrize("number", ["12345678901234567890", "9" * 50])
@pytest.mark.parametrize("bad", ["1.7", "17e-1"])
def test_a_number_beyond_64_bits_is_never_bent_either(lake: Lake, number: str, bad: str) -> None:
    lake.write_text("a.csv", "id\n" + f"{number}\n" * GOOD + bad + "\n")
    assert f"a.csv, line {GOOD + 2}" in failing(lake, "a.csv")


def test_the_line_is_counted_in_lines_not_in_records(lake: Lake) -> None:
    lake.write_text("a.csv", "id,text\n" + '1,"two\nlines"\n' * GOOD + "x,y\n")
    assert f"a.csv, line {2 * GOOD + 2}" in failing(lake, "a.csv")


def test_the_file_is_the_one_with_the_line(lake: Lake) -> None:
    lake.write_text("d/a.csv", "id,v\n1,2\n")
    lake.write_text("d/b.csv", "id,v\n1,2\n3\n")
    assert "d/b.csv, line 3" in failing(lake, "d")


@pytest.mark.parametrize("line", ["x,1", "1.7,1", "1"])
def test_csv_quarantine_keeps_the_good_rows_and_the_bad_lines(lake: Lake, line: str) -> None:
    lake.write_text("a.csv", "id,v\n" + "1,2\n" * GOOD + line + "\n5,6\n")
    rows, rejected = lake.quarantine('SELECT * FROM "a.csv"')
    assert rows.num_rows == GOOD + 1
    assert [(r["file"], r["line"], r["text"]) for r in rejected] == [("a.csv", GOOD + 2, line)]


def test_quarantine_of_good_files_rejects_nothing(lake: Lake) -> None:
    lake.write_text("a.csv", "id,v\n1,2\n")
    rows, rejected = lake.quarantine('SELECT * FROM "a.csv"')
    assert (rows.num_rows, rejected) == (1, [])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"a":', "malformed JSON"),
        ('{"a":"x"}', "'a' is no BIGINT"),
        ('{"a":1.7}', "'a' is no BIGINT"),
        ("[1]", "no JSON object"),
    ],
)
def test_a_json_line_that_does_not_fit_is_named_and_can_be_quarantined(lake: Lake, line: str, told: str) -> None:
    lake.write_text("a.jsonl", '{"a":1,"b":"x"}\n' * GOOD + "\n" + line + '\n{"a":2}\n')
    message = failing(lake, "a.jsonl")
    assert f"a.jsonl, line {GOOD + 2}" in message
    assert told in message
    rows, rejected = lake.quarantine('SELECT * FROM "a.jsonl"')
    assert rows.num_rows == GOOD + 1
    assert [(r["line"], r["text"]) for r in rejected] == [(GOOD + 2, line)]


def test_json_lines_keep_nested_values_in_quarantine(lake: Lake) -> None:
    lake.write_text("a.jsonl", '{"a":{"b":[1,2]},"t":"2026-01-01"}\n{oops\n')
    rows, rejected = lake.quarantine('SELECT * FROM "a.jsonl"')
    assert rows.column("a").to_pylist() == [{"b": [1, 2]}]
    assert [r["line"] for r in rejected] == [2]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_the_delimiter_is_not_guessed_but_asked_for(lake: Lake, mark: str) -> None:
    lake.write_text("a.csv", f"a{mark}b\n1{mark}2\n")
    said = re.escape(f"options={{'delimiter': {mark!r}}}")
    with pytest.raises(SourceError, match=rf"a\.csv has one column(.|\n)*{said}"):
        lake.read('SELECT * FROM "a.csv"')
    assert lake.read('SELECT * FROM "a.csv"', options={"delimiter": ","}).column_names == [f"a{mark}b"]
    assert lake.read('SELECT * FROM "a.csv"', options={"delimiter": mark}).to_pylist() == [{"a": 1, "b": 2}]


def test_empty_text_and_null_are_told_apart(lake: Lake) -> None:
    lake.write_text("a.csv", 'a,b\n1,""\n2,\n3,NA\n')
    assert lake.read('SELECT b FROM "a.csv"').column("b").to_pylist() == ["", None, "NA"]
    nulls = lake.read('SELECT b FROM "a.csv"', options={"null": ["", "NA"]})
    assert nulls.column("b").to_pylist() == ["", None, None]


def test_encoding_header_and_windows_lines(lake: Lake) -> None:
    (lake.root / "a.csv").write_bytes("1,café\r\n2,x\r\n".encode("latin-1"))
    rows = lake.read('SELECT * FROM "a.csv"', options={"encoding": "latin-1", "header": False})
    assert rows.to_pylist() == [{"column0": 1, "column1": "café"}, {"column0": 2, "column1": "x"}]


def test_empty_files_count_for_nothing(lake: Lake) -> None:
    lake.write_text("d/a.csv", "")
    lake.write_text("d/b.csv", "id\n")
    lake.write_text("d/c.csv", "id\n1\n")
    assert lake.read('SELECT id FROM "d"').column("id").to_pylist() == [1]
    assert lake.read('SELECT id FROM "d/b.csv"').num_rows == 0
    with pytest.raises(SourceError, match="empty"):
        lake.read('SELECT * FROM "d/a.csv"')


def test_another_encoding_is_asked_for(lake: Lake) -> None:
    (lake.root / "a.csv").write_bytes("id,name\n1,Mü\n".encode("latin-1"))
    assert "options={'encoding': 'latin-1'}" in failing(lake, "a.csv")


@pytest.mark.parametrize("text", ["id,n\n1,2\n", "id,n\n" + "1,2\n" * 100])
def test_an_ending_that_tells_no_format_is_named(lake: Lake, text: str) -> None:
    lake.write_text("a.txt", text)
    with pytest.raises(SourceError, match="read as Parquet: pass the connection's format="):
        lake.read('SELECT * FROM "a.txt"')
