"""Every native type of PostgreSQL: into PostgreSQL three ways, DuckDB, Parquet and SQLite, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from ematix_core import types as t
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.engine import run_job
from ematix_core.errors import ConversionError, EmatixError, UnsupportedError
from ematix_core.model.connection import (
    Connection,
    DuckDBConnection,
    ObjectStoreConnection,
    PostgresConnection,
    SQLiteConnection,
)
from ematix_core.model.job import job
from ematix_core.store import open_store
from ematix_core.testing.types import plain
from ematix_core.types import from_field
from tests.servers import postgres_types as native
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.engine.result import RunResult

PATHS = ("relay", "relay_new", "arrow", "local")
ELSEWHERE = ("duckdb", "parquet", "sqlite")


@dataclass
class Moved:
    """The table of all types, and where it has been moved to."""

    url: str
    other: str
    source: Connection
    read: pa.Table
    elsewhere: dict[str, pa.Table] = field(default_factory=dict)


def run(query: str, source: Connection, target: Connection, table: str) -> RunResult:
    @job(name=f"types_{table}", target=table, source_connection=source, target_connection=target)
    def types() -> str:
        return query

    with open_store("memory:") as store:
        return run_job(types, store=store)


def read(connection: Connection, query: Query) -> pa.Table:
    source = registry.source(connection)
    try:
        return source.read(query).read_all()
    finally:
        source.close()


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    with database("postgres") as url, database("postgres") as other:
        execute(url, *native.SETUP, *native.create("types"), "CREATE TABLE local (LIKE types)")
        execute(other, *native.SETUP, *native.create("relay"), "DELETE FROM relay", "CREATE TABLE arrow (LIKE relay)")
        source, target = PostgresConnection("source", url=url), PostgresConnection("target", url=other)
        everything = "SELECT * FROM types"
        found = Moved(url, other, source, read(source, Query(table="types")))
        assert run(everything, source, target, "relay").inserted == native.ROWS
        assert run(everything, source, target, "relay_new").inserted == native.ROWS
        assert run(everything, source, PostgresConnection("same", url=url), "local").inserted == native.ROWS
        load(target, "arrow", found.read)
        folder = tmp_path_factory.mktemp("types")
        for connection in (
            DuckDBConnection("duckdb", path=str(folder / "types.duckdb")),
            ObjectStoreConnection("parquet", path=str(folder / "files"), format="parquet"),
            SQLiteConnection("sqlite", path=str(folder / "types.sqlite")),
        ):
            names = ", ".join(f'"{each.name}"' for each in held(connection))
            run(f"SELECT n, {names} FROM types", source, connection, "types")
            found.elsewhere[connection.name] = read(connection, Query(table="types")).sort_by("n")
        yield found


def load(target: Connection, table: str, rows: pa.Table) -> None:
    """Load the rows through Arrow, as they come from any other system."""

    @job(name="arrow", target=table, target_connection=target)
    def arrow() -> pa.Table:
        return rows

    with open_store("memory:") as store:
        run_job(arrow, store=store)


def held(connection: Connection) -> list[native.NativeType]:
    """Return the types that a system has a type for."""
    found = []
    for each in native.READABLE:
        try:
            registry.dialect(connection.kind).sql_type(each.type or t.Unknown, column=each.name)
        except UnsupportedError:
            continue
        found.append(each)
    return found


def texts(url: str, table: str, name: str) -> list[object]:
    return [row[0] for row in execute(url, f'SELECT "{name}"::text FROM {table} ORDER BY n')]


def test_there_are_sixty_types_and_more() -> None:
    assert len(native.NATIVE_TYPES) >= 60


@pytest.mark.parametrize("each", native.READABLE, ids=lambda each: each.name)
def test_type_is_read_as_its_column_type(moved: Moved, each: native.NativeType) -> None:
    assert from_field(moved.read.schema.field(each.name)) is each.type


@pytest.mark.parametrize("each", [e for e in native.READABLE if e.type is t.Text], ids=lambda each: each.name)
def test_text_of_a_type_without_arrow_form_is_its_own(moved: Moved, each: native.NativeType) -> None:
    assert moved.read.sort_by("n").column(each.name).to_pylist() == texts(moved.url, "types", each.name)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("each", native.READABLE, ids=lambda each: each.name)
def test_values_arrive_in_postgres_as_they_were(moved: Moved, each: native.NativeType, path: str) -> None:
    sent = texts(moved.url, "types", each.name)
    got = texts(moved.url if path == "local" else moved.other, path, each.name)
    if path == "relay_new" and each.sql == "json":  # a new table has jsonb, which lays documents out its own way
        sent = [row[0] for row in execute(moved.url, f'SELECT "{each.name}"::jsonb::text FROM types ORDER BY n')]
    assert got == sent
    assert any(value is not None for value in sent)


@pytest.mark.parametrize("system", ELSEWHERE)
@pytest.mark.parametrize("each", native.READABLE, ids=lambda each: each.name)
def test_values_arrive_elsewhere_as_they_were(moved: Moved, each: native.NativeType, system: str) -> None:
    rows = moved.elsewhere[system]
    if each.name not in rows.column_names:
        connection = {"duckdb": "duckdb", "parquet": "objects", "sqlite": "sqlite"}[system]
        assert each.type is not None
        with pytest.raises(UnsupportedError, match=each.name):
            registry.dialect(connection).sql_type(each.type, column=each.name)
        return
    sent = moved.read.sort_by("n").column(each.name)
    assert plain(rows.column(each.name)) == plain(sent)


@pytest.mark.parametrize("each", [e for e in native.NATIVE_TYPES if e.type is None], ids=lambda each: each.name)
def test_type_is_refused_by_name(moved: Moved, each: native.NativeType) -> None:
    source = registry.source(moved.source)
    with pytest.raises(UnsupportedError, match=each.name):
        source.schema(Query(sql=f"SELECT {each.literals[0]}::{each.sql} AS {each.name}"))
    source.close()


@pytest.mark.parametrize(
    ("literal", "sql"),
    [
        ("infinity", "date"), ("-infinity", "timestamp"), ("infinity", "timestamptz"), ("0044-03-15 BC", "date"),
        ("0001-12-31 BC", "timestamp"), ("10000-01-01", "date"), ("NaN", "numeric(5, 2)"), ("24:00", "time"),
        ("{{1,2},{3,4}}", "integer[]"),
    ],
)  # fmt: skip
def test_value_without_arrow_form_is_refused_by_its_column(moved: Moved, literal: str, sql: str) -> None:
    with pytest.raises(ConversionError, match="strange"):
        read(moved.source, Query(sql=f"SELECT '{literal}'::{sql} AS strange"))


@pytest.mark.parametrize("sql", ["date", "timestamp", "timestamptz"])
def test_infinity_passes_from_server_to_server(moved: Moved, sql: str) -> None:
    target = PostgresConnection("target", url=moved.other)
    run(f"SELECT 'infinity'::{sql} AS at", moved.source, target, f"infinite_{sql}")
    assert execute(moved.other, f"SELECT at::text FROM infinite_{sql}") == [("infinity",)]


def test_number_read_as_text_is_refused_as_a_watermark(moved: Moved) -> None:
    """Text is not in the order of numbers: rows above the mark would be left out."""
    query = Query(sql="SELECT 9::numeric AS n WHERE 9::numeric >= :watermark", parameters={"watermark": "10"})
    with pytest.raises(UnsupportedError, match="numeric"):
        read(moved.source, query)


def test_text_with_nul_is_refused(moved: Moved) -> None:
    with pytest.raises(EmatixError, match="NUL"):
        load(PostgresConnection("target", url=moved.other), "nul", pa.table({"value": ["a\0b"]}))
