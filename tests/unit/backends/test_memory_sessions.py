"""Tables in memory: made once, shared by every session of the connection object."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query, Session
from ematix_core.model.connection import MemoryConnection
from ematix_core.model.table import Column, TableName
from ematix_core.types import BigInt

ROWS = pa.table({"a": [1, 2]})
COLUMNS = (Column("a", BigInt),)


def read(connection: MemoryConnection, sql: str) -> list[dict[str, object]]:
    source = registry.source(connection)
    try:
        return source.read(Query(sql=sql)).read_all().to_pylist()
    finally:
        source.close()


def test_tables_given_are_there_with_their_schemas() -> None:
    shop = MemoryConnection("shop", tables={"crm.orders": ROWS, "plain": ROWS})
    assert read(shop, "SELECT sum(a) AS n FROM crm.orders") == [{"n": 3}]
    with registry.target(shop).inspect() as session:
        assert [c.name for c in session.columns(TableName("crm", "orders")) or ()] == ["a"]
        assert session.last_load("x") is None


def test_what_a_session_commits_other_sessions_see() -> None:
    shop = MemoryConnection("shop")
    with registry.target(shop).session() as session:
        session.execute("CREATE TABLE t (a BIGINT)", {})
        session.load(TableName("", "t"), COLUMNS, ROWS.to_reader())
    assert read(shop, "SELECT count(*) AS n FROM t") == [{"n": 2}]
    assert read(MemoryConnection("shop"), "SELECT count(*) AS n FROM duckdb_tables() WHERE table_name = 't'") == [
        {"n": 0}
    ]


def test_a_failed_session_leaves_nothing() -> None:
    shop = MemoryConnection("shop", tables={"t": ROWS})

    def work(session: Session) -> None:
        session.clear(TableName("", "t"))
        raise KeyboardInterrupt

    def run() -> None:
        with registry.target(shop).session() as session:
            work(session)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert read(shop, "SELECT count(*) AS n FROM t") == [{"n": 2}]


def test_jobs_in_threads_share_one_connection() -> None:
    shop = MemoryConnection("shop", tables={f"t{i}": ROWS for i in range(8)})
    failures: list[BaseException] = []

    def job(i: int) -> None:
        try:
            source = registry.source(shop)
            rows = source.read(Query(table=f"t{i}"))
            with registry.target(shop).session() as session:
                session.load(TableName("", f"t{i}"), COLUMNS, rows)
            source.close()
        except BaseException as error:  # noqa: BLE001 - a thread's error is the test's
            failures.append(error)

    threads = [threading.Thread(target=job, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    total = " + ".join(f"(SELECT count(*) FROM t{i})" for i in range(8))
    assert read(shop, f"SELECT {total} AS n") == [{"n": 32}]


def test_the_same_connection_object_is_queried_in_place() -> None:
    shop = MemoryConnection("shop", tables={"t": ROWS})
    source = registry.source(shop)
    local = source.local_query(Query(sql="SELECT * FROM t WHERE a > :n", parameters={"n": 1}), shop)
    assert local is not None
    assert source.local_query(Query(table="t"), MemoryConnection("shop")) is None
    with registry.target(shop).session() as session:
        assert session.insert(TableName("", "t"), ["a"], local.sql, local.parameters) == 1
    source.close()
