"""A SQLite table read by two connections at once: the same rows as by one, of one state of the file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.backends.sqlite.connection import Database
from ematix_core.backends.sqlite.reading import TypedQuery
from ematix_core.backends.sqlite.splitting import parts, same_state
from ematix_core.errors import ConversionError
from ematix_core.model.connection import SQLiteConnection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.backends.protocols import Source

ROWS = 30_000
NUMBERS = f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {ROWS})"
LOWEST, HIGHEST = -(2**63), 2**63 - 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a file that is large enough for two readers, whatever else is in it."""
    path = tmp_path / "large.sqlite"
    fill(path, "CREATE TABLE filler (v)", "INSERT INTO filler VALUES (zeroblob(12000000))")
    return path


@pytest.fixture
def source(path: Path) -> Iterator[Source]:
    source = registry.source(SQLiteConnection("large", path=str(path)))
    yield source
    source.close()


def fill(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


ELSEWHERE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]), isolation_level=None)
for line in sys.stdin:
    try:
        connection.execute(line)
        print("done", flush=True)
    except sqlite3.OperationalError as error:
        print(error, flush=True)
"""


class Elsewhere:
    """Another program with the file open: a second SQLite in this process would not see the first one's locks."""

    def __init__(self, path: Path, timeout: float = 0) -> None:
        command = [sys.executable, "-c", ELSEWHERE, str(path), str(timeout)]
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.communicate()

    def run(self, statement: str) -> str:
        """Return `done`, or what SQLite said."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        print(statement, file=self._program.stdin, flush=True)
        return self._program.stdout.readline().strip()


def ranges(path: Path, sql: str, **parameters: object) -> int:
    """Return how many parts the query is read in."""
    database = Database(path, {})
    try:
        return len(parts(TypedQuery(database, sql, parameters)))
    finally:
        database.close()


def require_same(source: Source, path: Path, sql: str, **parameters: object) -> None:
    """Compare what the source reads with what Python's sqlite3 reads."""
    found = source.read(Query(sql=sql, parameters=parameters)).read_all()
    connection = sqlite3.connect(path)
    expected = connection.execute(sql, parameters).fetchall()
    connection.close()
    rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
    assert sorted(rows, key=repr) == sorted(expected, key=repr)


PLAIN = ("CREATE TABLE t (a INTEGER, s TEXT)", f"{NUMBERS} INSERT INTO t SELECT x % 7, 'row ' || x FROM n")


@pytest.mark.parametrize(
    ("statements", "sql"),
    [
        (PLAIN, "SELECT * FROM t"),
        (PLAIN, "SELECT x.s || '!' AS loud, x.* FROM T AS x WHERE a BETWEEN 2 AND 4 OR s LIKE '%9'"),
        ((*PLAIN, "UPDATE t SET rowid = rowid - 15000"), "SELECT * FROM t"),
        ((*PLAIN, "DELETE FROM t WHERE rowid BETWEEN 100 AND 29000"), "SELECT * FROM t"),
        ((*PLAIN, f"UPDATE t SET rowid = {LOWEST} WHERE rowid = 1", f"UPDATE t SET rowid = {HIGHEST} WHERE rowid = 2"),
         "SELECT * FROM t"),
        ((*PLAIN, "UPDATE t SET rowid = rowid * 300000000000000"), "SELECT * FROM t"),
        (("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", f"{NUMBERS} INSERT INTO t SELECT 2 * x, x / 2.0 FROM n"),
         "SELECT * FROM t"),
        (('CREATE TABLE "t ""1" (rowid TEXT, "Oid" TEXT)',
          f"""{NUMBERS} INSERT INTO "t ""1" SELECT 'r' || x, 'o' || -x FROM n"""), 'SELECT * FROM "t ""1"'),
        (("CREATE TABLE t (a INT, b AS (a * 2), c TEXT COLLATE NOCASE)",
          f"{NUMBERS} INSERT INTO t SELECT x, 'X' FROM n"),
         "SELECT * FROM t WHERE c = 'x'"),
    ],
)  # fmt: skip
def test_two_readers_find_the_rows_that_one_finds(
    source: Source, path: Path, statements: tuple[str, ...], sql: str
) -> None:
    fill(path, *statements)
    assert ranges(path, sql) > 1
    require_same(source, path, sql)


