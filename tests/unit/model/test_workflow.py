from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from ematix_core import Job


def job(name: str, *depends_on: str) -> Job:
    return ematix.job(name=name, target=f"t_{name}", depends_on=depends_on)(lambda: "SELECT 1")


def names(levels: tuple[tuple[Job, ...], ...]) -> list[list[str]]:
    return [[job.name for job in level] for level in levels]


LOAD = [
    job("report", "orders", "customers"),
    job("orders", "raw"),
    job("customers"),
    job("mail", "report", "elsewhere"),
]


def test_levels_follow_the_dependencies() -> None:
    nightly = ematix.workflow("nightly", jobs=LOAD)
    assert names(nightly.order()) == [["orders", "customers"], ["report"], ["mail"]]


def test_the_graph_leaves_out_jobs_of_elsewhere() -> None:
    assert ematix.workflow("nightly", jobs=LOAD).graph() == {
        "report": ("orders", "customers"),
        "orders": (),
        "customers": (),
        "mail": ("report",),
    }


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({}, "By hand"),
        ({"schedule": "0 2 * * *"}, "At 0 2 * * * UTC"),
        ({"triggered_by": ["a", "b"]}, "After: a, b"),
        ({"triggered_by": ematix.any_of("a", ematix.all_of("b", "c"))}, "After any: a or (b, c)"),
        (
            {"triggered_by": job("a"), "schedule": "0 2 * * *", "timezone": "Europe/London"},
            "After: a; at 0 2 * * * Europe/London",
        ),
        ({"on_message": "clicks"}, "On each message of clicks"),
    ],
)
def test_the_summary_says_what_sets_it_off(options: dict[str, Any], summary: str) -> None:
    assert ematix.workflow("w", jobs=[job("x")], **options).summary() == summary


def test_a_workflow_prints_on_one_line() -> None:
    assert repr(ematix.workflow("w", jobs=[job("x"), job("y")])) == "<workflow w (x, y)>"


@pytest.mark.parametrize(
    ("jobs", "options", "message"),
    [
        ([], {}, "a workflow needs at least one job (workflow w)"),
        (["x"], {}, "'x' is no job (workflow w)\nList the functions decorated with @ematix.job."),
        (
            [job("x"), job("x")],
            {},
            "two jobs are named 'x' (workflow w)\nList each job once, under a name of its own.",
        ),
        (
            [job("a", "b"), job("b", "c"), job("c", "a")],
            {},
            "jobs depend on each other in a circle: a -> c -> b -> a (workflow w)",
        ),
        ([job("a", "a")], {}, "jobs depend on each other in a circle: a -> a (workflow w)"),
        (
            [job("x")],
            {"on_message": "clicks", "schedule": "0 2 * * *"},
            "on_message excludes schedule and triggered_by (workflow w)\nMake two workflows of it, with the same jobs.",
        ),
        (
            [job("x")],
            {"timezone": "UTC"},
            "timezone='UTC' without schedule (workflow w)\nAdd schedule='...' or remove timezone.",
        ),
        (
            [job("x")],
            {"catchup": "last"},
            "unknown catchup 'last' (workflow w)\nDid you mean 'latest'? Known: all, latest, none.",
        ),
        (
            [job("x")],
            {"depends_on": ["orders"]},
            (
                "depends_on belongs to jobs (workflow w)\n"
                "Order jobs by @ematix.job(depends_on=[...]); wait for other workflows by triggered_by=[...]."
            ),
        ),
        ([job("x")], {"triggered_by": ["a", "a"]}, "triggered_by names 'a' twice (workflow w)"),
    ],
)
def test_a_workflow_that_contradicts_itself_is_refused(jobs: list[Job], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        ematix.workflow("w", jobs=jobs, **options)
    assert str(caught.value) == message
