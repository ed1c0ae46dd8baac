"""`truncate` of rows that come from the target itself, in whatever way the job's query reads it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.engine import plan_job, run_job

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

EMBEDDED = ("sqlite", "duckdb", "memory")


@pytest.fixture(params=EMBEDDED)
def database(request: pytest.FixtureRequest) -> ematix.Connection:
    """Give the test a database with the tables `kept` and `other` of three rows each."""
    connections: dict[str, Callable[[], ematix.Connection]] = {
        "sqlite": lambda: ematix.SQLiteConnection("base", path="base.db"),
        "duckdb": lambda: ematix.DuckDBConnection("base", path="base.duckdb"),
        "memory": lambda: ematix.MemoryConnection("base"),
    }
    base = connections[request.param]()
    for name in ("kept", "other"):
        run_job(ematix.job(name=name, target=name, target_connection=base)(lambda: pa.table({"n": [1, 2, 3]})))
    return base


def does(database: ematix.Connection, *statements: str) -> None:
    with registry.target(database).session() as session:
        for statement in statements:
            session.execute(statement, {})


def half(database: ematix.Connection, sql: str) -> ematix.Job:
    made: ematix.Job = ematix.job(name="half", target="kept", target_connection=database, mode="truncate")(lambda: sql)
    return made


def staged(job: ematix.Job) -> bool:
    return "stage rows" in str(plan_job(job))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n FROM kept WHERE n > 1",
        "SELECT n FROM seen WHERE n > 1",
        'SELECT n FROM "SEEN" WHERE n > 1',
        'SELECT n FROM "seen ""through""" WHERE n > 1',
        "WITH kept_rows AS (SELECT * FROM twice) SELECT n FROM kept_rows WHERE n > 1",
        "SELECT n FROM other WHERE n IN (SELECT n FROM seen WHERE n > 1)",
    ],
)
def test_a_table_is_replaced_by_what_a_view_shows_of_it(database: ematix.Connection, sql: str) -> None:
    does(
        database, "CREATE VIEW seen AS SELECT n FROM kept", "CREATE VIEW twice AS SELECT n FROM seen",
        'CREATE VIEW "seen ""through""" AS SELECT n FROM kept',
    )  # fmt: skip
    assert run_job(half(database, sql)).inserted == 2


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("SELECT n FROM tabled() WHERE n > 1", [2, 3]),
        ("SELECT counted() AS n", [3]),
        ("SELECT n FROM query_table('ke' || 'pt') WHERE n > 1", [2, 3]),
    ],
)
@pytest.mark.parametrize("database", ["duckdb", "memory"], indirect=True)
def test_a_table_is_replaced_by_what_a_macro_reads_of_it(
    database: ematix.Connection, sql: str, left: list[int]
) -> None:
    does(
        database, "CREATE MACRO tabled() AS TABLE SELECT n FROM kept",
        "CREATE MACRO counted() AS (SELECT count(*) FROM kept)",
    )  # fmt: skip
    run_job(half(database, sql))
    source = registry.source(database)
    assert source.read(Query(sql="SELECT n FROM kept ORDER BY n")).read_all()["n"].to_pylist() == left
    source.close()


def test_what_reads_other_tables_only_is_not_staged(database: ematix.Connection) -> None:
    does(database, "CREATE VIEW seen AS SELECT n FROM kept")
    assert not staged(half(database, "SELECT abs(n) AS n FROM other AS o WHERE n IN (SELECT n FROM other)"))
    assert staged(half(database, "SELECT seen.n FROM other AS seen"))


def test_rows_that_a_trigger_on_the_target_would_change_are_staged(database: ematix.Connection) -> None:
    trigger = "CREATE TRIGGER gone AFTER DELETE ON kept"
    assert not staged(half(database, "SELECT n FROM other"))
    if database.kind == "sqlite":
        with closing(sqlite3.connect("base.db")) as base:
            base.execute(f"{trigger} BEGIN DELETE FROM other; END")
    else:
        does(database, f"{trigger} FOR EACH STATEMENT DELETE FROM other")
    assert run_job(half(database, "SELECT n FROM other")).inserted == 3


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_rows_that_go_with_those_of_the_target_are_staged(database: ematix.Connection) -> None:
    database = replace(database, options={"foreign_keys": "on"})
    does(
        database, "CREATE UNIQUE INDEX kept_n ON kept (n)",
        "CREATE TABLE parts (n INTEGER REFERENCES kept (n) ON DELETE CASCADE)", "INSERT INTO parts VALUES (2), (3)",
    )  # fmt: skip
    assert run_job(half(database, "SELECT n FROM parts")).inserted == 2
