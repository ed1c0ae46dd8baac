"""Projects: what is found, in which order it runs, and every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core import Project
from ematix_core.errors import ProjectError, UnknownConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core import Job

warehouse = ematix.DuckDBConnection("warehouse", path="w.duckdb")


def job(name: str, *depends_on: str, connection: str | ematix.Connection = warehouse) -> Job:
    declare = ematix.job(name=name, target=f"t_{name}", target_connection=connection, depends_on=depends_on)
    return declare(lambda: "SELECT 1")


def test_what_a_declaration_refers_to_belongs_to_the_project() -> None:
    orders = job("orders")
    project = Project.of(ematix.workflow("nightly", jobs=[orders], schedule="0 2 * * *"))
    assert dict(project.jobs) == {"orders": orders}
    assert dict(project.connections) == {"warehouse": warehouse}


def test_one_object_given_twice_counts_once() -> None:
    orders = job("orders")
    assert list(Project.of(orders, orders, ematix.workflow("nightly", jobs=[orders], schedule="0 2 * * *")).jobs) == [
        "orders"
    ]


def test_a_connection_written_twice_with_equal_settings_counts_once() -> None:
    again = ematix.DuckDBConnection("warehouse", path="w.duckdb")
    assert list(Project.of(job("a"), job("b", connection=again)).connections) == ["warehouse"]


def test_connections_that_are_only_named_are_listed_with_their_jobs() -> None:
    project = Project.of(
        warehouse, job("a", connection="shop"), job("b", connection="warehouse"), job("c", connection="shop")
    )
    assert project.unresolved_connections() == {"shop": ("a", "c")}


def test_the_connections_of_both_sides_of_a_join_and_of_its_state_are_the_projects() -> None:
    left, right, store, kept = (ematix.MemoryConnection(name) for name in ("left", "right", "store", "kept"))
    sides = [ematix.side(one.name, source=one, source_query="rows") for one in (left, right)]
    paid = ematix.stream(
        "paid", source=ematix.join(*sides, on="id", within="1 minute"), target=store, target_table="paid", state=kept
    )
    project = Project.of(paid)
    assert set(project.connections) == {"left", "right", "store", "kept"}
    assert project.unresolved_connections() == {}


def test_order_respects_dependencies_through_jobs_that_are_not_asked_for() -> None:
    project = Project.of(job("c", "b"), job("b", "a"), job("a"))
    assert [one.name for one in project.order(["c", "a"])] == ["a", "c"]
    assert [one.name for one in project.order()] == ["a", "b", "c"]


@given(st.permutations("abcdef"), st.sets(st.sampled_from("abcdef")))
def test_order_is_topological_whatever_the_order_of_declaration(names: list[str], wanted: set[str]) -> None:
    jobs = [job(name, *(before for before in "abcdef" if before < name)) for name in names]
    assert [one.name for one in Project.of(*jobs).order(wanted)] == sorted(wanted)


@pytest.mark.parametrize(
    ("look_up", "error", "message"),
    [
        (lambda p: p.job("order"), ProjectError, "unknown job 'order'\nDid you mean 'orders'? Known: orders."),
        (lambda p: p.workflow("x"), ProjectError, "unknown workflow 'x'\nKnown: nightly."),
        (lambda p: p.order(["x"]), ProjectError, "unknown job 'x'\nKnown: orders."),
        (
            lambda p: p.connection("warehous"),
            UnknownConnectionError,
            "unknown connection 'warehous'\nDid you mean 'warehouse'? Known: warehouse.",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    look_up: Callable[[Project], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        look_up(Project.of(ematix.workflow("nightly", jobs=[job("orders")], schedule="0 2 * * *")))
    assert str(caught.value) == message


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(ProjectError) as caught:
        Project.of(
            job("a", "b"),
            job("b", "a"),
            job("c", "aa"),
            job("c"),
            ematix.DuckDBConnection("warehouse", path="other.duckdb"),
            ematix.workflow("b", jobs=[job("d")], schedule="0 2 * * *"),
            ematix.workflow("first", jobs=[job("e")], triggered_by="secnd"),
            ematix.workflow("second", jobs=[job("f")], triggered_by=ematix.any_of("third")),
            ematix.workflow("third", jobs=[job("g")], triggered_by=["f", "a"]),
        )
    assert str(caught.value).splitlines() == [
        "the project has 7 problems:",
        "- two jobs are named 'c'",
        "- two connections are named 'warehouse'",
        "- 'b' is the name of a job and of a workflow: triggers and commands could not tell them apart",
        "- job c depends on 'aa', which is no job. Did you mean 'a'? Known: a, b, c, d, e, f, g.",
        (
            "- workflow first waits for 'secnd', which is no workflow or job. Did you mean 'second'? "
            "Known: a, b, c, d, e, f, first, g, second, third."
        ),
        "- jobs depend on each other in a circle: a -> b -> a",
        "- workflows set each other off in a circle: second -> third -> second",
    ]


def test_a_workflow_that_waits_for_its_own_job_is_a_circle() -> None:
    with pytest.raises(ProjectError) as caught:
        Project.of(ematix.workflow("nightly", jobs=[job("orders")], triggered_by="orders"))
    assert str(caught.value) == "workflows set each other off in a circle: nightly -> nightly"


def test_a_workflow_may_wait_for_what_another_system_tells_of() -> None:
    outside = "s3://lake/orders"
    nightly = ematix.workflow("nightly", jobs=[job("orders")], triggered_by=[outside, "stock"])
    project = Project.of(nightly, job("stock"))
    assert project.workflows["nightly"].waits_for() == (outside, "stock")
