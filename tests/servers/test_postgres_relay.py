"""Rows that pass from server to server, or stay inside one, make the table that rows through Arrow make."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.engine import plan_job, run_job
from ematix_core.errors import EmatixError, is_transient
from ematix_core.model.connection import PostgresConnection
from ematix_core.model.job import job
from ematix_core.model.mode import append, merge, scd2, truncate
from ematix_core.store import open_store
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.engine.result import RunResult
    from ematix_core.model.job import Job
    from ematix_core.model.mode import Mode

MODES: dict[str, Mode] = {
    "append": append(), "truncate": truncate(), "merge": merge(keys="id", deletes="delete"), "scd2": scd2(keys="id"),
}  # fmt: skip
PATHS = ("relay", "local", "arrow")
COLUMNS = "id, amount, code, name, place, at, day, flag, uid"
MAKE = (
    "CREATE TYPE place AS ENUM ('here', 'there')",
    """CREATE TABLE items (id bigint, amount numeric(12, 2), code varchar(9), name text, place place, at timestamptz,
                           day date, flag boolean, uid uuid)""",
    """INSERT INTO items
       SELECT n, n * 1.25, 'c' || n, nullif('name ' || n, 'name 7'), (ARRAY['here', 'there'])[1 + n % 2]::place,
              '2026-01-01'::timestamptz + n * interval '1.5 seconds', '2026-01-01'::date + n, n % 3 = 0,
              md5(n::text)::uuid
       FROM generate_series(1, 500) AS n""",
)
CHANGE = (
    "UPDATE items SET amount = amount + 0.01, name = 'changed' WHERE id % 10 = 0",
    "DELETE FROM items WHERE id % 50 = 1",
    "INSERT INTO items (id, code) VALUES (1000, 'new')",
)


@pytest.fixture
def urls() -> Iterator[tuple[str, str]]:
    with database("postgres") as one, database("postgres") as other:
        execute(one, *MAKE)
        yield one, other


def declared(path: str, urls: tuple[str, str], mode: Mode, **options: Any) -> Job:  # noqa: ANN401 - options of @job
    source = PostgresConnection("source", url=urls[0])
    target = PostgresConnection("target", url=urls[0] if path == "local" else urls[1])

    def rows() -> Any:  # noqa: ANN401 - a query or rows
        if path != "arrow":
            return f"SELECT {COLUMNS} FROM items"
        reading = registry.source(source)
        table = reading.read(Query(sql=f"SELECT {COLUMNS} FROM items")).read_all()
        reading.close()
        return table

    made: Job = job(
        name="items", target=f"out_{path}", source_connection=source, target_connection=target, mode=mode, **options
    )(rows)
    return made


def run(declared: Job, hour: int) -> RunResult:
    with open_store("memory:") as store:
        return run_job(declared, store=store, clock=lambda: datetime(2026, 1, 1, hour, tzinfo=UTC))


def table(path: str, urls: tuple[str, str]) -> list[str]:
    url = urls[0] if path == "local" else urls[1]
    return [str(row[0]) for row in execute(url, f"SELECT t::text FROM out_{path} t ORDER BY 1")]


@pytest.mark.parametrize("mode", MODES)
def test_all_paths_make_the_same_table_and_counts(urls: tuple[str, str], mode: str) -> None:
    jobs = {path: declared(path, urls, MODES[mode]) for path in PATHS}
    counts = []
    for hour, changes in enumerate(((), CHANGE, ())):
        execute(urls[0], "SELECT 1", *changes)
        counts.append({path: _counts(run(found, hour)) for path, found in jobs.items()})
        assert len({str(sorted(table(path, urls))) for path in PATHS}) == 1
    assert all(len(set(each.values())) == 1 for each in counts), counts


def _counts(result: RunResult) -> tuple[int, ...]:
    return (result.rows_read, result.inserted, result.updated, result.unchanged, result.deleted, result.closed)


def test_plan_says_how_the_rows_go(urls: tuple[str, str]) -> None:
    def notes(path: str) -> str:
        return str(plan_job(declared(path, urls, scd2(keys="id"))))

    assert "pass from one postgres server to the other" in notes("relay")
    assert "inside postgres" in notes("local")
    assert "pass from" not in notes("arrow")


def test_relayed_increments_take_up_where_the_last_one_ended(urls: tuple[str, str]) -> None:
    found = declared("relay", urls, append(), watermark="at")
    first, again = run(found, 1), run(found, 2)
    execute(urls[0], "INSERT INTO items (id, at) VALUES (2000, '2026-02-01 00:00+00')")
    third = run(found, 3)
    assert [each.inserted for each in (first, again, third)] == [500, 0, 1]


def test_staged_values_compare_as_the_types_of_the_target(urls: tuple[str, str]) -> None:
    execute(
        urls[1], "CREATE TYPE place AS ENUM ('here', 'there')",
        "CREATE TABLE out_relay (id bigint PRIMARY KEY, ip inet, place place)",
        "INSERT INTO out_relay VALUES (1, '10.0.0.1', 'here'), (2, '10.0.0.2', 'here')",
    )  # fmt: skip
    execute(urls[0], "CREATE TABLE hosts (id bigint, ip text, place text)")
    execute(urls[0], "INSERT INTO hosts VALUES (1, '10.0.0.1/32', 'here'), (2, '10.0.0.3', 'there'), (3, '::1', NULL)")

    @job(
        name="hosts", target="out_relay", mode=merge(keys="id"),
        source_connection=PostgresConnection("source", url=urls[0]),
        target_connection=PostgresConnection("target", url=urls[1]),
    )  # fmt: skip
    def hosts() -> str:
        return "SELECT id, ip, place FROM hosts"

    result = run(hosts, 1)
    assert (result.inserted, result.updated, result.unchanged) == (1, 1, 1)
    assert execute(urls[1], "SELECT id, host(ip), place::text FROM out_relay ORDER BY id") == [
        (1, "10.0.0.1", "here"), (2, "10.0.0.3", "there"), (3, "::1", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "says", "transient"),
    [
        ("1 / (id - 400)", "division by zero", False),
        ("code::int", "invalid input syntax", False),
        ("CASE WHEN id = 400 THEN pg_sleep(20)::text END", "statement timeout", None),
        ("CASE WHEN id = 400 THEN pg_terminate_backend(pg_backend_pid()) END", "", True),
    ],
    ids=["division", "cast", "timeout", "terminated"],
)
def test_a_failure_of_the_source_is_told_as_the_source_s(
    urls: tuple[str, str], expression: str, says: str, transient: bool | None
) -> None:
    name = urls[0].rpartition("/")[2]
    execute(urls[0], f"ALTER DATABASE {name} SET statement_timeout = '2s'")

    @job(
        name="failing", target="out_relay",
        source_connection=PostgresConnection("source", url=urls[0]),
        target_connection=PostgresConnection("target", url=urls[1]),
    )  # fmt: skip
    def failing() -> str:
        return f"SELECT id, {expression} AS found FROM items"

    with pytest.raises(EmatixError) as failed:
        run(failing, 1)
    told = f"{type(failed.value).__name__}: {failed.value}"
    assert says in told
    assert "ChannelClosedError" not in told
    assert urls[1].rpartition("/")[2] not in told
    if transient is not None:
        assert is_transient(failed.value) is transient


def test_rows_at_the_mark_are_told_apart_by_sorting_and_equal_ones_are_counted(urls: tuple[str, str]) -> None:
    execute(urls[0], "CREATE TABLE ties (id bigint, note text, day date)")
    execute(urls[0], "INSERT INTO ties SELECT n, NULL, '2026-01-01' FROM generate_series(1, 20000) AS n")
    execute(urls[0], "INSERT INTO ties VALUES (NULL, 'twice', '2026-01-01'), (NULL, 'twice', '2026-01-01')")

    @job(
        name="ties", target="out_relay", watermark="day",
        source_connection=PostgresConnection("source", url=urls[0]),
        target_connection=PostgresConnection("target", url=urls[1]),
    )  # fmt: skip
    def ties() -> str:
        return "SELECT id, note, day FROM ties"

    assert run(ties, 1).inserted == 20_002
    execute(urls[0], "INSERT INTO ties VALUES (NULL, 'twice', '2026-01-01'), (1, NULL, '2026-01-01')")
    execute(urls[0], "INSERT INTO ties VALUES (NULL, NULL, '2026-01-02'), (NULL, NULL, '2026-01-02')")
    assert run(ties, 2).inserted == 4
    same = "SELECT note, count(*) FROM out_relay WHERE id IS NULL OR id = 1 GROUP BY note ORDER BY note"
    assert execute(urls[1], same) == [("twice", 3), (None, 4)]