@pytest.mark.parametrize(
    ("statements", "sql"),
    [
        (("CREATE TABLE t (a INTEGER PRIMARY KEY, s TEXT) WITHOUT ROWID",
          f"{NUMBERS} INSERT INTO t SELECT x, 'x' FROM n"),
         "SELECT * FROM t"),
        ((*PLAIN, "CREATE VIEW v AS SELECT a FROM t"), "SELECT * FROM v"),
        (("CREATE TABLE t (rowid TEXT, _rowid_ TEXT, oid TEXT)", f"{NUMBERS} INSERT INTO t SELECT x, x, x FROM n"),
         "SELECT * FROM t"),
        (("CREATE VIRTUAL TABLE t USING fts5(s)", f"{NUMBERS} INSERT INTO t SELECT x FROM n"), "SELECT s FROM t"),
        ((*PLAIN, "CREATE INDEX i ON t (a)"), "SELECT * FROM t WHERE a = 3"),
        ((*PLAIN, "CREATE INDEX i ON t (a)"), "SELECT a FROM t"),
        (PLAIN, "SELECT * FROM t WHERE rowid < 20000"),
        (PLAIN, "SELECT count(*), max(s) FROM t"),
        (PLAIN, "SELECT * FROM t ORDER BY s"),
        (("CREATE TABLE t (a INTEGER)",), "SELECT * FROM t"),
        (("CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1), (2)"), "SELECT * FROM t"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_read_by_one(source: Source, path: Path, statements: tuple[str, ...], sql: str) -> None:
    fill(path, *statements)
    assert ranges(path, sql) < 2
    require_same(source, path, sql)


def test_a_small_file_is_read_by_one(tmp_path: Path) -> None:
    fill(tmp_path / "small.sqlite", *PLAIN)
    assert ranges(tmp_path / "small.sqlite", "SELECT * FROM t") < 2


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ids=st.sets(st.integers(LOWEST, HIGHEST) | st.integers(-20_000, 20_000), min_size=2, max_size=200))
def test_rowids_of_any_kind_are_each_read_once(path: Path, ids: set[int]) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in ids])
    connection.commit()
    connection.close()
    source = registry.source(SQLiteConnection("large", path=str(path)))
    try:
        found = source.read(Query(table="t")).read_all()
    finally:
        source.close()
    assert sorted(found["id"].to_numpy()) == sorted(ids)


def test_bound_values_reach_both_readers(source: Source, path: Path) -> None:
    fill(path, *PLAIN)
    assert ranges(path, "SELECT * FROM t WHERE a >= :low", low=5) > 1
    require_same(source, path, "SELECT * FROM t WHERE a >= :low AND s <> :not", **{"low": 5, "not": "row 20000"})


@pytest.fixture
def pair(path: Path) -> Iterator[tuple[Database, Database]]:
    fill(path, "CREATE TABLE t (a)")
    first, second = Database(path, {"busy_timeout": 10_000}), Database(path, {"busy_timeout": 0})
    yield first, second
    second.close()
    first.close()


def test_a_commit_between_the_two_beginnings_is_noticed(path: Path, pair: tuple[Database, Database]) -> None:
    first, second = pair
    with Elsewhere(path) as other:
        assert other.run("PRAGMA journal_mode = WAL") == "done"
        assert first.rows("SELECT count(*) FROM t") == [(0,)]
        assert other.run("INSERT INTO t VALUES (1)") == "done"
        assert same_state(first, second) is False
        assert other.run("INSERT INTO t VALUES (2)") == "done"
        assert first.rows("SELECT a FROM t") == second.rows("SELECT a FROM t") == [(1,)]
        first.roll_back()
        first.rows("SELECT a FROM t")
        assert same_state(first, second) is True
        assert first.rows("SELECT a FROM t") == second.rows("SELECT a FROM t") == [(1,), (2,)]


