from __future__ import annotations

from datetime import timedelta
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


ORDERS_IN = ematix.inbox("orders_in", connection="drops", path="orders/*.json")
LOAD = [
    job("report", "orders", "customers"),
    job("orders", "raw"),
    job("customers"),
    job("mail", "report", "elsewhere"),
]


def test_levels_follow_the_dependencies() -> None:
    nightly = ematix.workflow("nightly", jobs=LOAD, schedule="0 2 * * *")
    assert names(nightly.order()) == [["orders", "customers"], ["report"], ["mail"]]


def test_the_graph_leaves_out_jobs_of_elsewhere() -> None:
    assert ematix.workflow("nightly", jobs=LOAD, schedule="0 2 * * *").graph() == {
        "report": ("orders", "customers"),
        "orders": (),
        "customers": (),
        "mail": ("report",),
    }


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({"schedule": "0 2 * * *"}, "At 0 2 * * * UTC"),
        ({"triggered_by": ["a", "b"]}, "After: a, b"),
        ({"triggered_by": ematix.any_of("a", ematix.all_of("b", "c"))}, "After any: a or (b, c)"),
        (
            {"triggered_by": job("a"), "schedule": "0 2 * * *", "timezone": "Europe/London"},
            "After: a; at 0 2 * * * Europe/London",
        ),
        ({"on_message": ORDERS_IN}, "On each message of orders_in (orders/*.json)"),
    ],
)
def test_the_summary_says_what_sets_it_off(options: dict[str, Any], summary: str) -> None:
    assert ematix.workflow("w", jobs=[job("x")], **options).summary() == summary


@pytest.mark.parametrize("length", ["2 hours", timedelta(hours=2), 7200])
def test_lengths_of_time_are_kept_in_seconds(length: Any) -> None:  # noqa: ANN401 - as a user may write it
    nightly = ematix.workflow("w", jobs=job("x"), triggered_by="z", freshness=length, long_run=length)
    assert (nightly.freshness, nightly.long_run) == (7200, 7200)


def test_a_workflow_prints_on_one_line() -> None:
    assert repr(ematix.workflow("w", jobs=[job("x"), job("y")], triggered_by="z")) == "<workflow w (x, y)>"


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
            {"on_message": ORDERS_IN, "schedule": "0 2 * * *"},
            "on_message excludes schedule and triggered_by (workflow w)\nMake two workflows of it, with the same jobs.",
        ),
        (
            [job("x")],
            {"timezone": "UTC", "triggered_by": "a"},
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
        (
            [job("x"), job("y")],
            {},
            (
                "nothing sets it off (workflow w)\n"
                "Add schedule='0 2 * * *', triggered_by=['...'] or on_message=ematix.inbox(...). "
                "Jobs that are started by hand need no workflow: `flow run x y`."
            ),
        ),
        (
            [job("x")],
            {"on_message": "clicks"},
            (
                "on_message='clicks' is no source of messages (workflow w)\n"
                "Give what ematix.inbox() or ematix.queue() returns."
            ),
        ),
        ([job("x")], {"freshness": "0 hours"}, "freshness='0 hours' is not positive (workflow w)"),
        (
            [job("x")],
            {"long_run": "soon"},
            "long_run='soon' is no length of time (workflow w)\nWrite '1 day', '90 seconds', ...",
        ),
        (
            [job("x")],
            {"long_run": True},
            "long_run=True is no length of time (workflow w)\nWrite '1 day', '90 seconds', ...",
        ),
        ([job("x")], {"freshness": float("nan")}, "freshness=nan is not positive (workflow w)"),
        (
            [job("x")],
            {"alerts": [5]},
            "alerts=5 does not belong there (workflow w)\nWrite alerts='oncall' or alerts=['oncall', 'mail'].",
        ),
        (
            [job("x")],
            {"priority": "high"},
            "priority='high' is no whole number (workflow w)\nWrite priority=10: higher runs first.",
        ),
        ([job("x")], {"pool": 3}, "pool=3 is no name (workflow w)\nWrite pool='warehouse'."),
    ],
)
def test_a_workflow_that_contradicts_itself_is_refused(jobs: list[Job], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        ematix.workflow("w", jobs=jobs, **options)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == message
