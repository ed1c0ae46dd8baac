"""Opens the store's database and brings its tables up to date."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from ematix_core.errors import StoreError
from ematix_core.model.connection import mask
from ematix_core.store import servers, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""All revisions in order: known without importing alembic, which takes a quarter of a second."""

VERSION_TABLE = "ematix_store_version"
LOCK_SECONDS = 10
"""How long a SQLite store may be locked by another process before that is an error."""

_URL_HINT = (
    "EMATIX_STORE is a URL, such as sqlite:///runs.db (sqlite:////data/runs.db for an absolute path), "
    "postgresql://user:password@host/database or mysql://user:password@host/database."
)
_HINTS = {
    "locked": f"Another process has kept the store locked for {LOCK_SECONDS} s. Try again, or end that process.",
    "readonly": "Make file and folder writable for this user, or set EMATIX_STORE to another place.",
    "unable to open": "Make file and folder writable for this user, or set EMATIX_STORE to another place.",
    "not a database": "This file is no store. Move it away, or set EMATIX_STORE to another place.",
    "malformed": "The file is damaged. Move it away; a new store begins without the history of runs.",
    "is full": "Free some space where the store lies.",
}

# A SELECT by itself needs no transaction around it, which would be sent to a server in messages of its own.
_READS: dict[str, dict[str, Any]] = {"sqlite": {"reads": True}, "postgresql": {"isolation_level": "AUTOCOMMIT"}}

# One connection that all threads take turns on: a second one would be a second database.
_MEMORY = {
    "poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "connect_args": {"check_same_thread": False},
}  # fmt: skip


class Database:
    """An open control database: `transaction` for writing, `reader` for reading, each a single statement."""

    def __init__(self, url: str) -> None:
        """Open the database at `url` (`memory:` is one that lives as long as this object), without touching tables."""
        memory = url == "memory:"
        given = _parse("sqlite://" if memory else url)
        self.url = servers.with_driver(given)
        # The second mask is for a password among the options: postgresql://host/runs?user=u&password=p
        self.where = f"store {url}" if memory else f"store {mask(given.render_as_string(hide_password=True))}"
        if self.url.get_backend_name() in servers.EXTRAS and not self.url.database:
            raise StoreError("the store's URL names no database", where=self.where, hint=_URL_HINT)
        if self.url.get_backend_name() == "sqlite" and not memory:
            self._create_folder()
        with self.errors():
            self.engine = _create_engine(self.url, **(_MEMORY if memory else servers.engine_options(self.url)))
            self.reader = self.engine.execution_options(**_READS.get(self.url.get_backend_name(), {}))
            self._quick = self.engine.execution_options(quick=True)
        self._turn = threading.Lock() if self.url.get_backend_name() == "sqlite" else nullcontext()
        if self.url.get_backend_name() == "sqlite":
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", servers.limit_idleness)

    def upgrade(self) -> None:
        """Create or update the tables if they are behind. Raises StoreError when they are ahead of this version."""
        with self.errors():
            version = self._version()
            if version == REVISIONS[-1]:
                return
            if version is not None and version not in REVISIONS:
                raise StoreError(
                    f"the store was written by a newer version of ematix (revision {version}, known: {REVISIONS[-1]})",
                    where=self.where,
                    hint="Upgrade ematix here, or set EMATIX_STORE to another store.",
                )
            if version is None and self.url.get_backend_name() == "sqlite":
                _create(self.engine)
            else:
                migrate(self.engine)

    @contextmanager
    def transaction(self, *, quick: bool = False) -> Iterator[sa.Connection]:
        """Give a writing transaction, committed when the block ends well.

        `quick`: that it may be taken back by a power cut; see `_begin_sqlite`. Raises the database's errors.
        """
        # Threads that wait for SQLite's own lock sleep and try again; ours wakes the next one at once.
        with self._turn, (self._quick if quick else self.engine).begin() as connection:
            yield connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the database raises into StoreError with a hint."""
        try:
            yield
        except SQLAlchemyError as error:
            cause = servers.cause(error)
            known = servers.hint(error) or next((hint for sign, hint in _HINTS.items() if sign in cause), None)
            raise StoreError(
                f"the store failed: {cause}", where=self.where, hint=known or "Check EMATIX_STORE and the database."
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _version(self) -> str | None:
        try:
            with self.reader.connect() as connection:
                return _version(connection)
        except TypeError as error:  # PyMySQL takes the URL's options as arguments
            raise StoreError(
                f"an option of the store's URL is unknown: {error}", where=self.where, hint=_URL_HINT
            ) from error

    def _create_folder(self) -> None:
        if not self.url.database:
            raise StoreError("the store's URL names no file", where=self.where, hint=_URL_HINT)
        folder = Path(self.url.database.removeprefix("file:")).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the store's folder {folder} cannot be created: {error.strerror}",
                where=self.where,
                hint=_HINTS["unable to open"],
            ) from error


def _parse(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except ArgumentError:  # its text holds the URL, which may hold a password
        raise StoreError("the store's URL cannot be read", hint=_URL_HINT) from None


def _create_engine(url: sa.URL, **options: Any) -> sa.Engine:  # noqa: ANN401 - SQLAlchemy's own options
    try:
        return sa.create_engine(url, **options)
    except NoSuchModuleError:
        raise StoreError(f"{url.drivername} is no database that a store can be in", hint=_URL_HINT) from None
    except ImportError as error:  # psycopg without its binary part is not a missing module
        extra = servers.EXTRAS.get(url.get_backend_name())
        package = f'"ematix[{extra}]"' if extra else error.name
        raise StoreError(
            f"a store in {url.get_backend_name()} needs a package that is not installed: {error}",
            hint=f"Run: pip install {package}",
        ) from error


def _configure_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 - a DBAPI connection
    # Transactions are begun below, not by the driver: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    # Readers do not wait for the writer.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin a transaction that writes, and say whether its commit waits for the disk; a single SELECT needs none.

    FULL waits: a run that was begun must survive a power cut, or the load that it committed to a target would be loaded
    again. What a scheduler writes may be NORMAL, except the beginning of a job's run: a power cut takes back only the
    last transactions, in their order, back to the last FULL one at most, and it ends all processes that use the file.
    So it is a kill of the scheduler a moment earlier, and the next one carries on what it finds open. A kill takes back
    nothing. https://www.sqlite.org/pragma.html#pragma_synchronous
    """
    options = connection.get_execution_options()
    if options.get("reads"):
        return
    # A transaction that reads first and then writes fails at once, without waiting, if another one wrote in between:
    # https://www.sqlite.org/lang_transaction.html#deferred_immediate_and_exclusive_transactions
    cursor = connection.connection.cursor()  # SQLAlchemy's own costs ten times as much
    cursor.execute(f"PRAGMA synchronous = {'NORMAL' if options.get('quick') else 'FULL'}")
    cursor.close()
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    table = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    return connection.execute(sa.select(table.c.version_num)).scalar_one_or_none()


def _create(engine: sa.Engine) -> None:
    """Make the tables of the newest revision at once: importing alembic costs a first run 0.13 s."""
    stamp = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
    with engine.begin() as connection:
        if _version(connection) is None:  # another process may have been faster
            tables.metadata.create_all(connection)
            connection.execute(sa.insert(tables.last_event).values(one=1, id=0))
            stamp.create(connection)
            connection.execute(sa.insert(stamp).values(version_num=REVISIONS[-1]))


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Apply the missing revisions, in one transaction where there is such; who waited for another one has none left."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    with servers.migration(engine) as connection:
        config.attributes |= {"connection": connection, "version_table": VERSION_TABLE}
        command.upgrade(config, revision)
