"""Streams of PostgreSQL's changes as users have them: consumed, shown and dropped by `flow`, into several targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import ematix_core as ematix
from ematix_core.cli.root import flow
from ematix_core.errors import SourceError, UnsupportedError
from tests.servers.reach import execute, in_database
from tests.servers.replicating import replicating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """
import ematix_core as ematix

shop = ematix.PostgresConnection("shop", url="{shop}")
warehouse = ematix.PostgresConnection("warehouse", url="{warehouse}")
orders = ematix.stream(
    "orders", source=shop, source_query="orders", target=warehouse, target_table="order_changes", mode=ematix.append(),
    transform_sql="SELECT * FROM source", batch_seconds=0.2,
)
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with replicating() as server:
        execute(server.url, "CREATE DATABASE warehouse")
        yield server.url


@pytest.fixture(autouse=True)
def tables(url: str) -> Iterator[None]:
    execute(url, "CREATE TABLE orders (id int PRIMARY KEY, v int)", "INSERT INTO orders VALUES (1, 1), (2, 2)")
    yield
    execute(url, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots", "DROP TABLE orders")
    execute(url, *(f"DROP PUBLICATION {name}" for (name,) in execute(url, "SELECT pubname FROM pg_publication")))
    execute(in_database(url, "warehouse"), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


def landed(url: str, table: str = "order_changes") -> list[tuple[Any, ...]]:
    return execute(in_database(url, "warehouse"), f"SELECT _offset, _op, id, v FROM {table} ORDER BY _offset")


def test_flow_consumes_shows_and_drops(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMATIX_STORE", f"sqlite:///{tmp_path}/store.sqlite")
    project = tmp_path / "pipelines.py"
    project.write_text(PROJECT.format(shop=url, warehouse=in_database(url, "warehouse")), encoding="utf-8")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(flow, [arguments[0], *arguments[1:]], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "not made yet" in run("streams", "show", "-m", "pipelines", "orders")
    assert execute(url, "SELECT 1 FROM pg_publication") == []
    run("consume", str(project), "orders", "--until-idle")
    execute(url, "DELETE FROM orders WHERE id = 1")
    run("consume", str(project), "orders", "--until-idle")
    assert landed(url) == [(0, "snapshot", 1, 1), (1, "snapshot", 2, 2), (2, "delete", 1, None)]
    assert "replication slot ematix_orders: read by nobody now" in run("streams", "show", "-m", "pipelines", "orders")
    dropped = run("streams", "drop", "-m", "pipelines", "orders")
    assert "dropped replication slot ematix_orders and publication ematix_orders" in dropped
    assert execute(url, "SELECT 1 FROM pg_replication_slots") == []


def test_what_came_before_a_truncate_is_loaded_and_the_rest_when_it_is_skipped(url: str) -> None:
    warehouse = ematix.PostgresConnection("warehouse", url=in_database(url, "warehouse"))

    def consume(on_truncate: str) -> int:
        made = ematix.stream(
            "orders", source=ematix.PostgresConnection("shop", url=url), source_query="orders", target=warehouse,
            target_table="order_changes", mode=ematix.append(), transform_sql="SELECT * FROM source", batch_seconds=0.2,
            options={"on_truncate": on_truncate},
        )  # fmt: skip
        return made.consume(until_idle=True).targets[0].inserted

    assert consume("fail") == 2
    execute(url, "INSERT INTO orders VALUES (3, 3)", "TRUNCATE orders", "INSERT INTO orders VALUES (4, 4)")
    with pytest.raises(SourceError, match="emptied by TRUNCATE"):
        consume("fail")
    assert [row[2] for row in landed(url)] == [1, 2, 3]
    assert consume("skip") == 1
    assert [row[2] for row in landed(url)] == [1, 2, 3, 4]


def test_each_target_has_a_slot_of_its_own(url: str) -> None:
    warehouse = ematix.PostgresConnection("warehouse", url=in_database(url, "warehouse"))
    made = ematix.stream(
        "orders", source=ematix.PostgresConnection("shop", url=url), source_query="orders",
        targets=[ematix.target(name, connection=warehouse, mode=ematix.append()) for name in ("one", "two")],
        transform_sql="SELECT * FROM source", batch_seconds=0.2,
    )  # fmt: skip
    made.consume(until_idle=True)
    execute(url, "UPDATE orders SET v = 3 WHERE id = 1")
    made.consume(until_idle=True)
    for table in ("one", "two"):
        assert [row[1:] for row in landed(url, table)] == [("snapshot", 1, 1), ("snapshot", 2, 2), ("update", 1, 3)]
    assert len(execute(url, "SELECT 1 FROM pg_replication_slots")) == 2


def test_no_slot_is_made_for_a_target_that_cannot_take_the_rows(url: str, tmp_path: Path) -> None:
    execute(url, "ALTER TABLE orders ADD COLUMN j jsonb")
    made = ematix.stream(
        "orders", source=ematix.PostgresConnection("shop", url=url), source_query="orders",
        target=ematix.DeltaConnection("lake", path=str(tmp_path)), target_table="orders",
        mode=ematix.merge(keys=["id"], deleted_by="_deleted"), batch_seconds=0.2,
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="delta cannot hold column 'j'"):
        made.consume(until_idle=True)
    assert execute(url, "SELECT 1 FROM pg_replication_slots") == []
    assert execute(url, "SELECT 1 FROM pg_publication") == []


def test_the_slot_moves_on_though_only_other_tables_change(url: str) -> None:
    made = ematix.stream(
        "orders", source=ematix.PostgresConnection("shop", url=url), source_query="orders",
        target=ematix.PostgresConnection("warehouse", url=in_database(url, "warehouse")),
        target_table="order_changes", mode=ematix.append(), transform_sql="SELECT * FROM source", batch_seconds=0.2,
    )  # fmt: skip
    made.consume(until_idle=True)
    behind = "SELECT pg_current_wal_lsn() - confirmed_flush_lsn FROM pg_replication_slots"
    filling = "CREATE TABLE filling AS SELECT repeat('x', 1000) AS v FROM generate_series(1, 5000)"
    execute(url, filling, "DROP TABLE filling")
    before = execute(url, behind)[0][0]
    made.consume(until_idle=True)
    after = execute(url, behind)[0][0]
    assert int(str(before)) > 5_000_000
    assert int(str(after)) < 500_000
    execute(url, "INSERT INTO orders VALUES (3, 3)")
    made.consume(until_idle=True)
    assert landed(url)[-1] == (2, "insert", 3, 3)
