"""What targets ask for: fan-out, checks, drift, transforms, normalizers, post steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest

import ematix_core as ematix
from ematix_core import pk
from ematix_core.engine.post import PostStepError
from ematix_core.errors import CheckFailedError, ConversionError, DriftError, UnsupportedError
from ematix_core.model import normalize
from ematix_core.types import BigInt, String, Text, TimestampTZ  # noqa: TC001 - the table decorator reads them
from tests.unit.engine.shop import job, rows_of, table, tables_of

if TYPE_CHECKING:
    from ematix_core.model.job import Drift

ROWS = [(1, " a", 1), (2, "b ", 2), (2, "b", 3)]


def _memory() -> ematix.MemoryConnection:
    return ematix.MemoryConnection("memory", tables={"rows": table(ROWS)})


def test_one_read_feeds_several_targets_each_in_its_own_mode(warehouse: ematix.Connection) -> None:
    files = ematix.ObjectStoreConnection("files", path="lake")
    reads: list[int] = []

    def body() -> Any:  # noqa: ANN401 - an Arrow table
        reads.append(1)
        return table(ROWS)

    load = job(
        body,
        targets=[
            ematix.target("log", connection=warehouse),
            ematix.target("latest", connection=warehouse, mode=ematix.merge(keys="id", order_by="changed")),
            ematix.target("archive", connection=files, mode="truncate"),
        ],
    )
    result = load.run()

    assert len(reads) == 1
    assert [(t.target, t.inserted) for t in result.targets] == [("log", 3), ("latest", 2), ("archive", 3)]
    assert rows_of("SELECT id, name FROM latest ORDER BY id") == [(1, " a"), (2, "b")]


def test_a_target_that_fails_does_not_hold_back_the_others(warehouse: ematix.Connection) -> None:
    load = job(
        lambda: table(ROWS),
        targets=[
            ematix.target("good", connection=warehouse),
            ematix.target("bad", connection=_memory(), checks=[ematix.expect.unique("id")]),
        ],
    )
    with pytest.raises(CheckFailedError, match="table bad"):
        load.run()
    assert tables_of() == {"good"}


def test_a_failing_check_commits_nothing_and_shows_samples(warehouse: ematix.Connection) -> None:
    load = job(
        lambda: table(ROWS),
        target="t", target_connection=warehouse, checks=[ematix.expect.unique("id")],
    )  # fmt: skip
    with pytest.raises(CheckFailedError, match=r"unique\(id\): 2 rows break it, such as \[\{'id': 2") as caught:
        load.run()
    assert (caught.value.check, caught.value.table) == ("unique(id)", "t")
    assert tables_of() == set()


def test_quarantined_rows_are_set_aside_with_the_reason(warehouse: ematix.Connection) -> None:
    checks = [ematix.expect.unique("id", severity="quarantine"), ematix.expect.row_count(min=2, severity="warn")]
    load = job(lambda: table(ROWS), target="t", target_connection=warehouse, checks=checks)

    result = load.run()

    assert (result.inserted, result.quarantined) == (1, 2)
    assert result.targets[0].warnings == ("check row_count: the load has 1 rows",)
    assert result.targets[0].broken == {
        "unique(id)": "2 rows break it, and were set aside", "row_count": "the load has 1 rows",
    }  # fmt: skip
    kept = rows_of("SELECT id, failed_check, load_id FROM t_quarantine")
    assert kept == [(2, "unique(id)", result.run_id)] * 2


def test_fresh_looks_at_the_highest_value(warehouse: ematix.Connection) -> None:
    checks = [ematix.expect.fresh("changed", within="1 day")]
    load = job(lambda: table([(1, "a", 1)]), target="t", target_connection=warehouse, checks=checks)

    with pytest.raises(CheckFailedError, match="older than 1 day"):
        load.run()


def test_transforms_and_normalizers_shape_the_rows(warehouse: ematix.Connection) -> None:
    @ematix.table()
    class Names:
        id: Annotated[BigInt, pk()]
        name: Annotated[Text | None, normalize.trim(), normalize.upper()]
        changed: TimestampTZ

    load = job(
        lambda: "SELECT * FROM rows", source_connection=_memory(), target=Names, target_connection=warehouse,
        transforms=[ematix.filter_where("name <> 'A'"), ematix.deduplicate_by("id", order_by="changed")],
    )  # fmt: skip

    assert load.run().inserted == 1
    assert rows_of("SELECT id, name, day(changed) FROM names") == [(2, "B", 3)]


@pytest.mark.parametrize(
    ("policy", "columns"), [("add", ["id", "name", "changed", "extra"]), ("warn", ["id", "name", "changed"])]
)
def test_a_new_column_is_added_or_left_out_as_the_policy_says(
    warehouse: ematix.Connection,
    policy: Drift,
    columns: list[str],
) -> None:
    job(lambda: "SELECT * FROM rows", source_connection=_memory(), target="t", target_connection=warehouse).run()
    wider = job(
        lambda: "SELECT *, 1 AS extra FROM rows", source_connection=_memory(), target="t",
        target_connection=warehouse, on_drift=policy,
    )  # fmt: skip
    wider.run()

    assert [name for (name, *_) in rows_of("DESCRIBE t")] == columns


def test_a_new_column_is_refused_by_default(warehouse: ematix.Connection) -> None:
    job(lambda: "SELECT * FROM rows", source_connection=_memory(), target="t", target_connection=warehouse).run()
    wider = job(
        lambda: "SELECT *, 1 AS extra FROM rows", source_connection=_memory(), target="t", target_connection=warehouse
    )
    with pytest.raises(DriftError, match="'extra' that the table lacks"):
        wider.run()


def test_steps_after_the_load_share_its_transaction(warehouse: ematix.Connection) -> None:
    def audit(conn: Any, run: Any) -> None:  # noqa: ANN401 - what the engine offers
        conn.execute("INSERT INTO audit SELECT :run, count(*) FROM t", {"run": run.run_id})

    after = ["CREATE TABLE IF NOT EXISTS audit (run VARCHAR, rows BIGINT)", audit]
    load = job(lambda: table([(1, "a", 1)]), target="t", target_connection=warehouse, after=after)

    result = load.run()

    assert rows_of("SELECT * FROM audit") == [(result.run_id, 1)]


def test_a_failing_step_rolls_the_load_back(warehouse: ematix.Connection) -> None:
    def broken() -> None:
        raise ValueError("no")

    load = job(lambda: table([(1, "a", 1)]), target="t", target_connection=warehouse, after=[broken])
    with pytest.raises(PostStepError, match="'broken' raised ValueError"):
        load.run()
    assert tables_of() == set()


def test_a_mode_that_the_system_lacks_is_refused_when_planned() -> None:
    files = ematix.ObjectStoreConnection("files", path="lake")
    load = job(lambda: table([(1, "a", 1)]), target="t", target_connection=files, mode=ematix.merge(keys="id"))

    with pytest.raises(UnsupportedError, match="objects targets cannot be loaded with mode 'merge'"):
        load.plan()


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
@pytest.mark.parametrize("mode", [ematix.merge(keys="id", deletes="delete"), ematix.scd2(keys="id", deletes="close")])
def test_a_row_set_aside_does_not_count_as_deleted(kind: str, mode: Any) -> None:  # noqa: ANN401 - a mode of any kind
    target = {"duckdb": ematix.DuckDBConnection, "sqlite": ematix.SQLiteConnection}[kind]("t", path="t.db")
    rows = [(1, "a", 1), (2, "b", 1), (3, "c", 1)]
    load = job(
        lambda: table(rows), target="t", target_connection=target, mode=mode,
        checks=[ematix.expect.not_null("name", severity="quarantine")],
    )  # fmt: skip
    load.run()
    rows[:] = [(1, "a", 1), (2, None, 2)]  # type: ignore[list-item] # the name that the check forbids

    result = load.run()

    assert (result.quarantined, result.deleted + result.closed) == (1, 1)


def test_a_value_that_duckdb_would_round_or_cut_is_refused(warehouse: ematix.Connection) -> None:
    @ematix.table()
    class Narrow:
        id: BigInt
        code: String[2]  # type: ignore[type-arg, valid-type] # mypy does not know subscripted types

    source = ematix.MemoryConnection("memory")
    for query in ("SELECT 1.7 AS id, 'ab' AS code", "SELECT 1 AS id, 'abc' AS code"):
        load = job(lambda query=query: query, source_connection=source, target=Narrow, target_connection=warehouse)
        with pytest.raises(ConversionError):
            load.run()
        inside = job(lambda query=query: query, target=Narrow, target_connection=warehouse)
        with pytest.raises(ConversionError):
            inside.run()
