"""A DuckDB file gets little memory while rows only pass, and more to keep rows, or to change them in a large table."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.duck.memory import PASSING, WORKING, room_to_change, room_to_run
from ematix_core.backends.duck.session import DuckSession
from ematix_core.errors import SqlError
from ematix_core.model.table import TableName
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

LARGE, EVERY = 40_000_000, 400
"""Rows of a table, and which of them are deleted: its marks for deleted rows take twice what DuckDB may use."""
TEXT = 2_000_000
"""Lines of 40 to 55 bytes: DuckDB's readers of text work in pieces of 32 MB, one for each thread."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBPyConnection]:
    """Two tables, a view that joins them, and a file of each format."""
    folder = tmp_path_factory.mktemp("room")
    with closing(duckdb.connect()) as connection:
        connection.execute("CREATE TABLE a AS SELECT range AS id, 'a' || range AS v FROM range(1000)")
        connection.execute("CREATE TABLE b AS FROM a")
        connection.execute("CREATE VIEW joined AS SELECT id, a.v FROM a JOIN b USING (id)")
        for form in ("parquet", "csv", "json"):
            connection.execute(f"COPY a TO '{folder / f'a.{form}'}'")
        connection.execute(f"SET file_search_path = '{folder}'")
        yield connection


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM a",
        "SELECT id + 1 AS id, upper(v) AS v FROM a WHERE v LIKE $like",
        "SELECT * FROM 'a.parquet' WHERE id > 10",
        "SELECT * FROM read_parquet(['a.parquet', 'a.parquet'])",
        "SELECT * FROM a UNION ALL SELECT * FROM b",
        "SELECT id, unnest([1, 2]) AS n FROM a",
        "WITH few AS (SELECT * FROM a WHERE id < 5) SELECT * FROM few",
        "SELECT * FROM range(10)",
        "SELECT 1 AS one",
        "SELECT * FROM a WHERE false",
    ],
)
def test_rows_that_only_pass_get_little(tables: DuckDBPyConnection, query: str) -> None:
    assert room_to_run(tables, query, {"like": "%1"} if "$like" in query else {}) == PASSING


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM a ORDER BY v",
        "SELECT DISTINCT v FROM a",
        "SELECT v, count(*) AS n FROM a GROUP BY v",
        "SELECT * FROM a JOIN b USING (id)",
        "SELECT * FROM joined",
        "SELECT * FROM a WHERE id IN (SELECT id FROM b WHERE v LIKE '%1')",
        "SELECT *, sum(id) OVER (PARTITION BY v) AS s FROM a",
        "SELECT * FROM a UNION SELECT * FROM b",
        "WITH kept AS MATERIALIZED (SELECT * FROM a) SELECT * FROM kept, kept AS k",
        "SELECT * FROM 'a.csv'",
        "SELECT * FROM read_ndjson(['a.json', 'a.json'])",
    ],
)
def test_a_query_that_keeps_rows_or_text_gets_more_also_within_a_view(tables: DuckDBPyConnection, query: str) -> None:
    assert room_to_run(tables, query, {}) == WORKING


def test_an_error_has_its_place_in_the_query_as_it_was_asked(tables: DuckDBPyConnection) -> None:
    query = "SELECT id,\n  nothing FROM a"
    with pytest.raises(SqlError, match="nothing") as raised:
        room_to_run(tables, query, {})
    assert (raised.value.statement, raised.value.position) == (query, query.index("nothing"))


@pytest.mark.parametrize("query", ["PRAGMA table_info('a')", "CALL pragma_version()", "EXPLAIN SELECT * FROM a"])
def test_what_has_no_plan_gets_more(tables: DuckDBPyConnection, query: str) -> None:
    assert room_to_run(tables, query, {}) == WORKING


@pytest.mark.parametrize(("shown", "room"), [("all", PASSING), ("optimized_only", WORKING)])
def test_what_users_have_explain_show_does_no_harm(tables: DuckDBPyConnection, shown: str, room: int) -> None:
    with closing(tables.cursor()) as connection:
        connection.execute(f"SET SESSION explain_output = '{shown}'")
        assert room_to_run(connection, "SELECT * FROM a", {}) == room


@pytest.mark.parametrize("query", ["PRAGMA table_info('things')", "EXPLAIN SELECT * FROM things", "SUMMARIZE things"])
def test_statements_that_are_no_select_are_still_sources(tmp_path: Path, query: str) -> None:
    file = tmp_path / "base.duckdb"
    with closing(duckdb.connect(str(file))) as connection:
        connection.execute("CREATE TABLE things AS SELECT 1 AS id")
    source = ematix.DuckDBConnection("base", path=str(file))
    target = ematix.DuckDBConnection("other", path=str(tmp_path / "other.duckdb"))
    with open_store("memory:") as store:
        job = ematix.job(name="job", source_connection=source, target="told", target_connection=target)(lambda: query)
        assert job.run(store=store).inserted == 1


