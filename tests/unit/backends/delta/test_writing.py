"""What loads leave in a table, what other writers may do meanwhile, and what is refused."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import TableFeatures, write_deltalake

from ematix_core.backends import registry
from ematix_core.backends.delta.changes import TableChanges
from ematix_core.backends.delta.commit import commit
from ematix_core.backends.delta.log import opened
from ematix_core.backends.delta.settings import settings_of
from ematix_core.backends.delta.writing import write
from ematix_core.backends.duck.connection import open_duck
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.errors import (
    ConfigError,
    ConflictError,
    ConversionError,
    DriftError,
    EmatixError,
    SourceError,
    UnsupportedError,
)
from ematix_core.model.mode import merge, scd2
from ematix_core.model.table import TableName, columns_from

if TYPE_CHECKING:
    from tests.unit.backends.delta.conftest import Lake

WRITERS, COMMITS = 4, 5


def rows(*values: tuple[int, str | None]) -> pa.Table:
    return pa.table(
        {"k": pa.array([k for k, _ in values], pa.int64()), "v": pa.array([v for _, v in values], pa.string())}
    )


def actions(lake: Lake, kind: str, version: int | None = None) -> list[Any]:
    """Return the actions of a kind in the log's entry of a version, the newest by default."""
    number = lake.table().version() if version is None else version
    entry = lake.at() / "_delta_log" / f"{number:020}.json"
    return [found[kind] for line in entry.read_text().splitlines() if kind in (found := json.loads(line))]


def test_merge_is_one_version_that_keeps_files_without_a_change(lake: Lake) -> None:
    lake.load(rows((1, "a"), (2, "b")))
    lake.load(rows((3, "c")))
    result = lake.load(rows((1, "A"), (4, "d")), mode=merge(keys="k"))
    assert (result.inserted, result.updated) == (1, 1)
    assert lake.table().version() == 2
    assert len(actions(lake, "remove")) == 1
    assert [(row["k"], row["v"]) for row in lake.rows()] == [(1, "A"), (2, "b"), (3, "c"), (4, "d")]
    assert lake.unlisted() == set()


def test_truncate_is_one_version_that_removes_all_files(lake: Lake) -> None:
    lake.load(rows((1, "a")))
    lake.load(rows((2, "b")))
    result = lake.load(rows((3, "c")), mode="truncate")
    assert (result.inserted, result.deleted) == (1, 2)
    assert len(actions(lake, "remove")) == 2
    assert lake.rows() == [{"k": 3, "v": "c"}]


def test_history_says_which_load_made_a_version(lake: Lake) -> None:
    result = lake.load(rows((1, "a")), watermark="k")
    (note,) = lake.table().history(1)
    assert note["ematix"]["load_id"] == result.run_id
    assert note["ematix"]["counts"]["inserted"] == 1
    assert json.loads(note["ematix"]["watermark"])["value"] == 1


def test_statistics_are_those_of_the_rows(lake: Lake) -> None:
    moments = pa.array([datetime(2026, 1, 1, 0, 0, 0, 123456), None], pa.timestamp("us"))  # noqa: DTZ001 - a time without zone
    lake.load(pa.table({"k": [1, 2], "v": ["a", "é"], "at": moments, "x": [0.5, float("nan")]}))
    (found,) = pa.table(lake.table().get_add_actions(flatten=False)).to_pylist()
    assert found["num_records"] == 2
    assert (found["min"]["k"], found["max"]["k"]) == (1, 2)
    assert found["max"]["at"] == moments[0].as_py()
    assert found["null_count"]["at"] == 1
    assert found["min"]["x"] is None


def test_partitions_are_those_of_the_option_and_values_may_be_any_text(lake: Lake) -> None:
    options = {"partition_by": ["v"]}
    lake.load(rows((1, "a b"), (2, "x/y=%"), (3, None), (4, "it's")), options=options)
    lake.load(rows((1, "a b"), (2, "moved"), (3, "set")), options=options, mode=merge(keys="k"))
    assert lake.table().metadata().partition_columns == ["v"]
    assert [(row["k"], row["v"]) for row in lake.rows()] == [(1, "a b"), (2, "moved"), (3, "set"), (4, "it's")]
    assert lake.unlisted() == set()
    with pytest.raises(ConversionError, match="holds the text ''"):
        lake.load(rows((9, "")), options=options)
    assert lake.unlisted() == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition_by": "nothing"}, "names 'nothing', which is no column"),
        ({"partition_by": ["k", "v"]}, "names all columns"),
        ({"partition_by": "x"}, "cannot be partitioned by column 'x'"),
    ],
    ids=str,
)
def test_partitions_that_cannot_be_are_refused_when_planned(lake: Lake, options: Any, message: str) -> None:  # noqa: ANN401 - options of a connection
    sent = rows((1, "a"))
    if options["partition_by"] == "x":
        sent = sent.append_column("x", pa.array([0.5]))
    with pytest.raises(UnsupportedError, match=message):
        lake.plan(sent, options=options)


