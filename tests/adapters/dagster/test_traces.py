"""The sensor decides as the scheduler does, over random histories under a standing clock."""

from __future__ import annotations

import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from dagster import (
    DagsterEvent,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunsFilter,
    SensorResult,
    build_sensor_context,
    define_asset_job,
)
from ematix_dagster import EmatixResource
from ematix_dagster.sensor import triggers
from ematix_dagster.source import Source
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.config.redact import Redactor
from ematix_core.config.settings import Settings
from ematix_core.orchestration import CompiledJob, CompiledProject, CompiledWorkflow, Gate, Opened, OpenSite, Site
from ematix_core.store import Status
from tests.property.orchestrated_histories import CLOCK, STEPS, Orchestrated, told_twice, two_stores
from tests.property.soak import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster import RunRequest, SensorDefinition, SensorEvaluationContext

    from ematix_core.store import SchedulerStore

_ENDS = {Status.SUCCEEDED: "PIPELINE_SUCCESS", Status.FAILED: "PIPELINE_FAILURE", Status.CANCELLED: "PIPELINE_CANCELED"}


@dataclass
class Place:
    """A site whose store is open, under the standing clock."""

    store: SchedulerStore

    @contextmanager
    def opened(self) -> Iterator[OpenSite]:
        yield OpenSite(Site(), Settings.load(), self.store, Redactor())


class Standing(EmatixResource):
    """The resource, with a store that is given."""

    def site(self, source: Source) -> Any:  # noqa: ANN401, ARG002 - a place in place of a site
        return PLACES[self.store]


class Daemon(Orchestrated):
    """Dagster's daemon, as thin as can be: looks by the sensor, and makes one run of each run key."""

    def look_on(self) -> None:
        workflows = [CompiledWorkflow(unit=unit, jobs=()) for unit in self.units.values()]
        project = CompiledProject.of(version="", modules=(), files={}, workflows=workflows, jobs=_jobs(workflows))
        source = Source(project, ("traces",), ".")
        jobs: dict[str, Any] = {name: define_asset_job(name) for name in self.units}
        self.sensor: SensorDefinition = triggers(
            source, jobs, status=DefaultSensorStatus.RUNNING, interval=30, clock=CLOCK
        )
        self.random = Random(repr(sorted(self.units)))  # noqa: S311 - a history, no secret
        self.runs: dict[str, str] = {}
        PLACES[place := uuid.uuid4().hex] = Place(self.store)
        self.stack = ExitStack()
        self.resource = Standing(store=place)
        self.context = self._context(None)
        self._look()  # takes a name
        self._look()  # sees the units

    def wake(self, succeeded: str) -> None:
        """Do nothing: the sensor looks for itself."""

    def pass_time(self, since: Any) -> None:  # noqa: ANN401 - a moment
        """Do nothing: the sensor looks for itself."""

    def settle(self) -> None:
        requests = self._look()
        if self.random.random() < 0.2:  # the daemon is killed before it has made the runs
            requests = self._look()
        for request in requests:
            assert request.run_key is not None
            known = INSTANCE.get_runs(RunsFilter(tags={"dagster/run_key": request.run_key}))
            if known:
                continue
            run = self.store.workflow_run(request.run_key)
            self._make(run.workflow, {**request.tags, "dagster/run_key": request.run_key})
            self.note(run)

    def by_hand(self, name: str) -> None:
        run_id = self._make(name, {})
        answer = Gate(self.store, self.units[name], carrier=f"dagster:{run_id}", clock=CLOCK).begin()
        assert isinstance(answer, Opened)
        self.note(answer.run)

    def end(self, name: str, status: Status) -> None:
        run = self.open.pop(name)
        self.run_job(self.units[name].jobs[0].name, run, status)
        event = DagsterEvent(event_type_value=_ENDS[status], job_name=name)
        INSTANCE.report_dagster_event(event, self.runs[name])
        self._look_for_end(run.workflow_run_id, status)

    def leave(self) -> None:
        """Leave no run open: each look goes through all of the store."""
        self.stack.close()
        for run in self.store.workflow_runs(status=Status.RUNNING, limit=None):
            self.store.finish_workflow(run.workflow_run_id, Status.CANCELLED, carrier=run.host)

    def _look_for_end(self, run_id: str, status: Status) -> None:
        """Let the sensor look, which closes the run; what it asks for then is lost, and asked for again."""
        self._look()
        assert self.store.workflow_run(run_id).status is status

    def _make(self, unit: str, tags: dict[str, str]) -> str:
        run = DagsterRun(job_name=unit, run_id=str(uuid.uuid4()), tags=tags, status=DagsterRunStatus.STARTED)
        INSTANCE.add_run(run)
        self.runs[unit] = run.run_id
        return run.run_id

    def _look(self) -> list[RunRequest]:
        result = self.sensor(self.context)
        assert isinstance(result, SensorResult)
        if result.cursor:
            self.context = self._context(result.cursor)
        return list(result.run_requests or ())

    def _context(self, cursor: str | None) -> SensorEvaluationContext:
        resources = {"ematix": self.resource}
        return self.stack.enter_context(build_sensor_context(instance=INSTANCE, cursor=cursor, resources=resources))


PLACES: dict[str, Place] = {}
INSTANCE = DagsterInstance.ephemeral()


def _jobs(workflows: list[CompiledWorkflow]) -> list[CompiledJob]:
    return [CompiledJob(name=job.name) for workflow in workflows for job in workflow.unit.jobs]


WORLDS = iter(range(1_000_000))


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[SchedulerStore, SchedulerStore]]:
    with two_stores() as both:
        yield both


@examples("the sensor's decisions", sample=150, full=3_000)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, STEPS))
def test_the_sensor_runs_what_the_scheduler_runs(
    stores: tuple[SchedulerStore, SchedulerStore], seed: int, steps: int
) -> None:
    told_twice(stores, Daemon, f"d{next(WORLDS)}_", seed, steps).leave()
