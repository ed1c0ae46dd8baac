"""What the engine, the scheduler and the commands ask of the control database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from ematix_core.store.records import Attempt, LogLine, Run, Status, WorkflowRun


class RunStore(Protocol):
    """Records runs. Safe to use from several threads and processes.

    Every method may block for a moment and raises StoreError when the database cannot do its part. Texts are
    redacted before they are written. A run belongs to the process that began it until that process is dead.
    """

    def begin(self, job: str, *, workflow_run_id: str | None = None, trigger: str = "manual") -> Run:
        """Open a run of the job, or take over the one whose process is dead: same run and load id, one attempt more.

        Called once before anything else is done for the run. Of several callers at one instant one wins; the others
        get AlreadyRunningError, which says which run, where and since when.
        """
        ...

    def attempt_failed(self, run_id: str, error: str) -> Run:
        """Record that the current attempt failed and that the next one begins. The last failure goes to `finish`."""
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
    ) -> Run:
        """Close the run and its attempt; `counts` by name: rows_read, inserted, updated, unchanged, deleted, closed.

        Called once, by the process that began the run; raises StoreError when another one has taken it over.
        """
        ...

    def skip(self, job: str, reason: str, *, workflow_run_id: str | None = None, trigger: str = "manual") -> Run:
        """Record a run that was not started, and why."""
        ...

    def heartbeat(self, run_id: str) -> None:
        """Say that the run (or workflow run) is alive; without it other hosts take the run over after 60 s."""
        ...

    def begin_workflow(self, workflow: str, *, trigger: str = "manual") -> WorkflowRun:
        """Open the record that groups the runs of one start."""
        ...

    def finish_workflow(self, workflow_run_id: str, status: Status, *, error: str = "") -> WorkflowRun:
        """Close the record of a workflow run."""
        ...

    def log(self, lines: Iterable[LogLine]) -> None:
        """Append log lines, in one transaction."""
        ...

    def run(self, run_id: str) -> Run:
        """Return the run with this id, or with an id that begins so. Raises StoreError for none or several."""
        ...

    def runs(
        self,
        *,
        job: str | None = None,
        status: Status | None = None,
        workflow_run_id: str | None = None,
        limit: int | None = 50,
    ) -> list[Run]:
        """Return runs, the latest first. One whose process is dead shows as interrupted."""
        ...

    def latest(self, job: str) -> Run | None:
        """Return the job's latest run, or None."""
        ...

    def attempts(self, run_id: str) -> list[Attempt]:
        """Return the run's attempts in order."""
        ...

    def logs(self, run_id: str) -> list[LogLine]:
        """Return the run's log lines in the order in which they were written."""
        ...

    def workflow_runs(self, *, workflow: str | None = None, limit: int | None = 50) -> list[WorkflowRun]:
        """Return workflow runs, the latest first."""
        ...

    def close(self) -> None:
        """Release the database. Called once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
