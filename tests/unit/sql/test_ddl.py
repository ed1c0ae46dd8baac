"""DDL planning: what is created, and which differences between rows and table each drift policy allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends import registry
from ematix_core.errors import DriftError, UnsupportedError
from ematix_core.model.table import Column, TableName
from ematix_core.sql.build import placed
from ematix_core.sql.ddl import DdlPlan, Wanted, create_staging, plan_ddl
from ematix_core.types import BigInt, ColumnType, Double, Duration, Integer, Numeric, SmallInt, String, Text, Timestamp

if TYPE_CHECKING:
    from ematix_core.sql.dialect import Dialect

DUCKDB, SQLITE, OBJECTS = (registry.dialect(kind) for kind in ("duckdb", "sqlite", "objects"))
TABLE = TableName("", "t")
K = Column("k", BigInt, nullable=False)
REFUSED = "refused"


def wanted(*columns: Column, declared: bool = True, **options: object) -> Wanted:
    return replace(Wanted(TABLE, (K, *columns), declared=declared), **options)  # type: ignore[arg-type]  # fields of Wanted


def flat(plan: DdlPlan) -> list[str]:
    return [" ".join(sql.split()) for _, sql, _ in [*plan.statements, *plan.later]]


def column(kind: type[ColumnType]) -> Column:
    return Column("v", kind)


NEW = [
    # dialect, policy, statements, whether v is loaded, whether there is a warning
    (DUCKDB, "add", ['ALTER TABLE "t" ADD COLUMN "v" VARCHAR'], True, False),
    (DUCKDB, "evolve", ['ALTER TABLE "t" ADD COLUMN "v" VARCHAR'], True, False),
    (SQLITE, "add", ['ALTER TABLE "t" ADD COLUMN "v" TEXT'], True, False),
    (OBJECTS, "add", [], True, False),
    (DUCKDB, "warn", [], False, True),
    (DUCKDB, "error", REFUSED, False, False),
    (OBJECTS, "error", REFUSED, False, False),
]


@pytest.mark.parametrize(("dialect", "policy", "statements", "loaded", "warned"), NEW)
def test_new_column_by_policy(
    dialect: Dialect, policy: str, statements: list[str] | str, loaded: bool, warned: bool
) -> None:
    rows = wanted(column(Text))
    if statements == REFUSED:
        with pytest.raises(DriftError, match="'v'"):
            plan_ddl(rows, (K,), dialect, policy)
        return
    plan = plan_ddl(rows, (K,), dialect, policy)
    assert flat(plan) == statements
    assert ("v" in {c.name for c in plan.columns}) is loaded
    assert bool(plan.warnings) is warned


CHANGED = [
    # type in the table, type in the rows, policy -> type that is loaded as, and the ALTER if there is one
    (BigInt, BigInt, "error", BigInt, ""),
    (Integer, BigInt, "error", None, ""),
    (Integer, BigInt, "add", None, ""),
    (Integer, BigInt, "warn", Integer, ""),
    (Integer, BigInt, "evolve", BigInt, "BIGINT"),
    (Numeric[10, 2], Numeric[12, 2], "evolve", Numeric[12, 2], "DECIMAL(12, 2)"),
    (Numeric[10, 2], Numeric[12, 4], "evolve", Numeric[12, 4], "DECIMAL(12, 4)"),
    (Numeric[10, 2], Numeric[10, 4], "evolve", None, ""),
    (BigInt, Integer, "evolve", None, ""),
    (BigInt, Double, "evolve", None, ""),
    (SmallInt, Double, "evolve", Double, "DOUBLE"),
    (Text, Integer, "evolve", None, ""),
    (Integer, Text, "evolve", None, ""),
    (Timestamp["ms"], Timestamp, "evolve", Timestamp, "TIMESTAMP"),
    (Timestamp, Timestamp["ns"], "evolve", None, ""),  # nanoseconds do not reach the years before 1678
    (Timestamp["ns"], Timestamp, "evolve", None, ""),
]


@pytest.mark.parametrize(("table", "rows", "policy", "loaded", "altered"), CHANGED)
def test_declared_type_that_differs_by_policy(
    table: type[ColumnType], rows: type[ColumnType], policy: str, loaded: type[ColumnType] | None, altered: str
) -> None:
    existing = (K, column(table))
    if loaded is None:
        with pytest.raises(DriftError, match="'v'"):
            plan_ddl(wanted(column(rows)), existing, DUCKDB, policy)
        return
    plan = plan_ddl(wanted(column(rows)), existing, DUCKDB, policy)
    assert plan.columns[-1].type is loaded
    assert [altered in statement for statement in flat(plan)] == ([True] if altered else [])


def test_rows_that_fit_a_wider_column_are_loaded_as_that_type() -> None:
    plan = plan_ddl(wanted(column(Integer), declared=False), (K, column(BigInt)), DUCKDB, "error")
    assert (plan.columns[-1].type, plan.statements) == (BigInt, [])


@pytest.mark.parametrize("policy", ["error", "warn", "add", "evolve"])
def test_lost_column_is_always_an_error(policy: str) -> None:
    with pytest.raises(DriftError, match="lost"):
        plan_ddl(wanted(), (K, Column("lost", Text)), DUCKDB, policy)


def test_wider_type_needs_a_system_that_can_alter_it() -> None:
    with pytest.raises(UnsupportedError, match="sqlite"):
        plan_ddl(wanted(column(BigInt)), (K, column(Integer)), SQLITE, "evolve")
    assert flat(plan_ddl(wanted(column(BigInt)), (K, column(Integer)), OBJECTS, "evolve")) == []


@pytest.mark.parametrize("existing", [None, (K, column(Duration))])
def test_type_that_the_system_lacks_names_the_column(existing: tuple[Column, ...] | None) -> None:
    with pytest.raises(UnsupportedError, match="'v'"):
        plan_ddl(wanted(column(Duration)), existing, DUCKDB, "evolve")


def test_missing_table_is_created_with_what_the_dialect_declares() -> None:
    rows = wanted(Column('say "hi"', String[10]), primary_key=("k",), unique=(("k", 'say "hi"'),))
    assert flat(plan_ddl(rows, None, DUCKDB, "error")) == [
        'CREATE TABLE "t" ( "k" BIGINT NOT NULL, "say ""hi""" VARCHAR )'
    ]
    (sqlite,) = flat(plan_ddl(rows, None, SQLITE, "error"))
    assert sqlite == (
        'CREATE TABLE "t" ( "k" BIGINT NOT NULL PRIMARY KEY, "say ""hi""" VARCHAR(10), UNIQUE ( "k", "say ""hi""" ) )'
    )
    assert flat(plan_ddl(rows, None, OBJECTS, "error")) == []


