"""Partition columns of any name and with any values: written, and read back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pytest
from pyarrow import orc

from ematix_core.errors import SourceError

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any

NAMES = [
    "r g", "Région", "50%", "%41", "a=b", "a/b", "it's", 'say "so"', "a+b", "a\\b", "a?b", "a#b", "a:b", "[a]*{b}",
    "select", "日本",
]  # fmt: skip
VALUES = [*NAMES, "x", None]


def table(name: str, *, start: int = 0) -> pa.Table:
    return pa.table({"id": range(start, start + len(VALUES)), name: VALUES})


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("name", NAMES)
def test_they_are_read_back(lake: Lake, name: str, form: str) -> None:
    lake.load(table(name), form, partition_by=[name])
    lake.load(table(name, start=100), form, partition_by=[name])
    quoted = '"' + name.replace('"', '""') + '"'
    read = lake.read(f"SELECT id, {quoted} FROM analytics.events ORDER BY id", form)
    assert read.column(name).to_pylist() == VALUES * 2
    lake.load(table(name), form, clear=True, partition_by=[name])
    found = lake.read(f"SELECT id FROM analytics.events WHERE {quoted} = '50%'", form)
    assert found.column("id").to_pylist() == [VALUES.index("50%")]


@pytest.mark.parametrize("name", NAMES)
def test_folders_have_the_encoded_names(lake: Lake, name: str) -> None:
    lake.load(table(name), partition_by=[name])
    folders = {path.name for path in (lake.root / "analytics/events").rglob("*=*")}
    assert {tuple(map(unquote, folder.split("=", 1))) for folder in folders} == {
        (name, "__HIVE_DEFAULT_PARTITION__" if value is None else value) for value in VALUES
    }


def test_folders_of_others_are_columns(lake: Lake) -> None:
    lake.write_text("d/R%C3%A9gion=a%20b/a.csv", "id\n1\n")
    lake.write_text("d/Région=é/a.csv", "id\n2\n")
    assert lake.read('SELECT "Région" AS r FROM d ORDER BY id').column("r").to_pylist() == ["a b", "é"]
    (lake.root / "o/r%20g=a%20b").mkdir(parents=True)
    orc.write_table(pa.table({"id": [1]}), lake.root / "o/r%20g=a%20b/a.orc")
    assert lake.read("SELECT * FROM o").to_pylist() == [{"id": 1, "r g": "a b"}]


@pytest.mark.parametrize("value", ["a=b", "=eq", "q?x", "back\\s"])
def test_a_folder_that_is_no_readable_value_is_named_with_the_one_that_is(lake: Lake, value: str) -> None:
    lake.write_text(f"d/reg={value}/a.csv", "id\n1\n")
    assert lake.read("SELECT * FROM d").to_pylist() == [{"id": 1}]
    lake.write_text("d/reg=zz/a.csv", "id\n2\n")
    with pytest.raises(SourceError, match="cannot be read as a value of the column 'reg'") as raised:
        lake.read("SELECT * FROM d")
    name = re.search(r"Name it (.*?): ", str(raised.value))
    assert name is not None
    (lake.root / f"d/reg={value}").rename(lake.root / "d" / name[1])
    assert lake.read("SELECT reg FROM d ORDER BY id").column("reg").to_pylist() == [value, "zz"]
