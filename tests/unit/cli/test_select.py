"""Names, patterns, up- and downstream: what a command line selects."""

from __future__ import annotations

import pytest

from ematix_core.cli.select import select
from ematix_core.errors import ProjectError
from ematix_core.model.job import Job
from ematix_core.model.workflow import Workflow


def _job(name: str, *needs: str) -> Job:
    return Job(name=name, body=lambda: "SELECT 1", targets=(), depends_on=needs)


# raw -> clean -> revenue -> report, and crm_a, crm_b beside them
JOBS = {
    job.name: job
    for job in (
        _job("raw"),
        _job("clean", "raw"),
        _job("revenue", "clean"),
        _job("report", "revenue"),
        _job("crm_a"),
        _job("crm_b"),
    )
}
WORKFLOWS = {
    "nightly": Workflow(name="nightly", jobs=(JOBS["clean"], JOBS["revenue"])),
    "crm_all": Workflow(name="crm_all", jobs=(JOBS["crm_a"], JOBS["crm_b"])),
}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], list(JOBS)),
        (["revenue"], ["revenue"]),
        (["revenue", "raw"], ["raw", "revenue"]),
        (["+revenue"], ["raw", "clean", "revenue"]),
        (["clean+"], ["clean", "revenue", "report"]),
        (["+clean+"], ["raw", "clean", "revenue", "report"]),
        (["crm_[ab]"], ["crm_a", "crm_b"]),
        (["re*"], ["revenue", "report"]),
        (["nightly"], ["clean", "revenue"]),
        (["+nightly"], ["raw", "clean", "revenue"]),
        (["nightly", "crm_a"], ["clean", "revenue", "crm_a"]),
    ],
)
def test_pattern_selects(patterns: list[str], expected: list[str]) -> None:
    assert [job.name for job in select(JOBS, WORKFLOWS, patterns).jobs] == expected


def test_one_workflow_as_a_whole_is_remembered() -> None:
    assert select(JOBS, WORKFLOWS, ["nightly"]).workflow is WORKFLOWS["nightly"]
    assert select(JOBS, WORKFLOWS, ["nightly", "crm_a"]).workflow is None
    assert select(JOBS, WORKFLOWS, ["+nightly"]).workflow is None


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ProjectError, match=r"no job or workflow is named 'revenu'\nDid you mean 'revenue'\?"):
        select(JOBS, WORKFLOWS, ["revenu"])


def test_pattern_without_a_match_is_an_error() -> None:
    with pytest.raises(ProjectError, match=r"no job or workflow matches 'erp_\*'"):
        select(JOBS, WORKFLOWS, ["crm_*", "erp_*"])
