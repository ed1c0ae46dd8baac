"""Changes of tables from the binary logs of MariaDB and MySQL: what comes, and how it comes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.backends.stream_protocols import PollLimits
from ematix_core.errors import (
    ConversionError,
    UnsupportedError,
)
from ematix_core.model.connection import MySQLConnection
from tests.servers import mysql_types as native
from tests.servers.binlogs import AT_ONCE, DATABASE, changes, changing_server, opened, table_of
from tests.servers.reach import execute, in_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.binlogs import Change
    from tools.servers.server import Server

AS_BYTES = ("uuid", "inet6")
"""Types of MariaDB that the log shows as bytes."""


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


def test_snapshot_then_changes_each_once(orders: str) -> None:
    execute(orders, "INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 4294967295)")
    with opened(orders, "ematix_shop.orders") as source:
        assert changes(source) == [("snapshot", 1, "a", 1), ("snapshot", 2, "b", 4294967295)]
        execute(
            orders, "UPDATE orders SET qty = NULL WHERE id = 1", "DELETE FROM orders WHERE id = 2",
            "INSERT INTO orders VALUES (3, NULL, 3)", "UPDATE orders SET id = 30, qty = 4 WHERE id = 3",
            "REPLACE INTO orders VALUES (1, 'z', 9)",
        )  # fmt: skip
        assert changes(source) == [
            ("update", 1, "a", None), ("delete", 2, "b", 4294967295), ("insert", 3, None, 3), ("delete", 3, None, 3),
            ("insert", 30, None, 4), ("update", 1, "z", 9),
        ]  # fmt: skip


def test_a_row_of_the_snapshot_is_dated_before_its_next_change_of_the_same_second(orders: str) -> None:
    execute(orders, "INSERT INTO orders VALUES (1, 'a', 1)")
    with opened(orders, "ematix_shop.orders") as source:
        (copied,) = table_of(source).to_pylist()
        execute(orders, "UPDATE orders SET qty = 2")
        (changed,) = table_of(source).to_pylist()
        assert copied["_event_ts"] < changed["_event_ts"]


def test_a_transaction_that_is_rolled_back_and_other_tables_are_not_seen(orders: str) -> None:
    execute(orders, "CREATE TABLE others LIKE orders")
    with opened(orders, start="latest") as source:
        execute(
            orders, "BEGIN", "INSERT INTO orders VALUES (1, 'a', 1)", "ROLLBACK",
            "INSERT INTO others VALUES (1, 'a', 1)", "BEGIN", "INSERT INTO orders VALUES (2, 'b', 2)", "SAVEPOINT s",
            "INSERT INTO orders VALUES (3, 'b', 2)",
            "ROLLBACK TO s", "INSERT INTO others VALUES (2, 'a', 1)", "COMMIT",
        )  # fmt: skip
        assert changes(source) == [("insert", 2, "b", 2)]


def test_a_large_transaction_is_cut_and_gone_on_with_inside(orders: str) -> None:
    values = ", ".join(f"({n}, 'item', {n})" for n in range(2000))
    with opened(orders, start="latest") as source:
        execute(orders, "BEGIN", f"INSERT INTO orders VALUES {values}", "UPDATE orders SET qty = 7777", "COMMIT")
        wanted = [("insert", n, "item", n) for n in range(2000)] + [("update", n, "item", 7777) for n in range(2000)]
        read: list[Change] = []
        for _ in range(4):
            polled = source.poll(PollLimits(rows=777, seconds=0))
            assert polled is not None
            read += [(row["_op"], row["id"], row["item"], row["qty"]) for row in polled.rows.to_pylist()]
            with opened(orders, start=polled.positions) as other:
                assert read + changes(other) == wanted


@pytest.mark.parametrize("snapshot", ["initial", "never"])
def test_values_are_those_that_a_query_gives(url: str, server: Server, snapshot: str) -> None:
    types = [each for each in native.of(server.name) if each.name not in AS_BYTES]
    columns = ", ".join(f"`{each.name}` {each.sql}" for each in types)
    execute(url, f"CREATE TABLE types (n INT PRIMARY KEY, {columns})")
    with opened(url, "types", "latest" if snapshot == "never" else "earliest", snapshot=snapshot) as source:
        for n in range(native.rows(server.name)):
            values = ", ".join(each.literals[n] if n < len(each.literals) else "NULL" for each in types)
            execute(url, f"INSERT INTO types VALUES ({n}, {values})")
        found = table_of(source).select(["n", *(each.name for each in types)])
    with closing(registry.source(MySQLConnection("shop", url=url))) as batch:
        wanted = batch.read(Query(table="types")).read_all().sort_by("n")
    assert found.schema == wanted.schema
    assert found.to_pylist() == wanted.to_pylist()


DOCUMENTS = (
    "{}", "[]", "null", "true", "-5", "32768", "-2147483649", "9223372036854775808", '""', '"a\\"\\\\b/\\n\\u0001é🙂"',
    '[1, [2, {"a": {"b": []}}]]', "1.0", "1e15", "123456789012345.5", "1e14", "1e-5", "1.5e-7", "0.1", "1e300", "-0.0",
    "2.5e20", "1.5e-15", "1.2345678901234567e-15", "1.5e-16", "999999999999999.9", "1234567890123456.5",
    '{"b": 1, "aa": 2, "a": [null, false]}', '["' + "x" * 70_000 + '", 1]', '{"k": "' + "y" * 200 + '"}',
)  # fmt: skip
MADE = (
    "JSON_ARRAY(CAST(1.50 AS DECIMAL(10,2)), -0.25)", "JSON_ARRAY(DATE'2024-02-29', TIME'-12:34:56.5')",
    "JSON_ARRAY(TIMESTAMP'2024-02-29 01:02:03.000004')", "JSON_OBJECT('k', X'00FF')",
)  # fmt: skip


def test_documents_are_the_text_that_the_server_prints(url: str, server: Server) -> None:
    execute(url, "CREATE TABLE documents (n INT PRIMARY KEY, doc JSON)")
    made = MADE if server.name == "mysql" else ()
    with opened(url, "documents", "latest") as source:
        for n, text in enumerate([*(f"CONVERT(X'{doc.encode().hex()}' USING utf8mb4)" for doc in DOCUMENTS), *made]):
            execute(url, f"INSERT INTO documents VALUES ({n}, {text})")
        found = table_of(source).select(["n", "doc"]).to_pylist()
    with closing(registry.source(MySQLConnection("shop", url=url))) as batch:
        assert found == batch.read(Query(table="documents")).read_all().sort_by("n").to_pylist()


def test_text_of_other_character_sets_and_what_cannot_be_read(url: str, server: Server) -> None:
    del server
    execute(
        url, "CREATE TABLE texts (n INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET ucs2, b TEXT CHARACTER SET utf16, "
        "c CHAR(9) CHARACTER SET utf32, d VARCHAR(9) CHARACTER SET ascii, e ENUM('é', 'ü') CHARACTER SET latin1)",
        "CREATE TABLE koi (n INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET koi8r)",
    )  # fmt: skip
    with opened(url, "texts", "latest") as source, opened(url, "koi", "latest") as unread:
        execute(url, "INSERT INTO texts VALUES (1, 'né', '🙂', 'ж', 'a', 'ü')", "INSERT INTO koi VALUES (1, 'ж')")
        assert changes(source) == [("insert", 1, "né", "🙂", "ж", "a", "ü")]
        with pytest.raises(UnsupportedError, match="'a' has the character set koi8r") as caught:
            unread.poll(AT_ONCE)
    assert "CONVERT TO CHARACTER SET utf8mb4" in str(caught.value)


@pytest.mark.parametrize("case", [one for one in native.REFUSED if not one.planned], ids=lambda one: one.name)
def test_a_value_that_a_query_refuses_is_refused_here_and_again(url: str, case: native.Refused) -> None:
    execute(url, f"CREATE TABLE odd (n INT PRIMARY KEY, v {case.sql})")
    with opened(url, "odd", "latest") as source:
        execute(url, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", f"INSERT INTO odd VALUES (1, {case.literal})")
        for _ in range(2):
            with pytest.raises(ConversionError, match="column 'v'") as caught:
                source.poll(AT_ONCE)
            assert case.hint in str(caught.value)


def test_columns_that_come_go_and_are_renamed_are_read_as_they_were(orders: str) -> None:
    with opened(orders, start="latest") as source:
        execute(
            orders, "INSERT INTO orders VALUES (1, 'a', 1)", "ALTER TABLE orders ADD price DECIMAL(6,2) DEFAULT 1.5",
            "INSERT INTO orders VALUES (2, 'b', 2, 2.25)", "ALTER TABLE orders DROP item",
            "INSERT INTO orders VALUES (3, 3, 3.5)", "ALTER TABLE orders CHANGE qty quantity BIGINT",
            "UPDATE orders SET quantity = -1 WHERE id = 1",
        )  # fmt: skip
        batches = []
        while (polled := source.poll(AT_ONCE)) is not None:
            batches.append(polled.rows)
    named = [[name for name in batch.schema.names if not name.startswith("_")] for batch in batches]
    assert named == [
        ["id", "item", "qty"], ["id", "item", "qty", "price"], ["id", "qty", "price"], ["id", "quantity", "price"],
    ]  # fmt: skip
    assert [str(batch.schema.field(place).type) for batch, place in ((batches[0], 2), (batches[3], 1))] == [
        "uint32", "int64",
    ]  # fmt: skip
    assert batches[1].to_pylist()[0]["price"].to_eng_string() == "2.25"
    assert batches[3].to_pylist()[0]["quantity"] == -1