def test_missing_schema_is_created_first() -> None:
    rows = wanted(table=TableName("analytics", "t"))
    assert flat(plan_ddl(rows, None, DUCKDB, "error"))[0] == 'CREATE SCHEMA IF NOT EXISTS "analytics"'


def test_history_gets_an_index_on_current_keys_where_the_system_has_partial_ones() -> None:
    rows = wanted(merge_key=("k",), current="is_current")
    assert flat(plan_ddl(rows, None, SQLITE, "error"))[1] == (
        'CREATE UNIQUE INDEX "t_current" ON "t"("k") WHERE "is_current"'
    )
    assert plan_ddl(rows, None, DUCKDB, "error").later == []


def test_history_gets_an_index_on_all_versions_where_there_are_no_partial_ones() -> None:
    rows = wanted(merge_key=("k",), current="is_current")
    without = replace(SQLITE, partial_indexes=False)
    assert flat(plan_ddl(rows, None, without, "error"))[1:] == ['CREATE INDEX "t_versions" ON "t"("k")']


def test_merge_key_gets_an_index_unless_it_is_declared_already() -> None:
    assert "UNIQUE INDEX" in flat(plan_ddl(wanted(merge_key=("k",)), None, SQLITE, "error"))[1]
    declared = wanted(merge_key=("k",), primary_key=("k",))
    assert plan_ddl(declared, None, SQLITE, "error").later == []


def test_staging_is_temporary_and_takes_what_comes() -> None:
    made = create_staging(wanted(primary_key=("k",)), SQLITE)
    assert made.startswith("CREATE TEMPORARY TABLE")
    assert "NOT NULL" not in made
    assert "PRIMARY KEY" not in made


@pytest.mark.parametrize(
    ("dialect", "name", "kept"),
    [
        (DUCKDB, TableName("a", "t"), TableName("a", "t")),
        (SQLITE, TableName("a", "t"), TableName("", "a_t")),
        (SQLITE, TableName("main", "t"), TableName("main", "t")),
        (SQLITE, TableName("", "t"), TableName("", "t")),
    ],
)
def test_schema_becomes_a_prefix_where_there_are_none(dialect: Dialect, name: TableName, kept: TableName) -> None:
    assert placed(name, dialect) == kept


@pytest.mark.parametrize(
    ("on_drift", "kept"), [("error", String[5]), ("warn", String[5]), ("add", String[5]), ("evolve", Text)]
)
def test_text_goes_into_a_column_that_limits_its_length(on_drift: str, kept: type[ColumnType]) -> None:
    rows = Wanted(TABLE, (Column("v", Text),), declared=False)
    plan = plan_ddl(rows, (Column("v", String[5]),), registry.dialect("postgres"), on_drift)
    assert [column.type for column in plan.columns] == [kept]
    assert bool(plan.statements) == (on_drift == "evolve")


def test_a_longer_text_and_a_declared_one_do_not_fit_a_shorter_column() -> None:
    for rows in (
        Wanted(TABLE, (Column("v", String[6]),), declared=False), Wanted(TABLE, (Column("v", Text),), declared=True)
    ):  # fmt: skip
        with pytest.raises(DriftError, match=r"String\[5\] in the table"):
            plan_ddl(rows, (Column("v", String[5]),), SQLITE, "error")


def test_key_of_a_type_that_cannot_be_indexed_has_one_that_can_and_is_no_drift_later() -> None:
    dialect = replace(SQLITE, name="mysql", key_types={"text": "VARCHAR(20)"})
    rows = Wanted(TABLE, (Column("k", Text), Column("v", Text)), merge_key=("k",), declared=False)
    made = flat(plan_ddl(rows, None, dialect, "error"))[0]
    assert '"k" VARCHAR(20)' in made
    assert '"v" TEXT' in made
    later = plan_ddl(rows, (Column("k", String[20]), Column("v", Text)), dialect, "error")
    assert (later.statements, [column.type for column in later.columns]) == ([], [String[20], Text])
