"""Delta tables across tools: what ematix wrote is read by others, what others wrote is read by ematix or refused.

Spark takes part in `make spark`. Tables that it wrote, with what delta-rs cannot write, are in tests/data/delta.
"""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from ematix_core.errors import UnsupportedError
from ematix_core.store import open_store
from tests.e2e.lake_tables import EMPTY, FULL, NOTHING, VARIED, WRITTEN, Rows, loaded_on, ordered, varied
from tests.e2e.spark_tables import FOLDER, TABLES, SparkTable, check
from tests.unit.backends.delta.conftest import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with open_store("memory:") as store:
        yield Lake(tmp_path / "lake", store)


def by_delta_rs(path: Path) -> Rows:
    found = QueryBuilder().register("found", DeltaTable(str(path))).execute("SELECT * FROM found").read_all()
    return pa.table(found).to_pylist()


def by_polars(path: Path) -> Rows:
    rows: Rows = pl.scan_delta(str(path)).collect().to_arrow().to_pylist()
    return [{name: _pairs(value) for name, value in row.items()} for row in rows]


def _pairs(value: Any) -> Any:  # noqa: ANN401 - values of any type
    """Return a map, which polars has as a list of structs, as Arrow has it."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and set(value[0]) == {"key", "value"}:
        return [(pair["key"], pair["value"]) for pair in value]
    return value


def by_duckdb(path: Path) -> Rows:
    """Read the files that the log lists, partitions from their names, by a DuckDB that knows nothing of Delta."""
    table = DeltaTable(str(path))
    columns = {name: _in_duckdb(table, name) for name in table.metadata().partition_columns}
    options = {"hive_partitioning": bool(columns), "hive_types": columns} if columns else {"hive_partitioning": False}
    given = ", ".join(f"{name}={value}" for name, value in options.items())
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        order = ", ".join(f'"{field.name}"' for field in table.schema().fields)
        files = [uri.removeprefix("file://") for uri in table.file_uris()]
        query = f"SELECT {order} FROM read_parquet({files}, union_by_name=true, {given})"
        found: Rows = duck.sql(query).to_arrow_table().to_pylist()
        return found


def _in_duckdb(table: DeltaTable, column: str) -> str:
    kinds = {field.name: str(field.type.type) for field in table.schema().fields if hasattr(field.type, "type")}
    return {"string": "VARCHAR", "long": "BIGINT"}.get(kinds[column], kinds[column].upper())


READERS: dict[str, Callable[[Path], Rows]] = {"delta-rs": by_delta_rs, "polars": by_polars, "duckdb": by_duckdb}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("written", WRITTEN)
def test_tables_of_ematix_are_read_by_others(lake: Lake, written: str, reader: str) -> None:
    expected = WRITTEN[written](lake)
    assert ordered(READERS[reader](lake.at())) == ordered(expected)
    assert ordered(lake.read("SELECT * FROM orders")) == ordered(expected)


def _by_partitions(path: str) -> Rows:
    """Write partitions whose values are text, dates, booleans and integers, each with NULL in one of them."""
    plain = [{**row, "label": row["label"] or None} for row in VARIED]  # empty text is NULL there
    write_deltalake(path, varied(*plain), partition_by=["tiny", "whole", "flag", "label", "day"])
    return plain


def _from_a_checkpoint(path: str) -> Rows:
    """Write a log that begins with a checkpoint: what was before it is gone."""
    for row in VARIED:
        write_deltalake(
            path, varied(row), mode="append", configuration={"delta.logRetentionDuration": "interval 0 days"}
        )
    table = DeltaTable(path)
    table.create_checkpoint()
    table.cleanup_metadata()
    write_deltalake(path, varied({**FULL, "id": 4}), mode="append")
    assert not (Path(path) / "_delta_log" / f"{0:020}.json").exists()
    return [*VARIED, {**FULL, "id": 4}]


def _changed(path: str) -> Rows:
    """Delete, update and merge by delta-rs."""
    write_deltalake(path, varied(*VARIED))
    table = DeltaTable(path)
    table.delete("id = 2")
    table.update(new_values={"label": "changed"}, predicate="id = 3")
    changes = varied({**FULL, "price": None}, {**NOTHING, "id": 5})
    merge = table.merge(changes, "t.id = s.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    return [{**FULL, "price": None}, {**EMPTY, "label": "changed"}, {**NOTHING, "id": 5}]


def _maintained(path: str) -> Rows:
    """Make small files one, order them, and remove the old ones."""
    for row in VARIED:
        write_deltalake(path, varied(row), mode="append")
    table = DeltaTable(path)
    table.optimize.compact()
    table.optimize.z_order(["id"])
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    return VARIED


def _with_a_new_column(path: str) -> Rows:
    write_deltalake(path, varied(FULL))
    more = varied(NOTHING).append_column("note", pa.array([{"text": "x", "pages": [1, None]}]))
    write_deltalake(path, more, mode="append", schema_mode="merge")
    return [{**FULL, "note": None}, {**NOTHING, "note": {"text": "x", "pages": [1, None]}}]


def _overwritten_in_part(path: str) -> Rows:
    """Replace one partition, as `replaceWhere` of Spark does it."""
    rows: dict[str, Any] = {"id": [1, 2, 3, 4], "region": ["a", "a", "b", None]}
    write_deltalake(path, pa.table(rows), partition_by=["region"])
    write_deltalake(path, pa.table({"id": [9], "region": ["a"]}), mode="overwrite", predicate="region = 'a'")
    return [{"id": 9, "region": "a"}, {"id": 3, "region": "b"}, {"id": 4, "region": None}]


def _by_polars(path: str) -> Rows:
    plain = varied(*VARIED).drop_columns(["scores"])  # polars has no maps
    pl.DataFrame(plain).write_delta(path, delta_write_options={"partition_by": ["day"]})
    return plain.to_pylist()


@pytest.mark.parametrize(
    "written",
    [_by_partitions, _from_a_checkpoint, _changed, _maintained, _with_a_new_column, _overwritten_in_part, _by_polars],
)
def test_tables_of_others_are_read_by_ematix_and_loaded_on(lake: Lake, written: Callable[[str], Rows]) -> None:
    expected = written(str(lake.at()))
    assert ordered(lake.read("SELECT * FROM orders")) == ordered(expected)
    loaded_on(lake, expected)


@pytest.mark.parametrize("by", ["single", "double", "moment", "instant", "price"])
def test_partitions_that_ematix_does_not_write_are_read_and_refused_when_planned(lake: Lake, by: str) -> None:
    # delta-rs 1.6.6 cannot write a negative decimal into a partition's name: it makes `-1.-99` of it.
    rows = [{**row, "price": Decimal("0.05"), "double": 0.25} for row in (FULL, EMPTY)] + [NOTHING]
    write_deltalake(str(lake.at()), varied(*rows), partition_by=[by])
    assert ordered(lake.read("SELECT * FROM orders")) == ordered(rows)
    with pytest.raises(UnsupportedError, match=f"cannot be partitioned by column '{by}'"):
        lake.plan(varied(FULL))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_that_spark_wrote_are_read_right_or_refused_by_name(lake: Lake, table: SparkTable) -> None:
    shutil.copytree(FOLDER / table.name, lake.at())
    check(lake, table)
