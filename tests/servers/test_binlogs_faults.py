"""What keeps a binary log from being read as a stream, each named with its remedy, and what a stream survives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends.stream_protocols import PollLimits
from ematix_core.errors import (
    AccessError,
    ConnectError,
    MissingSourceError,
    SourceError,
    UnsupportedError,
)
from tests.servers.binlogs import AT_ONCE, DATABASE, changes, changing_server, cursor, number, opened
from tests.servers.reach import execute, in_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.stream_protocols import StreamSource
    from tools.servers.server import Server


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with changing_server(request.param) as made:
        made.accounts(made.url)
        yield made


@pytest.fixture
def url(server: Server) -> str:
    execute(server.url, f"DROP DATABASE IF EXISTS {DATABASE}", f"CREATE DATABASE {DATABASE}")
    return in_database(server.url, DATABASE)


@pytest.fixture
def orders(url: str) -> str:
    execute(url, "CREATE TABLE orders (id INT PRIMARY KEY, item VARCHAR(20), qty INT UNSIGNED)")
    return url


@pytest.mark.parametrize(
    "statement",
    ["TRUNCATE orders", "TRUNCATE TABLE `ematix_shop`.`orders`", "DROP TABLE others, orders",
     "RENAME TABLE orders TO old", "ALTER TABLE orders RENAME TO old", "DROP DATABASE ematix_shop"],
)  # fmt: skip
def test_rows_that_go_by_a_statement_are_refused_and_gone_on_behind_when_asked(
    orders: str, server: Server, statement: str
) -> None:
    execute(orders, "CREATE TABLE others (id INT PRIMARY KEY)")
    with opened(server.url, f"{DATABASE}.orders", "latest") as source:
        execute(orders, "INSERT INTO orders VALUES (1, 'a', 1)", "TRUNCATE others", "DROP TABLE IF EXISTS order_s")
        assert changes(source) == [("insert", 1, "a", 1)]
        execute(orders, statement)
        for _ in range(2):
            with pytest.raises(SourceError, match=statement.split(maxsplit=1)[0]) as caught:
                source.poll(AT_ONCE)
            assert 'on_truncate="skip"' in str(caught.value)
        at = source.positions()
    execute(
        server.url, f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.orders (id INT PRIMARY KEY, item VARCHAR(20), qty INT UNSIGNED)",
        f"INSERT INTO {DATABASE}.orders VALUES (2, 'b', 2)",
    )  # fmt: skip
    with opened(orders, start=at, on_truncate="skip") as source:
        assert changes(source) == [("insert", 2, "b", 2)]


def test_rows_before_a_statement_that_is_refused_come_first(orders: str) -> None:
    with opened(orders, start="latest") as source:
        for statement in (
            "INSERT INTO orders VALUES (1, 'a', 1)",
            "TRUNCATE orders",
            "INSERT INTO orders VALUES (2, 'b', 2)",
        ):
            execute(orders, statement)
        first = source.poll(AT_ONCE)
        assert first is not None
        assert first.rows.column("id").to_pylist() == [1]
        with pytest.raises(SourceError, match="TRUNCATE"):
            source.poll(AT_ONCE)
        at = source.positions()
    with opened(orders, start=at, on_truncate="skip") as source:
        assert changes(source) == [("insert", 2, "b", 2)]


@pytest.mark.parametrize(
    ("setting", "match"),
    [("binlog_format = 'STATEMENT'", "by a statement"), ("binlog_row_image = 'MINIMAL'", "all of the table's columns")],
)
def test_a_session_that_logs_otherwise_is_refused(orders: str, setting: str, match: str) -> None:
    execute(orders, "INSERT INTO orders VALUES (1, 'a', 1)")
    with opened(orders, start="latest") as source:
        execute(orders, f"SET SESSION {setting}", "UPDATE orders SET qty = 5 WHERE id = 1")
        with pytest.raises(UnsupportedError, match=match) as caught:
            source.poll(AT_ONCE)
    assert setting.split(maxsplit=1)[0] in str(caught.value)


def test_xa_transactions_are_refused(orders: str) -> None:
    with opened(orders, start="latest") as source:
        execute(
            orders, "XA START 'x'", "INSERT INTO orders VALUES (1, 'a', 1)", "XA END 'x'", "XA PREPARE 'x'",
            "XA ROLLBACK 'x'",
        )  # fmt: skip
        with pytest.raises(UnsupportedError, match="XA transaction"):
            source.poll(AT_ONCE)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("binlog_format", "STATEMENT"), ("binlog_row_image", "MINIMAL"), ("binlog_row_metadata", "MINIMAL"),
     ("gtid_mode", "ON_PERMISSIVE")],
)  # fmt: skip
def test_settings_of_the_server_are_named_with_the_remedy(
    orders: str, server: Server, variable: str, value: str
) -> None:
    if variable == "gtid_mode" and server.name == "mariadb":
        variable, value = "binlog_format", "MIXED"  # MariaDB always has GTIDs
    good = {"binlog_format": "ROW", "gtid_mode": "ON"}.get(variable, "FULL")
    execute(orders, f"SET GLOBAL {variable} = {value}")
    try:
        with pytest.raises(UnsupportedError, match=f"{variable} is {value}") as caught, opened(orders):
            pass
    finally:
        execute(orders, f"SET GLOBAL {variable} = {good}")
    assert variable in (caught.value.hint or "")


def test_rows_logged_without_the_names_of_columns_are_refused(orders: str) -> None:
    with opened(orders, start="latest") as source:
        execute(orders, "SET GLOBAL binlog_row_metadata = MINIMAL", "INSERT INTO orders VALUES (1, 'a', 1)")
        execute(orders, "SET GLOBAL binlog_row_metadata = FULL")
        with pytest.raises(SourceError, match="does not name the columns") as caught:
            source.poll(AT_ONCE)
    assert "binlog_row_metadata = FULL" in str(caught.value)


@pytest.mark.parametrize("kind", ["mariadb", "mysql"])
def test_a_server_without_a_binary_log_is_named(kind: str) -> None:
    with changing_server(kind, "--skip-log-bin") as made:
        execute(made.url, f"CREATE DATABASE {DATABASE}", f"CREATE TABLE {DATABASE}.orders (id INT PRIMARY KEY)")
        with pytest.raises(UnsupportedError, match="log_bin is OFF") as caught, opened(in_database(made.url, DATABASE)):
            pass
    assert "--log-bin" in str(caught.value)


def test_missing_privileges_are_named(orders: str, server: Server) -> None:
    url = in_database(server.accounts(server.url)["password"], DATABASE)
    with pytest.raises(AccessError) as caught, opened(url):
        pass
    assert "GRANT REPLICATION SLAVE, REPLICATION CLIENT" in str(caught.value)
    execute(server.url, "GRANT REPLICATION CLIENT ON *.* TO 'ematix_password'@'localhost', 'ematix_password'@'%'")
    execute(orders, "INSERT INTO orders VALUES (1, 'a', 1)")
    with opened(url, start="latest") as source, pytest.raises(AccessError) as caught:
        source.poll(PollLimits(seconds=1))
    assert "GRANT REPLICATION SLAVE, REPLICATION CLIENT" in str(caught.value)
    execute(server.url, "GRANT REPLICATION SLAVE ON *.* TO 'ematix_password'@'localhost', 'ematix_password'@'%'")
    with opened(url) as source:
        assert changes(source) == [("snapshot", 1, "a", 1)]


def test_tables_that_cannot_be_streamed_are_named(orders: str) -> None:
    execute(
        orders, "CREATE TABLE keyless (id INT)", "CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM",
        "CREATE TABLE listed (id ENUM('b', 'a') PRIMARY KEY)", "CREATE TABLE taken (id INT PRIMARY KEY, _op INT)",
    )  # fmt: skip
    for table, kind, match in (
        ("keyless", UnsupportedError, "no primary key"), ("old", UnsupportedError, "engine MyISAM"),
        ("listed", UnsupportedError, "in whose order"), ("taken", UnsupportedError, "_op"),
        ("ordes", MissingSourceError, "orders"),
    ):  # fmt: skip
        with pytest.raises(kind, match=match), opened(orders, table) as source:
            source.poll(AT_ONCE)


def test_purged_logs_are_named_with_the_remedy(orders: str, server: Server) -> None:
    with opened(orders, start="latest") as source:
        at = source.positions()
    execute(
        orders, "INSERT INTO orders VALUES (1, 'a', 1)", "FLUSH BINARY LOGS", "INSERT INTO orders VALUES (2, 'b', 2)"
    )
    purge(server.url)
    with (
        pytest.raises(SourceError, match="no longer has what comes next") as caught,
        opened(orders, start=at) as source,
    ):
        source.poll(AT_ONCE)
    assert "begin anew" in str(caught.value)


def purge(url: str) -> None:
    """Remove all files of the log but the newest, when nobody reads them any more."""
    files: list[str] = []
    with cursor(url) as asked:
        for _ in range(100):
            asked.execute("SHOW BINARY LOGS")
            files = [row[0] for row in asked.fetchall()]
            if len(files) == 1:
                break
            asked.execute(f"PURGE BINARY LOGS TO '{files[-1]}'")
            time.sleep(0.1)
    assert len(files) == 1


def test_a_lost_connection_is_transient_and_the_next_poll_goes_on(orders: str, server: Server) -> None:
    execute(orders, "INSERT INTO orders VALUES (1, 'a', 1)")
    with opened(orders, start="latest") as source:
        assert source.poll(PollLimits(seconds=0.1)) is None
        dump = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' LIMIT 1"
        execute(server.url, f"KILL {number(server.url, dump)}")
        execute(orders, "INSERT INTO orders VALUES (2, 'b', 2)")
        with pytest.raises(ConnectError):
            source.poll(PollLimits(seconds=10))
        assert changes(source) == [("insert", 2, "b", 2)]


def test_two_streams_with_one_server_id_are_told_apart(orders: str) -> None:
    def take_turns(one: StreamSource, two: StreamSource) -> None:
        for _ in range(40):
            one.poll(PollLimits(seconds=0.2))
            two.poll(PollLimits(seconds=0.2))

    with (
        opened(orders, start="latest", server_id=77) as one,
        opened(orders, start="latest", server_id=77) as two,
        pytest.raises(SourceError, match="same server id") as caught,
    ):
        take_turns(one, two)
    assert "server_id=" in str(caught.value)


@pytest.mark.parametrize("kind", ["mariadb", "mysql"])
def test_it_goes_on_at_a_replica_by_gtid(kind: str) -> None:
    more = "--log-slave-updates=ON"
    with changing_server(kind, more) as first, changing_server(kind, more, "--server-id=2") as second:
        execute(
            first.url, f"CREATE DATABASE {DATABASE}",
            f"CREATE TABLE {DATABASE}.orders (id INT PRIMARY KEY, item VARCHAR(20), qty INT)",
            f"INSERT INTO {DATABASE}.orders VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)",
        )  # fmt: skip
        execute(second.url, "FLUSH BINARY LOGS")
        automatic = "MASTER_USE_GTID = slave_pos" if kind == "mariadb" else "MASTER_AUTO_POSITION = 1"
        execute(
            second.url, "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'root', "
            f"MASTER_PORT = {first.port}, {automatic}", "START SLAVE",
        )  # fmt: skip
        with opened(in_database(first.url, DATABASE), start="earliest", snapshot="never") as source:
            polled = source.poll(PollLimits(rows=2, seconds=0))
            assert polled is not None
        replicated = f"SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{DATABASE}'"
        wait_for(second.url, replicated, 1)
        wait_for(second.url, f"SELECT COUNT(*) FROM {DATABASE}.orders", 3)
        first.kill()
        execute(second.url, f"UPDATE {DATABASE}.orders SET qty = 9 WHERE id = 1")
        with opened(in_database(second.url, DATABASE), start=polled.positions) as source:
            assert changes(source) == [("insert", 3, "c", 3), ("update", 1, "a", 9)]


def wait_for(url: str, sql: str, wanted: int) -> None:
    deadline = time.monotonic() + 30
    while number(url, sql) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.1)
