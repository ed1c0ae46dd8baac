"""What the engine, the scheduler and the commands ask of the control database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from ematix_core.store.records import ABSENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from ematix_core.store.records import Attempt, ConsumerState, Event, Lease, LogLine, Run, Status, WorkflowRun


class RunStore(Protocol):
    """Records runs. Safe to use from several threads and processes.

    Every method may block for a moment and raises StoreError when the database cannot do its part. Texts are
    redacted before they are written; parameters and payloads are what jobs work with, and kept as they are. A run
    belongs to the process that began it until that process is dead.
    """

    def begin(
        self,
        job: str,
        *,
        workflow_run_id: str | None = None,
        trigger: str = "manual",
        slice: str = "",  # noqa: A002 - the field's own word
        token: int | None = None,
        carrier: str | None = None,
    ) -> Run:
        """Open a run of the job, or take over the one whose process is dead: same run and load id, one attempt more.

        Called once before anything else is done for the run. Of several callers at one instant one wins; the others
        get AlreadyRunningError, which says which run, where and since when. Runs of different slices do not hinder
        each other. `token`: of the scheduler's lease; raises LeaseLostError when that is another's by now, and takes
        over a run of an older token even if its process seems alive. `carrier`: continues the run that was set aside
        for it, see `set_aside`.
        """
        ...

    def attempt_failed(self, run_id: str, error: str) -> Run:
        """Record that the current attempt failed and that the next one begins. The last failure goes to `finish`."""
        ...

    def set_aside(self, run_id: str, error: str, *, carrier: str) -> Run:
        """Record that the current attempt failed and that an orchestrator will start the next one, in another process.

        Until then the run is the carrier's: open, and nobody else's to begin. `begin` with the carrier continues it.
        """
        ...

    def finish(
        self,
        run_id: str,
        status: Status,
        *,
        seconds: float,
        counts: Mapping[str, int] | None = None,
        plan_hash: str = "",
        targets: Sequence[Mapping[str, Any]] = (),
        error: str = "",
        carrier: str | None = None,
    ) -> Run:
        """Close the run and its attempt; `counts` by name: rows_read, inserted, updated, unchanged, deleted, closed.

        Called once, by the process that began the run; raises StoreError when another one has taken it over, and
        LeaseLostError when another scheduler is at work than the one that it was begun for, which will take it over.
        `carrier`: closes a run that was set aside for it.
        """
        ...

    def skip(self, job: str, reason: str, *, workflow_run_id: str | None = None, trigger: str = "manual") -> Run:
        """Record a run that was not started, and why."""
        ...

    def heartbeat(self, run_id: str) -> bool:
        """Say that the run (or workflow run) is alive; without it other hosts take the run over after 60 s.

        Return whether somebody asked for it, or for the workflow run that it belongs to, to be cancelled.
        """
        ...

    def begin_workflow(
        self,
        workflow: str,
        *,
        trigger: str = "manual",
        unit: bool = False,
        key: str | None = None,
        tick: datetime | None = None,
        slice: str = "",  # noqa: A002 - the field's own word
        parameters: Mapping[str, Any] | None = None,
        cause: Sequence[str] = (),
        jobs: Sequence[str] = (),
        message: str | None = None,
        after: int | None = None,
        token: int | None = None,
        carrier: str | None = None,
    ) -> WorkflowRun:
        """Open the record that groups the runs of one start. The fields: see WorkflowRun.

        `unit`: writes the STARTED event in the same transaction (not for slices); `message`: the position of the
        message that it consumes; `after`: the unit's last STARTED event that the caller knows of, 0 for none. Raises
        AlreadyRunningError while a run of the unit (or of the same slice) is open, when there is a run with this key,
        and when one has begun since `after`; LeaseLostError when the lease of `token` is another's by now. A run
        that is open but whose process is dead is closed as interrupted, with a FAILED event, and does not hinder;
        unless a scheduler began it and there is a living lease: then that scheduler continues it. `carrier`: an
        orchestrator's name for its own run, such as `airflow:shop/manual__2026-01-31`. Then the run is no process's:
        it stays open until `finish_workflow` is called with the same carrier, from whichever process.
        """
        ...

    def finish_workflow(
        self, workflow_run_id: str, status: Status, *, error: str = "", carrier: str | None = None
    ) -> WorkflowRun:
        """Close the record of a workflow run; a unit's end is an event of the same transaction.

        Raises StoreError when it is no longer open, or another process has taken it over; LeaseLostError when it is
        a scheduler's whose lease is another's by now.
        """
        ...

    def log(self, lines: Iterable[LogLine]) -> None:
        """Append log lines, in one transaction."""
        ...

    def run(self, run_id: str) -> Run:
        """Return the run with this id, or with an id that begins so.

        Raises UnknownRunError for none, StoreError for several.
        """
        ...

    def runs(
        self,
        *,
        job: str | None = None,
        status: Status | None = None,
        workflow_run_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 50,
    ) -> list[Run]:
        """Return runs, the latest first; `since <= started_at < until`.

        One whose process is dead shows as interrupted.
        """
        ...

    def latest(self, job: str) -> Run | None:
        """Return the job's latest run, or None."""
        ...

    def attempts(self, run_id: str) -> list[Attempt]:
        """Return the run's attempts in order."""
        ...

    def logs(self, run_id: str, *, skip: int = 0) -> list[LogLine]:
        """Return the run's log lines in the order in which they were written, without the first `skip` of them."""
        ...

    def workflow_run(self, workflow_run_id: str) -> WorkflowRun:
        """Return the workflow run with this id, or with an id that begins so.

        Raises UnknownRunError for none, StoreError for several.
        """
        ...

    def workflow_runs(
        self,
        *,
        workflow: str | None = None,
        status: Status | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        carrier: str | None = None,
        limit: int | None = 50,
    ) -> list[WorkflowRun]:
        """Return workflow runs, the latest first; `since <= started_at < until`."""
        ...  # fmt: skip

    def slices(self, workflow: str) -> dict[str, Status]:
        """Return the slices of the workflow that a backfill began, each with the state of its latest run."""
        ...

    def cancel(self, run_id: str) -> bool:
        """Ask for an open run or workflow run to be cancelled; return whether there was one to ask.

        Whoever runs it learns of it by its next heartbeat, or by the CANCEL event.
        """
        ...

    def pause(self, unit: str) -> bool:
        """Let the unit fire no more until it is resumed; return whether that changes anything."""
        ...

    def resume(self, unit: str) -> bool:
        """Let a paused unit fire again; return whether that changes anything."""
        ...

    def events(self, *, after: int = 0, limit: int | None = None, names: Iterable[str] | None = None) -> list[Event]:
        """Return events with ids above `after`, in their order; `names`: only these names' (a GAP's is empty)."""
        ...

    def last_event(self) -> int:
        """Return the id of the latest event; 0 when there is none. Cheap: asked many times a second."""
        ...

    def see(self, units: Iterable[str], *, token: int | None = None, at: datetime | None = None) -> list[str]:
        """Write a SEEN event for each unit that has none, in one transaction; return those. Raises LeaseLostError.

        `at`: the moment from which their ticks count, default now. An orchestrator has no lease, and gives no token.
        """
        ...

    def announce(self, name: str, key: str) -> bool:
        """Write a SUCCEEDED event for something outside of the project, such as `s3://landing/orders`.

        `key`: what tells this success from others of that name; nothing is written when it has been announced already.
        Return whether it is new.
        """
        ...

    def downtime(self, name: str, now: datetime) -> datetime | None:
        """Return since when nobody holds a lease, if that is longer than its last holder may be away.

        None while somebody holds it, and before the first.
        """
        ...

    def note_consumer(self, state: ConsumerState) -> None:
        """Write how a consumer of a stream fares, as of now. It counts as a sign of life of this process."""
        ...

    def consumers(self, stream: str | None = None) -> list[ConsumerState]:
        """Return the consumers of the stream (default: of all) of the last week, by stream, target and start."""
        ...

    def prune(self, before: datetime) -> int:
        """Delete runs and workflow runs that ended before then, with attempts and logs; return how many runs of jobs.

        Those of a workflow run go when it does. Events go with them, except those that decisions still rest on: for
        each name the last of each kind and the SUCCEEDED of the latest tick; every GAP, PAUSED and RESUMED; of the
        MESSAGEs those that no run has consumed, and no others: one whose STARTED is gone would look as if it were new.
        """
        ...

    def close(self) -> None:
        """Release the database. Called once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SchedulerStore(RunStore, Protocol):
    """What a scheduler asks beyond: the lease that makes it the only one, and what it alone may write."""

    def acquire_lease(self, name: str, holder: str, seconds: float, absence: float = ABSENCE) -> Lease | None:
        """Take the lease for so long if it is free, released or expired, with the next token; None when it is held.

        `absence`: how many seconds after this holder the next one may come without that being a downtime.
        Times are the database server's where there is one, so hosts need not agree on the time of day.
        """
        ...

    def renew_lease(self, lease: Lease, seconds: float) -> Lease | None:
        """Extend the lease; None when another one has taken it since."""
        ...

    def release_lease(self, lease: Lease) -> None:
        """Give the lease back at once; nothing happens when another one has it."""
        ...

    def lease(self, name: str) -> Lease | None:
        """Return the lease when somebody holds it now."""
        ...

    def gap(self, since: datetime, *, token: int) -> None:
        """Write a GAP event from `since` until now. Raises LeaseLostError."""
        ...

    def add_message(self, unit: str, position: str, payload: Any, *, token: int | None = None) -> bool:  # noqa: ANN401 - plain data
        """Write a MESSAGE event unless there was one of this unit and position; return whether it is new."""
        ...

    def orphans(self, *, token: int) -> list[WorkflowRun]:
        """Return open workflow runs of schedulers with an older token, and open units of dead processes."""
        ...

    def adopt(self, workflow_run_id: str, *, token: int) -> WorkflowRun:
        """Make this process the owner of an open workflow run of an older token. Raises LeaseLostError."""
        ...

    def abandon(self, workflow_run_id: str, error: str, *, token: int | None = None) -> None:
        """Close an open workflow run whose process is dead as interrupted, with a FAILED event for a unit.

        One of an older token counts as dead. Nothing happens when it has ended. Raises StoreError when it goes on.
        """
        ...
