"""Files read by the session of a Delta table itself: no rows pass through the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.engine import plan_job, run_job
from ematix_core.errors import BadRowError, ConversionError

if TYPE_CHECKING:
    from ematix_core.engine.result import RunResult
    from ematix_core.model.job import Job
    from tests.unit.backends.delta.conftest import Lake


def _job(lake: Lake, sql: str, **how: Any) -> Job:  # noqa: ANN401 - options of a job
    files = ematix.ObjectStoreConnection("files", path=str(lake.root.parent / "files"))
    made: Job = ematix.job(
        name="orders", source_connection=files, target="orders", target_connection=lake.connection(), **how
    )(lambda: sql)
    return made


def _load(lake: Lake, sql: str, **how: Any) -> RunResult:  # noqa: ANN401 - see _job
    return run_job(_job(lake, sql, **how), store=lake.store, settings=lake.settings)


def _file(lake: Lake, name: str, text: str) -> None:
    path = lake.root.parent / "files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("sql", ["SELECT * FROM orders", "WITH a AS (FROM orders), b AS (FROM a) SELECT * FROM b"])
def test_folder_of_the_name_of_the_table_does_not_hide_it(lake: Lake, sql: str) -> None:
    _file(lake, "orders/1.csv", "id,v\n1,a\n2,b\n")
    mode = ematix.merge(keys=["id"], deletes="delete")
    assert "read inside delta" in str(plan_job(_job(lake, sql, mode=mode), settings=lake.settings))
    assert _load(lake, sql, mode=mode).inserted == 2
    _file(lake, "orders/1.csv", "id,v\n2,B\n3,c\n4,d\n")
    result = _load(lake, sql, mode=mode, after=["DELETE FROM orders WHERE id = 4"])
    assert (result.rows_read, result.inserted, result.updated, result.deleted) == (3, 2, 1, 1)
    assert lake.rows() == [{"id": 2, "v": "B"}, {"id": 3, "v": "c"}]


@pytest.mark.parametrize("mode", ["append", "truncate"])
def test_files_go_straight_into_a_version(lake: Lake, mode: str) -> None:
    _file(lake, "orders/1.csv", "id,v\n1,a\n")
    _file(lake, "more/2.csv", "id,w\n1,x\n")
    sql = 'SELECT id, v, w FROM orders JOIN "more/2.csv" USING (id)'
    for _ in range(2):
        assert _load(lake, sql, mode=mode).inserted == 1
    assert lake.rows() == [{"id": 1, "v": "a", "w": "x"}] * (2 if mode == "append" else 1)
    assert lake.unlisted() == set()


def test_line_that_cannot_be_read_is_named_and_nothing_is_written(lake: Lake) -> None:
    _file(lake, "orders/1.csv", "id,v\n" + "1,a\n" * 50_000 + "x,b\n")
    with pytest.raises(BadRowError, match=r"1\.csv.*50002"):
        _load(lake, "SELECT * FROM orders")
    assert not list(lake.root.rglob("*.parquet"))


def test_null_in_a_column_that_takes_none_is_refused(lake: Lake) -> None:
    _file(lake, "orders/1.csv", "id,v\n1,a\n,b\n")

    @ematix.table(name="orders")
    class Orders:
        id: ematix.types.BigInt
        v: ematix.types.Text | None

    files = ematix.ObjectStoreConnection("files", path=str(lake.root.parent / "files"))
    job = ematix.job(name="o", source_connection=files, target=Orders, target_connection=lake.connection())
    with pytest.raises(ConversionError, match="id"):
        run_job(job(lambda: "SELECT * FROM orders"), store=lake.store, settings=lake.settings)