def test_new_columns_and_wider_types_come_with_the_drift_policy(lake: Lake) -> None:
    narrow = pa.table({"k": pa.array([1, 2], pa.int32())})
    wide = pa.table({"k": pa.array([2, 2**40], pa.int64()), "at": pa.array([1, 2], pa.timestamp("us"))})
    lake.load(narrow)
    with pytest.raises(DriftError):
        lake.load(wide, mode=merge(keys="k"))
    result = lake.load(wide, mode=merge(keys="k"), on_drift="evolve")
    assert (result.inserted, result.updated) == (1, 1)
    assert {row["k"] for row in lake.rows()} == {1, 2, 2**40}
    assert lake.table().schema().to_arrow().field("k").type == pa.int64()
    lake.load(wide.append_column("note", pa.array(["x", "y"])), mode=merge(keys="k"), on_drift="add")
    assert {row["note"] for row in lake.rows()} == {None, "x", "y"}


def test_null_in_a_column_that_takes_none_is_refused(lake: Lake) -> None:
    fields: list[pa.Field[Any]] = [pa.field("k", pa.int64(), nullable=False), pa.field("v", pa.string())]
    write_deltalake(str(lake.at()), pa.table({"k": [1], "v": ["a"]}, schema=pa.schema(fields)))
    broken = pa.table({"k": pa.array([None], pa.int64()), "v": ["b"]})
    with pytest.raises(EmatixError, match="k"):
        lake.load(broken)
    assert lake.rows() == [{"k": 1, "v": "a"}]
    assert lake.unlisted() == set()


def test_appends_of_several_writers_all_arrive(lake: Lake) -> None:
    lake.load(rows((0, "first")))

    def write(writer: int) -> None:
        for number in range(COMMITS):
            lake.load(rows((writer * 100 + number + 1, "x")), name=f"writer_{writer}")

    with ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(write, writer) for writer in range(WRITERS)]:
            done.result()
    assert len(lake.rows()) == 1 + WRITERS * COMMITS
    assert lake.table().version() == WRITERS * COMMITS


@pytest.mark.parametrize("what", ["UPDATE orders SET v = 'mine'", "clear"])
def test_change_of_what_another_writer_changed_meanwhile_is_refused(lake: Lake, what: str) -> None:
    lake.load(rows((1, "a")))
    target = registry.target(lake.connection())

    def change() -> None:
        with target.session() as session:
            assert session.columns(TableName("", "orders"))
            if what == "clear":
                session.clear(TableName("", "orders"))
                session.load(TableName("", "orders"), columns_from(rows().schema), rows((9, "mine")).to_reader())
            else:
                session.execute(what, {})
            lake.load(rows((2, "theirs")), name="other")

    with pytest.raises(ConflictError, match="another writer"):
        change()
    target.close()
    assert lake.rows() == [{"k": 1, "v": "a"}, {"k": 2, "v": "theirs"}]
    assert lake.unlisted() == set()


def test_table_that_another_writer_made_meanwhile_is_not_written_over(lake: Lake) -> None:
    target = registry.target(lake.connection())
    name, columns = TableName("", "orders"), columns_from(rows().schema)

    def make() -> None:
        with target.session() as session:
            assert session.columns(name) is None
            session.execute('CREATE TABLE "orders" ("k" BIGINT, "v" VARCHAR)', {})
            session.load(name, columns, rows((1, "mine")).to_reader())
            lake.load(rows((2, "theirs")), name="other")

    with pytest.raises(ConflictError, match="made the table meanwhile"):
        make()
    assert lake.rows() == [{"k": 2, "v": "theirs"}]
    assert lake.unlisted() == set()


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"constraint": "k > 0"}, "CHECK constraint"),
        ({"feature": "rowTracking"}, "rowTracking"),
    ],
    ids=str,
)
def test_what_asks_more_of_writers_is_refused_when_planned(lake: Lake, properties: dict[str, str], named: str) -> None:
    lake.load(rows((1, "a")))
    alter = lake.table().alter
    if "constraint" in properties:
        alter.add_constraint({"positive": properties["constraint"]})
    elif "feature" in properties:
        alter.add_feature([TableFeatures.RowTracking], allow_protocol_versions_increase=True)
    else:
        alter.set_table_properties(properties)
    with pytest.raises(UnsupportedError, match=named):
        lake.plan(rows((2, "b")))
    assert lake.read("SELECT k FROM orders") == [{"k": 1}]


