"""What a target keeps of its tables from one session to the next, and what is seen of others all the same."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import Field, write_deltalake
from deltalake.schema import PrimitiveType

from ematix_core.backends.delta.changes import TableChanges
from ematix_core.backends.delta.log import opened
from ematix_core.backends.delta.target import DeltaTarget
from ematix_core.backends.delta.versions import Versions
from ematix_core.backends.protocols import LoadRecord
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.model.table import TableName, columns_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.delta.log import Snapshot
    from tests.unit.backends.delta.conftest import Lake

ORDERS = TableName("", "orders")
ROWS = pa.table({"k": [1]})


@pytest.fixture
def versions(lake: Lake) -> Versions:
    write_deltalake(str(lake.at()), ROWS)
    return Versions(LocalFolder(lake.root))


@pytest.fixture
def target(lake: Lake) -> Iterator[DeltaTarget]:
    target = DeltaTarget(lake.connection())
    yield target
    target.close()


def kept(versions: Versions) -> Snapshot:
    """Read the table, and leave it to who asks next."""
    found = versions.newest("orders")
    assert found is not None
    assert found.transaction("ematix:orders") is None
    versions.keep("orders", found)
    return found


def append(target: DeltaTarget, number: int) -> None:
    """Load a row as a stream does: one session after the other."""
    with target.session() as session:
        session.columns(ORDERS)
        last = session.last_load("events")
        assert (last.load_id if last else "") == (str(number - 1) if number else "")
        session.load(ORDERS, columns_from(ROWS.schema), pa.table({"k": [number]}).to_reader())
        session.record_load(LoadRecord("events", str(number), datetime.now(UTC), None, {}, replaces=True), ())


def test_version_that_is_still_the_newest_is_not_read_again(versions: Versions) -> None:
    found = kept(versions)
    assert versions.newest("orders") is found
    assert versions.newest("orders") is not found  # it is in use


def test_what_another_writer_adds_is_seen(lake: Lake, versions: Versions) -> None:
    before = kept(versions)
    wider = pa.table({"k": [2], "v": ["b"]})
    write_deltalake(str(lake.at()), wider, mode="append", schema_mode="merge")
    write_deltalake(str(lake.at()), wider, mode="append")
    found, fresh = versions.newest("orders"), opened(before.place)
    assert found is not None
    assert (found.version, found.columns, sorted(found.files(), key=repr)) == (
        2, fresh.columns, sorted(fresh.files(), key=repr),
    )  # fmt: skip


def test_table_that_was_made_anew_is_read_anew(lake: Lake, versions: Versions) -> None:
    found = kept(versions)
    shutil.rmtree(lake.at())
    assert versions.newest("orders") is None
    versions.keep("orders", found)
    write_deltalake(str(lake.at()), pa.table({"other": ["x"]}))
    again = versions.newest("orders")
    assert again is not None
    assert (again.version, [column.name for column in again.columns]) == (found.number, ["other"])


def test_log_that_was_cleaned_meanwhile_is_read_anew(lake: Lake, versions: Versions) -> None:
    kept(versions)
    for number in range(3):
        write_deltalake(str(lake.at()), pa.table({"k": [number]}), mode="append")
    lake.table().create_checkpoint()
    for number in range(3):
        (lake.at() / "_delta_log" / f"{number:020}.json").unlink()
    found = versions.newest("orders")
    assert found is not None
    assert (found.version, len(found.files())) == (3, 4)


def test_version_that_its_session_gave_new_columns_is_not_kept(lake: Lake, versions: Versions) -> None:
    found = kept(versions)
    found.raw.alter.add_columns(Field("v", PrimitiveType("string")))
    versions.keep("orders", found)
    again = versions.newest("orders")
    assert again is not None
    assert again is not found
    assert [column.name for column in again.columns] == ["k", "v"]
    assert lake.table().version() == again.version


def test_sessions_of_one_target_go_on_from_each_other_and_from_others(lake: Lake, target: DeltaTarget) -> None:
    write_deltalake(str(lake.at()), ROWS.slice(0, 0))
    for number in range(8):
        append(target, number)
        if number % 3 == 0:
            write_deltalake(str(lake.at()), pa.table({"k": [100 + number]}), mode="append")
    assert sorted(row["k"] for row in lake.rows()) == [*range(8), 100, 103, 106]


def test_old_bookkeeping_goes_with_every_twentieth_load_but_for_what_counted_last(
    lake: Lake, target: DeltaTarget
) -> None:
    write_deltalake(str(lake.at()), ROWS)
    long_ago = time.time() - timedelta(hours=2).total_seconds()
    for number in range(20):
        append(target, number)
        ledgers = sorted((lake.at() / "_ematix").iterdir())
        assert len(ledgers) == (number + 1 if number < 19 else 2)
        for ledger in ledgers:
            os.utime(ledger, (long_ago, long_ago))
    append(target, 20)


def _never(_: TableChanges, value: bool) -> None:
    assert not value, "the table is read"


def test_rows_that_truncate_removes_are_counted_by_the_log(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.load(pa.table({"k": [1, 2, 3]}))
    lake.load(pa.table({"k": [4]}))
    monkeypatch.setattr(TableChanges, "shown", property(lambda _: False, _never))
    assert lake.load(pa.table({"k": [5]}), mode="truncate").deleted == 4


def test_statement_may_write_the_name_of_a_table_in_other_letters(lake: Lake) -> None:
    lake.load(pa.table({"k": [1]}))
    result = lake.load(
        pa.table({"k": [2]}), after=["UPDATE orders SET k = (SELECT max(k) + 1 FROM ORDERS) WHERE k = 1"]
    )
    assert result.inserted == 1
    assert [row["k"] for row in lake.rows()] == [2, 3]
