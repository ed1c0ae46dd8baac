"""Units: which workflows and jobs a scheduler starts, and what it needs to know of them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core import Project
from ematix_core.errors import ProjectError
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import AllOf, Event
from ematix_core.model.unit import Unit, UnitJob, units

if TYPE_CHECKING:
    from ematix_core import Job


def job(name: str, **options: Any) -> Job:  # noqa: ANN401 - any option of a job
    return ematix.job(name=name, target=f"t_{name}", target_connection="warehouse", **options)(lambda: "SELECT 1")


def test_a_workflow_is_a_unit_with_the_order_of_its_jobs() -> None:
    load, check = job("load", pool="db", priority=2, timeout=60), job("check", depends_on=["load", "orders"])
    nightly = ematix.workflow(
        "nightly", jobs=[load, check], schedule="0 2 * * *", triggered_by="orders", catchup="all", pool="night",
        priority=1, freshness="1 day", long_run=600, alerts="oncall", tags="crm", owner="ann",
    )  # fmt: skip
    (unit,) = units(Project.of(nightly, job("orders")))
    assert unit == Unit(
        name="nightly",
        jobs=(UnitJob("load", (), "db", 2, 60), UnitJob("check", ("load",))),
        trigger=Event("orders"), schedule=Schedule("0 2 * * *"), catchup="all", pool="night", priority=1,
        freshness=86_400, long_run=600, alerts=("oncall",), tags=("crm",), owner="ann",
    )  # fmt: skip


def test_a_job_with_conditions_of_its_own_is_a_unit_by_itself() -> None:
    scheduled, after = job("scheduled", schedule="0 * * * *"), job("after", depends_on="scheduled")
    both = job("both", depends_on=["scheduled", "after"], priority=3)
    found = units(Project.of(scheduled, after, both, job("by_hand")))
    assert [(unit.name, unit.single, unit.trigger, unit.priority) for unit in found] == [
        ("scheduled", True, None, 0),
        ("after", True, Event("scheduled"), 0),
        ("both", True, AllOf((Event("scheduled"), Event("after"))), 3),
    ]
    assert [unit.waits_for() for unit in found] == [(), ("scheduled",), ("scheduled", "after")]
    assert found[0].schedule == Schedule("0 * * * *")


def test_dependencies_within_a_workflow_make_no_unit_of_a_job_but_its_schedule_does() -> None:
    first, second = job("first", schedule="0 * * * *"), job("second", depends_on="first")
    nightly = ematix.workflow("nightly", jobs=[first, second], schedule="0 2 * * *")
    assert [unit.name for unit in units(Project.of(nightly))] == ["nightly", "first"]


def test_units_can_be_sent_to_another_process() -> None:
    drops = ematix.ObjectStoreConnection("drops", path="drops", format="json")
    inbox = ematix.workflow("in", jobs=job("load"), on_message=ematix.inbox("orders", connection=drops))
    (unit,) = units(Project.of(inbox))
    assert pickle.loads(pickle.dumps(unit)) == unit  # noqa: S301 - made a moment ago
    assert unit.messages is not None


def test_the_connection_of_a_message_source_belongs_to_the_project() -> None:
    drops = ematix.ObjectStoreConnection("drops", path="drops", format="json")
    inbox = ematix.workflow("in", jobs=job("load"), on_message=ematix.inbox("orders", connection=drops))
    assert list(Project.of(inbox).connections) == ["drops"]


@pytest.mark.parametrize(
    ("declarations", "message"),
    [
        (
            lambda: [job("after", depends_on="load"), ematix.workflow("w", jobs=job("load"), triggered_by="after")],
            "workflows and jobs set each other off in a circle: w -> after -> w",
        ),
        (
            lambda: [
                job("tick", schedule="0 * * * *", depends_on="last"),
                ematix.workflow("first", jobs=job("a"), triggered_by="tick"),
                ematix.workflow("second", jobs=job("last"), triggered_by=ematix.any_of("first", "b")),
                job("b"),
            ],
            "workflows and jobs set each other off in a circle: first -> second -> tick -> first",
        ),
        (
            lambda: [ematix.workflow("w", jobs=job("load", schedule="0 2 * * *"), triggered_by="load")],
            "workflows set each other off in a circle: w -> w",
        ),
        (
            lambda: [job("after", depends_on="laod"), job("load")],
            "job after depends on 'laod', which is no job. Did you mean 'load'? Known: after, load.",
        ),
    ],
)
def test_units_that_set_each_other_off_in_a_circle_are_refused(declarations: Any, message: str) -> None:  # noqa: ANN401 - a way to make declarations of any kind
    with pytest.raises(ProjectError) as caught:
        Project.of(*declarations())
    assert str(caught.value) == message
