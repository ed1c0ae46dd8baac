"""CSV and JSON lines into tables that others have made: values are read by the types of the table's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.errors import BadRowError, ConversionError
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = "id integer, small smallint, n decimal(12, 2), day date"
TABLES = {
    "postgres": f"CREATE TABLE t ({COLUMNS}, name varchar(10), at timestamp(0), ok boolean)",
    "mysql": f"CREATE TABLE t ({COLUMNS}, name varchar(10), at datetime, ok int)",
}
HEADER = ("id", "small", "n", "name", "at", "day", "ok")
ROWS = [
    ("1", "2", "1.50", "007", "2024-01-02 10:00:00", "2024-01-02", ""),
    ("2", "", "3", "2024-01-02", "2024-01-02", "", ""),
    ("3", "", "", "", "", "", ""),
]


def written(folder: Path, form: str, rows: list[tuple[str, ...]]) -> None:
    lines = [",".join(HEADER), *(",".join(row) for row in rows)]
    if form == "jsonl":
        numbers = {"id", "small", "n"}
        objects = [
            {n: (v if n in numbers else f'"{v}"') if v else "null" for n, v in zip(HEADER, row, strict=True)}
            for row in rows
        ]
        lines = ["{" + ", ".join(f'"{key}": {value}' for key, value in one.items()) + "}" for one in objects]
    (folder / f"a.{form}").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMATIX_STORE", f"sqlite:///{tmp_path}/runs.db")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("kind", TABLES)
def test_files_fit_a_table_that_is_there(tmp_path: Path, kind: str, form: str) -> None:
    files = ematix.ObjectStoreConnection("files", path=str(tmp_path))
    made: Any = ematix.PostgresConnection if kind == "postgres" else ematix.MySQLConnection
    with database(kind) as url:
        execute(url, TABLES[kind])
        job = ematix.job(
            name="t",
            source_connection=files,
            source_table=f"a.{form}",
            target="t",
            target_connection=made("to", url=url),
        )(lambda: None)
        for row in ROWS:  # each by itself looks like other types
            written(tmp_path, form, [row])
            assert job.run().inserted == 1
        found = execute(url, "SELECT id, small, n, name, at, day FROM t ORDER BY id")
        assert [[None if value is None else str(value) for value in row] for row in found] == [
            ["1", "2", "1.50", "007", "2024-01-02 10:00:00", "2024-01-02"],
            ["2", None, "3.00", "2024-01-02", "2024-01-02 00:00:00", None],
            ["3", None, None, None, None, None],
        ]
        for value in ("70000", "1.5", "x" if form == "csv" else '"x"'):
            written(tmp_path, form, [("4", value, *ROWS[0][2:])])
            with pytest.raises(BadRowError, match=rf"'small'.* line {2 if form == 'csv' else 1}\)(.|\n)*{value}"):
                job.run()
        written(tmp_path, form, [(*ROWS[0][:4], "2024-01-02 10:00:00.5", *ROWS[0][5:])])
        with pytest.raises(BadRowError, match="'at'"):
            job.run()
        written(tmp_path, form, [(*ROWS[0][:3], "a longer text", *ROWS[0][4:])])
        with pytest.raises(ConversionError, match=r"'name' is String\[10\] and a value has 13 characters: 'a longer"):
            job.run()
        assert len(execute(url, "SELECT id FROM t")) == len(ROWS)


@pytest.mark.parametrize("on_bad_rows", ["fail", "quarantine"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_objects_and_lists_fit_columns_of_json(tmp_path: Path, form: str, on_bad_rows: Any) -> None:  # noqa: ANN401 - an option
    lines = {
        "jsonl": '{"id": 1, "tags": {"a": 1}, "list": [1, 2], "n": 5}\n{"id": 2, "tags": null, "list": "x"}\n',
        "csv": 'id,tags,list,n\n1,"{""a"": 1}","[1, 2]",5\n2,,"""x""",\n',
    }
    (tmp_path / f"a.{form}").write_text(lines[form], encoding="utf-8")
    files = ematix.ObjectStoreConnection("files", path=str(tmp_path))
    with database("postgres") as url:
        execute(url, "CREATE TABLE t (id integer, tags jsonb, list jsonb, n jsonb)")
        job = ematix.job(
            name="t", source_connection=files, source_table=f"a.{form}", target="t", on_bad_rows=on_bad_rows,
            target_connection=ematix.PostgresConnection("to", url=url),
        )(lambda: None)  # fmt: skip
        assert job.run().inserted == 2
        found = execute(url, "SELECT id, tags::text, list::text, n::text FROM t ORDER BY id")
        assert [tuple(row) for row in found] == [(1, '{"a": 1}', "[1, 2]", "5"), (2, None, '"x"', None)]
