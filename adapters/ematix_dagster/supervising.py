"""The sensor of streams: it keeps one run of each going, and never asks for a second one.

Dagster makes one run of a run key. A run's key names the run before it, so that it can only be followed once, whatever
becomes of cursors and of other daemons. And a run consumes only as long as it has the stream's lease in the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dagster import DagsterRunStatus, RunRequest, RunsFilter, SensorEvaluationContext, SensorResult, sensor

from ematix_core.orchestration import EventKind, holder_of
from ematix_dagster.names import STREAM, STREAM_SENSOR, run_id_of
from ematix_dagster.resource import EmatixResource  # noqa: TC001 - Dagster looks at the annotation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dagster import AssetKey, DagsterRun, DefaultSensorStatus, JobDefinition, RunRecord, SensorDefinition

    from ematix_core.orchestration import CompiledStream, OpenSite
    from ematix_dagster.source import Source

_OPEN = [
    DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING, DagsterRunStatus.MANAGED,
]  # fmt: skip
_REPOSITORY = ".dagster/repository"
_LOST_AFTER = timedelta(minutes=2)
"""A run that was started so long ago and has no consumer has lost its process."""
_SHORT = timedelta(minutes=5)
"""A run that failed sooner than this has achieved nothing: after several in a row the next one is put off."""
_PAUSES = [timedelta(0), *(timedelta(minutes=minutes) for minutes in (1, 2, 4, 8, 15))]
"""How long after the failure, by the number of those in a row."""


@dataclass(frozen=True)
class Supervised:
    """A stream, what Dagster calls the job that consumes it, and its assets."""

    stream: CompiledStream
    job: str
    keys: frozenset[AssetKey]


def supervisor(
    source: Source,
    streams: Sequence[Supervised],
    jobs: Sequence[JobDefinition],
    *,
    status: DefaultSensorStatus,
    interval: int,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> SensorDefinition:
    """Return the sensor of a project's streams. `jobs`: those that consume them."""

    @sensor(
        name=STREAM_SENSOR, jobs=list(jobs), minimum_interval_seconds=interval, default_status=status,
        description="Keeps one run of each of ematix's streams going.",
    )  # fmt: skip
    def ematix_streams(context: SensorEvaluationContext, ematix: EmatixResource) -> SensorResult:
        with ematix.site(source).opened() as site:
            return Look(context, site, clock()).at(streams)

    return ematix_streams


@dataclass
class Look:
    """One look of the sensor: what it asks for, and why the rest does not run."""

    context: SensorEvaluationContext
    site: OpenSite
    now: datetime
    requests: list[RunRequest] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def at(self, streams: Sequence[Supervised]) -> SensorResult:
        """Look at all streams."""
        paused, single = self._paused(streams), self._runs_of_assets()
        for one in streams:
            name = one.stream.name
            records = self.context.instance.get_run_records(
                RunsFilter(job_name=one.job, tags=self._tags | {STREAM: name}), limit=len(_PAUSES) + 1
            )
            beside = next((run for run in single if run.asset_selection and run.asset_selection & one.keys), None)
            if name in paused:
                reason = "it is paused"
            elif beside is not None:
                reason = f"run {beside.run_id} consumes it"
            else:
                reason = self._against(name, records)
            if reason:
                self.reasons.append(f"{name}: {reason}")
            else:
                self._request(one, records)
        reason = "\n".join(self.reasons)
        return SensorResult(run_requests=self.requests, skip_reason=None if self.requests else reason)

    def _against(self, stream: str, records: Sequence[RunRecord]) -> str:
        """Return what speaks against a new run; nothing when nothing does. `records`: the latest first."""
        if records:
            latest = records[0]
            run, status = latest.dagster_run, latest.dagster_run.status
            if not run.is_finished:
                if not self._is_lost(stream, latest):
                    return f"run {run.run_id} is in progress"
                self.context.log.warning(
                    "%s: run %s has no process any more, and Dagster does not know: the next one is started. Terminate "
                    "it on its page; Dagster's run monitoring would notice.", stream, run.run_id,
                )  # fmt: skip
            elif status is DagsterRunStatus.CANCELED:
                return f"run {run.run_id} was terminated: start {run.job_name} by hand, and it is kept going again"
            elif (until := _put_off(records)) > self.now:
                return f"run {run.run_id} failed; the next one is started after {until:%H:%M:%S} UTC"
        return self._consumed_elsewhere(stream)

    def _is_lost(self, stream: str, record: RunRecord) -> bool:
        """Say whether the run's process is gone without a word: it has not ended, and nobody has the lease."""
        if record.dagster_run.status is not DagsterRunStatus.STARTED or record.start_time is None:
            return False
        start = datetime.fromtimestamp(record.start_time, UTC)
        if self.now - start < _LOST_AFTER or holder_of(self.site.store, stream):
            return False
        return not any(one.ended for one in self.site.store.consumers(stream) if one.started_at >= start)

    def _consumed_elsewhere(self, stream: str) -> str:
        """Return who consumes the stream that is no run of this Dagster's; nothing when nobody does.

        A run that has ended here may still hold the lease: the next one waits for it.
        """
        holder = holder_of(self.site.store, stream)
        if holder:
            run_id = run_id_of(holder.partition(",")[0])
            ours = self.context.instance.get_run_by_id(run_id) if run_id else None
            return "" if ours is not None else f"it is consumed by {holder}"
        alive = [one for one in self.site.store.consumers(stream) if not one.ended and one.status != "lost"]
        return f"it is consumed by process {alive[0].pid} on {alive[0].host}" if alive else ""

    def _request(self, one: Supervised, records: Sequence[RunRecord]) -> None:
        before = records[0].dagster_run.run_id if records else "none"
        self.requests.append(
            RunRequest(
                run_key=f"{one.stream.name}/{before}", job_name=one.job,
                # Dagster's own retries would be a second one to start it.
                tags={STREAM: one.stream.name, "dagster/max_retries": "0"},
            )
        )  # fmt: skip

    def _paused(self, streams: Sequence[Supervised]) -> set[str]:
        names = [one.stream.name for one in streams]
        last = {
            event.name: event.kind
            for event in self.site.store.events(names=names)
            if event.kind in {EventKind.PAUSED, EventKind.RESUMED}
        }
        return {name for name, kind in last.items() if kind is EventKind.PAUSED}

    def _runs_of_assets(self) -> Sequence[DagsterRun]:
        """Return the open runs of single assets, which somebody has started by hand."""
        found = self.context.instance.get_runs(RunsFilter(statuses=_OPEN, tags=self._tags))
        return [run for run in found if run.asset_selection and STREAM not in run.tags]

    @property
    def _tags(self) -> dict[str, str]:
        """The tags of runs of this code location: another one may have streams and jobs of the same names."""
        origin = self.context.code_location_origin
        return {_REPOSITORY: f"{self.context.repository_name}@{origin.location_name}"} if origin is not None else {}


def _put_off(records: Sequence[RunRecord]) -> datetime:
    """Return when the stream may be started again, given its runs, the latest first."""
    failed = 0
    for record in records:
        if record.dagster_run.status is not DagsterRunStatus.FAILURE or _lasted(record) >= _SHORT:
            break
        failed += 1
    ended = datetime.fromtimestamp(records[0].end_time or 0.0, UTC)
    return ended + _PAUSES[min(failed, len(_PAUSES)) - 1] if failed else ended


def _lasted(record: RunRecord) -> timedelta:
    return timedelta(seconds=(record.end_time or 0.0) - (record.start_time or record.end_time or 0.0))
