"""A whole workflow in one process of an orchestrator: a further try does what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.errors import ProjectError
from ematix_core.orchestration import Site, run_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.orchestration import OpenSite

TARGET = ematix.MemoryConnection("target")
READY: list[str] = []


@ematix.job(target="orders", target_connection=TARGET)
def orders() -> pa.Table:
    return pa.table({"id": [1, 2]})


@ematix.job(target="daily", target_connection=TARGET, depends_on=orders)
def daily() -> pa.Table:
    if not READY:
        raise ValueError("not ready")
    return pa.table({"n": [2]})


NIGHTLY = ematix.workflow("nightly", jobs=[orders, daily], schedule="0 2 * * *")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OpenSite]:
    READY.clear()
    with Site(directory=str(tmp_path), store="memory:").opened() as opened:
        yield opened.of(NIGHTLY)


def test_a_further_try_runs_what_has_not_succeeded_and_one_after_a_success_runs_all(site: OpenSite) -> None:
    first = run_whole(site, "nightly", carrier="airflow:nightly/1")
    assert [one.status for one in first.outcomes] == ["succeeded", "failed"]
    READY.append("yes")
    second = run_whole(site, "nightly", carrier="airflow:nightly/1", trigger="airflow")
    assert second.status == "succeeded"
    assert site.store.workflow_run(second.workflow_run_id).trigger == f"restart of {first.workflow_run_id}"
    assert [run.job for run in site.store.runs(workflow_run_id=second.workflow_run_id)] == ["daily"]
    third = run_whole(site, "nightly", carrier="airflow:nightly/1", trigger="airflow")
    assert len(site.store.runs(workflow_run_id=third.workflow_run_id)) == 2


def test_another_carrier_s_run_is_another_run(site: OpenSite) -> None:
    run_whole(site, "nightly", carrier="airflow:nightly/1")
    READY.append("yes")
    other = run_whole(site, "nightly", carrier="airflow:nightly/2", trigger="airflow")
    assert site.store.workflow_run(other.workflow_run_id).trigger == "airflow"
    assert len(site.store.runs(workflow_run_id=other.workflow_run_id)) == 2


def test_an_unknown_workflow_is_named_with_the_near_one(site: OpenSite) -> None:
    with pytest.raises(ProjectError, match=r"unknown workflow 'nighty'\nDid you mean 'nightly'"):
        run_whole(site, "nighty", carrier="airflow:nightly/1")
