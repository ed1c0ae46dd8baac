"""Delta tables as streams: what a version gives, what is refused, and what becomes of a log that is cleaned."""

# ruff: noqa: ANN401 - options and columns of any kind
from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from ematix_core.backends import registry
from ematix_core.backends.delta.commits import commits
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.backends.version_tail import ON_REWRITE, behind_version
from ematix_core.errors import ConfigError, EmatixError, MissingSourceError, SourceError, UnsupportedError
from ematix_core.model.connection import DeltaConnection
from ematix_core.testing.stream import drain, ids
from tests.unit.backends.delta.test_reading import VARIED

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.backends.stream_protocols import StreamSource
    from tests.unit.backends.delta.conftest import Lake

ADDED = ["_event_ts", "_version", "_file", "_offset"]
ONCE = PollLimits(seconds=0)


def follow(lake: Lake, start: Any = "earliest", name: str = "orders", **options: Any) -> StreamSource:
    connection = DeltaConnection("lake", path=str(lake.at("")))
    source = registry.stream_source(connection, StreamQuery(name, options))
    source.seek(start)
    return source


def append(lake: Lake, *numbers: int, name: str = "orders", **columns: Any) -> None:
    rows = pa.table({"id": pa.array(numbers, pa.int64()), **{key: [value] for key, value in columns.items()}})
    write_deltalake(str(lake.at(name)), rows, mode="append", schema_mode="merge")


def remove_commits(location: Path, before: int) -> None:
    """Clean the log as a writer does: a checkpoint, and the older commits are gone."""
    DeltaTable(str(location)).create_checkpoint()
    for version in commits(LocalFolder(location)):
        if version < before:
            (location / "_delta_log" / f"{version:020d}.json").unlink()


@pytest.mark.parametrize("by", [None, ["day"], ["region", "flag"]], ids=str)
def test_rows_are_those_of_the_table_with_version_file_and_time(lake: Lake, by: list[str] | None) -> None:
    write_deltalake(str(lake.at("bronze/varied")), VARIED, partition_by=by)
    rows = pa.Table.from_batches([one.rows for one in drain(follow(lake, name="bronze/varied"))])
    assert rows.schema.names[-4:] == ADDED
    found = rows.drop_columns(ADDED).to_pylist()
    assert sorted(found, key=lambda row: row["id"]) == VARIED.to_pylist()
    assert set(rows.column("_version").to_pylist()) == {0}
    at = DeltaTable(str(lake.at("bronze/varied"))).history(1)[0]["timestamp"]
    assert set(rows.column("_event_ts").to_pylist()) == {datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)}


def test_a_column_that_comes_later_is_null_before(lake: Lake) -> None:
    append(lake, 1)
    source = follow(lake)
    assert ids(source) == [1]
    append(lake, 2, note="x")
    (polled,) = drain(source)
    assert polled.rows.select(["id", "note"]).to_pylist() == [{"id": 2, "note": "x"}]
    again = pa.concat_tables(pa.Table.from_batches([one.rows]) for one in drain(follow(lake)))
    assert again.select(["id", "note"]).to_pylist() == [{"id": 1, "note": None}, {"id": 2, "note": "x"}]


def test_optimize_and_vacuum_give_nothing(lake: Lake) -> None:
    append(lake, 1)
    append(lake, 2)
    source = follow(lake)
    assert ids(source) == [1, 2]
    table = DeltaTable(str(lake.at()))
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    append(lake, 3)
    assert ids(source) == [3]


def changed(lake: Lake) -> None:
    """Append, delete whole files, append, update."""
    append(lake, 1)
    append(lake, 2)
    DeltaTable(str(lake.at())).delete("id = 1")
    append(lake, 3, 4)
    DeltaTable(str(lake.at())).update({"id": "30"}, predicate="id = 3")
    append(lake, 5)


@pytest.mark.parametrize(
    ("on_rewrite", "read"),
    [
        ("skip_change_commits", [1, 2, 3, 4, 5]),
        ("ignore_changes", [1, 2, 3, 4, 4, 5, 30]),
    ],
)
def test_versions_that_change_rows_may_be_passed_over_or_give_the_files_that_they_wrote(
    lake: Lake, on_rewrite: str, read: list[int]
) -> None:
    changed(lake)
    assert sorted(ids(follow(lake, on_rewrite=on_rewrite))) == read


@pytest.mark.parametrize(
    ("on_rewrite", "read", "refused"),
    [
        ("fail", [1, 2], "version 2 deleted rows (DELETE)"),
        ("ignore_deletes", [1, 2, 3, 4], "version 4 changed rows (UPDATE)"),
    ],
)
def test_versions_that_remove_or_change_rows_are_refused_as_the_option_says(
    lake: Lake, on_rewrite: str, read: list[int], refused: str
) -> None:
    changed(lake)
    source = follow(lake, on_rewrite=on_rewrite)
    found: list[Any] = []
    while len(found) < len(read):
        polled = source.poll(ONCE)
        assert polled is not None
        found += polled.rows.column("id").to_pylist()
    assert found == read
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            source.poll(ONCE)
        assert caught.value.what.startswith(refused)
        assert "on_rewrite=" in caught.value.hint


