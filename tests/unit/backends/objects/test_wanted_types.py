"""CSV and JSON lines are read by the types that their columns have where they go, not by what they look like."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import pytest

import ematix_core as ematix
from ematix_core import normalize
from ematix_core.errors import BadRowError, DriftError
from ematix_core.types import BigInt, Date, Double, Numeric, Text

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection

    from .conftest import Lake
else:
    Lake = Any

Amount: Any = Numeric[20, 2]
TEXTS = (
    "1.50", "2024-05-01", "010", "7", "true", "12:30", "0x10", "1e5", "2024-05-01 10:00:00", "01/02/2024", "inf",
    "+49 30 1234",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMATIX_STORE", f"sqlite:///{tmp_path}/runs.db")


@pytest.fixture
def memory() -> Connection:
    return ematix.MemoryConnection("m")


@pytest.fixture
def warehouse(tmp_path: Path) -> Connection:
    return ematix.DuckDBConnection("w", path=str(tmp_path / "w.duckdb"))


def load(lake: Lake, query: str | None, to: Connection, target: Any = "t", **options: Any) -> Any:  # noqa: ANN401 - of a job
    job = ematix.job(name="t", source_connection=lake.connection(), target=target, target_connection=to, **options)
    return job(lambda: query).run()


def rows(source: Connection, table: str = "t") -> list[tuple[Any, ...]]:
    kept = ematix.MemoryConnection("rows")
    job = ematix.job(source_connection=source, target="rows", target_connection=kept, mode="truncate")
    job(lambda: f"SELECT * FROM {table}").run()
    return [tuple(row.values()) for row in kept.table("rows").to_pylist()]


@ematix.table(name="codes")
class Codes:
    id: BigInt
    code: Text | None


@pytest.mark.parametrize("query", ["", 'SELECT * FROM "d/a.csv"', 'SELECT id, code FROM "d/a.csv" WHERE id > 0'])
@pytest.mark.parametrize("text", TEXTS)
def test_text_stays_as_it_is_written(lake: Lake, warehouse: Connection, text: str, query: str) -> None:
    lake.write_text("d/a.csv", f"id,code\n1,{text}\n")
    load(lake, query or None, warehouse, Codes, source_table="" if query else "d/a.csv")
    assert rows(warehouse, "codes") == [(1, text)]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_increments_are_read_by_the_types_of_the_table(lake: Lake, warehouse: Connection, form: str) -> None:
    """Whole numbers, no values, what looks like a date: each alone in its file, each of another type by itself."""
    days: list[dict[str, Any]] = [
        {"id": 1, "price": 2.5, "code": "abc", "day": "2024-01-02"},
        {"id": 2, "price": 3, "code": "2024-01-02", "day": "2024-01-03"},
        {"id": 3, "price": None, "code": None, "day": None},
        {"id": 4, "price": 4, "code": "1.50", "day": None},
    ]
    for number, day in enumerate(days):
        line = ",".join("" if value is None else str(value) for value in day.values())
        json = str(day).replace("'", '"').replace("None", "null")
        lake.write_text(f"d/{number}.{form}", json if form == "jsonl" else ",".join(day) + "\n" + line + "\n")
        assert load(lake, f'SELECT * FROM "d/*.{form}"', warehouse, watermark="_file").inserted == 1
    assert sorted(rows(warehouse)) == [
        (1, 2.5, "abc", date(2024, 1, 2)), (2, 3.0, "2024-01-02", date(2024, 1, 3)), (3, None, None, None),
        (4, 4.0, "1.50", None),
    ]  # fmt: skip


def test_normalizers_read_what_the_file_has(lake: Lake, warehouse: Connection) -> None:
    @ematix.table(name="sales")
    class Sales:
        sold_on: Annotated[Date, normalize.parse_date("%m/%d/%Y")]
        amount: Annotated[Amount, normalize.parse_numeric(20, 2)]
        code: Annotated[Text | None, normalize.nullif("0"), normalize.trim()]
        tax: Annotated[Double, normalize.round(1)]

    lake.write_text("d/a.csv", "sold_on,amount,code,tax\n02/01/2024,12345678901234567.89,1.50,1.25\n12/31/2024,1,0,2\n")
    load(lake, 'SELECT * FROM "d/a.csv"', warehouse, Sales)
    assert rows(warehouse, "sales") == [
        (date(2024, 2, 1), Decimal("12345678901234567.89"), "1.50", 1.3),
        (date(2024, 12, 31), Decimal("1.00"), None, 2.0),
    ]


def test_columns_that_others_are_derived_from_are_as_found(lake: Lake, warehouse: Connection) -> None:
    @ematix.table(name="years")
    class Years:
        day: Text
        year: Annotated[BigInt, normalize.derive("year(day)")]

    lake.write_text("d/a.csv", "day\n2024-01-02\n")
    load(lake, 'SELECT * FROM "d/a.csv"', warehouse, Years)
    assert rows(warehouse, "years") == [("2024-01-02", 2024)]


def test_declared_numbers_are_exact_and_hold_more_than_a_sample_shows(lake: Lake, warehouse: Connection) -> None:
    @ematix.table(name="numbers")
    class Numbers:
        exact: Amount
        wide: Double

    many = "1,1\n" * 30_000
    lake.write_text("d/a.csv", f"exact,wide\n12345678901234567.89,1\n{many}2.5,1.5\n")
    assert load(lake, 'SELECT * FROM "d/a.csv"', warehouse, Numbers).inserted == 30_002
    assert sorted(rows(warehouse, "numbers"))[-2:] == [
        (Decimal("2.50"), 1.5), (Decimal("12345678901234567.89"), 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_values_that_do_not_fit_are_malformed_lines(lake: Lake, memory: Connection, form: str) -> None:
    good: dict[str, Any] = {"id": 1, "n": 1.5}
    bad: list[dict[str, Any]] = [{"id": 2, "n": 1.005}, {"id": 3.5, "n": 1}, {"id": 4, "n": "x"}, {"id": 5}]
    lake.write_text(f"d/a.{form}", text_of(form, good))
    load(lake, f'SELECT id::INTEGER AS id, n::DECIMAL(12, 2) AS n FROM "d/a.{form}"', memory)
    lake.write_text(f"d/a.{form}", text_of(form, *bad, good))
    with pytest.raises(BadRowError, match=r"'n'.*DECIMAL\(12,\s?2\)(.|\n)*1\.005"):
        load(lake, f'SELECT * FROM "d/a.{form}"', memory)
    assert load(lake, f'SELECT * FROM "d/a.{form}"', memory, on_bad_rows="quarantine").inserted == 2
    assert rows(memory) == [(1, Decimal("1.50")), (5, None), (1, Decimal("1.50"))]
    assert len(rows(memory, "t_rejected")) == 3


def text_of(form: str, *lines: dict[str, Any]) -> str:
    if form == "jsonl":
        return "".join(str(line).replace("'", '"') + "\n" for line in lines)
    return "id,n\n" + "".join(f"{line['id']},{line.get('n', '')}\n" for line in lines)


def test_null_is_no_malformed_value(lake: Lake, memory: Connection) -> None:
    """In a file that is larger than its sample, integers and dates are read as text."""
    lake.write_text("d/a.csv", "id,n,day\n" + "".join(f"{i},{'' if i % 2 else i},\n" for i in range(50_000)) + "x,,\n")
    result = load(lake, 'SELECT * FROM "d/a.csv"', memory, on_bad_rows="quarantine")
    assert result.inserted == 50_000
    assert len(rows(memory, "t_rejected")) == 1


def test_folder_of_a_text_column_is_text(lake: Lake, warehouse: Connection) -> None:
    lake.write_text("d/code=007/a.csv", "id\n1\n")
    load(lake, 'SELECT id, code FROM "d/**/*.csv"', warehouse, Codes)
    assert rows(warehouse, "codes") == [(1, "007")]


OTHERS = ("2024/01/02", "01/02/2024", "02.01.2024", "24-01-02", "01/02/2024 10:00:00")


@pytest.mark.parametrize("text", OTHERS)
def test_dates_are_dates_by_iso_8601_and_text_otherwise(lake: Lake, memory: Connection, text: str) -> None:
    lake.write_text("d/a.csv", f"day\n{text}\n")
    load(lake, 'SELECT * FROM "d/a.csv"', memory)
    assert rows(memory) == [(text,)]


def test_dates_of_several_orders_in_one_file(lake: Lake, memory: Connection) -> None:
    lake.write_text("d/a.csv", f"iso,{','.join('abc')}\n2024-01-02,{','.join(OTHERS[:3])}\n")
    load(lake, 'SELECT * FROM "d/a.csv"', memory)
    assert rows(memory) == [(date(2024, 1, 2), *OTHERS[:3])]


def test_files_with_days_in_another_order_are_text_together(lake: Lake, memory: Connection) -> None:
    lake.write_text("d/a.csv", "id,day\n1,\n")
    lake.write_text("d/b.csv", "id,day\n2,01/13/2024\n")
    lake.write_text("d/c.csv", "id,day\n3,02/01/2024\n")
    load(lake, 'SELECT * FROM "d/*.csv"', memory)
    assert sorted(rows(memory)) == [(1, None), (2, "01/13/2024"), (3, "02/01/2024")]


def test_a_column_that_the_query_uses_is_as_found(lake: Lake, warehouse: Connection) -> None:
    lake.write_text("d/a.csv", "id,code\n1,1.50\n2,0.5\n")
    load(lake, 'SELECT * FROM "d/a.csv" WHERE code > 1', warehouse, Codes)
    assert rows(warehouse, "codes") == [(1, "1.5")]


def test_a_table_that_evolves_follows_the_rows(lake: Lake, warehouse: Connection) -> None:
    lake.write_text("d/a.csv", "n,code\n1,abc\n")
    load(lake, 'SELECT * FROM "d/*.csv"', warehouse, watermark="_file", on_drift="evolve")
    lake.write_text("d/b.csv", "n,code\n12345678901234567890,1.50\n")
    load(lake, 'SELECT * FROM "d/*.csv"', warehouse, watermark="_file", on_drift="evolve")
    assert sorted(rows(warehouse)) == [(1, "abc"), (12345678901234567890, "1.50")]


def test_two_targets_that_differ_each_convert_what_was_found(lake: Lake, memory: Connection) -> None:
    @ematix.table(name="numbers")
    class Numbers:
        id: BigInt
        code: Double

    lake.write_text("d/a.csv", "id,code\n1,1.50\n")
    targets = [ematix.target(table=table, connection=memory) for table in (Codes, Numbers)]
    job = ematix.job(name="two", source_connection=lake.connection(), targets=targets)
    job(lambda: 'SELECT * FROM "d/a.csv"').run()
    assert (rows(memory, "codes"), rows(memory, "numbers")) == ([(1, "1.5")], [(1, 1.5)])


def test_text_in_a_column_of_numbers_is_drift_where_the_query_makes_it(lake: Lake, memory: Connection) -> None:
    lake.write_text("d/a.csv", "id\n1\n")
    load(lake, 'SELECT id FROM "d/a.csv"', memory)
    with pytest.raises(DriftError, match="'id' is BigInt in the table and Text in the rows"):
        load(lake, "SELECT upper('x') AS id FROM \"d/a.csv\"", memory)
