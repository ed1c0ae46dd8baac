"""One read over several connections: every row once, all of one moment, and one connection where it cannot be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends import registry
from ematix_core.backends.postgres.sourcing import PostgresSource
from ematix_core.backends.postgres.splitting import pieces
from ematix_core.backends.protocols import Query
from ematix_core.errors import ConversionError
from ematix_core.model.connection import PostgresConnection
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 200_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database("postgres") as made:
        execute(
            made,
            'CREATE TABLE "Big" (n bigint PRIMARY KEY, v text)',
            f"INSERT INTO \"Big\" SELECT n, 'value ' || n FROM generate_series(1, {ROWS}) AS n",
            'CREATE VIEW seen AS SELECT * FROM "Big"',
            "CREATE TABLE empty (n bigint)",
        )
        yield made


def numbers(url: str, query: Query, parallel: int = 3) -> list[int]:
    source = registry.source(PostgresConnection("db", url=url, options={"parallel": parallel}))
    try:
        return sorted(row["n"] for row in source.read(query).read_all().to_pylist())
    finally:
        source.close()


def parts(url: str, sql: str) -> int:
    """Return the number of connections that a query is read by."""
    source = PostgresSource(PostgresConnection("db", url=url, options={"parallel": 3}))
    try:
        link = source._begin()  # noqa: SLF001 - how many there are shows nowhere else
        found = pieces(link, source._typed(Query(sql=sql)), sql, Query(sql=sql))  # noqa: SLF001 - see above
        for part in found[1:]:
            part.link.close()
        return len(found)
    finally:
        source.close()


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ('SELECT * FROM "Big"', 3), ('SELECT n, upper(v) AS v FROM "Big" WHERE n % 2 = 0', 3),
        ('SELECT b.n FROM public."Big" b', 3), ('SELECT "Big".n FROM public . "Big"', 3),
        ("SELECT * FROM seen", 1), ('SELECT count(*) AS n FROM "Big"', 1), ('SELECT n FROM "Big" ORDER BY v', 1),
        ('SELECT n FROM "Big" LIMIT 10', 1), ('SELECT a.n FROM "Big" a JOIN "Big" b USING (n)', 1),
        ('SELECT n, ctid::text FROM "Big"', 1), ('SELECT DISTINCT v FROM "Big"', 1), ("SELECT * FROM empty", 1),
        ('SELECT n FROM "Big" WHERE v = \'FROM x \'', 1), ('SELECT n FROM "Big" TABLESAMPLE SYSTEM (50)', 1),
        ('SELECT n FROM "Big" WHERE n = 5', 1), ("SELECT generate_series(1, 9) AS n", 1),
    ],
)  # fmt: skip
def test_only_plain_scans_are_divided(url: str, sql: str, number: int) -> None:
    assert parts(url, sql) == number


@pytest.mark.parametrize("parallel", [1, 2, 3, 7])
def test_every_row_comes_once(url: str, parallel: int) -> None:
    assert numbers(url, Query(table="Big"), parallel) == list(range(1, ROWS + 1))


def test_parameters_hold_in_every_part(url: str) -> None:
    sql = 'SELECT n FROM "Big" WHERE n % :by = :rest'
    assert numbers(url, Query(sql=sql, parameters={"by": 7, "rest": 3})) == list(range(3, ROWS + 1, 7))


def test_all_parts_see_one_moment(url: str) -> None:
    """A writer changes all rows while the parts are read; a part that began later would see its changes."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            execute(url, "UPDATE moving SET n = n + 1000000", "VACUUM moving")

    execute(url, "CREATE TABLE moving AS SELECT n FROM generate_series(1, 50000) AS n")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            found = numbers(url, Query(table="moving"))
            assert len(found) == 50_000
            assert found[-1] - found[0] == 49_999
    finally:
        stop.set()
        writer.join()


def test_error_in_one_part_ends_all(url: str) -> None:
    with pytest.raises(ConversionError, match="division by zero"):
        numbers(url, Query(sql=f'SELECT n / (n - {ROWS}) AS n FROM "Big"'))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("postgres")]


def test_reading_may_stop_half_way(url: str) -> None:
    source = registry.source(PostgresConnection("db", url=url, options={"parallel": 3}))
    reader = source.read(Query(table="Big"))
    assert reader.read_next_batch().num_rows
    reader.close()
    del reader
    source.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("postgres")]