def test_with_a_rollback_journal_the_two_keep_writers_out(path: Path, pair: tuple[Database, Database]) -> None:
    first, second = pair
    with Elsewhere(path) as other:
        first.rows("SELECT a FROM t")
        assert same_state(first, second) is True
        assert other.run("INSERT INTO t VALUES (1)") == "database is locked"
        first.roll_back()
        assert other.run("INSERT INTO t VALUES (1)") == "database is locked"
        second.roll_back()
        assert other.run("INSERT INTO t VALUES (1)") == "done"


def test_a_writer_that_waits_for_readers_to_end_does_not_part_the_two(
    path: Path, pair: tuple[Database, Database]
) -> None:
    first, second = pair
    with Elsewhere(path) as other:
        first.rows("SELECT a FROM t")
        assert other.run("BEGIN IMMEDIATE") == other.run("INSERT INTO t VALUES (1)") == "done"
        assert other.run("COMMIT") == "database is locked"  # it keeps the lock that lets no new reader in
        assert same_state(first, second) is True
        first.roll_back()
        second.roll_back()
        assert other.run("COMMIT") == "done"
    assert first.rows("SELECT a FROM t") == [(1,)]
    assert first.rows("PRAGMA busy_timeout") == [(10_000,)]


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_both_readers_see_one_state_while_another_program_commits(path: Path, journal: str) -> None:
    fill(path, f"PRAGMA journal_mode = {journal}", *PLAIN, "UPDATE t SET a = 0")
    ended, commits = threading.Event(), 0

    def write() -> None:
        nonlocal commits
        with Elsewhere(path, timeout=60) as other:
            while not ended.is_set():
                assert other.run("UPDATE t SET a = a + 1") == "done"
                commits += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reads = 0
        while reads < 8 or commits < 4:
            reads += 1
            source = registry.source(SQLiteConnection("large", path=str(path), options={"busy_timeout": 60_000}))
            found = source.read(Query(table="t")).read_all()
            source.close()
            assert found.num_rows == ROWS
            assert len(found["a"].unique()) == 1
    finally:
        ended.set()
        writer.join()


def test_a_commit_while_reading_is_not_seen_by_either_reader(source: Source, path: Path) -> None:
    fill(path, "PRAGMA journal_mode = WAL", *PLAIN, *["INSERT INTO t SELECT * FROM t"] * 3)
    reader = source.read(Query(table="t"))
    first = reader.read_next_batch()
    with Elsewhere(path) as other:
        assert other.run("DELETE FROM t WHERE rowid > 10") == "done"
    assert first.num_rows + sum(batch.num_rows for batch in reader) == 8 * ROWS


def test_a_file_that_takes_the_name_is_not_read_beside_the_one_that_is_open(source: Source, path: Path) -> None:
    fill(path, *PLAIN)
    assert source.schema(Query(table="t")).names == ["a", "s"]
    other = path.with_name("other.sqlite")
    other.write_bytes(path.read_bytes())
    fill(other, "UPDATE t SET s = 'new'")
    other.replace(path)
    found = source.read(Query(table="t")).read_all()
    assert found.num_rows == ROWS
    assert "new" not in found["s"].to_pylist()


def test_a_value_that_does_not_fit_ends_both_readers(source: Source, path: Path) -> None:
    fill(path, *PLAIN, "UPDATE t SET a = 'many' WHERE rowid = 29999")
    before = threading.active_count()
    with pytest.raises(ConversionError, match="'many' does not fit"):
        source.read(Query(table="t")).read_all()
    source.close()
    assert threading.active_count() == before


def test_a_reader_that_is_left_ends_with_its_source(path: Path) -> None:
    fill(path, *PLAIN, *["INSERT INTO t SELECT * FROM t"] * 3)
    before = threading.active_count()
    source = registry.source(SQLiteConnection("large", path=str(path)))
    source.read(Query(table="t")).read_next_batch()
    source.close()
    assert threading.active_count() == before
    fill(path, "DELETE FROM t")
