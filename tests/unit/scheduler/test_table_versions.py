"""Messages out of the log of a table: which versions are some, and what they say."""

from __future__ import annotations

import json
import logging
import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

import ematix_core as ematix
from ematix_core.engine.environment import Environment
from ematix_core.errors import EmatixError, MissingSourceError, UnsupportedError
from ematix_core.model.connection import DeltaConnection, ObjectStoreConnection
from ematix_core.scheduler.messages import MessagePoller, version_of
from ematix_core.scheduler.pollers import open_poller
from tests.unit.backends.delta.test_following import remove_commits

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.scheduler.messages import Message


def append(folder: Path, number: int, **how: Any) -> None:  # noqa: ANN401 - options of delta-rs
    write_deltalake(str(folder / "orders"), pa.table({"id": [number]}), mode="append", **how)


def poller(folder: Path, *, start: int = 0, table: str = "orders") -> MessagePoller:
    lake = DeltaConnection("lake", path=str(folder))
    return open_poller(ematix.versions("orders_new", connection=lake, table=table, start=start), Environment())


def versions(messages: list[Message]) -> list[int]:
    return [version_of(message.position) for message in messages]


def test_each_version_that_changes_rows_is_a_message_that_says_what_it_did(tmp_path: Path) -> None:
    append(tmp_path, 1)
    append(tmp_path, 2)
    DeltaTable(str(tmp_path / "orders")).delete("id = 1")
    found = poller(tmp_path).poll(())
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        milliseconds=DeltaTable(str(tmp_path / "orders")).history(1)[0]["timestamp"]
    )
    assert versions(found) == [0, 1, 2]
    assert found[2].position == f"2@{at:%Y%m%dT%H%M%S.%f}000Z"
    assert found[2].payload == {
        "version": 2, "committed_at": at.isoformat(), "operation": "DELETE", "added": 0, "removed": 1, "rows": 0,
    }  # fmt: skip
    assert json.loads(json.dumps([message.payload for message in found]))[0]["rows"] == 1


def test_optimize_and_new_columns_are_no_messages(tmp_path: Path) -> None:
    append(tmp_path, 1)
    append(tmp_path, 2)
    table = DeltaTable(str(tmp_path / "orders"))
    table.optimize.compact()
    table.alter.set_table_properties({"delta.appendOnly": "false"})
    reader = poller(tmp_path)
    found = reader.poll(())
    assert versions(found) == [0, 1]
    known = {message.position for message in found}
    assert reader.poll(known) == []
    append(tmp_path, 3)
    assert versions(reader.poll(known)) == [4]


def test_what_is_known_is_left_out_and_no_more_come_than_are_wanted(tmp_path: Path) -> None:
    for number in range(7):
        append(tmp_path, number)
    reader = poller(tmp_path)
    first = reader.poll((), limit=3)
    assert versions(first) == [0, 1, 2]
    known = {message.position for message in first}
    assert versions(reader.poll(known, limit=3)) == [3, 4, 5]
    assert versions(poller(tmp_path).poll(known)) == [3, 4, 5, 6]
    assert versions(reader.poll((), limit=3)) == [0, 1, 2] or versions(reader.poll(known)) == [3, 4, 5, 6]


def test_what_was_found_and_not_noted_is_found_again(tmp_path: Path) -> None:
    for number in range(3):
        append(tmp_path, number)
    reader = poller(tmp_path)
    assert reader.poll(()) == reader.poll(())
    known = {reader.poll(())[1].position}  # another scheduler noted the second one
    assert versions(reader.poll(known)) == [0, 2]


def test_versions_before_the_first_that_counts_are_left_out(tmp_path: Path) -> None:
    for number in range(4):
        append(tmp_path, number)
    assert versions(poller(tmp_path, start=2).poll(())) == [2, 3]
    assert poller(tmp_path, start=9).poll(()) == []


def test_a_table_that_is_made_anew_has_other_messages(tmp_path: Path) -> None:
    for number in range(3):
        append(tmp_path, number)
    reader = poller(tmp_path)
    known = {message.position for message in reader.poll(())}
    assert reader.poll(known) == []
    shutil.rmtree(tmp_path / "orders")
    append(tmp_path, 7)
    assert versions(reader.poll(known)) == [0]
    assert versions(poller(tmp_path).poll(known)) == [0]


def test_versions_that_the_log_no_longer_tells_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(tmp_path, 0)
    reader = poller(tmp_path)
    known = {message.position for message in reader.poll(())}
    assert reader.poll(known) == []
    for number in range(1, 5):
        append(tmp_path, number)
    remove_commits(tmp_path / "orders", before=3)
    with caplog.at_level(logging.WARNING):
        assert versions(reader.poll(known)) == [3, 4]
    assert "the versions 1 to 2 are no longer told by the table's log" in caplog.text
    assert versions(poller(tmp_path).poll(())) == [3, 4]


def test_a_table_that_is_not_there_yet_is_asked_for_again(tmp_path: Path) -> None:
    reader = poller(tmp_path)
    with pytest.raises(MissingSourceError, match=r"there is no Delta table orders.*message source orders_new"):
        reader.check()
    append(tmp_path, 1)
    reader.check()
    assert versions(reader.poll(())) == [0]
    assert reader.remaining(["0@x"]) == []
    reader.done("0@x")
    reader.close()


def test_a_table_of_files_that_we_wrote_has_versions(tmp_path: Path) -> None:
    lake = ObjectStoreConnection("lake", path=str(tmp_path))

    @ematix.job(target="orders", target_connection=lake)
    def load() -> pa.Table:
        return pa.table({"id": [1, 2]})

    load.run()
    load.run()
    found = open_poller(ematix.versions("new", connection=lake, table="orders"), Environment()).poll(())
    assert versions(found) == [1, 2]
    assert [message.payload["rows"] for message in found] == [2, 2]


def test_a_kind_without_versions_is_refused_by_name(tmp_path: Path) -> None:
    shop = ematix.SQLiteConnection("shop", path=str(tmp_path / "shop.db"))
    with pytest.raises(UnsupportedError) as caught:
        open_poller(ematix.versions("new", connection=shop, table="orders"), Environment())
    assert str(caught.value) == (
        "tables of connection shop of kind sqlite have no versions (message source new)\n"
        "Kinds that keep versions: delta, objects. A database's table is declared by queue(), a folder by inbox()."
    )


@pytest.mark.parametrize("start", [-1, True, "3"])
def test_a_start_that_is_no_version_is_refused(start: object) -> None:
    with pytest.raises(EmatixError, match=re.escape(f"start={start!r} is no version (message source new)")):
        ematix.versions("new", connection="lake", table="orders", start=start)  # type: ignore[arg-type]  # the mistake
