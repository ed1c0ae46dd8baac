"""Every native type of MySQL and MariaDB: into MySQL four ways, DuckDB, Parquet and SQLite, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.engine import run_job
from ematix_core.errors import ConversionError, EmatixError, UnsupportedError
from ematix_core.model.connection import (
    Connection,
    DuckDBConnection,
    MySQLConnection,
    ObjectStoreConnection,
    SQLiteConnection,
)
from ematix_core.model.job import job
from ematix_core.store import open_store
from ematix_core.testing.types import plain
from ematix_core.types import from_field
from tests.servers import mysql_types as native
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS = ("arrow", "arrow_new", "local", "inserted")
ELSEWHERE = ("duckdb", "parquet", "sqlite")
CASES = [(server, each) for server in native.BOTH for each in native.of(server)]
NAMES = [f"{server}-{each.name}" for server, each in CASES]


@dataclass
class Moved:
    """The table of all types of one server, and where it has been moved to."""

    url: str
    other: str
    read: pa.Table
    elsewhere: dict[str, pa.Table] = field(default_factory=dict)


def run(query: str, source: Connection, target: Connection, table: str) -> int:
    @job(name=f"types_{table}", target=table, source_connection=source, target_connection=target)
    def types() -> str:
        return query

    with open_store("memory:") as store:
        return run_job(types, store=store).inserted


def read(connection: Connection, query: Query) -> pa.Table:
    source = registry.source(connection)
    try:
        return source.read(query).read_all()
    finally:
        source.close()


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Moved]]:
    found = {}
    with database("mysql") as one, database("mysql") as two, database("mariadb") as three, database("mariadb") as four:
        for server, url, other in (("mysql", one, two), ("mariadb", three, four)):
            found[server] = move(server, url, other, tmp_path_factory)
        yield found


def move(server: str, url: str, other: str, folders: pytest.TempPathFactory) -> Moved:
    execute(url, *native.create(server, "types"), "CREATE TABLE local LIKE types")
    execute(other, *native.create(server, "arrow"), "DELETE FROM arrow", "CREATE TABLE inserted LIKE arrow")
    source, target = MySQLConnection("source", url=url), MySQLConnection("target", url=other)
    moved = Moved(url, other, read(source, Query(table="types")))
    for path in ("arrow", "arrow_new"):
        assert run("SELECT * FROM types", source, target, path) == native.rows(server)
    assert run("SELECT * FROM types", source, MySQLConnection("same", url=url), "local") == native.rows(server)
    insert(target, moved.read)
    folder = folders.mktemp(server)
    for connection in (
        DuckDBConnection("duckdb", path=str(folder / "types.duckdb")),
        ObjectStoreConnection("parquet", path=str(folder / "files"), format="parquet"),
        SQLiteConnection("sqlite", path=str(folder / "types.sqlite")),
    ):
        names = ", ".join(f"`{each.name}`" for each in held(server, connection))
        run(f"SELECT n, {names} FROM types", source, connection, "types")
        moved.elsewhere[connection.name] = read(connection, Query(table="types")).sort_by("n")
    return moved


def insert(target: Connection, rows: pa.Table) -> None:
    """Load as on a server that forbids LOAD DATA LOCAL."""
    from dataclasses import replace

    from ematix_core.backends.mysql.roles import MySQLTarget
    from ematix_core.model.table import TableName

    writer, table = MySQLTarget(target), TableName("", "inserted")
    with writer.session() as session:
        session.main.server = replace(session.main.server, local_infile=False)
        columns = session.columns(table)
        assert columns is not None
        session.load(table, columns, rows.to_reader())


def held(server: str, connection: Connection) -> list[native.NativeType]:
    """Return the types that a system has a type for."""
    found = []
    for each in native.of(server):
        try:
            registry.dialect(connection.kind).sql_type(each.type, column=each.name)
        except UnsupportedError:
            continue
        found.append(each)
    return found


def shown(url: str, table: str, each: native.NativeType) -> list[object]:
    return [row[0] for row in execute(url, f"SELECT {each.shown.format(f'`{each.name}`')} FROM {table} ORDER BY n")]


def test_there_are_forty_types_and_more() -> None:
    assert len(native.NATIVE_TYPES) >= 40


@pytest.mark.parametrize(("server", "each"), CASES, ids=NAMES)
def test_type_is_read_as_its_column_type(moved: dict[str, Moved], server: str, each: native.NativeType) -> None:
    assert from_field(moved[server].read.schema.field(each.name)) is each.type


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("server", "each"), CASES, ids=NAMES)
def test_values_arrive_in_mysql_as_they_were(
    moved: dict[str, Moved], server: str, each: native.NativeType, path: str
) -> None:
    sent = shown(moved[server].url, "types", each)
    assert shown(moved[server].url if path == "local" else moved[server].other, path, each) == sent
    assert any(value is not None for value in sent)


@pytest.mark.parametrize("system", ELSEWHERE)
@pytest.mark.parametrize(("server", "each"), CASES, ids=NAMES)
def test_values_arrive_elsewhere_as_they_were(
    moved: dict[str, Moved], server: str, each: native.NativeType, system: str
) -> None:
    rows = moved[server].elsewhere[system]
    if each.name not in rows.column_names:
        connection = {"duckdb": "duckdb", "parquet": "objects", "sqlite": "sqlite"}[system]
        with pytest.raises(UnsupportedError, match=each.name):
            registry.dialect(connection).sql_type(each.type, column=each.name)
        return
    assert plain(rows.column(each.name)) == plain(moved[server].read.sort_by("n").column(each.name))


@pytest.mark.parametrize("server", native.BOTH)
@pytest.mark.parametrize("case", native.REFUSED, ids=lambda case: case.name)
def test_value_without_an_arrow_form_is_refused_by_name(server: str, case: native.Refused) -> None:
    with database(server) as url:
        execute(
            url,
            "CREATE TABLE t (n INT)",
            "SET sql_mode = 'ALLOW_INVALID_DATES'",
            f"ALTER TABLE t ADD COLUMN awkward {case.sql}",
            f"INSERT INTO t VALUES (1, NULL), (2, {case.literal})",
        )
        with pytest.raises(UnsupportedError if case.planned else ConversionError, match="awkward") as caught:
            read(MySQLConnection("source", url=url), Query(table="t"))
    assert case.hint in caught.value.hint


@pytest.mark.parametrize("server", native.BOTH)
@pytest.mark.parametrize("way", ["load", "insert"])
@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("VARCHAR(20) CHARACTER SET latin1", "日本"),
        ("VARCHAR(20) CHARACTER SET utf8", "🙂"),
        ("CHAR(5)", "a "),
        ("BINARY(4)", b"ab"),
        ("ENUM('a', 'b')", "2"),
        ("ENUM('a', 'b')", "A"),
        ("ENUM('a', 'b')", "c"),
        ("SET('x', 'y')", "y,x"),
        ("SET('x', 'y')", "3"),
        ("TIMESTAMP NULL", "1969-12-31T00:00:00Z"),
        ("INT NOT NULL", None),
        ("DOUBLE", float("nan")),
        ("FLOAT", float("-inf")),
        ("JSON", '{"a": 1.2345678901234567890}'),
        ("JSON", "{"),
        ("BIT(3)", 8),
        ("DATE", "20000-01-01"),
        ("YEAR", 69),
    ],
)
def test_value_that_the_column_would_bend_is_refused(server: str, way: str, sql: str, value: object) -> None:
    with database(server) as url:
        execute(url, f"CREATE TABLE t (n INT PRIMARY KEY, v {sql})")
        with pytest.raises(EmatixError, match="v") as caught:
            write(MySQLConnection("target", url=url), value, way)
        assert isinstance(caught.value, ConversionError), caught.value
        assert execute(url, "SELECT count(*) FROM t") == [(0,)]


def write(connection: Connection, value: object, way: str) -> None:
    """Load one row into t, in the type that t has."""
    from dataclasses import replace

    from ematix_core.backends.mysql.roles import MySQLTarget
    from ematix_core.model.table import TableName

    table = TableName("", "t")
    with MySQLTarget(connection).session() as session:
        if way == "insert":
            session.main.server = replace(session.main.server, local_infile=False)
        columns = session.columns(table)
        assert columns is not None
        kind = columns[1].type.to_arrow()
        if isinstance(kind, pa.JsonType):
            values: Any = pa.ExtensionArray.from_storage(kind, pa.array([value], kind.storage_type))
        elif pa.types.is_date32(kind):
            values = pa.array([6_585_443], pa.int32()).cast(kind)
        elif pa.types.is_timestamp(kind):
            values = pa.array([str(value)]).cast(kind)
        else:
            values = pa.array([value], kind)
        rows = pa.table({"n": pa.array([1], pa.int32()), "v": values})
        session.load(table, columns, rows.to_reader())
