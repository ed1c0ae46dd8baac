"""The tables of a store on a server: made, brought up from every revision, by several at once, after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ematix_core.errors import StoreError
from ematix_core.store import open_store
from ematix_core.store.database import REVISIONS, VERSION_TABLE, Database, migrate
from ematix_core.store.servers import migration
from ematix_core.store.tables import metadata
from tests.servers import store_rows
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = ("postgres", "mariadb", "mysql")
OPEN = "import sys, ematix_core.store as s\ns.open_store(sys.argv[1]).begin(sys.argv[2])\n"
# Dies after as many statements that change something as it is told.
DIE = """
import os, signal, sys
import sqlalchemy as sa
from ematix_core.store.database import Database
database, left = Database(sys.argv[1]), int(sys.argv[2])

@sa.event.listens_for(database.engine, "after_cursor_execute")
def count(connection, cursor, statement, *_):
    global left
    left -= statement.lstrip().split()[0] in {"CREATE", "ALTER", "DROP", "UPDATE", "DELETE", "INSERT"}
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

database.upgrade()
"""


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.param) as made:
        yield made


def python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments])


def assert_complete(url: str) -> None:
    """Compare tables, columns, nullability, keys and indexes with what statements expect."""
    with closing(Database(url)) as store, store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        # What MySQL calls its types, test_mysql_keeps_... looks at.
        mysql = connection.dialect.name == "mysql"
        found = [d for d in compare_metadata(context, metadata) if not (mysql and "modify_type" in str(d))]
        assert found == []
        assert context.get_current_revision() == REVISIONS[-1]


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_a_store_of_every_revision_is_brought_up(url: str, revision: str | None) -> None:
    with closing(Database(url)) as store:
        if revision:
            migrate(store.engine, revision)
        store.upgrade()
    assert_complete(url)


def test_what_a_store_of_the_first_revision_holds_goes_on(url: str) -> None:
    with closing(Database(url)) as store:
        migrate(store.engine, "0001")
        store_rows.fill(store.engine)
    with open_store(url) as opened:
        store_rows.check(opened)
    assert_complete(url)


def test_processes_that_migrate_at_once_take_turns(url: str) -> None:
    processes = [python(OPEN, url, f"job{number}") for number in range(3)]
    assert [process.wait() for process in processes] == [0] * len(processes)
    assert_complete(url)
    with open_store(url) as store:
        assert len(store.runs()) == len(processes)


@pytest.mark.parametrize("statements", [1, 3, 9])
def test_a_migration_that_was_killed_is_completed_by_the_next(url: str, statements: int) -> None:
    assert python(DIE, url, str(statements)).wait() == -signal.SIGKILL
    with open_store(url) as store:
        store.begin("orders")
    assert_complete(url)


@pytest.mark.parametrize("statements", [1, 5, 12, 22, 26, 28, 30, 31])
def test_an_update_that_was_killed_is_completed_by_the_next(url: str, statements: int) -> None:
    with closing(Database(url)) as store:
        migrate(store.engine, "0001")
        store_rows.fill(store.engine)
    assert python(DIE, url, str(statements)).wait() == -signal.SIGKILL
    with open_store(url) as opened:
        store_rows.check(opened)
    assert_complete(url)


def test_a_migration_that_does_not_end_is_not_waited_for_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ematix_core.store.servers.MIGRATION_SECONDS", 1)
    with closing(Database(url)) as other, migration(other.engine), pytest.raises(StoreError, match="Another process"):
        open_store(url)
    open_store(url).close()


def test_a_store_of_a_newer_version_is_refused(url: str) -> None:
    open_store(url).close()
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"newer version of ematix.*9999"):
        open_store(url)


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_mysql_keeps_long_texts_microseconds_and_case(server: str) -> None:
    with database(server) as url:
        open_store(url).close()
        columns = execute(
            url,
            "SELECT data_type, datetime_precision, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name <> 'ematix_store_version'",
        )
    kinds = {kind for kind, _, _ in columns}
    assert "longtext" in kinds
    assert "text" not in kinds
    assert {precision for kind, precision, _ in columns if kind == "datetime"} == {6}
    assert {collation for kind, _, collation in columns if kind in ("varchar", "longtext")} == {"utf8mb4_bin"}
