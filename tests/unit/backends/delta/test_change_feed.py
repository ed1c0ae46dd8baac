"""The change data feed: read as delta-rs itself reads it, in every form of a range, and what of it is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from ematix_core.engine import run_job
from ematix_core.errors import EmatixError, MissingSourceError, SourceError, UnsupportedError
from ematix_core.model.connection import DuckDBConnection
from ematix_core.model.job import job
from ematix_core.model.mode import merge, scd2

if TYPE_CHECKING:
    from tests.unit.backends.delta.conftest import Lake

FEED = {"delta.enableChangeDataFeed": "true"}
COLUMNS = ("k", "p", "v", "tags", "_change_type", "_commit_version", "_commit_timestamp")


def _rows(*rows: tuple[int | None, str | None, str | None]) -> pa.Table:
    found = [{"k": k, "p": p, "v": v, "tags": [v, None] if v else None} for k, p, v in rows]
    kinds: dict[str, pa.DataType] = {"k": pa.int64(), "p": pa.string(), "v": pa.string(), "tags": pa.list_(pa.string())}
    return pa.Table.from_pylist(found, schema=pa.schema(kinds))


@pytest.fixture(params=[True, False], ids=["partitioned", "plain"])
def fed(lake: Lake, request: pytest.FixtureRequest) -> Lake:
    """Give a table that delta-rs has filled, changed, put together and overwritten: versions 0 to 6."""
    at = str(lake.at())
    by = ["p"] if request.param else None
    rows = _rows((1, "a", "x"), (2, "b", "y"), (3, None, None), (None, "a", "n"))
    write_deltalake(at, rows, partition_by=by, configuration=FEED)
    write_deltalake(at, _rows((4, "a", "w")), mode="append")
    DeltaTable(at).update(updates={"v": "'upd'"}, predicate="k = 1")
    DeltaTable(at).delete("k = 2")
    (
        DeltaTable(at)
        .merge(_rows((4, "a", "m"), (9, "b", "m")), "t.k = s.k", source_alias="s", target_alias="t")
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )
    DeltaTable(at).optimize.compact()
    write_deltalake(at, _rows((7, "q", "o")), mode="overwrite")
    return lake


def _told(lake: Lake, first: int = 0, last: int | None = None) -> list[str]:
    """Return the changes as delta-rs reads them."""
    found = pa.table(lake.table().load_cdf(starting_version=first, ending_version=last)).to_pylist()
    return sorted(repr([row[name] for name in COLUMNS]) for row in found)


def _read(lake: Lake, name: str) -> list[str]:
    found = lake.read(f'SELECT * REPLACE (_commit_timestamp::TIMESTAMP AS _commit_timestamp) FROM "{name}"')
    return sorted(repr([row[name] for name in COLUMNS]) for row in found)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("", 0, None), (" v0..", 0, None), (" v2..v4", 2, 4), ("v4", 4, 4), (" ..v3", 0, 3), (" v5..v5", 5, 5),
        (" 2000-01-01..", 0, None),
    ],
)  # fmt: skip
def test_the_feed_is_read_as_delta_rs_reads_it(fed: Lake, asked: str, first: int, last: int | None) -> None:
    expected = [] if asked.strip() == "v5..v5" else _told(fed, first, last)
    assert _read(fed, f"orders@changes{asked}") == expected


def test_a_range_of_times_holds_the_versions_made_in_it(fed: Lake) -> None:
    made = {entry["version"]: entry["timestamp"] for entry in fed.table().history()}
    first, last = (datetime.fromtimestamp(made[n] / 1000, UTC).isoformat() for n in (1, 3))
    assert _read(fed, f"orders@changes {first}..{last}") == _told(fed, 1, 3)
    assert _read(fed, "orders@changes 2999-01-01..") == []
    assert _read(fed, "orders@changes ..2000-01-01") == []


def test_changes_of_more_versions_than_branches_are_told_apart(lake: Lake) -> None:
    for n in range(130):
        write_deltalake(str(lake.at()), _rows((n, "a", "b")), mode="append", configuration=FEED)
        DeltaTable(str(lake.at())).update(updates={"v": "'c'"}, predicate=f"k = {n}")
        if n % 2:
            write_deltalake(str(lake.at()), _rows((n, "a", "d")), mode="overwrite")
    assert lake.table().version() > 256
    assert _read(lake, "orders@changes") == _told(lake)


def test_the_feed_is_loaded_into_another_system_from_inside_of_it(fed: Lake) -> None:
    warehouse = DuckDBConnection("w", path=str(fed.root / "w.duckdb"))
    load = job(name="feed", target="orders", source_connection=fed.connection(), target_connection=warehouse)(
        lambda: "SELECT k, _change_type, _commit_version FROM \"orders@changes v4..\" WHERE _change_type <> 'insert'"
    )
    result = run_job(load, store=fed.store, settings=fed.settings)
    told = [row for row in _told(fed, 4) if "'insert'" not in row]
    assert result.inserted == len(told)
    assert "nothing crosses the wire" in str(result.plan)


def test_changes_of_partitions_with_escaped_values_are_read(lake: Lake) -> None:
    at = str(lake.at())
    write_deltalake(
        at, _rows((1, "a b", "x"), (2, "50%", "y"), (3, "ä/ö=", "z")), partition_by=["p"], configuration=FEED
    )
    DeltaTable(at).update(updates={"v": "'new'"}, predicate="k < 3")
    sql = "SELECT k, p, v FROM \"orders@changes v1\" WHERE _change_type = 'update_postimage' ORDER BY k"
    assert [tuple(row.values()) for row in lake.read(sql)] == [(1, "a b", "new"), (2, "50%", "new")]


def test_an_increment_of_the_feed_is_loaded_once(fed: Lake) -> None:
    load = fed.job('SELECT * FROM "orders@changes"', table="history", name="history", watermark="_commit_version")
    first = run_job(load, store=fed.store, settings=fed.settings).inserted
    assert first == len(_told(fed))
    write_deltalake(str(fed.at()), _rows((8, "q", "new")), mode="append")
    assert run_job(load, store=fed.store, settings=fed.settings).inserted == 1


def test_a_feed_that_began_later_is_read_from_there(lake: Lake) -> None:
    at = str(lake.at())
    write_deltalake(at, _rows((1, "a", "x")))
    with pytest.raises(UnsupportedError, match="kept no change data feed in version 0") as refused:
        lake.read('SELECT * FROM "orders@changes"')
    assert "delta.enableChangeDataFeed" in str(refused.value)
    DeltaTable(at).alter.set_table_properties(FEED)
    write_deltalake(at, _rows((2, "a", "y")), mode="append")
    assert [row["k"] for row in lake.read('SELECT * FROM "orders@changes"')] == [2]
    assert [row["k"] for row in lake.read('SELECT * FROM "orders@changes v1.."')] == [2]
    with pytest.raises(UnsupportedError, match="kept no change data feed in version 0"):
        lake.read('SELECT * FROM "orders@changes v0.."')
    write_deltalake(at, _rows((3, "a", "z")), mode="append", schema_mode="merge")
    DeltaTable(at).alter.add_columns(Field("extra", PrimitiveType("integer")))
    assert [(row["k"], row["extra"]) for row in lake.read('SELECT * FROM "orders@changes v2.."')] == [
        (2, None), (3, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "kind", "what"),
    [
        (" v3..v99", MissingSourceError, "there is no version 99: the newest is 6"),
        (" v4..v3", SourceError, "ends before it begins"),
        (" yesterday..", SourceError, "'yesterday' is no version and no time"),
        (" v3..soon", SourceError, "'soon' is no version and no time"),
    ],
)
def test_what_is_no_range_is_refused(fed: Lake, asked: str, kind: type[EmatixError], what: str) -> None:
    with pytest.raises(kind, match=what):
        fed.read(f'SELECT * FROM "orders@changes{asked}"')


def test_changes_whose_log_is_gone_are_refused_with_where_it_begins(fed: Lake) -> None:
    fed.table().create_checkpoint()
    for version in range(3):
        (fed.at() / "_delta_log" / f"{version:020}.json").unlink()
    with pytest.raises(MissingSourceError, match="the log begins with version 3"):
        fed.read('SELECT * FROM "orders@changes v1.."')
    assert len(_read(fed, "orders@changes")) == len(_read(fed, "orders@changes v3..")) > 0


def test_a_table_with_a_feed_takes_whole_files_only(lake: Lake) -> None:
    write_deltalake(str(lake.at()), _rows((1, "a", "x")), configuration=FEED)
    assert lake.load(_rows((2, "b", "y"))).inserted == 1
    assert lake.load(_rows((3, "c", "z")), mode="truncate").inserted == 1
    expected: list[Any] = [
        (0, "insert", 1), (1, "insert", 2), (2, "delete", 1), (2, "delete", 2), (2, "insert", 3),
    ]  # fmt: skip
    found = lake.read('SELECT _commit_version AS n, _change_type AS t, k FROM "orders@changes" ORDER BY ALL')
    assert [tuple(row.values()) for row in found] == expected
    assert _read(lake, "orders@changes") == _told(lake)
    for mode in (merge(keys="k"), scd2(keys="k")):
        with pytest.raises(UnsupportedError, match="keeps a change data feed"):
            lake.plan(_rows((3, "c", "z")), mode=mode)
    with pytest.raises(UnsupportedError, match="in which ematix cannot write UPDATE and DELETE"):
        lake.load(_rows((4, "d", "z")), after="DELETE FROM orders WHERE k = 3")
    assert len(lake.rows()) == 1
