"""Messages out of tables of PostgreSQL, MariaDB and MySQL."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ematix_core.engine.environment import Environment
from ematix_core.errors import AccessError, ConnectError, MissingSourceError, UnsupportedError
from ematix_core.model.connection import make_connection
from ematix_core.model.message import queue
from ematix_core.scheduler.messages import Message, MessagePoller
from ematix_core.scheduler.pollers import open_poller
from tests.servers.reach import account, database, execute, in_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.model.message import After

SERVERS = ("postgres", "mariadb", "mysql")


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(server: str) -> Iterator[str]:
    with database(server) as made:
        yield made


def poller(url: str, *, table: str = "orders_in", after: After = "delete") -> MessagePoller:
    kind = "postgres" if url.startswith("postgres") else "mysql"
    shop = make_connection("shop", kind, {"url": url})
    return open_poller(queue("orders_in", connection=shop, table=table, after=after), Environment())


def fill(base: str, *payloads: str) -> None:
    """Make the table with numbers that the server counts up itself."""
    identity = "bigint GENERATED ALWAYS AS IDENTITY" if base.startswith("postgres") else "bigint AUTO_INCREMENT"
    kind = "jsonb" if base.startswith("postgres") else "json"
    execute(base, f"CREATE TABLE orders_in (id {identity} PRIMARY KEY, payload {kind})")
    for payload in payloads:
        execute(base, f"INSERT INTO orders_in (payload) VALUES ('{payload}')")


def test_rows_come_in_the_order_of_their_ids_and_go_when_they_are_done(base: str) -> None:
    fill(base, '{"order": 1}', "[2, null]", '"text"')
    reader = poller(base)
    reader.check()
    assert reader.poll(()) == [Message("1", {"order": 1}), Message("2", [2, None]), Message("3", "text")]
    assert reader.poll({"1", "3"}) == [Message("2", [2, None])]
    for _ in range(2):
        reader.done("2")
    assert reader.remaining(["1", "2"]) == ["1"]
    assert execute(base, "SELECT id FROM orders_in ORDER BY id") == [(1,), (3,)]


def test_rows_are_left_when_they_are_to_be_kept(base: str) -> None:
    fill(base, "1")
    reader = poller(base, after="keep")
    reader.check()
    reader.done("1")
    assert reader.poll(()) == [Message("1", 1)]


@pytest.mark.parametrize(
    ("column", "values"),
    [("varchar(40)", ["a", "a:b", "it''s", "é"]), ("numeric(20, 0)", ["1", "18446744073709551616"])],
)
def test_ids_may_be_text_and_large_numbers(base: str, column: str, values: list[str]) -> None:
    execute(base, f"CREATE TABLE orders_in (id {column} PRIMARY KEY, payload text)")
    for value in values:
        execute(base, f"INSERT INTO orders_in VALUES ('{value}', 'x')")
    reader = poller(base)
    reader.check()
    found = [message.position for message in reader.poll(())]
    assert sorted(found) == sorted(value.replace("''", "'") for value in values)
    for position in found:
        reader.done(position)
    assert execute(base, "SELECT count(*) FROM orders_in") == [(0,)]


def test_uuids_number_messages() -> None:
    with database("postgres") as base:
        execute(base, "CREATE SCHEMA shop", "CREATE TABLE shop.q (id uuid PRIMARY KEY, payload bytea)")
        execute(base, "INSERT INTO shop.q VALUES ('00000000-0000-0000-0000-00000000000a', '[1]')")
        reader = poller(base, table="shop.q")
        reader.check()
        assert reader.poll(()) == [Message("00000000-0000-0000-0000-00000000000a", [1])]
        reader.done("00000000-0000-0000-0000-00000000000a")
        assert reader.poll(()) == []


def test_a_row_that_is_committed_later_with_a_smaller_id_is_found(base: str) -> None:
    fill(base, "1", "2", "3")
    execute(base, "DELETE FROM orders_in WHERE id = 2")
    reader = poller(base)
    known = {message.position for message in reader.poll(())}
    overriding = "OVERRIDING SYSTEM VALUE " if base.startswith("postgres") else ""
    execute(base, f"INSERT INTO orders_in (id, payload) {overriding}VALUES (2, '\"late\"')")
    assert reader.poll(known) == [Message("2", "late")]


def test_schedulers_that_look_and_delete_at_once_lose_nothing_and_disturb_nobody(base: str) -> None:
    fill(base, *map(str, range(20)))
    failures: list[Exception] = []

    def work(reader: MessagePoller) -> None:
        try:
            for message in reader.poll(()):
                reader.done(message.position)
        except Exception as error:  # noqa: BLE001 - told below, by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(poller(base),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert execute(base, "SELECT count(*) FROM orders_in") == [(0,)]


def test_a_table_that_is_no_queue_is_named_with_what_to_do(base: str) -> None:
    with pytest.raises(MissingSourceError, match=r"there is no table orders_in in connection shop .*\nCreate it"):
        poller(base).check()
    execute(base, "CREATE TABLE orders_in (id int, payload text)")
    with pytest.raises(UnsupportedError, match="nothing keeps id of orders_in unique"):
        poller(base).check()
    execute(base, "CREATE UNIQUE INDEX u ON orders_in (id)")
    poller(base).check()


def test_a_wrong_password_and_a_server_that_is_not_there_are_told_apart_and_show_no_secret(
    server: str, base: str
) -> None:
    wrong = in_database(account(server, "password").replace("hunter2", "hunter3"), base.rpartition("/")[2])
    with pytest.raises(AccessError) as refused:
        poller(wrong).poll(())
    with pytest.raises(ConnectError) as gone:
        poller(f"{wrong.partition(':')[0]}://ann:hunter3@127.0.0.1:1/shop").poll(())
    assert "hunter" not in f"{refused.value}{gone.value}"
    assert refused.value.where.startswith("message source orders_in")
