"""The builders: every identifier is quoted, and what is rendered is what the system takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlglot import exp

from ematix_core.backends import registry
from ematix_core.model.table import TableName
from ematix_core.sql import build

DUCKDB, SQLITE = registry.dialect("duckdb"), registry.dialect("sqlite")


def flat(statement: exp.Expr, kind: str = "duckdb") -> str:
    return " ".join(build.text(statement, registry.dialect(kind)).split())


@pytest.mark.parametrize("name", ["select", "two words", 'a "b"', "x;--", "ünï", "UPPER"])
def test_identifiers_are_quoted_whatever_they_are(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    assert flat(build.drop(TableName("", name))) == f"DROP TABLE {quoted}"
    assert flat(build.is_null(name, "t")) == f'"t".{quoted} IS NULL'


def test_derived_table_keeps_its_alias() -> None:
    query = exp.select(build.col("x", "d")).from_(
        build.derived(exp.select(build.col("x")).from_(build.table(TableName("", "t"))), "d")
    )
    for kind in ("duckdb", "sqlite"):
        assert flat(query, kind) == 'SELECT "d"."x" FROM ( SELECT "x" FROM "t" ) AS "d"'


@pytest.mark.parametrize(("kind", "text"), [("duckdb", "IS DISTINCT FROM"), ("sqlite", "IS NOT")])
def test_difference_is_null_safe_in_every_grammar(kind: str, text: str) -> None:
    assert text in flat(build.differs(["a", "b"], "t", "s"), kind)


def test_nothing_to_compare_differs_never() -> None:
    assert flat(build.differs([], "t", "s")) == "FALSE"
    assert flat(build.same_values([], "t", "s")) == "TRUE"


def test_update_names_its_target_and_source() -> None:
    update = build.update_from(
        TableName("a", "t"), {"v": build.col("v", "s")}, source=build.table(TableName("", "rows"), "s"),
        where=build.same_keys(["k"], "t", "s"),
    )  # fmt: skip
    assert flat(update) == 'UPDATE "a"."t" AS "t" SET "v" = "s"."v" FROM "rows" AS "s" WHERE "t"."k" = "s"."k"'


def test_mysql_names_all_tables_of_an_update_and_a_delete_before_the_rest() -> None:
    mysql = replace(SQLITE, name="mysql", grammar="mysql")
    target, keys = TableName("a", "t"), build.same_keys(["k"], "t", "s")
    update = build.update_from(
        target, {"v": build.col("v", "s")}, source=build.table(TableName("", "rows"), "s"), where=keys
    )
    marked = build.update_from(target, {"v": exp.null()}, source=None, where=build.is_null("k", "t"))
    delete = build.delete(target, build.is_null("k", "t"))
    assert [" ".join(build.text(made, mysql).split()) for made in (update, marked, delete)] == [
        "UPDATE `a`.`t` AS `t`, `rows` AS `s` SET `t`.`v` = `s`.`v` WHERE `t`.`k` = `s`.`k`",
        "UPDATE `a`.`t` AS `t` SET `t`.`v` = NULL WHERE `t`.`k` IS NULL",
        "DELETE `t` FROM `a`.`t` AS `t` WHERE `t`.`k` IS NULL",
    ]
    assert flat(update).startswith('UPDATE "a"."t" AS "t" SET "v"')  # the statement itself is left as it was


def test_null_never_wins_a_descending_order() -> None:
    ranked = build.ranked("rank", [build.col("k")], [build.descending(build.col("v"))])
    for kind in ("duckdb", "sqlite"):
        assert 'ORDER BY "v" DESC' in flat(ranked, kind)
        assert "NULLS FIRST" not in flat(ranked, kind)
