"""A plan warns of a table without an index on the keys where each row of a load would have it read as a whole."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import ematix_core as ematix
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.model.mode import Mode

    Place = tuple[Connection, Callable[..., object]]

ONE = pa.table({"k": pa.array([1], pa.int64()), "v": ["a"]})


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Place]:
    with database(request.param) as url:
        yield ematix.MySQLConnection("shop", url=url), lambda *statements: execute(url, *statements)


@pytest.fixture
def postgres() -> Iterator[Place]:
    with database("postgres") as url:
        yield ematix.PostgresConnection("shop", url=url), lambda *statements: execute(url, *statements)


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    path = str(tmp_path / "shop.db")

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(path)) as file, file:
            for statement in statements:
                file.execute(statement)

    return ematix.SQLiteConnection("shop", path=path), run


def load(place: Place, mode: Mode, rows: pa.Table = ONE) -> Job:
    @ematix.job(name="load", target="t", target_connection=place[0], mode=mode, on_drift="warn")
    def found() -> pa.Table:
        return rows

    return found


def warnings(job: Job) -> Sequence[str]:
    told = job.plan().targets[0].warnings
    assert all(f"    - warning: {warning}" in str(job.plan()) for warning in told)
    return [warning for warning in told if "on_drift" not in warning]


def mended(place: Place, job: Job) -> bool:
    """Run the statement of the only warning; say whether none is left."""
    (warning,) = warnings(job)
    assert "t has no index that begins with the key (" in warning
    place[1](warning.partition("Make one: ")[2])
    return not warnings(job)


@pytest.mark.parametrize(
    "columns",
    ["k BIGINT, v TEXT", "k BIGINT, v TEXT, FULLTEXT (v)", "k BIGINT, v VARCHAR(99), UNIQUE (v, k)"],
)
def test_merge_into_a_table_without_an_index_is_warned_of(server: Place, columns: str) -> None:
    server[1](f"CREATE TABLE t ({columns})")
    assert mended(server, load(server, ematix.merge(keys="k")))


@pytest.mark.parametrize("kind", ["LONGTEXT", "VARCHAR(2000)", "VARCHAR(20)"])
def test_statement_makes_an_index_on_texts_of_any_length(server: Place, kind: str) -> None:
    server[1](f"CREATE TABLE t (k {kind}, l {kind}, v INT)")
    collation = "utf8mb4_nopad_bin" if "MariaDB" in str(server[1]("SELECT version()")) else "utf8mb4_bin"
    server[1](f"ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
    rows = pa.table({"k": ["a"], "l": ["b"], "v": pa.array([1], pa.int32())})
    assert mended(server, load(server, ematix.merge(keys=["k", "l"]), rows))


@pytest.mark.parametrize("index", ["PRIMARY KEY (k)", "KEY (k)", "KEY (k, v)"])
def test_index_that_begins_with_the_key_is_enough(server: Place, index: str) -> None:
    server[1](f"CREATE TABLE t (k BIGINT, v VARCHAR(99), {index})")
    assert not warnings(load(server, ematix.merge(keys="k")))


def test_run_tells_it_too(server: Place, caplog: pytest.LogCaptureFixture) -> None:
    server[1]("CREATE TABLE t (k BIGINT, v TEXT)")
    with caplog.at_level(logging.WARNING):
        result = load(server, ematix.merge(keys="k")).run()
    assert result.inserted == 1
    assert "CREATE INDEX `t_keys` ON `t` (`k`)" in result.targets[0].warnings[0]
    assert "CREATE INDEX `t_keys` ON `t` (`k`)" in caplog.text


def test_history_whose_index_was_lost_is_warned_of(server: Place) -> None:
    job = load(server, ematix.scd2(keys="k"))
    job.run()
    assert not warnings(job)
    server[1]("DROP INDEX t_versions ON t")
    assert mended(server, job)


def test_sqlite_needs_the_index_for_histories_alone(sqlite: Place) -> None:
    sqlite[1]("CREATE TABLE t (k BIGINT, v TEXT)")
    assert not warnings(load(sqlite, ematix.merge(keys="k")))
    sqlite[1]("DROP TABLE t")
    job = load(sqlite, ematix.scd2(keys="k"))
    job.run()
    assert not warnings(job)
    sqlite[1]("DROP INDEX t_current")
    assert mended(sqlite, job)


def test_postgres_joins_by_hash_and_needs_none(postgres: Place) -> None:
    postgres[1]("CREATE TABLE t (k bigint, v text)")
    assert not warnings(load(postgres, ematix.merge(keys="k")))