def test_append_only_tables_are_appended_to_and_refuse_other_modes_when_planned(lake: Lake) -> None:
    lake.load(rows((1, "a")))
    lake.table().alter.set_table_properties({"delta.appendOnly": "true"})
    lake.load(rows((2, "b")))
    for mode in ("truncate", merge(keys="k"), scd2(keys="k")):
        with pytest.raises(UnsupportedError, match="appendOnly"):
            lake.plan(rows((3, "c")), mode=mode)
    assert len(lake.rows()) == 2


def test_statements_after_the_load_are_part_of_its_version(lake: Lake) -> None:
    lake.load(rows((1, "a"), (2, None)))
    after = ["UPDATE orders SET v = 'none' WHERE v IS NULL", "DELETE FROM orders WHERE k = 1"]
    lake.load(rows((3, None)), after=after)
    assert lake.rows() == [{"k": 2, "v": "none"}, {"k": 3, "v": "none"}]
    assert lake.table().version() == 1
    for refused in ("DROP TABLE orders", "ALTER TABLE orders DROP COLUMN v", "CREATE TABLE other AS SELECT 1 AS n"):
        with pytest.raises(UnsupportedError):
            lake.load(rows((4, "d")), after=[refused])
    assert len(lake.rows()) == 2
    assert lake.unlisted() == set()


def test_update_that_matches_a_row_twice_changes_it_once(lake: Lake) -> None:
    lake.load(rows((1, "a"), (2, "b")))
    twice = "UPDATE orders SET v = s.v FROM (VALUES (1, 'x'), (1, 'y')) AS s(k, v) WHERE orders.k = s.k"
    lake.load(rows((3, "c")), after=[twice])
    assert [row["k"] for row in lake.rows()] == [1, 2, 3]
    assert lake.rows()[0]["v"] in {"x", "y"}


def test_error_after_the_commit_takes_back_nothing_that_was_committed(lake: Lake) -> None:
    lake.load(rows((1, "a")))
    settings = settings_of(lake.connection())
    with open_duck() as duck:
        place = LocalFolder(lake.at())
        changes = TableChanges(duck, TableName("", "orders"), place, opened(place), 1)
        _, files = write(duck, "SELECT 2 AS k, 'b' AS v", {}, changes.layout, settings)
        changes.add(files)
        commit(changes, (), None)
        changes.take_back()
    assert lake.rows() == [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}]


def test_bookkeeping_survives_the_cleaning_of_the_log_and_vacuum(lake: Lake) -> None:
    lake.load(rows((1, "a"), (2, "b")), watermark="k")
    for _ in range(3):
        lake.load(rows((9, "x")), name="other")
    table = lake.table()
    table.create_checkpoint()
    for number in range(table.version()):
        (lake.at() / "_delta_log" / f"{number:020}.json").unlink()
    lake.table().vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)
    result = lake.load(rows((2, "b"), (3, "c")), watermark="k")
    assert (result.inserted, result.unchanged) == (1, 1)


def test_lost_bookkeeping_is_an_error_and_no_second_load(lake: Lake) -> None:
    lake.load(rows((1, "a")), watermark="k")
    for file in (lake.at() / "_ematix").glob("*.json"):
        file.unlink()
    with pytest.raises(SourceError, match="bookkeeping of orders:orders is missing"):
        lake.load(rows((1, "a")), watermark="k")
    assert len(lake.rows()) == 1


def test_settings_that_make_no_sense_are_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="unknown option 'partitioned_by'"):
        lake.plan(rows((1, "a")), options={"partitioned_by": "k"})
    with pytest.raises(ConfigError, match="cannot be compressed with 'zip'"):
        lake.plan(rows((1, "a")), options={"compression": "zip"})
    with pytest.raises(UnsupportedError, match=re.escape("has a % in it")):
        lake.plan(rows((1, "a")), table="per%cent")
