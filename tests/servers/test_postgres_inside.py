"""Rows that stay inside one PostgreSQL database: the modes against their model, and what the new table is like."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from ematix_core.engine import plan_job, run_job
from ematix_core.errors import ConversionError, EmptySourceError, KeyViolationError
from ematix_core.model.connection import PostgresConnection
from ematix_core.model.job import job
from ematix_core.model.mode import append, merge, scd2, truncate
from ematix_core.model.table import Column, TableDef, TableName
from ematix_core.store import open_store
from ematix_core.types import BigInt, Text
from tests.property import histories, model, test_modes
from tests.property.bench import Bench, Loads
from tests.property.soak import examples
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.engine.result import RunResult
    from ematix_core.model.job import Job
    from ematix_core.model.mode import Mode

MODES: dict[str, Mode] = {
    "append": append(), "truncate": truncate(), "merge": merge(keys="k"), "scd2": scd2(keys="k"),
}  # fmt: skip
KEYED = ("merge", "scd2")


class InsideLoads(Loads):
    """Loads whose rows are in a table of the target's database."""

    def declared(self, rows: Sequence[model.Row]) -> Job:
        text = json.dumps([{**row, "at": row["at"] and row["at"].isoformat()} for row in rows]).replace("'", "''")
        execute(
            str(self.bench.target.url), "TRUNCATE history",  # type: ignore[attr-defined] # it is PostgreSQL's
            f"INSERT INTO history SELECT * FROM json_populate_recordset(NULL::history, '{text}')",
        )  # fmt: skip
        target = self.bench.target
        declare = job(
            name=self.name, target=self.name, source_connection=target, target_connection=target, mode=self.mode
        )
        gone = ", gone" if getattr(self.mode, "deleted_by", None) else ""
        made: Job = declare(lambda: f"SELECT k, a, b, at{gone} FROM history")
        return made


class InsideBench(Bench):
    def table(self, mode: Mode, watermark: str | None = None) -> Loads:
        return InsideLoads(self, f"t{next(self.numbers)}", mode, watermark)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with database("postgres") as made, open_store("memory:") as store:
        execute(made, "CREATE TABLE history (k bigint, a bigint, b text, at timestamptz, gone boolean)")
        yield InsideBench(PostgresConnection("target", url=made), store)


@pytest.fixture
def own() -> Iterator[str]:
    with database("postgres") as made:
        execute(made, "CREATE TABLE given (k bigint, v text)", "INSERT INTO given VALUES (1, 'a'), (2, NULL)")
        yield made


@pytest.mark.parametrize("case", test_modes.CASES)
def test_mode_does_what_its_model_does(bench: Bench, case: str) -> None:
    mode, step, rows = test_modes.CASES[case]

    @examples(f"{case} inside postgres")
    @given(histories.loads(rows))
    def compare(loads: list[list[model.Row]]) -> None:
        test_modes.agree(bench, mode, step, loads)

    compare()


def declared(url: str, mode: Mode, query: str = "SELECT * FROM given", target: str | TableDef = "public.things") -> Job:
    here = PostgresConnection("here", url=url)
    made: Job = job(name="things", target=target, source_connection=here, target_connection=here, mode=mode)(
        lambda: query
    )
    return made


def run(url: str, *options: Any) -> RunResult:  # noqa: ANN401 - those of declared
    with open_store("memory:") as store:
        return run_job(declared(url, *options), store=store)


def there(url: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in execute(url, "SELECT k, v FROM things ORDER BY k, v")]


def made(url: str) -> bool:
    return execute(url, "SELECT to_regclass('things') IS NOT NULL")[0][0] is True


@pytest.mark.parametrize("mode", MODES)
def test_new_table_is_made_of_the_rows_at_once(own: str, mode: str) -> None:
    plan = str(plan_job(declared(own, MODES[mode])))
    assert 'CREATE TABLE "public"."things" AS' in plan
    assert "stage rows" not in plan
    result = run(own, MODES[mode])
    assert (result.rows_read, result.inserted, result.unchanged) == (2, 2, 0)
    assert there(own) == [(1, "a"), (2, None)]


@pytest.mark.parametrize("mode", KEYED)
def test_rows_are_compared_while_they_are_staged(own: str, mode: str) -> None:
    run(own, MODES[mode])
    execute(own, "UPDATE given SET v = 'b' WHERE k = 2", "INSERT INTO given VALUES (3, 'c')")
    plan = str(plan_job(declared(own, MODES[mode])))
    assert 'CREATE TEMPORARY TABLE "_ematix_staging" AS' in plan
    result = run(own, MODES[mode])
    assert (result.rows_read, result.unchanged) == (3, 1)
    assert (result.updated, result.closed) == ((1, 0) if mode == "merge" else (0, 1))


@pytest.mark.parametrize("mode", KEYED)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("key", "said"), [("1", r"several rows of the load have one key \(k\): .*'k': 1"), ("NULL", r"\(k\) is NULL in")]
)
def test_keys_that_are_no_keys_are_refused_with_samples(
    own: str, mode: str, key: str, said: str, *, first: bool
) -> None:
    if not first:
        run(own, MODES[mode])
    execute(own, f"INSERT INTO given VALUES ({key}, 'a')")
    with pytest.raises(KeyViolationError, match=said):
        run(own, MODES[mode])
    assert there(own) == [(1, "a"), (2, None)] if not first else not made(own)