def test_overwriting_is_a_change(lake: Lake) -> None:
    append(lake, 1)
    source = follow(lake)
    assert ids(source) == [1]
    write_deltalake(str(lake.at()), pa.table({"id": [7]}), mode="overwrite")
    with pytest.raises(SourceError, match="version 1 changed rows"):
        source.poll(ONCE)


def test_it_begins_behind_a_version(lake: Lake) -> None:
    for number in range(4):
        append(lake, number)
    assert ids(follow(lake, behind_version(1))) == [2, 3]
    assert ids(follow(lake, behind_version(-1))) == [0, 1, 2, 3]


def test_a_cleaned_log_says_from_where_it_can_be_read(lake: Lake) -> None:
    for number in range(5):
        append(lake, number)
    saved = behind_version(0)
    remove_commits(lake.at(), before=3)
    with pytest.raises(SourceError) as caught:
        ids(follow(lake, saved))
    assert caught.value.what == "the log no longer tells what version 1 added: it begins with version 3"
    assert "delta.logRetentionDuration" in caught.value.hint
    with pytest.raises(SourceError, match="it begins with version 3"):
        follow(lake, datetime(2020, 1, 1, tzinfo=UTC))


def test_the_oldest_rows_of_a_cleaned_log_are_the_table_as_it_was_when_the_log_begins(lake: Lake) -> None:
    for number in range(3):
        append(lake, number, day="d")
    DeltaTable(str(lake.at())).create_checkpoint()
    for number in range(3, 5):
        append(lake, number, day="d")
    for version in (0, 1):
        (lake.at() / "_delta_log" / f"{version:020d}.json").unlink()
    every = sorted(ids(follow(lake)))
    assert every == [0, 1, 2, 3, 4]
    source = follow(lake)
    first = source.poll(ONCE)
    assert first is not None
    rest = ids(follow(lake, first.positions))
    assert sorted([row["id"] for row in first.rows.to_pylist()] + rest) == every


def test_a_file_that_was_vacuumed_is_named(lake: Lake) -> None:
    append(lake, 1)
    append(lake, 2)
    table = DeltaTable(str(lake.at()))
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(MissingSourceError, match=r"part-.* has been vacuumed"):
        follow(lake).poll(ONCE)


def test_a_table_that_was_made_anew_is_another(lake: Lake) -> None:
    append(lake, 1)
    source = follow(lake)
    assert ids(source) == [1]
    saved = source.positions()
    shutil.rmtree(lake.at())
    for number in (7, 8, 9):
        append(lake, number)
    with pytest.raises(SourceError, match="made anew"):
        ids(follow(lake, saved))
    assert ids(follow(lake)) == [7, 8, 9]


def test_a_damaged_commit_is_named(lake: Lake) -> None:
    append(lake, 1)
    source = follow(lake)
    assert ids(source) == [1]
    append(lake, 2)
    path = lake.at() / "_delta_log" / f"{1:020d}.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(SourceError, match="the commit is damaged") as caught:
        ids(source)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("ordres", {}, MissingSourceError, "there is no Delta table ordres"),
        ("orders@v0", {}, SourceError, "names one version"),
        ("orders", {"change_data_feed": True}, UnsupportedError, "change data feed"),
        ("orders", {"on_rewrite": "ignore"}, ConfigError, "unknown on_rewrite 'ignore'"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    lake: Lake, name: str, options: dict[str, Any], kind: type[EmatixError], message: str
) -> None:
    append(lake, 1)
    with pytest.raises(kind, match=message):
        follow(lake, name=name, **options)


def test_the_options_are_those_of_the_field() -> None:
    assert ON_REWRITE == ("fail", "ignore_deletes", "skip_change_commits", "ignore_changes")


def test_versions_are_told_with_what_they_changed(lake: Lake) -> None:
    changed(lake)
    log = registry.version_log(DeltaConnection("lake", path=str(lake.at(""))), "orders")
    found = log.versions(-1, 100)
    assert [(one.version, one.operation, one.added > 0, one.removed > 0, one.rows) for one in found] == [
        (0, "WRITE", True, False, 1), (1, "WRITE", True, False, 1), (2, "DELETE", False, True, 0),
        (3, "WRITE", True, False, 2), (4, "UPDATE", True, True, 2), (5, "WRITE", True, False, 1),
    ]  # fmt: skip
    assert [one.version for one in log.versions(2, 2)] == [3, 4]
    assert log.newest() == 5
    remove_commits(lake.at(), before=4)
    assert [one.version for one in log.versions(-1, 100)] == [4, 5]
    log.close()


def test_kinds_without_streams_are_refused_by_name() -> None:
    from ematix_core.model.connection import SQLiteConnection

    shop = SQLiteConnection("shop", path="shop.db")
    with pytest.raises(UnsupportedError) as caught:
        registry.stream_source(shop, StreamQuery("orders"))
    assert str(caught.value) == (
        "connection shop of kind sqlite cannot be read as a stream\n"
        "Kinds that can: delta, kafka, mysql, objects, postgres."
    )
    with pytest.raises(UnsupportedError, match="have no versions"):
        registry.version_log(shop, "orders")