@pytest.mark.parametrize("name", ["lines.csv", "lines.csv.gz", "lines.jsonl", "lines.jsonl.gz"])
def test_text_files_of_many_megabytes_are_loaded_into_a_file(tmp_path: Path, name: str) -> None:
    form = "csv" if ".csv" in name else "json"
    with closing(duckdb.connect()) as connection:
        rows = f"SELECT range AS id, md5(range::VARCHAR) AS v FROM range({TEXT})"
        connection.execute(f"COPY ({rows}) TO '{tmp_path / name}' (FORMAT {form})")
    source = ematix.ObjectStoreConnection("drops", path=str(tmp_path))
    target = ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb"))
    with open_store("memory:") as store:
        job = ematix.job(name="job", source_connection=source, target="lines", target_connection=target)
        assert job(lambda: f'SELECT * FROM "{name}"').run(store=store).inserted == TEXT


def limit_after(database: ematix.DuckDBConnection, *statements: str) -> object:
    target = registry.target(database)
    with closing(target), target.session() as session:
        assert isinstance(session, DuckSession)
        session.execute("CREATE TABLE copied (id BIGINT, v VARCHAR)", {})
        for query in statements:
            session.insert(TableName("", "copied"), ["id", "v"], query, {})
        return session.connection.execute("SELECT current_setting('memory_limit')").fetchone()


def test_a_file_keeps_its_small_limit_until_a_load_needs_more(tmp_path: Path) -> None:
    def database(name: str, **options: str) -> ematix.DuckDBConnection:
        return ematix.DuckDBConnection("base", path=str(tmp_path / name), options=options)

    passing = "SELECT range AS id, 'v' AS v FROM range(10)"
    untouched = limit_after(database("untouched"))
    assert limit_after(database("passing"), passing) == untouched
    assert limit_after(database("sorted"), f"{passing} ORDER BY id") != untouched
    assert limit_after(database("twice"), passing, passing) != untouched  # the second time beside rows that are staged
    users = [limit_after(database(f"{n}", memory_limit="90MB"), *[f"{passing} ORDER BY id"] * n) for n in (0, 1)]
    assert users[0] == users[1]


def test_staging_that_the_database_fills_by_itself_gets_more(tmp_path: Path) -> None:
    target = registry.target(ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb")))
    limit = "SELECT current_setting('memory_limit')"
    with closing(target), target.session() as session:
        assert isinstance(session, DuckSession)
        before = session.connection.execute(limit).fetchone()
        session.execute("CREATE TEMP TABLE staged (id BIGINT)", {})
        session.insert(TableName("", "staged"), ["id"], "SELECT range AS id FROM range(10)", {})
        assert session.connection.execute(limit).fetchone() != before


def test_emptying_a_table_takes_no_room_and_deleting_some_of_its_rows_does(tmp_path: Path) -> None:
    file = tmp_path / "base.duckdb"
    with closing(duckdb.connect(str(file))) as connection:
        connection.execute("CREATE TABLE things AS SELECT range AS id FROM range(1_000_000)")
    target = registry.target(ematix.DuckDBConnection("base", path=str(file)))
    limit = "SELECT current_setting('memory_limit')"
    with closing(target), target.session() as session:
        assert isinstance(session, DuckSession)
        before = session.connection.execute(limit).fetchone()
        assert session.execute("DELETE FROM things WHERE id < 10", {}) == 10
        some = session.connection.execute(limit).fetchone()
    with closing(target), target.session() as session:
        assert isinstance(session, DuckSession)
        assert session.clear(TableName("", "things")) == 999_990
        assert session.connection.execute(limit).fetchone() == before != some


def test_changes_get_room_by_their_number_and_by_the_size_of_the_table() -> None:
    assert room_to_change(1_000, of=10_000) == WORKING
    assert room_to_change(1_000_000, of=6_000_000) == WORKING + 156
    assert room_to_change(10_000_000, of=10_000) == max(WORKING + 600, 1_200)
    assert room_to_change(1_000, of=100_000_000) == WORKING + 1_600


def test_a_few_rows_all_over_a_large_table_are_deleted(tmp_path: Path) -> None:
    file = tmp_path / "large.duckdb"
    with closing(duckdb.connect(str(file))) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(f"CREATE TABLE things AS SELECT range AS id, 1 AS v FROM range({LARGE})")
        connection.execute(f"CREATE TABLE gone AS SELECT id, v, true AS gone FROM things WHERE id % {EVERY} = 0")
    database = ematix.DuckDBConnection("base", path=str(file))
    job = ematix.job(
        name="job", source_connection=database, target="things", target_connection=database,
        mode=ematix.merge(keys=["id"], deleted_by="gone"),
    )(lambda: "SELECT * FROM gone")  # fmt: skip
    with open_store("memory:") as store:
        assert job.run(store=store).deleted == LARGE // EVERY
    file.unlink()
