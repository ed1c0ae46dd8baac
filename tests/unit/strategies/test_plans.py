"""Every statement of every mode, as text, for each SQL dialect: a change of a plan shows up in a diff.

`EMATIX_WRITE_PLANS=1` writes the fixtures anew; read the diff before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ematix_core.backends import registry
from ematix_core.errors import UnsupportedError
from ematix_core.model.mode import merge
from ematix_core.strategies.plan import Execute, Insert, Make, Require
from tests.unit.strategies import plans

HERE = Path(__file__).parent


@pytest.mark.parametrize(("kind", "case"), plans.PLANS)
def test_plan_is_the_one_in_its_fixture(kind: str, case: str) -> None:
    fixture = HERE / kind / f"{case}.sql"
    found = plans.text(plans.plan(case, kind))
    if os.environ.get("EMATIX_WRITE_PLANS"):
        fixture.parent.mkdir(exist_ok=True)
        fixture.write_text(found, encoding="utf-8")
    assert found == fixture.read_text(encoding="utf-8")


def test_every_fixture_belongs_to_a_case() -> None:
    files = {f"{file.parent.name}/{file.stem}" for file in HERE.glob("*/*.sql")}
    assert files == {f"{kind}/{case}" for kind, case in plans.PLANS}


@pytest.mark.parametrize(("kind", "case"), plans.PLANS)
def test_every_placeholder_is_announced_and_nothing_else_is(kind: str, case: str) -> None:
    for step in plans.plan(case, kind).steps:
        sql = getattr(step, "sql", "") or getattr(step, "query", "")
        bound = {name for name in ("load_time", "ttl_limit", "since") if f":{name}" in sql}
        announced = set(step.parameters) if isinstance(step, Execute | Insert | Make) else set()
        assert bound == announced, step.name


@pytest.mark.parametrize("kind", plans.DIALECTS)
def test_checks_come_before_the_first_change_of_the_target(kind: str) -> None:
    for case in plans.CASES:
        steps = plans.plan(case, kind).steps
        changes = [n for n, step in enumerate(steps) if isinstance(step, Insert)]
        checks = [n for n, step in enumerate(steps) if isinstance(step, Require)]
        assert not checks or max(checks) < min(changes), case


def test_postgres_finds_equal_rows_without_a_join_that_it_cannot_hash() -> None:
    steps = plans.plan("append_since_by_row", "postgres").steps
    assert not any("IS NOT DISTINCT FROM" in step.query for step in steps if isinstance(step, Insert))


def test_same_plan_has_the_same_hash_and_another_one_another() -> None:
    assert plans.plan("merge", "duckdb").hash() == plans.plan("merge", "duckdb").hash()
    assert len({plans.plan(case, kind).hash() for case in plans.CASES for kind in plans.DIALECTS}) > len(plans.CASES)


def test_mode_that_the_system_lacks_is_refused_with_those_that_it_has() -> None:
    assert merge(keys="id").name not in registry.dialect("objects").modes
    with pytest.raises(UnsupportedError, match="merge") as caught:
        plans.plan("merge", "objects")
    assert "append, truncate" in caught.value.hint
