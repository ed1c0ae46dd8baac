"""The sensor that starts workflows: it asks ematix's own evaluator over its store, and closes what has ended."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dagster import (
    DagsterRunStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from ematix_core.errors import EmatixError
from ematix_core.orchestration import Outlook, Status, close
from ematix_dagster.carrying import runs_of
from ematix_dagster.names import CARRIER, CAUSE, SENSOR, WORKFLOW_RUN, is_carrier, run_id_of, sensor_carrier
from ematix_dagster.resource import EmatixResource  # noqa: TC001 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dagster import DagsterRun, DefaultSensorStatus, JobDefinition, SensorDefinition

    from ematix_core.orchestration import OpenSite, Unit, WorkflowRun
    from ematix_dagster.source import Source

_REASONS = 20
"""How many workflows the sensor tells about why they do not run."""


def triggers(
    source: Source,
    jobs: Mapping[str, JobDefinition],
    *,
    status: DefaultSensorStatus,
    interval: int,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> SensorDefinition:
    """Return the sensor of a project.

    `jobs`: the Dagster job that runs the whole of each unit, by the unit's name. `clock` gives the time in UTC, default
    the system's.
    """
    units = [(jobs[one.name].name, one.unit) for one in source.project.workflows]
    memory = Memory()

    @sensor(
        name=SENSOR, jobs=list(jobs.values()), minimum_interval_seconds=interval, default_status=status,
        description="Starts ematix's workflows when their conditions hold, and closes their runs.",
    )  # fmt: skip
    def ematix_triggers(context: SensorEvaluationContext, ematix: EmatixResource) -> SensorResult:
        if not context.cursor:
            # The cursor is this sensor's name in the carriers of runs: it has to be kept before there is one.
            return SensorResult(cursor=uuid.uuid4().hex[:12], skip_reason="The first look: runs come with the next.")
        with ematix.site(source).opened() as site:
            return Look(context, site, context.cursor, clock, memory).at(units)

    return ematix_triggers


class Memory:
    """What one look leaves to the next one in the same process. Without it a look takes longer, no more."""

    def __init__(self) -> None:
        self._outlooks: dict[str, Outlook] = {}

    def outlook(self, store: str, units: Iterable[Unit]) -> Outlook:
        """Return what is known of the units from the store with that URL."""
        if store not in self._outlooks:
            self._outlooks = {store: Outlook(units)}
        return self._outlooks[store]


@dataclass
class Look:
    """One look of the sensor: what it asks for, and why the rest does not run."""

    context: SensorEvaluationContext
    site: OpenSite
    own: str
    """The sensor's name in the carriers of runs."""
    clock: Callable[[], datetime]
    memory: Memory
    requests: list[RunRequest] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    """The units that Dagster runs."""

    def at(self, units: Sequence[tuple[str, Unit]]) -> SensorResult:
        """Look at all units, each with Dagster's name of its job. What fails for one does not keep the others."""
        open_runs = defaultdict(list)
        for run in self.site.store.workflow_runs(status=Status.RUNNING, limit=None):
            open_runs[run.workflow].append(run)
        for job, unit in units:
            try:
                for run in open_runs[unit.name]:
                    self._carry_on(job, unit, run)
            except EmatixError as error:
                self._fails(unit, error)
        # Once all that has ended is closed: it may be what others wait for.
        self._ask_all({unit.name: (job, unit) for job, unit in units})
        reason = "\n".join(self.reasons) or "There is no workflow."
        return SensorResult(run_requests=self.requests, skip_reason=None if self.requests else reason)

    def _ask_all(self, units: Mapping[str, tuple[str, Unit]]) -> None:
        """Ask the gates of the units that are due, that others run, or for which a message may have come."""
        moment = self.clock()
        outlook = self.memory.outlook(self.site.settings.store, [unit for _, unit in units.values()])
        due = dict.fromkeys(outlook.look(self.site.store, moment))
        due |= dict.fromkeys(unit.name for _, unit in units.values() if unit.messages is not None)
        for name in due:
            if name in self.running:
                continue
            job, unit = units[name]
            try:
                self._ask(job, unit)
            except EmatixError as error:
                self._fails(unit, error)
        if not self.requests:
            waiting = [name for name in units if name not in due]
            self.reasons += [outlook.explain(name, moment) for name in waiting[: _REASONS - len(self.reasons)]]

    def _carry_on(self, job: str, unit: Unit, run: WorkflowRun) -> None:
        """Close an open run of ours if Dagster has ended it; ask for it again if Dagster knows nothing of it."""
        carrier = run.host
        # The runs of another instance are its own, unless somebody cancels them: that instance may be gone for good.
        here = carrier.startswith(sensor_carrier(self.own, "")) or run_id_of(carrier)
        if run.pid or not (here or (run.cancel_requested and is_carrier(carrier))):
            return
        carrying = runs_of(self.context.instance, carrier)
        if not carrying and not run.cancel_requested:
            if run_id_of(carrier) is None:  # the daemon was stopped before it could start it
                self._request(job, unit, run)
        elif all(one.is_finished for one in carrying):
            self._close(unit, run, carrying)
            return
        if not run.slice:
            self.running.add(unit.name)
            self.reasons.append(f"{unit.name}: run {run.workflow_run_id} is open: {carrier}")

    def _close(self, unit: Unit, run: WorkflowRun, carrying: Sequence[DagsterRun]) -> None:
        store, run_id = self.site.store, run.workflow_run_id
        alive = [one for one in store.runs(workflow_run_id=run_id, status=Status.RUNNING, limit=None) if one.pid]
        if alive:  # Dagster has let go of a process that is still rolling back
            self.context.log.info("%s: job %s is still at work on %s", unit.name, alive[0].job, alive[0].host)
            return
        if any(one.status is DagsterRunStatus.CANCELED for one in carrying):
            store.cancel(run_id)
        closed = close(store, unit, run_id, carrier=run.host, states={})
        self.context.log.info("%s: run %s %s %s", unit.name, run_id, closed.status, closed.error)

    def _ask(self, job: str, unit: Unit) -> None:
        from ematix_core.orchestration import Gate, Opened

        if unit.messages is not None and not self._has_message(unit):
            self.reasons.append(f"{unit.name}: there is no message, or a run is open, or it is paused")
            return
        gate = Gate(self.site.store, unit, carrier=sensor_carrier(self.own, uuid.uuid4().hex), clock=self.clock)
        answer = gate.ask()
        if isinstance(answer, Opened):
            self._request(job, unit, answer.run)
        else:
            self.reasons.append(f"{unit.name}: {answer.reason}")

    def _has_message(self, unit: Unit) -> bool:
        from ematix_core.orchestration import Messages

        messages = Messages(self.site, unit)
        try:
            return messages.look() is not None
        finally:
            messages.close()

    def _request(self, job: str, unit: Unit, run: WorkflowRun) -> None:
        """Ask Dagster for a run; of one key it makes only one."""
        tags = {WORKFLOW_RUN: run.workflow_run_id, CARRIER: run.host, CAUSE: "; ".join(run.cause) or run.trigger}
        if unit.priority:
            tags["dagster/priority"] = str(unit.priority)
        self.requests.append(RunRequest(run_key=run.workflow_run_id, job_name=job, tags=tags))

    def _fails(self, unit: Unit, error: EmatixError) -> None:
        self.context.log.error("%s: %s", unit.name, error)
        self.reasons.insert(0, f"{unit.name}: {error}")
