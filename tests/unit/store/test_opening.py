"""Opening a store: what it creates, what it costs, and what is said when it cannot be opened."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ematix_core.errors import StoreError
from ematix_core.store import open_store
from ematix_core.store.database import REVISIONS, VERSION_TABLE, Database, migrate
from ematix_core.store.tables import last_event, metadata
from tests.servers import store_rows


def python(code: str) -> str:
    """Return what the code prints in a fresh process."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_loads_no_database_library() -> None:
    loaded = "import sys, ematix_core.store; print(*{'sqlalchemy', 'alembic', 'psutil'} & set(sys.modules))"
    assert not python(loaded).strip()


def test_opening_a_store_that_is_up_to_date_does_not_load_alembic(url: str) -> None:
    open_store(url).close()
    assert python(f"import sys, ematix_core.store as s; s.open_store({url!r}); print('alembic' in sys.modules)") == (
        "False\n"
    )


def test_the_revisions_create_the_tables_that_statements_use(url: str) -> None:
    database = Database(url)
    with database.engine.begin() as connection:
        stamp = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
        stamp.create(connection)  # a store of before the first revision
    migrate(database.engine)
    _assert_same(database)


def test_a_new_store_is_made_at_once_as_the_revisions_would_make_it(url: str) -> None:
    made = f"import sys, ematix_core.store as s; s.open_store({url!r}); print('alembic' in sys.modules)"
    assert python(made) == "False\n"
    _assert_same(Database(url))


def test_what_a_store_of_the_first_revision_holds_goes_on(url: str) -> None:
    with closing(Database(url)) as database:
        with database.engine.begin() as connection:
            sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)).create(
                connection
            )
        migrate(database.engine, "0001")
        store_rows.fill(database.engine)
    with open_store(url) as store:
        store_rows.check(store)
    _assert_same(Database(url))


def _assert_same(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        # SQLite reports the key of log_lines as INTEGER, the only type that counts by itself; elsewhere it is BIGINT.
        assert [d for d in compare_metadata(context, metadata) if "modify_type" not in str(d)] == []
        assert context.get_current_revision() == REVISIONS[-1]
        assert connection.execute(sa.select(sa.func.count()).select_from(last_event)).scalar() == 1
    database.close()


def test_the_known_revisions_are_those_of_the_folder() -> None:
    import ematix_core.store.migrations.versions as folder

    files = sorted(Path(folder.__path__[0]).glob("r*.py"))
    assert [file.name[1:5] for file in files] == list(REVISIONS)


def test_migrations_ship_python_files_only() -> None:
    import ematix_core.store.migrations as folder

    files = [file for file in Path(folder.__path__[0]).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert {file.suffix for file in files} == {".py"}


def test_importing_the_environment_of_alembic_does_nothing() -> None:
    assert python("import ematix_core.store.migrations.env") == ""


def test_a_store_of_a_newer_version_is_refused(url: str, tmp_path: Path) -> None:
    open_store(url).close()
    with closing(sqlite3.connect(tmp_path / ".ematix" / "runs.db")) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError, match=r"newer version of ematix.*9999"):
        open_store(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_text("hello " * 1000)
    with pytest.raises(StoreError, match=r"file is not a database.*\n.*Move it away"):
        open_store(f"sqlite:///{tmp_path}/runs.db")


def test_a_damaged_store_is_refused(url: str, tmp_path: Path) -> None:
    open_store(url).close()
    file = tmp_path / ".ematix" / "runs.db"
    file.write_bytes(file.read_bytes()[:100] + b"\xff" * 50_000)
    with pytest.raises(StoreError, match="Move it away"):
        open_store(url)


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be created.*\n.*EMATIX_STORE"):
        open_store(f"sqlite:///{tmp_path}/file/sub/runs.db")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_store_that_may_not_be_written_is_refused(url: str, tmp_path: Path) -> None:
    open_store(url).close()
    file = tmp_path / ".ematix" / "runs.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    # Permissions do not stop root, so the database itself is told to be read only.
    with pytest.raises(StoreError, match=r"readonly database.*\n.*writable"):
        open_store(f"sqlite:///file:{file}?mode=ro&uri=true").begin("orders")


def test_a_store_that_stays_locked_is_an_error(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ematix_core.store.database.LOCK_SECONDS", 0.1)
    with open_store(url) as store, closing(sqlite3.connect(tmp_path / ".ematix" / "runs.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"database is locked.*\n.*kept the store locked"):
            store.begin("orders")
        assert store.runs() == []


@pytest.mark.parametrize("url", ["hunter2", "sqlite://", "nosuch://u:hunter2@h/d", "/tmp/hunter2.db", ""])
def test_a_url_that_names_no_store_is_refused_without_showing_secrets(url: str) -> None:
    with pytest.raises(StoreError, match=r"sqlite:///runs\.db") as error:
        open_store(url)
    assert "hunter2" not in str(error.value)


def test_references_in_the_url_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "STORE_FOLDER", str(tmp_path / "x"))
    open_store("sqlite:///${STORE_FOLDER}/runs.db").close()
    assert (tmp_path / "x" / "runs.db").exists()
