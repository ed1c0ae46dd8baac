"""Messages out of tables: what is found, what is left alone, and what becomes of it afterwards."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import duckdb
import pytest

from ematix_core.engine.environment import Environment
from ematix_core.errors import LockedError, MissingSourceError, UnsupportedError
from ematix_core.model.connection import Connection, DuckDBConnection, SQLiteConnection
from ematix_core.model.message import MessageSource, queue
from ematix_core.scheduler.messages import Message, MessagePoller
from ematix_core.scheduler.pollers import open_poller

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def poller(source: MessageSource) -> MessagePoller:
    return open_poller(source, Environment())


def sqlite_shop(folder: Path) -> Connection:
    return SQLiteConnection("shop", path=str(folder / "shop.db"))


def duckdb_shop(folder: Path) -> Connection:
    return DuckDBConnection("shop", path=str(folder / "shop.duckdb"))


def run_sql(connection: Connection, *statements: str) -> list[tuple[object, ...]]:
    """Run statements by the driver itself and return the rows of the last."""
    path = str(connection.settings()["path"])
    rows: list[tuple[object, ...]] = []
    if connection.kind == "sqlite":
        database = sqlite3.connect(path)
        for statement in statements:
            rows = database.execute(statement).fetchall()
        database.commit()
        database.close()
        return rows
    with duckdb.connect(path) as duck:
        for statement in statements:
            rows = duck.execute(statement).fetchall()
    return rows


@pytest.fixture(params=[sqlite_shop, duckdb_shop], ids=["sqlite", "duckdb"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Connection:
    make: Callable[[Path], Connection] = request.param
    return make(tmp_path)


def fill(shop: Connection, *payloads: str | None) -> None:
    run_sql(shop, "CREATE TABLE orders_in (id BIGINT PRIMARY KEY, payload VARCHAR)")
    for number, payload in enumerate(payloads, start=1):
        quoted = "NULL" if payload is None else "'" + payload.replace("'", "''") + "'"
        run_sql(shop, f"INSERT INTO orders_in VALUES ({number}, {quoted})")


def test_rows_come_in_the_order_of_their_ids_with_their_payload(shop: Connection) -> None:
    fill(shop, '{"order": 1}', "it's text", None, "[1, 2]", "0012", "12")
    reader = poller(queue("orders_in", connection=shop, table="orders_in"))
    reader.check()
    assert reader.poll(()) == [
        Message("1", {"order": 1}), Message("2", "it's text"), Message("3", None), Message("4", [1, 2]),
        Message("5", "0012"), Message("6", 12),
    ]  # fmt: skip
    assert reader.poll({"1", "2", "4"}, limit=2) == [Message("3", None), Message("5", "0012")]
    reader.close()


def test_a_row_is_deleted_or_left_after_its_run(shop: Connection) -> None:
    fill(shop, "1", "2", "3")
    keeping = poller(queue("kept", connection=shop, table="orders_in", after="keep"))
    keeping.done("1")
    assert keeping.remaining(["1", "2"]) == []
    reader = poller(queue("orders_in", connection=shop, table="orders_in"))
    assert reader.remaining(["2", "9"]) == ["2"]
    for _ in range(2):
        reader.done("2")
    assert reader.remaining(["2", "9"]) == []
    assert run_sql(shop, "SELECT id FROM orders_in ORDER BY id") == [(1,), (3,)]


def test_two_schedulers_may_look_and_delete_at_once(shop: Connection) -> None:
    fill(shop, "1", "2", "3")
    source = queue("orders_in", connection=shop, table="orders_in")
    first, second = poller(source), poller(source)
    assert first.poll(()) == second.poll(())
    for position in ("1", "2", "3"):
        first.done(position)
        second.done(position)
    assert first.poll(()) == []


@pytest.mark.parametrize("place", ["queue.done.before", "queue.done.after"])
def test_a_kill_while_a_row_is_deleted_loses_nothing(shop: Connection, place: str) -> None:
    fill(shop, "1", "2")
    script = (
        "import sys\nfrom ematix_core.engine.environment import Environment\n"
        "from ematix_core.model.connection import make_connection\n"
        "from ematix_core.model.message import queue\nfrom ematix_core.scheduler.pollers import open_poller\n"
        "shop = make_connection('shop', sys.argv[1], {'path': sys.argv[2]})\n"
        "open_poller(queue('in', connection=shop, table='orders_in'), Environment()).done('1')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, shop.kind, str(shop.settings()["path"])],
        env=os.environ | {"EMATIX_FAILPOINT": place}, check=False,
    )  # fmt: skip
    assert done.returncode == -9
    again = poller(queue("orders_in", connection=shop, table="orders_in"))
    assert [message.position for message in again.poll({"1"})] == ["2"]
    left = again.remaining(["1"])
    assert left == (["1"] if place.endswith("before") else [])
    again.done("1")
    assert run_sql(shop, "SELECT id FROM orders_in") == [(2,)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("VARCHAR", ["a", "a'b", "ä:after", "é"]),
        ("UUID", ["00000000-0000-0000-0000-000000000001", "ffffffff-0000-0000-0000-000000000001"]),
        ("HUGEINT", ["1", "99999999999999999999999999999999999999"]),
        ("UTINYINT", ["0", "255"]),
    ],
)
def test_ids_may_be_text_uuids_and_numbers_of_any_size(tmp_path: Path, column: str, values: list[str]) -> None:
    shop = duckdb_shop(tmp_path)
    inserts = [f"INSERT INTO q VALUES ('{value.replace(chr(39), chr(39) * 2)}', '1')" for value in values]
    run_sql(shop, "CREATE SCHEMA s", f"CREATE TABLE q (k {column} UNIQUE, p VARCHAR)", *inserts)
    reader = poller(queue("in", connection=shop, table="q", id_column="k", payload_column="p"))
    reader.check()
    assert [message.position for message in reader.poll(())] == values
    reader.done(values[-1])
    assert [message.position for message in reader.poll(())] == values[:-1]


def test_more_rows_than_one_page_are_looked_through(tmp_path: Path) -> None:
    shop = duckdb_shop(tmp_path)
    run_sql(shop, "CREATE TABLE q AS SELECT range AS id, range::VARCHAR AS payload FROM range(25_000)")
    run_sql(shop, "CREATE UNIQUE INDEX u ON q (id)")
    reader = poller(queue("in", connection=shop, table="q"))
    reader.check()
    known = frozenset(map(str, range(24_995)))
    assert [message.payload for message in reader.poll(known)] == list(range(24_995, 25_000))
    assert len(reader.poll(())) == 100
    assert len(reader.remaining(known)) == 24_995


def test_payloads_of_other_types_become_plain_data(tmp_path: Path) -> None:
    shop = duckdb_shop(tmp_path)
    run_sql(
        shop,
        "CREATE TABLE q (id INTEGER PRIMARY KEY, payload STRUCT(a INTEGER, d TIMESTAMP))",
        "INSERT INTO q VALUES (1, {a: 1, d: TIMESTAMP '2026-01-31 02:00:00'})",
    )
    reader = poller(queue("in", connection=shop, table="q"))
    assert reader.poll(()) == [Message("1", {"a": 1, "d": "2026-01-31 02:00:00"})]


def test_a_file_that_a_job_holds_is_not_waited_for(tmp_path: Path) -> None:
    shop = duckdb_shop(tmp_path)
    fill(shop, "1")
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom ematix_core.engine.cancel import Cancellation\n"
        "from ematix_core.engine.queueing import exclusive\n"
        "with exclusive([Path(sys.argv[1])], wait=0, tell=print, cancellation=Cancellation()):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    reader = poller(queue("in", connection=shop, table="orders_in"))
    holder = [sys.executable, "-c", script, str(shop.settings()["path"])]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(LockedError):
            reader.poll(())
        assert time.monotonic() - began < 2
        process.communicate()
    assert [message.position for message in reader.poll(())] == ["1"]


@pytest.mark.parametrize(
    ("ids", "payloads", "error", "said"),
    [
        ("id", "load", MissingSourceError, r"has no column 'id' \(message source in\)\nSet id_column= in queue\(\)"),
        ("number", "lod", MissingSourceError, r"no column 'lod'.*\nSet payload_column=.*\. Did you mean 'load'"),
        ("ident", "load", UnsupportedError, "nothing keeps ident of q unique.*\nMake it the primary key"),
        ("price", "load", UnsupportedError, "of type Double cannot number messages"),
    ],
)
def test_a_table_that_is_no_queue_is_named_with_what_to_do(
    shop: Connection, ids: str, payloads: str, error: type[Exception], said: str
) -> None:
    run_sql(shop, "CREATE TABLE q (ident BIGINT, number BIGINT PRIMARY KEY, load VARCHAR, price DOUBLE UNIQUE)")
    with pytest.raises(error, match=said):
        poller(queue("in", connection=shop, table="q", id_column=ids, payload_column=payloads)).check()
    poller(queue("in", connection=shop, table="q", id_column="number", payload_column="load")).check()
    poller(queue("in", connection=shop, table="q", id_column="ident", payload_column="load", after="keep")).check()


def test_a_table_that_is_not_there_is_named_with_what_to_do(shop: Connection) -> None:
    missing = poller(queue("in", connection=shop, table="orders_in"))
    with pytest.raises(MissingSourceError, match=r"there is no table orders_in in connection shop .*\nCreate it, with"):
        missing.check()