@pytest.mark.parametrize("mode", [merge(keys="k", deletes="delete"), scd2(keys="k", deletes="close")])
def test_new_table_of_an_empty_source_is_refused_with_deletes(own: str, mode: Mode) -> None:
    execute(own, "TRUNCATE given")
    with pytest.raises(EmptySourceError):
        run(own, mode)
    assert not made(own)


def test_duplicates_in_the_target_are_the_targets(own: str) -> None:
    execute(own, "CREATE TABLE things (k bigint, v text)", "INSERT INTO things VALUES (1, 'x'), (1, 'y')")
    with pytest.raises(KeyViolationError, match="the target already has several rows"):
        run(own, merge(keys="k"))


def test_table_made_of_rows_is_the_table_that_would_have_been_created(own: str) -> None:
    execute(
        own, "CREATE DOMAIN short AS varchar(5)", "CREATE TYPE place AS ENUM ('here')",
        """CREATE TABLE many (k bigint NOT NULL, c char(4), d short, e place, f text COLLATE "C",
                              g text[] COLLATE "POSIX", h json, i name, j oid, l numeric, m numeric(5, 2), n inet,
                              o timestamptz(3))""",
        "INSERT INTO many VALUES (1, 'ab', 'cd', 'here', 'f', '{x}', '{\"a\": 1}', 'n', 5, 1.50, 2, '10.0.0.1', now())",
    )  # fmt: skip
    run(own, append(), "SELECT * FROM many")
    columns = execute(
        own,
        """SELECT attname, format_type(atttypid, atttypmod), coalesce(collname, '') FROM pg_attribute
           LEFT JOIN pg_collation c ON c.oid = attcollation
           WHERE attrelid = 'things'::regclass AND attnum > 0 ORDER BY attnum""",
    )
    assert [tuple(str(value) for value in row) for row in columns] == [
        ("k", "bigint", ""), ("c", "character varying(4)", "default"), ("d", "character varying(5)", "default"),
        ("e", "text", "default"), ("f", "text", "default"), ("g", "text[]", "default"), ("h", "jsonb", ""),
        ("i", "text", "default"), ("j", "bigint", ""), ("l", "text", "default"), ("m", "numeric(5,2)", ""),
        ("n", "text", "default"), ("o", "timestamp(3) with time zone", ""),
    ]  # fmt: skip
    again = run(own, merge(keys="k", compare=list("cdefghijlmno")), "SELECT * FROM many")
    assert (again.rows_read, again.inserted, again.updated, again.unchanged) == (1, 0, 0, 1)


@pytest.mark.parametrize("mode", KEYED)
def test_columns_of_types_that_are_none_of_ours_are_compared_as_what_they_are(own: str, mode: str) -> None:
    execute(
        own, "CREATE TYPE place AS ENUM ('here', 'there')", "DROP TABLE given",
        "CREATE TABLE given (k bigint, v text, p text, n numeric, i inet, b jsonb)",
        "INSERT INTO given VALUES (1, 'a', 'here', 1.0, '10.0.0.1', '{\"a\": 1}')",
    )  # fmt: skip
    run(own, MODES[mode])
    for column, kind in (("p", "place"), ("n", "numeric"), ("i", "inet")):
        execute(own, f"ALTER TABLE things ALTER {column} TYPE {kind} USING {column}::{kind}")
    execute(own, "UPDATE given SET n = 1.00")
    assert run(own, MODES[mode]).unchanged == 1
    execute(own, "UPDATE given SET p = 'there'")
    assert run(own, MODES[mode]).unchanged == 0


def test_declared_values_that_are_missing_are_refused(own: str) -> None:
    needed = TableDef(TableName("public", "things"), (Column("k", BigInt), Column("v", Text, nullable=False)))
    with pytest.raises(ConversionError, match="null"):
        run(own, append(), "SELECT * FROM given", needed)
    assert not made(own)


def test_truncate_from_a_table_of_the_same_name_elsewhere_needs_no_staging(own: str) -> None:
    execute(own, "CREATE SCHEMA old", "CREATE TABLE old.things AS SELECT * FROM given")
    run(own, truncate())
    query = "SELECT * FROM old.things"
    assert "stage rows" not in str(plan_job(declared(own, truncate(), query)))
    assert run(own, truncate(), query).inserted == 2
    for itself in ("SELECT * FROM things", "SELECT * FROM public.Things"):
        assert "stage rows" in str(plan_job(declared(own, truncate(), itself)))
        assert run(own, truncate(), itself).inserted == 2


@pytest.mark.parametrize("mode", KEYED)
def test_rows_are_held_against_what_another_writer_commits_meanwhile(own: str, mode: str) -> None:
    run(own, MODES[mode])
    execute(own, "UPDATE given SET v = 'new'")
    results: list[RunResult] = []
    writer = threading.Thread(
        target=lambda: execute(own, "BEGIN; UPDATE things SET v = 'new' WHERE k = 1; SELECT pg_sleep(1); COMMIT")
    )
    writer.start()
    time.sleep(0.4)
    results.append(run(own, MODES[mode]))
    writer.join()
    assert (results[0].unchanged, results[0].updated + results[0].closed) == (1, 1)
