"""`truncate` on servers where the job's query reads the target: through views, functions, and what hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.engine import plan_job, run_job
from ematix_core.model.connection import MySQLConnection, PostgresConnection
from ematix_core.model.job import job
from ematix_core.store import open_store
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.model.job import Job

POSTGRES = (
    "CREATE TABLE kept (n bigint PRIMARY KEY)", "INSERT INTO kept VALUES (1), (2), (3)",
    "CREATE TABLE other AS SELECT n FROM kept", "CREATE VIEW seen AS SELECT n FROM kept",
    "CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM kept'",
    "CREATE FUNCTION tabled() RETURNS SETOF bigint LANGUAGE sql AS 'SELECT n FROM kept'",
    "CREATE FUNCTION next(other) RETURNS bigint LANGUAGE sql AS 'SELECT max(n) + 1 FROM kept'",
    "CREATE TABLE parent (n bigint)", "CREATE TABLE part (n bigint NOT NULL) INHERITS (parent)",
    "INSERT INTO part VALUES (1), (2), (3)", "ALTER TABLE kept INHERIT parent",
)  # fmt: skip
MYSQL = (
    "CREATE TABLE kept (n bigint PRIMARY KEY)",
    "INSERT INTO kept VALUES (1), (2), (3)",
    "CREATE TABLE other AS SELECT n FROM kept",
    "CREATE VIEW seen AS SELECT n FROM kept",
    "CREATE FUNCTION counted() RETURNS bigint READS SQL DATA RETURN (SELECT count(*) FROM kept)",
)
READS = {
    "postgres": {
        "SELECT n FROM kept WHERE n > 1": 2,
        "SELECT n FROM seen WHERE n > 1": 2,
        'SELECT n FROM U&"s\\0065en" WHERE n > 1': 2,
        "SELECT counted() AS n": 1,
        "SELECT n FROM tabled() AS t (n) WHERE n > 1": 2,
        "SELECT o.next AS n FROM other AS o LIMIT 1": 1,
        "SELECT DISTINCT n FROM parent WHERE n > 1": 2,
        "SELECT n FROM other WHERE query_to_xml('TABLE ke' || 'pt', true, true, '')::text LIKE '%<n>3</n>%'": 3,
    },
    "mysql": {
        "SELECT n FROM kept WHERE n > 1": 2,
        "SELECT n FROM seen WHERE n > 1": 2,
        "SELECT n FROM `SEEN` WHERE n > 1": 2,
        "SELECT COUNTED() AS n": 1,
    },
}  # fmt: skip
SERVERS = ("postgres", "mysql", "mariadb")


@pytest.fixture(params=SERVERS)
def base(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Give the test kind and URL of a database with the table `kept` of three rows, and all that reads it."""
    with database(request.param) as url:
        if request.param == "mysql":  # it has a log that functions may be written to
            execute(url, "SET GLOBAL log_bin_trust_function_creators = 1")
        execute(url, *(POSTGRES if request.param == "postgres" else MYSQL))
        yield "postgres" if request.param == "postgres" else "mysql", url


def half(base: tuple[str, str], sql: str) -> Job:
    kind, url = base
    target = PostgresConnection("base", url=url) if kind == "postgres" else MySQLConnection("base", url=url)
    made: Job = job(name="half", target="kept", target_connection=target, mode="truncate")(lambda: sql)
    return made


def staged(base: tuple[str, str], sql: str) -> bool:
    return "stage rows" in str(plan_job(half(base, sql)))


def test_a_table_is_replaced_by_rows_that_come_from_it(base: tuple[str, str]) -> None:
    kind, url = base
    with open_store("memory:") as store:
        for sql, rows in READS[kind].items():
            if "SEEN" in sql and execute(url, "SELECT @@lower_case_table_names")[0][0] == 0:
                continue
            execute(url, "DELETE FROM kept", "INSERT INTO kept VALUES (1), (2), (3)")
            assert run_job(half(base, sql), store=store).inserted == rows, sql


def test_what_reads_other_tables_only_is_not_staged(base: tuple[str, str]) -> None:
    kind, url = base
    if kind == "postgres":
        execute(url, "ALTER TABLE kept NO INHERIT parent")
    sql = "SELECT abs(o.n) AS n FROM other AS o WHERE n IN (SELECT n FROM other)"
    assert not staged(base, sql)
    key = "FOREIGN KEY (n) REFERENCES kept (n) ON DELETE CASCADE"
    execute(url, f"CREATE TABLE parts (n bigint, {key})", "INSERT INTO parts VALUES (1), (3)")
    assert staged(base, sql)
    with open_store("memory:") as store:
        assert run_job(half(base, "SELECT n FROM parts"), store=store).inserted == 2


def test_rows_that_a_trigger_on_the_target_would_change_are_staged(base: tuple[str, str]) -> None:
    kind, url = base
    if kind == "postgres":
        execute(
            url, "ALTER TABLE kept NO INHERIT parent",
            "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM other; RETURN NULL; END'",
            "CREATE TRIGGER gone AFTER DELETE ON kept FOR EACH STATEMENT EXECUTE FUNCTION gone()",
        )  # fmt: skip
    else:
        execute(url, "CREATE TRIGGER gone AFTER DELETE ON kept FOR EACH ROW DELETE FROM other")
    with open_store("memory:") as store:
        assert run_job(half(base, "SELECT n FROM other"), store=store).inserted == 3
