"""What keeps a stream of PostgreSQL's changes from being read, each named with its remedy, and what it survives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.backends import registry
from ematix_core.backends.postgres.replication import log, slot
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import (
    AccessError,
    ConfigError,
    EmatixError,
    LockedError,
    MissingSourceError,
    SourceError,
    UnsupportedError,
    is_transient,
)
from ematix_core.model.connection import PostgresConnection
from tests.servers.reach import execute
from tests.servers.replicating import replicating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from ematix_core.backends.postgres.replication.stream import PostgresChanges
    from tools.servers.server import Server

    Follow: TypeAlias = Callable[..., PostgresChanges]

AT_ONCE = PollLimits(seconds=0)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with replicating(settings=["max_slot_wal_keep_size=16MB", "wal_sender_timeout=6s"]) as made:
        yield made


@pytest.fixture
def opened() -> Iterator[list[PostgresChanges]]:
    """Yield a list of sources to be closed at the end."""
    made: list[PostgresChanges] = []
    yield made
    for source in made:
        source.close()


@pytest.fixture
def follow(server: Server, opened: list[PostgresChanges]) -> Follow:
    def make(table: str, *, url: str = "", **options: object) -> PostgresChanges:
        connection = PostgresConnection("shop", url=url or server.url)
        made: Any = registry.stream_source(connection, StreamQuery(table, options))
        opened.append(made)
        found: PostgresChanges = made
        return found

    return make


def ids(source: PostgresChanges) -> list[Any]:
    found = []
    while (polled := source.poll(AT_ONCE)) is not None:
        found += polled.rows.column("id").to_pylist()
    return found


def hint(error: pytest.ExceptionInfo[EmatixError]) -> str:
    return error.value.hint


def test_wal_level_that_is_not_logical(opened: list[PostgresChanges]) -> None:
    with replicating(settings=["wal_level=replica"]) as other:
        execute(other.url, "CREATE TABLE plain (id int PRIMARY KEY)")
        made: Any = registry.stream_source(PostgresConnection("shop", url=other.url), StreamQuery("plain"))
        opened.append(made)
        with pytest.raises(ConfigError, match="wal_level is replica") as error:
            made.seek("earliest")
        assert "ALTER SYSTEM SET wal_level = logical" in hint(error)
        made.close()


@pytest.mark.parametrize("identity", ["", "NOTHING"])
def test_a_table_without_replica_identity(server: Server, follow: Follow, identity: str) -> None:
    table = f"no_identity_{identity.lower()}"
    key = " PRIMARY KEY" if identity else ""
    execute(server.url, f"CREATE TABLE {table} (id int{key})")
    if identity:
        execute(server.url, f"ALTER TABLE {table} REPLICA IDENTITY {identity}")
    with pytest.raises(UnsupportedError, match="no replica identity") as error:
        follow(table).seek("earliest")
    assert f"ALTER TABLE {table} REPLICA IDENTITY FULL" in hint(error)
    assert execute(server.url, f"SELECT 1 FROM pg_publication WHERE pubname = 'ematix_{table}'") == []


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ("CREATE VIEW a_view AS SELECT 1 AS id", "a_view"),
        ("CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY)", "fleeting"),
    ],
)
def test_what_has_no_log(server: Server, follow: Follow, made: str, name: str) -> None:
    execute(server.url, made)
    with pytest.raises(UnsupportedError, match="ordinary tables only"):
        follow(name).seek("earliest")


def test_rows_whose_changes_would_be_told_otherwise(server: Server, follow: Follow) -> None:
    users = server.accounts(server.url)
    execute(server.url, "CREATE TABLE parent (id int PRIMARY KEY)", "CREATE TABLE heir () INHERITS (parent)",
            "CREATE TABLE hidden (id int PRIMARY KEY)", "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY",
            "GRANT SELECT ON hidden TO ematix_unprivileged")  # fmt: skip
    with pytest.raises(UnsupportedError, match="inherit"):
        follow("parent").seek("earliest")
    with pytest.raises(UnsupportedError, match="row security") as error:
        follow("hidden", url=users["unprivileged"]).seek("earliest")
    assert "BYPASSRLS" in hint(error)


def test_a_table_that_is_not_there(server: Server, follow: Follow) -> None:
    execute(server.url, "CREATE TABLE parcels (id int PRIMARY KEY)")
    with pytest.raises(MissingSourceError) as error:
        follow("parcel").seek("earliest")
    assert "parcels" in hint(error)


def test_a_user_who_may_not_replicate(server: Server, follow: Follow) -> None:
    users = server.accounts(server.url)
    execute(server.url, "CREATE TABLE denied (id int PRIMARY KEY)", "GRANT SELECT ON denied TO ematix_unprivileged")
    with pytest.raises(AccessError) as error:
        follow("denied", url=users["unprivileged"]).seek("earliest")
    assert "CREATE PUBLICATION ematix_denied" in hint(error)
    execute(server.url, "CREATE PUBLICATION ematix_denied FOR TABLE denied WITH (publish_via_partition_root = true)")
    with pytest.raises(AccessError) as error:
        follow("denied", url=users["unprivileged"]).seek("earliest")
    assert 'ALTER ROLE "ematix_unprivileged" REPLICATION' in hint(error)
    execute(server.url, "ALTER ROLE ematix_unprivileged REPLICATION", "INSERT INTO denied VALUES (1)")
    allowed = follow("denied", url=users["unprivileged"])
    assert ids(allowed) == [1]
    execute(server.url, "ALTER ROLE ematix_unprivileged NOREPLICATION")


def test_a_slot_that_was_lost(server: Server, follow: Follow) -> None:
    execute(server.url, "CREATE TABLE late (id int PRIMARY KEY)")
    source = follow("late")
    ids(source)
    saved = source.positions()
    source.close()
    for _ in range(4):
        execute(server.url, "INSERT INTO late SELECT count(*) FROM late", "SELECT pg_switch_wal()")
    execute(server.url, "CHECKPOINT")
    again = follow("late")
    assert "lost" in again.retained()
    with pytest.raises(SourceError, match="ematix_late is lost") as error:
        again.seek(saved)
    assert "flow streams drop" in hint(error)
    assert "max_slot_wal_keep_size" in hint(error)
    with pytest.raises(SourceError, match="ematix_late is lost"):
        again.seek("earliest")
    assert again.drop() == ("replication slot ematix_late", "publication ematix_late")
    assert again.drop() == ()


def test_a_publication_that_others_may_read_by_stays(server: Server, follow: Follow) -> None:
    execute(server.url, "CREATE TABLE common (id int PRIMARY KEY)")
    execute(server.url, "CREATE PUBLICATION made_by_hand FOR TABLE common WITH (publish_via_partition_root = true)")
    source = follow("common", publication="made_by_hand")
    ids(source)
    source.close()
    assert follow("common", publication="made_by_hand").drop() == ("replication slot ematix_common",)
    assert execute(server.url, "DROP PUBLICATION made_by_hand") == []


def test_a_slot_that_was_dropped_or_made_anew(server: Server, follow: Follow) -> None:
    execute(server.url, "CREATE TABLE remade (id int PRIMARY KEY)")
    source = follow("remade")
    ids(source)
    saved = source.positions()
    source.close()
    execute(server.url, "SELECT pg_drop_replication_slot('ematix_remade')")
    with pytest.raises(SourceError, match="no replication slot ematix_remade any more") as error:
        follow("remade").seek(saved)
    assert "--from earliest" in hint(error)
    execute(server.url, "INSERT INTO remade VALUES (1)",
            "SELECT pg_create_logical_replication_slot('ematix_remade', 'pgoutput')")  # fmt: skip
    with pytest.raises(SourceError, match="begins after the noted positions"):
        follow("remade").seek(saved)


def test_a_publication_that_was_dropped_or_has_other_tables(server: Server, follow: Follow) -> None:
    execute(server.url, "CREATE TABLE told (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY)",
            "CREATE PUBLICATION others FOR TABLE other", "CREATE PUBLICATION half FOR TABLE told WHERE (id > 1)",
            "CREATE PUBLICATION inserts FOR TABLE told WITH (publish = 'insert')")  # fmt: skip
    for name, said in (("others", "does not have table"), ("inserts", "leaves out")):
        with pytest.raises(ConfigError, match=said):
            follow("told", publication=name).seek("earliest")
    with pytest.raises(UnsupportedError, match="only rows with"):
        follow("told", publication="half").seek("earliest")
    source = follow("told")
    ids(source)
    execute(server.url, "DROP PUBLICATION ematix_told", "INSERT INTO told VALUES (1)")
    with pytest.raises(SourceError, match="publication"):
        ids(source)


def test_tables_that_the_publication_has_too_do_not_matter(server: Server, follow: Follow) -> None:
    execute(server.url, "CREATE TABLE mine (id int PRIMARY KEY)", "CREATE TABLE theirs (id text PRIMARY KEY, v int)",
            "CREATE PUBLICATION both_tables FOR TABLE mine, theirs")  # fmt: skip
    source = follow("mine", publication="both_tables")
    ids(source)
    execute(server.url, "INSERT INTO theirs VALUES ('a')", "INSERT INTO mine VALUES (1)", "TRUNCATE theirs",
            "INSERT INTO theirs VALUES ('b')", "INSERT INTO mine VALUES (2)")  # fmt: skip
    assert ids(source) == [1, 2]


def test_a_second_reader_of_a_slot(server: Server, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "PATIENCE", 0.2)
    monkeypatch.setattr(slot, "PATIENCE", 0.2)
    execute(server.url, "CREATE TABLE shared (id int PRIMARY KEY)")
    first, second = follow("shared"), follow("shared")
    ids(first)
    with pytest.raises(LockedError, match="another reader has replication slot ematix_shared") as error:
        ids(second)
    assert is_transient(error.value)
    with pytest.raises(LockedError, match="is read by"):
        second.drop()
    first.close()
    assert ids(second) == []


def test_the_connection_lives_while_the_consumer_is_busy(server: Server, follow: Follow) -> None:
    """For longer than wal_sender_timeout, with more changes than are read ahead."""
    execute(server.url, "CREATE TABLE busy (id int PRIMARY KEY, filling text)")
    source = follow("busy")
    ids(source)
    execute(server.url, "INSERT INTO busy SELECT i, repeat('x', 1000) FROM generate_series(1, 60000) i")
    first = source.poll(PollLimits(rows=1))
    assert first is not None
    process = execute(server.url, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'ematix_busy'")
    time.sleep(9)
    assert [*first.rows.column("id").to_pylist(), *ids(source)] == list(range(1, 60_001))
    assert process == execute(server.url, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'ematix_busy'")


def test_a_server_that_dies_and_comes_back(server: Server, follow: Follow) -> None:
    execute(server.url, "CREATE TABLE lasting (id int PRIMARY KEY)", "INSERT INTO lasting VALUES (1)")
    source = follow("lasting")
    assert ids(source) == [1]
    execute(server.url, "INSERT INTO lasting VALUES (2)")
    assert ids(source) == [2]
    server.kill()
    with pytest.raises(EmatixError) as error:
        ids(source)
    assert is_transient(error.value)
    server.start()
    execute(server.url, "INSERT INTO lasting VALUES (3)")
    assert ids(source) == [3]
