"""Staged rows that DuckDB compares with a table part by part."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.duck.memory import rows_at_once
from ematix_core.backends.duck.session import DuckSession
from ematix_core.model.table import TableName
from ematix_core.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core import DuckDBConnection, Job


@pytest.fixture
def base(tmp_path: Path) -> DuckDBConnection:
    return ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb"))


def merged(base: DuckDBConnection, sql: str) -> Job:
    return ematix.job(name="job", target="things", target_connection=base, mode=ematix.merge(keys=["k"]))(lambda: sql)


def test_wide_rows_come_in_smaller_parts_and_many_in_larger_ones() -> None:
    assert rows_at_once(6_000_000, 16) == 750_000
    assert rows_at_once(950_000, 81) == 148_148
    assert rows_at_once(96_000_000, 16) == 3_000_000
    assert rows_at_once(10, 10) > 10


def test_the_parts_have_every_row_once(base: DuckDBConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ematix_core.backends.duck.session.rows_at_once", lambda _rows, _columns: 700)
    rows = "SELECT count(*) FROM staged WHERE rowid >= :begin AND rowid < :end"
    with closing(registry.target(base)) as target, target.session() as session:
        assert isinstance(session, DuckSession)
        session.execute("CREATE TEMP TABLE staged AS SELECT range AS k FROM range(5000)", {})
        session.execute("DELETE FROM staged WHERE k % 3 = 0 OR k < 1000", {})
        parts = session.parts(TableName("", "staged"))
        taken = [session.query(rows, {"begin": begin, "end": end}).column(0)[0].as_py() for begin, end in parts]
        assert (len(parts), sum(taken)) == (6, 2667)
        session.execute("DELETE FROM staged", {})
        assert session.parts(TableName("", "staged")) == []


def test_a_column_that_hides_the_row_numbers_is_no_trouble(
    base: DuckDBConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ematix_core.backends.duck.session.rows_at_once", lambda _rows, _columns: 2)
    rows = 'SELECT i AS k, {v} AS v, NULL::INT AS "RowId" FROM range({n}) t(i)'
    with open_store("memory:") as store:
        first, second = (
            merged(base, rows.format(v=v, n=n)).run(store=store)
            for v, n in [("i", 5), ("CASE WHEN i < 2 THEN i ELSE 9 END", 8)]
        )
    assert (first.inserted, second.inserted, second.updated, second.unchanged) == (5, 3, 3, 2)
