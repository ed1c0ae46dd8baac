"""What DuckDB and SQLite refuse, in our words: who, where, what to do."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import (
    ConfigError,
    ConnectError,
    ConversionError,
    DiskFullError,
    LockedError,
    MissingSourceError,
    SqlError,
    is_transient,
)
from ematix_core.model.connection import Connection, DuckDBConnection, SQLiteConnection, make_connection
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = {
    "duckdb": "import duckdb; c = duckdb.connect({path!r}); c.execute('CREATE OR REPLACE TABLE held (a INT)')",
    "sqlite": "import sqlite3; c = sqlite3.connect({path!r}, isolation_level=None); c.execute('BEGIN IMMEDIATE')",
}


@pytest.fixture(params=["duckdb", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Connection:
    kinds: dict[str, type[DuckDBConnection | SQLiteConnection]] = {
        "duckdb": DuckDBConnection,
        "sqlite": SQLiteConnection,
    }
    options = {"busy_timeout": 100} if request.param == "sqlite" else {}
    return kinds[request.param]("shop", path=str(tmp_path / "shop.db"), options=options)


def execute(connection: Connection, *statements: str) -> None:
    target = registry.target(connection)
    try:
        with target.session() as session:
            for statement in statements:
                session.execute(statement, {})
    finally:
        target.close()


def read(connection: Connection, sql: str) -> None:
    source = registry.source(connection)
    try:
        source.read(Query(sql=sql)).read_all()
    finally:
        source.close()


@pytest.fixture
def held(shop: Connection, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    execute(shop, "CREATE TABLE orders (a INT)")
    code = HOLD[shop.kind].format(path=str(shop.settings()["path"]))
    ready = tmp_path / "ready"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{code}; open({str(ready)!r}, 'w').close(); import time; time.sleep(60)"]
    )
    while not ready.exists():
        time.sleep(0.01)
    yield holder
    holder.kill()
    holder.wait()


def test_a_file_held_by_another_process_is_locked_and_named(shop: Connection, held: subprocess.Popen[bytes]) -> None:
    with pytest.raises(LockedError) as caught:
        execute(shop, "CREATE TABLE t (a INT)")
    assert "shop.db" in str(caught.value)
    assert is_transient(caught.value)
    assert shop.kind == "sqlite" or f"PID {held.pid}" in str(caught.value)


def test_a_missing_folder_says_how_to_make_it(shop: Connection, tmp_path: Path) -> None:
    away = make_connection("away", shop.kind, {"path": str(tmp_path / "no" / "x.db")})
    with pytest.raises(ConnectError, match="mkdir -p"):
        execute(away, "CREATE TABLE t (a INT)")


def test_a_missing_source_file_is_not_made(shop: Connection, tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match=r"there is no .* file"):
        read(shop, "SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said_so(shop: Connection, tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(b"junk" * 3000)
    with pytest.raises(ConnectError):
        read(shop, "SELECT * FROM t")


@pytest.mark.parametrize("sql", ["SELECT * FROM ordrs", "SELECT 1 FROM ordrs WHERE 1 = 1"])
def test_a_missing_table_names_near_ones(shop: Connection, sql: str) -> None:
    execute(shop, "CREATE TABLE orders (a INT)", "CREATE TABLE customers (a INT)")
    with pytest.raises(MissingSourceError, match="Did you mean 'orders'") as caught:
        read(shop, sql)
    assert "ordrs" in caught.value.what


@pytest.mark.parametrize(
    ("sql", "fault"), [("SELECT a,\n  nope FROM orders", "nope"), ("SELECT a FROM orders WHRE a", "a")]
)
def test_a_refused_query_carries_statement_and_position(shop: Connection, sql: str, fault: str) -> None:
    execute(shop, "CREATE TABLE orders (a INT)")
    with pytest.raises(SqlError) as caught:
        read(shop, sql)
    assert caught.value.statement == sql
    if fault == "nope":
        assert caught.value.position == sql.index("nope")
        assert "line 2:   nope FROM orders\n" in str(caught.value)


def test_a_refused_statement_shows_parameters_as_written(shop: Connection) -> None:
    target = registry.target(shop)

    def work() -> None:
        with target.session() as session:
            session.execute("CREATE TABLE orders (a INT)", {})
            session.execute("UPDATE orders SET nope = :x WHERE a > :y", {"x": 1, "y": 2})

    with pytest.raises(SqlError) as caught:
        work()
    target.close()
    assert caught.value.statement == "UPDATE orders SET nope = :x WHERE a > :y"
    assert caught.value.position in {caught.value.statement.index("nope"), None}


def test_a_parameter_without_a_value_is_named(shop: Connection) -> None:
    execute(shop, "CREATE TABLE orders (a INT)")
    with pytest.raises(SqlError, match=":watermark"):
        read(shop, "SELECT * FROM orders WHERE a > :watermark")


def test_a_conversion_that_fails_half_way_is_a_conversion_error(tmp_path: Path) -> None:
    shop = DuckDBConnection("shop", path=str(tmp_path / "x.duckdb"))
    execute(shop, "CREATE TABLE t AS SELECT CASE range WHEN 500000 THEN 'x' ELSE '1' END AS s FROM range(600000)")
    with pytest.raises(ConversionError, match="'x'"):
        read(shop, "SELECT CAST(s AS INTEGER) AS n FROM t")


def test_an_unknown_setting_is_refused_by_name(shop: Connection) -> None:
    odd = make_connection("odd", shop.kind, {"busy_timeoutt": 1, "path": str(shop.settings()["path"])})
    with pytest.raises(ConfigError, match="busy_timeoutt"):
        execute(odd, "CREATE TABLE t (a INT)")


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_file_is_needed_and_memory_has_a_kind_of_its_own(shop: Connection, path: str) -> None:
    with pytest.raises(ConfigError, match="kind memory"):
        registry.target(make_connection("x", shop.kind, {"path": path}))


def test_an_unknown_kind_names_near_ones() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'duckdb'"):
        registry.dialect("duckbd")


def test_a_dialect_is_readable_without_the_driver() -> None:
    code = (
        "import sys\n"
        "for name in ('duckdb', 'adbc_driver_sqlite', 'adbc_driver_manager'): sys.modules[name] = None\n"
        "from ematix_core.backends import registry\n"
        "from ematix_core.errors import MissingDriverError\n"
        "from ematix_core.model.connection import make_connection\n"
        "for kind in ('duckdb', 'memory', 'sqlite'):\n"
        "    assert registry.dialect(kind).name == kind\n"
        "    try: registry.source(make_connection('x', kind, {'path': 'x'} if kind != 'memory' else {}))\n"
        "    except MissingDriverError as error: assert 'pip install' in str(error)\n"
        "    else: raise SystemExit(kind)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_full_disk_is_said_so_and_rolls_back(tmp_path: Path) -> None:
    shop = SQLiteConnection("shop", path=str(tmp_path / "x.db"), options={"max_page_count": 10})
    with pytest.raises(DiskFullError, match=r"disk is full"):
        execute(shop, "CREATE TABLE t (b BLOB)", "INSERT INTO t VALUES (zeroblob(1000000))")
    with registry.target(shop).inspect() as session:
        assert session.columns(TableName("", "t")) is None
